"""Holds an exported version to the rules of TensorFlow Serving, which breaks or stays silent.

    python -m tests.support.serving_contract served/unet/1

prints a line on each rule; the exit code is 1 if one is broken. The version is asked in the C++
loader of TensorFlow, as the server does; what the server makes of the answers in REST is done by
`tests/support/serving_double.py`.
"""

import argparse
import contextlib
import dataclasses
import io
import json
import pathlib
import re
import sys
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf
from PIL import Image
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2

from exports import check
from exports.formats.saved_model import COMPILED
from exports.graph import CLASS_MAP_FROM_BYTES, CLASS_NAMES, MASK_PNG, SCORES, SERVING_DEFAULT
from exports.images import textures
from exports.runtimes import INVALID_ARGUMENT, Ask, StatusError, tensorflow_c
from tests.support import serving_double as double

SIGNATURES = (SERVING_DEFAULT, CLASS_MAP_FROM_BYTES, MASK_PNG, SCORES, CLASS_NAMES)
TEXT = {CLASS_NAMES}  # what gives strings that are text, not bytes
WARM_UP = "assets.extra/tf_serving_warmup_requests"
MOST_WARM_UP = 1000
# Operations that call back into a Python process, which a server has not.
PYTHON = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}


class BrokenError(Exception):
    """A rule is broken; the message says by what."""


@dataclasses.dataclass(frozen=True)
class Version:
    """What the rules look at: the folder, the graph as stored, and the loaded graph's answers."""

    directory: pathlib.Path
    graph: meta_graph_pb2.MetaGraphDef
    ask: Ask

    @property
    def channels(self) -> int:
        try:
            return (
                self.graph.signature_def[SERVING_DEFAULT].inputs["image"].tensor_shape.dim[3].size
            )
        except IndexError:
            raise BrokenError(f"{SERVING_DEFAULT} does not take an image [n, h, w, c]") from None

    def images(self, count: int, size: tuple[int, int] = (37, 52)) -> np.ndarray:
        """Images uint8 `[count, h, w, channels]`."""
        return textures(count, size, self.channels)

    def answer(self, signature: str, inputs: np.ndarray) -> dict[str, np.ndarray]:
        """The outputs for one input; what is refused is a broken rule here."""
        try:
            return self.ask(signature, {_input_of(signature): inputs})
        except (RuntimeError, KeyError) as error:
            raise BrokenError(f"{signature} refuses what it should take: {error}") from error

    def refuses(self, signature: str, inputs: np.ndarray, what: str) -> None:
        """Breaks the rule unless a request is refused as INVALID_ARGUMENT."""
        try:
            self.ask(signature, {_input_of(signature): inputs})
        except StatusError as error:
            if error.code == INVALID_ARGUMENT:
                return
            raise BrokenError(f"{signature} ends with code {error.code} for {what}") from error
        except KeyError as error:
            raise BrokenError(f"{signature} cannot be asked: {error}") from error
        raise BrokenError(f"{signature} takes {what}")


Rule = Callable[[Version], None]


def layout(version: Version) -> None:
    """The folder is a version: a whole number, in a folder with the model's name."""
    name = version.directory.name
    if not name.isdecimal() or name.startswith("0"):
        raise BrokenError(f"the folder is called {name!r}; the server looks for whole numbers only")
    for file in ("saved_model.pb", "variables/variables.index"):
        if not (version.directory / file).is_file():
            raise BrokenError(f"there is no {file}")


def signatures(version: Version) -> None:
    """The graph for serving has the five signatures, of the method `predict`."""
    if list(version.graph.meta_info_def.tags) != ["serve"]:
        raise BrokenError(f"the graph's tags are {list(version.graph.meta_info_def.tags)}")
    for name in SIGNATURES:
        signature = version.graph.signature_def.get(name)
        if signature is None:
            raise BrokenError(f"there is no signature {name}")
        if signature.method_name != "tensorflow/serving/predict":
            raise BrokenError(f"{name} is of the method {signature.method_name!r}")
        if list(signature.inputs) != [_input_of(name)]:
            raise BrokenError(f"{name} takes {sorted(signature.inputs)}, not {_input_of(name)}")


def no_python(version: Version) -> None:
    """Nothing in the graph calls Python."""
    functions = version.graph.graph_def.library.function
    nodes = [*version.graph.graph_def.node, *(node for f in functions for node in f.node_def)]
    found = sorted({node.op for node in nodes} & PYTHON)
    if found:
        raise BrokenError(f"the graph holds {', '.join(found)}")


def no_xla(version: Version) -> None:
    """Nothing in the graph has to be compiled by XLA, which the server refuses."""
    graph = version.graph.graph_def
    functions = graph.library.function
    nodes = [*graph.node, *functions, *(node for f in functions for node in f.node_def)]
    if any(COMPILED in node.attr for node in nodes):
        raise BrokenError(f"the graph holds {COMPILED}")


