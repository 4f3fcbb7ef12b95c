"""Checks that a file gives the model's answers, in the loaders that its users have.

A pixel agrees when its class is the one with the model's best score. Another order of sums may turn
a tie: where the two scores differ by no more than rounding, the other class is right as well. All
pixels but such ties must agree, and at least 99.9 % of all.

Everything is computed on the CPU: it is the file that is checked, and a GPU rounds more coarsely.
"""

import dataclasses
import io
import pathlib
import warnings
from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf
from PIL import Image

from exports import cpp
from exports.signatures import CLASS_MAP_FROM_BYTES, MASK_PNG, SCORES, SERVING_DEFAULT

_CPU = "CPU:0"

# Of the range of the scores. Through the 29 normalized layers of a DeconvNet, TensorFlow and LiteRT
# were seen to differ by more than 2e-5.
ROUNDING = 1e-4
LEAST_AGREEMENT = 0.999

Ask = Callable[[str, Mapping[str, np.ndarray]], dict[str, np.ndarray]]


class MismatchError(RuntimeError):
    """A file does not give the model's answers."""


@dataclasses.dataclass(frozen=True)
class Agreement:
    """How one loader answered one signature: the fraction of pixels with the model's class."""

    loader: str
    signature: str
    agreement: float
    classes: int

    def __str__(self) -> str:
        return (
            f"{self.loader}, {self.signature}: {self.agreement:.4%} of the pixels agree, "
            f"classes that occur: {self.classes}"
        )


def saved_model(
    model: keras.Model,
    directory: pathlib.Path,
    *,
    images: np.ndarray | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Agreement]:
    """Compares all signatures of a SavedModel with the model, in the Python and C++ loaders.

    Args:
        model: The model that was exported.
        directory: The SavedModel's.
        images: uint8 `[n, h, w, channels]`; two textures if None.
        report: Called with a line on each answer that agrees.

    Raises:
        MismatchError: An answer is not the model's.
        ValueError: The images do not fit the model; its scores are not finite.
    """
    images, scores = _asked(model, images, (97, 131))
    found = []
    with cpp.loaded(directory) as compiled:
        for loader, ask in (("Python", _python_loader(directory)), ("C++", compiled)):
            for agreement in _ask_all(ask, loader, images, scores, model):
                report(str(agreement))
                found.append(agreement)
    return found


def tflite(
    model: keras.Model,
    path: pathlib.Path,
    *,
    images: np.ndarray | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Agreement]:
    """Compares a TFLite file with the model, in the LiteRT interpreter.

    Args and errors: as `saved_model`; ImportError if the interpreter is not installed.
    """
    runner = interpreter()(model_path=str(path)).get_signature_runner()
    shape = tuple(int(side) for side in runner.get_input_details()["image"]["shape"])
    images, scores = _asked(model, images, shape[1:3])
    if images.shape[1:] != shape[1:]:
        raise ValueError(
            f"The file takes images of {shape[1:]}; received {images.shape[1:]} to check it with. "
            "Cut or scale them to this size."
        )
    class_map = np.concatenate([runner(image=image[None])["class_map"] for image in images])
    found = compare("LiteRT", "class_map", class_map, scores)
    report(str(found))
    return [found]


def compare(loader: str, signature: str, class_map: np.ndarray, scores: np.ndarray) -> Agreement:
    """Compares the class map `[n, h, w]` that a loader gave with the model's scores.

    Raises:
        MismatchError: A pixel differs by more than rounding, or more than 0.1 % of them differ.
    """
    expected = scores.argmax(-1)
    if class_map.shape != expected.shape or class_map.max() >= scores.shape[-1]:
        raise MismatchError(
            f"{loader}, {signature}: the class map is {list(class_map.shape)} with classes up to "
            f"{class_map.max()}; the model's is {list(expected.shape)} up to {scores.shape[-1] - 1}"
        )
    given = np.take_along_axis(scores, class_map[..., None].astype(np.int64), axis=-1)[..., 0]
    behind = (scores.max(-1) - given) / max(np.ptp(scores), np.finfo(np.float32).tiny)
    wrong = behind > ROUNDING
    agreement = float(np.mean(class_map == expected))
    if wrong.any() or agreement < LEAST_AGREEMENT:
        raise MismatchError(
            f"{loader}, {signature}: {agreement:.4%} of the pixels have the model's class, and "
            f"{wrong.sum()} are off by more than rounding: by {behind.max():.1e} of the range of "
            f"the scores, where {ROUNDING:.0e} is allowed. Export again; if it stays so, report "
            "the model and its options."
        )
    return Agreement(loader, signature, agreement, len(np.unique(expected)))


def interpreter() -> type:
    """LiteRT's interpreter.

    Raises:
        ImportError: It is not installed; the message says how to.
    """
    try:
        from ai_edge_litert.interpreter import Interpreter
    except ImportError as error:
        raise ImportError(
            "A TFLite file is checked in the LiteRT interpreter, which is not installed. "
            'Install it: pip install "segmentation-zoo[litert]".'
        ) from error
    return Interpreter


