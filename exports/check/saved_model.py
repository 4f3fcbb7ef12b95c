"""The check of SavedModels: all signatures, in all loaders that are installed."""

import contextlib
import io
import pathlib
from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from exports.check import reference
from exports.check.agreement import (
    MAX_TIES,
    ROUNDING,
    Agreement,
    Finding,
    MismatchError,
    Named,
    NotChecked,
    WarmedUp,
    compare,
)
from exports.check.reference import Reference
from exports.graph import CLASS_MAP_FROM_BYTES, CLASS_NAMES, MASK_PNG, SCORES, SERVING_DEFAULT
from exports.graph.classes import Classes, classes_of
from exports.graph.limits import Limits
from exports.runtimes import Ask, UnableError, openvino, process, tensorflow_c_api
from exports.runtimes import tensorflow as python
from exports.serving import warmup
from zoo.images import read_class_map, read_image
from zoo.spec import Spec


@contextlib.contextmanager
def _compiled(directory: pathlib.Path) -> Iterator[Ask]:
    """TensorFlow's C++ loader, in a process without TensorFlow's Python."""
    with process.loaded(directory) as ask:
        yield lambda signature, inputs: ask(signature, inputs).outputs


LOADERS = {"Python": python.loaded, "C++": _compiled, "OpenVINO": openvino.loaded}


def check_saved_model(
    model: keras.Model,
    directory: pathlib.Path,
    *,
    spec: Spec | None = None,
    limits: Limits | None = None,
    images: np.ndarray | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Finding]:
    """Compares a SavedModel with the model: all signatures in TensorFlow's Python and C++ loaders.

    The C++ loader is asked the warm-up requests, too, and OpenVINO about `serving_default` if it is
    installed.

    Args:
        model: The model that was exported.
        directory: The SavedModel.
        spec: What it was exported with.
        limits: Of a request; the defaults of an export if None.
        images: uint8 `[n, h, w, channels]`; two textures if None.
        report: Called with a line on each finding: what agrees, and what was not checked.

    Raises:
        MismatchError: An answer is not the model's.
        exports.runtimes.StatusError: TensorFlow refuses the files, or a request.
        ValueError: The images do not fit the model or the limits; its scores are not finite; it
            sees one class.
    """
    limits = limits or Limits(model.input_shape[-1])
    asked = reference.of_model(model, _within(images, limits), limits.fit(*reference.ANY_SIZE))
    return _reported(_findings(directory, asked, spec, limits), report)


def check_loaders(
    directory: pathlib.Path,
    *,
    spec: Spec | None,
    limits: Limits,
    images: np.ndarray | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Finding]:
    """Compares the loaders of a SavedModel with each other.

    The reference is the signature `scores` in TensorFlow's Python loader. Whether it gives the
    answers of the model that was exported is not checked.

    Args and errors: as `check_saved_model`.
    """
    with LOADERS["Python"](directory) as ask:

        def scores_of(images: np.ndarray) -> np.ndarray:
            images = np.rint(images).astype(np.uint8)
            probabilities = ask(SCORES, {"image": images})["probabilities"]
            # The softmax of the logarithms gives the probabilities again.
            return np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))

        asked = reference.of_scores(
            *(scores_of, str(directory), limits.channels),
            *(_within(images, limits), limits.fit(*reference.ANY_SIZE)),
        )
        return _reported(_findings(directory, asked, spec, limits), report)


def _within(images: np.ndarray | None, limits: Limits) -> np.ndarray | None:
    if images is not None and np.prod(images.shape[1:3]) > limits.max_pixels:
        raise ValueError(
            "A version is checked with images that it takes, of at most "
            f"{limits.max_pixels} pixels; received images {list(images.shape)}. Pass smaller ones, "
            "or export with a higher max_pixels."
        )
    return images


def _reported(findings: Iterator[Finding], report: Callable[[str], None]) -> list[Finding]:
    found = []
    for finding in findings:
        report(str(finding))
        found.append(finding)
    return found


def _findings(
    directory: pathlib.Path, asked: Reference, spec: Spec | None, limits: Limits
) -> Iterator[Finding]:
    for image in asked.images:
        limits.check_file(tf.io.encode_png(image).numpy())
    max_batch = limits.max_batch
    scores = asked.in_batches(max_batch)
    classes = classes_of(spec, scores.shape[-1])
    for loader in ("Python", "C++"):
        with LOADERS[loader](directory) as ask:
            yield from _ask_all(_in_batches(ask, max_batch), loader, asked, scores)
            yield _ask_names(ask, loader, classes)
            if loader == "C++" and (directory / warmup.WARM_UP).exists():
                yield _warmed_up(directory, ask)
    if not tensorflow_c_api.can_forbid_xla():
        yield NotChecked(
            "C++",
            "whether a server refuses the graph because XLA has to compile a part of it; the "
            "library of this TensorFlow has no such switch. Install TensorFlow as pip has it.",
        )
    try:
        with LOADERS["OpenVINO"](directory) as ask:
            yield _ask_default(_in_batches(ask, max_batch), "OpenVINO", asked.images, scores)
    except (ImportError, UnableError) as error:
        yield NotChecked("OpenVINO", str(error))
    except MismatchError:
        unsettled = asked.unsettled()
        if unsettled <= MAX_TIES:
            raise
        yield NotChecked(
            "OpenVINO",
            f"rounding alone changes {unsettled:.2%} of the classes of these images, so that "
            "another engine gives others. Check with images of your data.",
        )


