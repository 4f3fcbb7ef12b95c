"""The check of SavedModels: all signatures, in all loaders that are installed."""

import io
import pathlib
from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from exports.check import loaders, reference
from exports.check.agreement import (
    MOST_TIES,
    ROUNDING,
    Agreement,
    Finding,
    MismatchError,
    NotChecked,
    WarmedUp,
    compare,
)
from exports.check.reference import Reference
from exports.graph.requests import Limits
from exports.graph.signatures import CLASS_MAP_FROM_BYTES, MASK_PNG, SCORES, SERVING_DEFAULT
from exports.runtimes.openvino import UnableError
from exports.runtimes.tensorflow_c import Ask
from exports.serving import warmup

SIZE = (97, 131)  # of the textures; no network's multiple


def saved_model(
    model: keras.Model,
    directory: pathlib.Path,
    *,
    limits: Limits | None = None,
    images: np.ndarray | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Finding]:
    """Compares a SavedModel with the model: all signatures in TensorFlow's Python and C++ loaders.

    The C++ loader is asked the warm-up requests, too, and OpenVINO about `serving_default` if it is
    installed.

    Args:
        model: The model that was exported.
        directory: The SavedModel's.
        limits: Of a request; those that an export has without a choice if None.
        images: uint8 `[n, h, w, channels]`; two textures if None.
        report: Called with a line on each finding: what agrees, and what was not checked.

    Raises:
        MismatchError: An answer is not the model's.
        exports.runtimes.tensorflow_c.StatusError: TensorFlow refuses the files, or a request.
        ValueError: The images do not fit the model or the limits; its scores are not finite; it
            sees one class.
    """
    limits = limits or Limits(model.input_shape[-1])
    asked = reference.of_model(model, _within(images, limits), limits.fit(*SIZE))
    return _reported(directory, asked, limits, report)


def among_loaders(
    directory: pathlib.Path,
    *,
    limits: Limits,
    images: np.ndarray | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Finding]:
    """Compares the loaders of a SavedModel with each other.

    All are held to what the signature `scores` gives in TensorFlow's Python loader. Whether that is
    what a model gives, is not known.

    Args and errors: as `saved_model`.
    """
    with loaders.python(directory) as ask:

        def scores_of(images: np.ndarray) -> np.ndarray:
            images = np.rint(images).astype(np.uint8)
            probabilities = ask(SCORES, {"image": images})["probabilities"]
            # The softmax of the logarithms is the probabilities again.
            return np.log(np.maximum(probabilities, np.finfo(np.float32).tiny))

        asked = reference.of_scores(
            *(scores_of, str(directory), limits.channels),
            *(_within(images, limits), limits.fit(*SIZE)),
        )
        return _reported(directory, asked, limits, report)


def _within(images: np.ndarray | None, limits: Limits) -> np.ndarray | None:
    if images is not None and np.prod(images.shape[1:3]) > limits.max_pixels:
        raise ValueError(
            "A version is checked with images that it takes, of at most "
            f"{limits.max_pixels} pixels; received images {list(images.shape)}. Pass smaller ones, "
            "or export with a higher max_pixels."
        )
    return images


def _reported(
    directory: pathlib.Path, asked: Reference, limits: Limits, report: Callable[[str], None]
) -> list[Finding]:
    found = []
    for finding in _findings(directory, asked, limits.max_batch):
        report(str(finding))
        found.append(finding)
    return found


def _findings(directory: pathlib.Path, asked: Reference, max_batch: int) -> Iterator[Finding]:
    scores = asked.in_batches(max_batch)
    with loaders.python(directory) as ask:
        yield from _ask_all(_in_batches(ask, max_batch), "Python", asked, scores)
    with loaders.compiled(directory) as ask:
        yield from _ask_all(_in_batches(ask, max_batch), "C++", asked, scores)
        if (directory / warmup.WARM_UP).exists():
            yield _warmed_up(directory, ask)
    try:
        with loaders.openvino(directory) as ask:
            yield _ask_default(_in_batches(ask, max_batch), "OpenVINO", asked.images, scores)
    except (ImportError, UnableError) as error:
        yield NotChecked("OpenVINO", str(error))
    except MismatchError:
        unsettled = asked.unsettled()
        if unsettled <= MOST_TIES:
            raise
        yield NotChecked(
            "OpenVINO",
            f"rounding alone turns {unsettled:.2%} of the classes of these images, so that another "
            "engine gives others. Check with images of your data.",
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


def _ask_all(ask: Ask, loader: str, asked: Reference, scores: np.ndarray) -> Iterator[Agreement]:
    """Asks all four signatures, `mask_png` about images of two sizes and one that is broken.

    `scores` are those in batches; a mask is made of each image by itself.
    """
    images = asked.images
    yield _ask_default(ask, loader, images, scores)

    encoded = [tf.io.encode_png(image).numpy() for image in images]
    class_map = ask(CLASS_MAP_FROM_BYTES, {"image_bytes": np.array(encoded, object)})["class_map"]
    yield compare(loader, CLASS_MAP_FROM_BYTES, class_map, scores)

    part = images[:1, : -(-images.shape[1] * 2 // 3), : -(-images.shape[2] * 3 // 4)]
    mixed = np.array([*encoded, b"no image", tf.io.encode_png(part[0]).numpy()], object)
    answer = ask(MASK_PNG, {"image_bytes": mixed})
    if answer["valid"].tolist() != [1] * len(images) + [0, 1]:
        raise MismatchError(f"{loader}, {MASK_PNG}: valid is {answer['valid'].tolist()}")
    masks = [np.asarray(Image.open(io.BytesIO(png))) for png in answer["mask_png_bytes"] if png]
    compare(loader, MASK_PNG, masks[-1][None], asked.scores_of(part))
    yield compare(loader, MASK_PNG, np.stack(masks[:-1]), asked.scores)

    probabilities = ask(SCORES, {"image": images})["probabilities"]
    expected = tf.nn.softmax(scores).numpy()
    # A softmax moves by at most as much as its scores do.
    rounding = max(ROUNDING * np.ptp(scores), ROUNDING)
    if probabilities.shape != expected.shape or not np.allclose(
        probabilities, expected, rtol=0, atol=rounding
    ):
        raise MismatchError(f"{loader}, {SCORES}: the probabilities are not the model's")
    yield compare(loader, SCORES, probabilities.argmax(-1), scores)