def textures(count: int, size: tuple[int, int], channels: int) -> np.ndarray:
    """Images uint8 `[count, h, w, channels]`, the same every time, in which much differs.

    Patches of flat colours, stripes and noise, of many brightnesses: what one network takes for
    different classes, if anything does.
    """
    rng = np.random.default_rng(8)
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    patch = 3 * (rows * 3 // height) + columns * 3 // width
    images = np.empty((count, height, width, channels))
    for image in images:
        base, swing = rng.uniform(0, 255, (9, channels)), rng.uniform(0, 120, (9, channels))
        period, tilt = rng.uniform(3, 24, 9), rng.uniform(-1, 1, 9)
        wave = np.sin(2 * np.pi * (columns + tilt[patch] * rows) / period[patch])
        grain = rng.normal(0, 1, size) * (patch % 3 == 0)
        image[:] = base[patch] + swing[patch] * (wave + grain)[..., None]
    return np.clip(np.round(images), 0, 255).astype(np.uint8)


def _asked(
    model: keras.Model, images: np.ndarray | None, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray]:
    """The images to ask about, and the model's scores of them."""
    channels = model.input_shape[-1]
    if images is None:
        images = textures(2, size, channels)
    fit = images.ndim == 4 and images.shape[-1] == channels and images.size
    if images.dtype != np.uint8 or not fit:
        raise ValueError(
            f"A file is checked with images uint8 [n, h, w, {channels}], at least one; received "
            f"{images.dtype} {list(images.shape)}. Convert them."
        )
    scores = np.concatenate([_scores_of(model, image[None]) for image in images])
    if not np.isfinite(scores).all():
        raise ValueError(
            "A model that is exported gives finite scores; "
            f"{np.mean(~np.isfinite(scores)):.1%} of those of {model.name!r} are not. Its weights "
            "are damaged or its training diverged: take an earlier checkpoint."
        )
    if len(np.unique(scores.argmax(-1))) == 1:
        warnings.warn(
            f"{model.name!r} gives one class to every pixel of the images it is checked with, so "
            "that equal answers prove little. Check with images in which several classes occur: "
            "pass images=, or --image on the command line.",
            stacklevel=3,
        )
    return images, scores


def _scores_of(model: keras.Model, images: np.ndarray) -> np.ndarray:
    with tf.device(_CPU):
        return model(tf.constant(images, tf.float32), training=False).numpy()


def _python_loader(directory: pathlib.Path) -> Ask:
    with tf.device(_CPU):
        loaded = tf.saved_model.load(str(directory))

    def ask(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with tf.device(_CPU):
            given = {
                name: tf.constant(array.tolist() if array.dtype == object else array)
                for name, array in inputs.items()
            }
            return {name: a.numpy() for name, a in loaded.signatures[signature](**given).items()}

    return ask


def _ask_all(
    ask: Ask, loader: str, images: np.ndarray, scores: np.ndarray, model: keras.Model
) -> Iterator[Agreement]:
    """Asks all four signatures, `mask_png` about images of two sizes and one that is broken."""
    class_map = ask(SERVING_DEFAULT, {"image": images})["class_map"]
    yield compare(loader, SERVING_DEFAULT, class_map, scores)

    encoded = [_png(image) for image in images]
    class_map = ask(CLASS_MAP_FROM_BYTES, {"image_bytes": np.array(encoded, object)})["class_map"]
    yield compare(loader, CLASS_MAP_FROM_BYTES, class_map, scores)

    part = images[:1, : -(-images.shape[1] * 2 // 3), : -(-images.shape[2] * 3 // 4)]
    part_scores = _scores_of(model, part)
    mixed = np.array([*encoded, b"no image", _png(part[0])], object)
    answer = ask(MASK_PNG, {"image_bytes": mixed})
    if answer["valid"].tolist() != [1] * len(images) + [0, 1]:
        raise MismatchError(f"{loader}, {MASK_PNG}: valid is {answer['valid'].tolist()}")
    masks = [np.asarray(Image.open(io.BytesIO(png))) for png in answer["mask_png_bytes"] if png]
    compare(loader, MASK_PNG, masks[-1][None], part_scores)
    yield compare(loader, MASK_PNG, np.stack(masks[:-1]), scores)

    probabilities = ask(SCORES, {"image": images})["probabilities"]
    expected = tf.nn.softmax(scores).numpy()
    # A softmax moves by at most as much as its scores do.
    rounding = max(ROUNDING * np.ptp(scores), ROUNDING)
    if probabilities.shape != expected.shape or not np.allclose(
        probabilities, expected, rtol=0, atol=rounding
    ):
        raise MismatchError(f"{loader}, {SCORES}: the probabilities are not the model's")
    yield compare(loader, SCORES, probabilities.argmax(-1), scores)


def _png(image: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(buffer, "PNG")
    return buffer.getvalue()