def _in_batches(ask: Ask, max_batch: int) -> Ask:
    def ask_in_batches(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        ((name, rows),) = inputs.items()
        parts = [rows[start : start + max_batch] for start in range(0, len(rows), max_batch)]
        answers = [ask(signature, {name: part}) for part in parts]
        return {key: np.concatenate([answer[key] for answer in answers]) for key in answers[0]}

    return ask_in_batches


def _warmed_up(directory: pathlib.Path, ask: Ask) -> WarmedUp:
    try:
        return WarmedUp("C++", warmup.replay(directory, ask))
    except (RuntimeError, KeyError, ValueError) as error:
        raise MismatchError(
            f"C++: a server does not load a version whose warm-up requests fail: {error}. Export "
            "again."
        ) from error


def _ask_default(ask: Ask, loader: str, images: np.ndarray, scores: np.ndarray) -> Agreement:
    class_map = ask(SERVING_DEFAULT, {"image": images})["class_map"]
    return compare(loader, SERVING_DEFAULT, class_map, scores)


def _ask_names(ask: Ask, loader: str, classes: Classes) -> Named:
    count = len(classes.names)
    answer = ask(CLASS_NAMES, {"index": np.arange(count, dtype=np.int32)})
    same = (
        [name.decode() for name in answer["name"]] == list(classes.names)
        and answer["is_background"].tolist() == [n == classes.background for n in range(count)]
        and np.array_equal(answer["colour"], classes.colours)
    )
    if not same:
        raise MismatchError(f"{loader}, {CLASS_NAMES}: the classes are not those of the model")
    return Named(loader, count)


def _ask_all(ask: Ask, loader: str, asked: Reference, scores: np.ndarray) -> Iterator[Agreement]:
    """Asks the four signatures of images, `mask_png` about two sizes, a JPEG and a damaged image.

    `scores` are those of batches; a mask is made of each image alone.
    """
    images = asked.images
    yield _ask_default(ask, loader, images, scores)

    encoded = [tf.io.encode_png(image).numpy() for image in images]
    class_map = ask(CLASS_MAP_FROM_BYTES, {"image_bytes": np.array(encoded, object)})["class_map"]
    yield compare(loader, CLASS_MAP_FROM_BYTES, class_map, scores)

    file, part = _part_of(images[0])
    mixed = np.array([*encoded, b"no image", file], object)
    answer = ask(MASK_PNG, {"image_bytes": mixed})
    if answer["valid"].tolist() != [1] * len(images) + [0, 1]:
        raise MismatchError(f"{loader}, {MASK_PNG}: valid is {answer['valid'].tolist()}")
    masks = [read_class_map(png) for png in answer["mask_png_bytes"] if png]
    compare(loader, MASK_PNG, masks[-1][None], asked.scores_of(part[None]))
    yield compare(loader, MASK_PNG, np.stack(masks[:-1]), asked.scores)

    probabilities = ask(SCORES, {"image": images})["probabilities"]
    expected = tf.nn.softmax(scores).numpy()
    # A softmax changes by at most as much as its scores.
    rounding = max(ROUNDING * np.ptp(scores), ROUNDING)
    if probabilities.shape != expected.shape or not np.allclose(
        probabilities, expected, rtol=0, atol=rounding
    ):
        raise MismatchError(f"{loader}, {SCORES}: the probabilities are not the model's")
    yield compare(loader, SCORES, probabilities.argmax(-1), scores)


def _part_of(image: np.ndarray) -> tuple[bytes, np.ndarray]:
    """A part of an image as the bytes of a file, a JPEG if it can be one, and the pixels in it."""
    height, width, channels = image.shape
    part = image[: -(-height * 2 // 3), : -(-width * 3 // 4)]
    if channels not in (1, 3):
        return tf.io.encode_png(part).numpy(), part
    buffer = io.BytesIO()
    Image.fromarray(part if channels == 3 else part[..., 0]).save(buffer, "JPEG")
    return buffer.getvalue(), read_image(buffer.getvalue(), channels=channels)