def batch_major(version: Version) -> None:
    """Each output has a row for each image, and a row does not depend on the other rows."""
    for signature in SIGNATURES:
        asked = _asked(version, signature, 3)
        together = version.answer(signature, asked)
        for name, array in together.items():
            if not array.ndim or len(array) != len(asked):
                shape = list(array.shape)
                raise BrokenError(f"{signature} gives {name} {shape} for {len(asked)} rows")
            rows = [version.answer(signature, asked[[row]])[name] for row in range(len(asked))]
            alone = np.concatenate(rows)
            # Only scores are sums, which another order rounds otherwise.
            if not (
                np.allclose(alone, array, rtol=0, atol=check.ROUNDING)
                if array.dtype.kind == "f"
                else np.array_equal(alone, array)
            ):
                raise BrokenError(f"{signature} gives another {name} when it is asked one by one")


def rest_types(version: Version) -> None:
    """REST can write each output: its type, and bytes as base64."""
    for signature in SIGNATURES:
        answer = version.answer(signature, _asked(version, signature, 1))
        try:
            double.rows(answer)
        except double.RefusedError as error:
            raise BrokenError(f"{signature}: {error}") from error
        strings = [name for name, array in answer.items() if array.dtype == object]
        wrong = [name for name in strings if not name.endswith("_bytes") and signature not in TEXT]
        if wrong:
            raise BrokenError(f"{signature} gives bytes as {wrong[0]}, which must end in _bytes")


def sizes(version: Version) -> None:
    """The graph refuses what the server does not: another shape, nothing, a bomb, mixed sizes."""
    images = version.images(2)
    for signature in (SERVING_DEFAULT, SCORES):
        more = np.concatenate([images, images[..., :1]], axis=-1)
        version.refuses(signature, more, f"{version.channels + 1} channels")
        version.refuses(signature, images[0], "an image without the batch's dimension")
        version.refuses(signature, images[:, :0], "images of no height")
        version.refuses(signature, images[:0], "no image at all")
    mixed = double.strings([*_encoded(images), *_encoded(images[:1, :20])])
    version.refuses(CLASS_MAP_FROM_BYTES, mixed, "images of two sizes")
    bomb = double.strings([_bomb()])
    version.refuses(CLASS_MAP_FROM_BYTES, bomb, "a PNG of 12,000 × 12,000 pixels")
    if version.answer(MASK_PNG, bomb)["valid"].tolist() != [0]:
        raise BrokenError(f"{MASK_PNG} takes a PNG of 12,000 × 12,000 pixels")
    classes = version.answer(SCORES, images[:1])["probabilities"].shape[-1]
    version.answer(CLASS_NAMES, np.arange(classes, dtype=np.int32))
    for wrong, what in [
        ([classes], f"class {classes} of {classes}"),
        ([0, -1], "class -1"),
        ([], "no class at all"),
        (0, "a class without the batch's dimension"),
        ([[0]], "classes of two dimensions"),
        ([0] * 257, "257 classes"),
    ]:
        version.refuses(CLASS_NAMES, np.array(wrong, np.int32), what)


