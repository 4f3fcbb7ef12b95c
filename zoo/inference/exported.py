"""Scorers of the files that `zoo export` writes: SavedModel, TFLite, ONNX, OpenVINO.

The runtimes are those of `exports`, imported when a file is opened.
"""

import contextlib
import dataclasses
import pathlib
import warnings
from collections.abc import Callable, Sequence

import numpy as np
from PIL import Image

from zoo.class_names import named
from zoo.inference.reach import reach_of
from zoo.inference.resizing import resized
from zoo.inference.scorers import CLASSES, PROBABILITIES, Scorer, check_head, lack_of_memory
from zoo.spec import Spec

_SAVED_MODEL, _TFLITE, _ONNX, _OPENVINO = "saved_model.pb", ".tflite", ".onnx", ".xml"
_NAMES = (_SAVED_MODEL, "model.onnx", "model.xml")
# Of a file whose net the zoo does not know. DeconvNet sees so far, a U-Net deeper than 5 further.
_MARGIN, _STRIDE = 480, 32


def find(path: pathlib.Path) -> pathlib.Path | None:
    """The exported file at a path, which may be its folder, or a folder of numbered versions.

    None where there is none.
    """
    if path.is_dir():
        versions = [one for one in path.iterdir() if one.name.isdecimal() and one.is_dir()]
        newest = max(versions, key=lambda one: int(one.name), default=path)
        there = (folder / name for folder in (path, newest) for name in _NAMES)
        return next((file for file in there if file.exists()), None)
    return path if path.suffix in (_TFLITE, _ONNX, _OPENVINO) or path.name == _SAVED_MODEL else None


def of_file(
    path: pathlib.Path,
    *,
    class_names: Sequence[str] | str | None = None,
    head: str | None = None,
) -> Scorer:
    """The Scorer of a file that `find` gave.

    A SavedModel gives probabilities; other files give classes. Some files take images of one size:
    others are scaled to it, and the answers back; a warning says so once.

    Args:
        path: The file.
        class_names: Of a file that does not say them.
        head: As of `zoo.inference.scorer`.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: It is damaged, is no export, says other classes, or has no such head.
        ImportError: Its runtime is not installed; the message says how to.
    """
    if path.name == _SAVED_MODEL:
        return _of_saved_model(path.parent, class_names, head)
    return _of_class_map_file(path, class_names, head)


def stored_spec(path: pathlib.Path) -> Spec | None:
    """What the file that `find` gave says of itself; None if it says nothing."""
    from exports.reading import read_spec

    try:
        return read_spec(path if path.suffix == _TFLITE else path.parent)
    except (OSError, ValueError):  # what opens the file tells it
        return None


def _of_saved_model(
    folder: pathlib.Path, class_names: Sequence[str] | str | None, head: str | None
) -> Scorer:
    import tensorflow as tf

    from exports.graph.ports import Ports

    record = _record(folder)
    try:
        loaded = tf.saved_model.load(str(folder))
        takes = loaded.signatures["serving_default"].structured_input_signature[1]
        ports = Ports(
            {name: takes[name].shape[-1] for name in record.get("inputs", ("image",))},
            tuple(record.get("heads", (None,))),
        )
        answers = {
            one: loaded.signatures[ports.name_of("serving_default", one)] for one in ports.heads
        }
        for one in answers.values():
            one.structured_outputs["class_map"]
    except Exception as error:  # for damaged bytes TensorFlow raises errors of any kind
        raise ValueError(
            f"{folder} cannot be read as a SavedModel whose signature serving_default takes an "
            f"image and gives a class_map ({error}). Pass the folder of an exported version, which "
            "holds saved_model.pb."
        ) from error
    chosen = _head(ports.heads, head, folder)
    answer, scores = answers[chosen], loaded.signatures.get(ports.name_of("scores", chosen))
    classes = scores.structured_outputs["probabilities"].shape[-1] if scores is not None else None
    spec = _spec(folder, class_names, head, channels=ports.channels, classes=classes)

    limits = record.get("limits")
    most = limits.get("max_pixels") if isinstance(limits, dict) else None
    most = most if isinstance(most, int) else None

    # The signatures live only as long as the loaded object.
    def ask(image: np.ndarray, keep: object = loaded) -> np.ndarray:
        height, width = image.shape[:2]
        if most is not None and height * width > most:
            raise ValueError(
                f"{folder} takes images of {most:,} pixels at most; received {height} × {width}. "
                "Answer in tiles (--tile), without proposals, or export it with a larger "
                "--max-pixels."
            )
        image = tf.constant(_as_uint8(image)[np.newaxis])
        with lack_of_memory(image.shape):
            if scores is not None:
                return scores(**ports.split(image))["probabilities"].numpy()[0]
            return _one_hot(answer(**ports.split(image))["class_map"].numpy()[0], spec.classes)

    gives = CLASSES if scores is None else PROBABILITIES
    return _scorer(ask, spec, gives=gives, max_pixels=most)


