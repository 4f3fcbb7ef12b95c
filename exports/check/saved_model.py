"""The check of SavedModels: all signatures, in all loaders that are installed."""

import contextlib
import functools
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
from exports.graph import (
    CLASS_MAP,
    CLASS_MAP_FROM_BYTES,
    CLASS_NAMES,
    HEADS,
    MASK_PNG,
    SCORES,
    SERVING_DEFAULT,
)
from exports.graph.classes import Classes, classes_of
from exports.graph.limits import Limits
from exports.graph.ports import Ports, ports_of
from exports.runtimes import Ask, UnableError, openvino, process, tensorflow_c_api
from exports.runtimes import tensorflow as python
from exports.serving import warmup
from zoo.images import read_class_map, read_image
from zoo.models.plain import plain
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
    ports = ports_of(model)
    limits = limits or Limits(ports.channels)
    images, size = _within(images, limits), limits.fit(*reference.ANY_SIZE)
    asked = {head: reference.of_model(plain(model, head), images, size) for head in ports.heads}
    return _reported(_findings(directory, asked, spec, limits, ports), report)


def check_loaders(
    directory: pathlib.Path,
    *,
    spec: Spec | None,
    limits: Limits,
    ports: Ports,
    images: np.ndarray | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Finding]:
    """Compares the loaders of a SavedModel with each other.

    The reference is the signature `scores` in TensorFlow's Python loader. Whether it gives the
    answers of the model that was exported is not checked.

    Args and errors: as `check_saved_model`.
    """
    with LOADERS["Python"](directory) as ask:

        def scores_of(head: str | None, images: np.ndarray) -> np.ndarray:
            images = np.rint(images).astype(np.uint8)
            answer = ask(ports.name_of(SCORES, head), ports.split(images))
            # The softmax of the logarithms gives the probabilities again.
            return np.log(np.maximum(answer["probabilities"], np.finfo(np.float32).tiny))

        images, size = _within(images, limits), limits.fit(*reference.ANY_SIZE)
        asked = {
            head: reference.of_scores(
                functools.partial(scores_of, head), str(directory), limits.channels, images, size
            )
            for head in ports.heads
        }
        return _reported(_findings(directory, asked, spec, limits, ports), report)


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
    directory: pathlib.Path,
    asked: Mapping[str | None, Reference],
    spec: Spec | None,
    limits: Limits,
    ports: Ports,
) -> Iterator[Finding]:
    """Of each loader; `asked` is the reference of each head, all with the same images."""
    images, max_batch = next(iter(asked.values())).images, limits.max_batch
    for image in ports.split(images).values():
        for one in image:
            limits.check_file(tf.io.encode_png(one).numpy())
    scores = {head: one.in_batches(max_batch) for head, one in asked.items()}
    for loader in ("Python", "C++"):
        with LOADERS[loader](directory) as ask:
            in_batches = _in_batches(ask, max_batch)
            yield from _ask_default(in_batches, loader, images, scores, ports)
            for head, one in asked.items():
                yield from _ask_head(in_batches, loader, one, scores[head], ports, head)
                labels = spec if spec is None or head is None else spec.of_head(head)
                classes = classes_of(labels, scores[head].shape[-1])
                yield _ask_names(ask, loader, classes, ports.name_of(CLASS_NAMES, head))
            if len(ports.heads) > 1:
                _ask_heads(ask, loader, ports)
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
            in_batches = _in_batches(ask, max_batch)
            yield from _ask_default(in_batches, "OpenVINO", images, scores, ports)
    except (ImportError, UnableError) as error:
        yield NotChecked("OpenVINO", str(error))
    except MismatchError:
        unsettled = max(one.unsettled() for one in asked.values())
        if unsettled <= MAX_TIES:
            raise
        yield NotChecked(
            "OpenVINO",
            f"rounding alone changes {unsettled:.2%} of the classes of these images, so that "
            "another engine gives others. Check with images of your data.",
        )