def limits(version: Version) -> None:
    """The graph refuses what is beyond the limits of export.json, and batches stay within them."""
    try:
        written = json.loads((version.directory / "export.json").read_text())["limits"]
        pixels, batch = written["max_pixels"], written["max_batch"]
        together = written.get("max_request_pixels", pixels * batch)
    except (OSError, ValueError, KeyError) as error:
        raise BrokenError(f"export.json says no limits: {error!r}") from error
    small, wide = version.images(1, (1, 1)), (1, 1, pixels + 1, version.channels)
    many = np.repeat(small, batch + 1, axis=0)
    for signature in (SERVING_DEFAULT, SCORES):
        version.answer(signature, many[1:])
        version.refuses(signature, many, f"{batch + 1} images")
        version.refuses(signature, np.zeros(wide, np.uint8), f"an image of {pixels + 1} pixels")
        if together < pixels * batch:
            large = np.zeros((batch, 1, together // batch + 1, version.channels), np.uint8)
            version.refuses(signature, large, f"images of more than {together} pixels")
    for signature in (CLASS_MAP_FROM_BYTES, MASK_PNG):
        version.answer(signature, _encoded(many[1:]))
        version.refuses(signature, _encoded(many), f"{batch + 1} images")
    parameters = version.directory / "batching_params.pbtxt"
    if parameters.is_file():
        found = re.search(r"^max_batch_size\s*{\s*value:\s*(\d+)", parameters.read_text(), re.M)
        if not found or int(found[1]) > batch:
            size = found[1] if found else "any number of"
            raise BrokenError(
                f"{parameters.name} makes batches of {size} images, the graph takes {batch}"
            )


def mixed_sizes(version: Version) -> None:
    """A batch of images of mixed sizes gets masks of their sizes, the classes of each image."""
    images = [version.images(1, size)[0] for size in ((37, 52), (1, 1), (20, 64))]
    answer = version.answer(MASK_PNG, _encoded(images))
    if answer["valid"].tolist() != [1, 1, 1]:
        raise BrokenError(f"valid is {answer['valid'].tolist()} for three images")
    _check_masks(version, images, answer["mask_png_bytes"])


def a_bad_image(version: Version) -> None:
    """An image that is none has valid 0 and does not fail those batched with it."""
    images = version.images(2)
    first, last = _encoded(images)
    answer = version.answer(MASK_PNG, double.strings([first, b"none", b"", first[:60], last]))
    if answer["valid"].tolist() != [1, 0, 0, 0, 1]:
        raise BrokenError(f"valid is {answer['valid'].tolist()} where 1 0 0 0 1 is true")
    _check_masks(version, images, answer["mask_png_bytes"][[0, 4]])


def warm_up(version: Version) -> None:
    """The server can replay each warm-up request, of which there are 1 to 1,000."""
    path = version.directory / WARM_UP
    if not path.is_file():
        raise BrokenError(f"there is no {WARM_UP}")
    warmed = set()
    try:
        records = [record.numpy() for record in tf.data.TFRecordDataset(str(path))]
    except tf.errors.DataLossError as error:
        raise BrokenError(f"{WARM_UP} is no whole TFRecord file: {error.message}") from error
    if not 1 <= len(records) <= MOST_WARM_UP:
        raise BrokenError(f"{WARM_UP} has {len(records)} records")
    for number, record in enumerate(records):
        try:
            _, signature, inputs = double.read_warm_up(record)
            outputs = version.ask(signature, inputs)
        except (ValueError, KeyError, RuntimeError) as error:
            raise BrokenError(f"record {number} of {WARM_UP} is refused: {error}") from error
        warmed.add(signature)
        (images,) = inputs.values()
        if any(len(array) != len(images) for array in outputs.values()):
            raise BrokenError(f"record {number} of {WARM_UP} is answered with other rows")
    cold = {*SIGNATURES} - warmed
    if cold:
        raise BrokenError(f"no record warms {', '.join(sorted(cold))}")


RULES: tuple[Rule, ...] = (
    *(layout, signatures, no_python, no_xla, batch_major, rest_types, sizes, limits, mixed_sizes),
    *(a_bad_image, warm_up),
)


@contextlib.contextmanager
def loaded(directory: pathlib.Path) -> Iterator[Version]:
    """A version as the rules need it."""
    content = (directory / "saved_model.pb").read_bytes()
    (graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    with tensorflow_c.loaded(directory) as ask:
        yield Version(directory, graph, ask)


def reason(rule: Rule, version: Version) -> str | None:
    """What breaks a rule, or None."""
    try:
        rule(version)
    except BrokenError as error:
        return str(error)
    return None


def main(arguments: list[str] | None = None) -> int:
    """Prints a line on each rule and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.support.serving_contract",
        description="Holds an exported version to the rules of TensorFlow Serving.",
    )
    parser.add_argument("version", type=pathlib.Path, help="its folder, such as served/unet/1")
    directory = parser.parse_args(arguments).version.resolve()
    if not (directory / "saved_model.pb").is_file():
        parser.error(
            f"A version is a folder with a saved_model.pb; {directory} has none. "
            "Pass OUT/NAME/NUMBER, as zoo export wrote it."
        )
    failed = 0
    try:
        with loaded(directory) as version:
            for rule in RULES:
                text, broken = rule.__doc__, reason(rule, version)
                print(f"broken  {text} But {broken}" if broken else f"kept    {text}", flush=True)
                failed += broken is not None
    except StatusError as error:
        print(f"broken  The C++ loader takes the files. But {error}", flush=True)
        return 1
    return 1 if failed else 0


def _takes_bytes(signature: str) -> bool:
    return signature in (CLASS_MAP_FROM_BYTES, MASK_PNG)


def _input_of(signature: str) -> str:
    if signature == CLASS_NAMES:
        return "index"
    return "image_bytes" if _takes_bytes(signature) else "image"


def _asked(version: Version, signature: str, count: int) -> np.ndarray:
    """So many rows for the input of a signature."""
    if signature == CLASS_NAMES:
        return np.arange(count, dtype=np.int32) % 2
    images = version.images(count)
    return _encoded(images) if _takes_bytes(signature) else images


def _encoded(images: np.ndarray | list[np.ndarray]) -> np.ndarray:
    return double.strings([png(image) for image in images])


def png(image: np.ndarray) -> bytes:
    """An image uint8 `[h, w, 1 or 3]` as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "PNG")
    return buffer.getvalue()


def _bomb() -> bytes:
    """20 kB that a decoder makes 432 MB of."""
    buffer = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(buffer, "PNG")
    return buffer.getvalue()


def _check_masks(version: Version, images: list[np.ndarray], masks: np.ndarray) -> None:
    for image, mask in zip(images, masks, strict=True):
        with Image.open(io.BytesIO(mask)) as picture:
            classes = np.array(picture)
        expected = version.answer(SERVING_DEFAULT, image[None])["class_map"][0]
        if not np.array_equal(classes, expected):
            raise BrokenError(f"the mask of an image {list(image.shape)} has not its classes")


if __name__ == "__main__":
    sys.exit(main())