def _head(heads: Sequence[str | None], head: str | None, where: pathlib.Path) -> str | None:
    """The head of a SavedModel that answers; None for one with a single head."""
    if len(heads) > 1 and head not in heads:
        raise ValueError(
            f"{where} has the heads {' and '.join(map(str, heads))}, of which one is chosen; "
            f"received {head!r}. Pass head={heads[0]!r}, or --head on the command line."
        )
    return head if len(heads) > 1 else heads[0]


def _of_class_map_file(
    path: pathlib.Path, class_names: Sequence[str] | str | None, head: str | None
) -> Scorer:
    """Of a file of another runtime, whose only signature gives the class map."""
    from exports.runtimes import UnableError, litert, onnx_runtime, openvino

    loader = {_TFLITE: litert, _ONNX: onnx_runtime, _OPENVINO: openvino}[path.suffix]
    if not path.exists():
        raise FileNotFoundError(f"An exported file is read; there is none at {path}. Check it.")
    try:
        port = _port(path)
        *size, channels = port["shape"][1:]
        ask_file = contextlib.ExitStack().enter_context(loader.loaded(path))
    except (ValueError, KeyError, TypeError, RuntimeError, UnableError) as error:
        raise ValueError(
            f"{path} cannot be read as a file that takes an image and gives a class_map ({error}). "
            "Pass a file that zoo export wrote."
        ) from error
    place = path if path.suffix == _TFLITE else path.parent
    spec = _spec(place, class_names, head, channels=channels)

    def ask(image: np.ndarray) -> np.ndarray:
        image = image.astype(port["type"]) if port["type"] != "uint8" else _as_uint8(image)
        found = ask_file("serving_default", {"image": image[np.newaxis]})["class_map"][0]
        return _one_hot(found, spec.classes)

    if None in size:
        return _scorer(ask, spec, gives=CLASSES)
    return dataclasses.replace(_scorer(_scaled(ask, size, path), spec, gives=CLASSES), margin=0)


def _scorer(ask: Callable[[np.ndarray], np.ndarray], spec: Spec, **fields) -> Scorer:
    """One image is asked at a time: a file may have a limit of images."""
    try:
        margin, stride = reach_of(spec)
    except ValueError:
        margin, stride = _MARGIN, _STRIDE
    return Scorer(
        lambda images: np.stack([ask(image) for image in images]), spec, margin, stride, **fields
    )


def _spec(
    path: pathlib.Path,
    class_names: Sequence[str] | str | None,
    head: str | None,
    *,
    channels: int,
    classes: int | None = None,
) -> Spec:
    """What the file says; of a file that does not say it, what was given."""
    from exports.reading import read_spec

    try:
        spec = read_spec(path)
    except ValueError:
        if class_names is None and classes is None:
            raise
    else:
        if spec.heads and head is not None:
            return spec.of_head(head)
        check_head(spec, head, str(path))
        return spec
    names, background = (None, None) if class_names is None else named(class_names)
    count = len(names) if classes is None else classes
    options = {"classes": count, "channels": channels}
    return Spec("exported", options, names, background)


def _record(folder: pathlib.Path) -> dict:
    from exports.reading import read_record

    try:
        return read_record(folder)
    except ValueError:
        return {}


def _port(path: pathlib.Path) -> dict:
    """The type and shape of the image that a file takes; None in the shape stands for any."""
    from exports.runtimes import litert

    if path.suffix == _TFLITE:
        return litert.signature(path)["takes"]["image"]
    signatures = _record(path.parent).get("signatures", {})
    if not signatures:
        raise ValueError(f"{path.parent} has no export.json that tells what its file takes")
    return signatures["serving_default"]["takes"]["image"]


def _scaled(
    ask: Callable[[np.ndarray], np.ndarray], size: Sequence[int], path: pathlib.Path
) -> Callable[[np.ndarray], np.ndarray]:
    """For a file of one size: other images are scaled to it, bilinear, and the answers back."""
    height, width = size
    has_told = False

    def scaled(image: np.ndarray) -> np.ndarray:
        nonlocal has_told
        if image.shape[:2] == (height, width):
            return ask(image)
        if not has_told:
            has_told = True
            warnings.warn(
                f"{path} takes images of {height}×{width} (height × width): others are scaled to "
                "it, and their answers back",
                stacklevel=2,
            )
        (small,) = resized(image[np.newaxis], (height, width))
        found = ask(small)
        return resized(found[np.newaxis], image.shape[:2], Image.Resampling.NEAREST)[0]

    return scaled


def _one_hot(class_map: np.ndarray, classes: int) -> np.ndarray:
    return (class_map[..., np.newaxis] == np.arange(classes)).astype(np.float32)


def _as_uint8(image: np.ndarray) -> np.ndarray:
    return image if image.dtype == np.uint8 else np.rint(image).clip(0, 255).astype(np.uint8)