def _in_batches(ask: Ask, max_batch: int) -> Ask:
    def ask_in_batches(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        count = len(next(iter(inputs.values())))
        parts = [slice(start, start + max_batch) for start in range(0, count, max_batch)]
        answers = [
            ask(signature, {name: rows[part] for name, rows in inputs.items()}) for part in parts
        ]
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


def _ask_default(
    ask: Ask,
    loader: str,
    images: np.ndarray,
    scores: Mapping[str | None, np.ndarray],
    ports: Ports,
) -> Iterator[Agreement]:
    """One request, which gives the class map of each head."""
    answer = ask(SERVING_DEFAULT, ports.split(images))
    for head, expected in scores.items():
        output = ports.name_of(CLASS_MAP, head)
        of_one = head == ports.heads[0]
        called = SERVING_DEFAULT if of_one else f"{SERVING_DEFAULT}: {output}"
        yield compare(loader, called, answer[output], expected)


def _ask_names(ask: Ask, loader: str, classes: Classes, signature: str) -> Named:
    count = len(classes.names)
    answer = ask(signature, {"index": np.arange(count, dtype=np.int32)})
    same = (
        [name.decode() for name in answer["name"]] == list(classes.names)
        and answer["is_background"].tolist() == [n == classes.background for n in range(count)]
        and np.array_equal(answer["colour"], classes.colours)
    )
    if not same:
        raise MismatchError(f"{loader}, {signature}: the classes are not those of the model")
    return Named(loader, count)


def _ask_heads(ask: Ask, loader: str, ports: Ports) -> None:
    answer = ask(HEADS, {"index": np.arange(len(ports.heads), dtype=np.int32)})
    names = tuple(name.decode() for name in answer["name"])
    if names != ports.heads or set(answer["count"].tolist()) != {len(names)}:
        raise MismatchError(f"{loader}, {HEADS}: they are {', '.join(names)}, not the model's")


def _ask_head(
    ask: Ask,
    loader: str,
    asked: Reference,
    scores: np.ndarray,
    ports: Ports,
    head: str | None,
) -> Iterator[Agreement]:
    """Asks the signatures of a head, `mask_png` about two sizes, a JPEG and a damaged image.

    `scores` are those of batches; a mask is made of each image alone.
    """
    images = ports.split(asked.images)
    if head != ports.heads[0]:  # that of the first is asked for all of them
        signature = ports.name_of(SERVING_DEFAULT, head)
        yield compare(loader, signature, ask(signature, images)[CLASS_MAP], scores)

    encoded = {
        ports.bytes_of(name): [tf.io.encode_png(image).numpy() for image in rows]
        for name, rows in images.items()
    }
    signature = ports.name_of(CLASS_MAP_FROM_BYTES, head)
    files = {name: np.array(rows, object) for name, rows in encoded.items()}
    yield compare(loader, signature, ask(signature, files)[CLASS_MAP], scores)

    parts = {name: _part_of(rows[0]) for name, rows in images.items()}
    mixed = {
        ports.bytes_of(name): np.array(
            [*encoded[ports.bytes_of(name)], b"no image", parts[name][0]], object
        )
        for name in images
    }
    signature = ports.name_of(MASK_PNG, head)
    answer = ask(signature, mixed)
    if answer["valid"].tolist() != [1] * len(asked.images) + [0, 1]:
        raise MismatchError(f"{loader}, {signature}: valid is {answer['valid'].tolist()}")
    masks = [read_class_map(png) for png in answer["mask_png_bytes"] if png]
    part = np.concatenate([pixels for _, pixels in parts.values()], axis=-1)
    compare(loader, signature, masks[-1][None], asked.scores_of(part[None]))
    yield compare(loader, signature, np.stack(masks[:-1]), asked.scores)

    signature = ports.name_of(SCORES, head)
    probabilities = ask(signature, images)["probabilities"]
    expected = tf.nn.softmax(scores).numpy()
    # A softmax changes by at most as much as its scores.
    rounding = max(ROUNDING * np.ptp(scores), ROUNDING)
    if probabilities.shape != expected.shape or not np.allclose(
        probabilities, expected, rtol=0, atol=rounding
    ):
        raise MismatchError(f"{loader}, {signature}: the probabilities are not the model's")
    yield compare(loader, signature, probabilities.argmax(-1), scores)


def _part_of(image: np.ndarray) -> tuple[bytes, np.ndarray]:
    """A part of an image as the bytes of a file, a JPEG if it can be one, and the pixels in it."""
    height, width, channels = image.shape
    part = image[: -(-height * 2 // 3), : -(-width * 3 // 4)]
    if channels not in (1, 3):
        return tf.io.encode_png(part).numpy(), part
    buffer = io.BytesIO()
    Image.fromarray(part if channels == 3 else part[..., 0]).save(buffer, "JPEG")
    return buffer.getvalue(), read_image(buffer.getvalue(), channels=channels)
