"""What can be scored, by its path: a trained model, a SavedModel or a TFLite file."""

import pathlib
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

import zoo.loading
from recipes import scoring
from recipes.data import Dataset
from zoo import workdir
from zoo.inference.scorers import Scorer
from zoo.inference.tiles import tiled
from zoo.spec import Spec
from zoo.terminal import tell

# A file does not tell how far its scores see: DeconvNet so far, a U-Net deeper than 5 further.
_MARGIN, _STRIDE = 480, 32


class Scored(NamedTuple):
    """Something to score: the file that is read, and how it answers."""

    file: pathlib.Path
    predict: scoring.Predictor


def is_exported(path: pathlib.Path) -> bool:
    """Whether a path is a SavedModel or a TFLite file."""
    return path.suffix == ".tflite" or (path / "saved_model.pb").exists()


def predictor(
    path: pathlib.Path,
    dataset: Dataset,
    *,
    checkpoint: str | None = None,
    model: str | None = None,
    options: dict[str, Any] | None = None,
) -> Scored:
    """Loads what lies at a path.

    Args:
        path: A folder with a saved_model.pb, a file that ends in .tflite, or what `zoo.load` takes.
        dataset: The split that it is scored on.
        checkpoint: As for `zoo.load`, if the path is a workdir.
        model: As for `zoo.load`, if the file does not say it.
        options: As for `zoo.load`; its classes and channels follow from the data set.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: It cannot be read, or is made for other channels or classes than the data set.
    """
    if (path / "saved_model.pb").exists():
        return Scored(path, of_saved_model(path, dataset))
    if path.suffix == ".tflite":
        return Scored(path, of_tflite(path, dataset))
    inside = checkpoint if (path / workdir.RECIPE).exists() else None
    found = zoo.loading.find(path, inside)
    given = dict(options or {})
    if found.spec is not None:
        check_made_for(dataset, path, channels=found.spec.channels, classes=found.spec.classes)
        if found.spec.class_names not in (None, dataset.class_names):
            tell(f"{path} has other class names than {dataset.name}, which the table has")
    elif model is not None:
        needed = {"classes": len(dataset.class_names), "channels": dataset.channels}
        given = needed | given
    spec = zoo.loading.specify(found, model=model, class_names=None, options=given, where=str(path))
    loaded, file = zoo.loading.build_found(found, spec, **given)
    _check_border(path, loaded.spec.options)
    check_made_for(dataset, path, channels=loaded.spec.channels, classes=loaded.spec.classes)
    return Scored(file, scoring.of_model(loaded))


def of_saved_model(folder: pathlib.Path, dataset: Dataset) -> scoring.Predictor:
    """The signature `serving_default` of a SavedModel: image uint8 to class_map uint8.

    Raises:
        ValueError: The folder holds no SavedModel with that signature, or it is made for other
            channels or classes than the data set.
    """
    try:
        loaded = tf.saved_model.load(str(folder))
        answer = loaded.signatures["serving_default"]
        takes, _ = (
            answer.structured_input_signature[1]["image"],
            answer.structured_outputs["class_map"],
        )
    except Exception as error:  # for damaged bytes TensorFlow raises errors of any kind
        raise ValueError(
            f"{folder} cannot be read as a SavedModel whose signature serving_default takes an "
            f"image and gives a class_map ({error}). Pass the folder of an exported version, which "
            "holds saved_model.pb."
        ) from error
    scores = getattr(loaded.signatures.get("scores"), "structured_outputs", {})
    classes = scores["probabilities"].shape[-1] if "probabilities" in scores else None
    check_made_for(dataset, folder, channels=takes.shape[-1], classes=classes)
    # The signature lives only as long as the loaded object.
    return _of_any_size(
        lambda image, keep=loaded: answer(image=image[np.newaxis])["class_map"].numpy()[0], dataset
    )


def of_tflite(file: pathlib.Path, dataset: Dataset) -> scoring.Predictor:
    """The signature of a TFLite file: image uint8 to class_map, at the size of the file.

    An image of another size is scaled to it (bilinear), and its class map back to the size of the
    image (nearest neighbour); a line says so the first time. A file for any size needs no scaling.

    Raises:
        ValueError: The file is not a TFLite file with that signature, or is made for other channels
            than the data set.
        ImportError: ai-edge-litert is not installed.
    """
    from ai_edge_litert.interpreter import Interpreter

    try:
        runner = Interpreter(model_path=str(file)).get_signature_runner()
        takes, _ = runner.get_input_details()["image"], runner.get_output_details()["class_map"]
    except (ValueError, KeyError) as error:
        raise ValueError(
            f"{file} cannot be read as a TFLite file that takes an image and gives a class_map "
            f"({error}). Pass a file that zoo export wrote."
        ) from error
    *size, channels = (int(length) for length in takes["shape_signature"][1:])  # -1: any
    check_made_for(dataset, file, channels=channels)
    has_told = False

    def class_map(image: np.ndarray) -> np.ndarray:
        nonlocal has_told
        fits = all(side in (-1, length) for side, length in zip(size, image.shape, strict=False))
        if not fits and not has_told:
            has_told = True
            tell(
                f"{file} takes images of {size[0]}×{size[1]} (height × width): others are scaled "
                "to it, and their class maps back to the size of the label"
            )
        taken = image if fits else np.rint(tf.image.resize(image, size, antialias=True))
        found = runner(image=taken[np.newaxis].astype(takes["dtype"]))["class_map"][0]
        if fits:
            return found
        return tf.image.resize(found[..., np.newaxis], image.shape[:2], "nearest")[..., 0].numpy()

    return _of_any_size(class_map, dataset) if size == [-1, -1] else class_map


def _of_any_size(predict: scoring.Predictor, dataset: Dataset) -> scoring.Predictor:
    """In tiles; the one number of each pixel is its class."""

    def numbers(images: np.ndarray) -> np.ndarray:
        return predict(images[0])[np.newaxis, ..., np.newaxis].astype(np.float32)

    spec = Spec("exported", {"classes": 2, "channels": dataset.channels})
    answer = tiled(Scorer(numbers, spec, _MARGIN, _STRIDE))
    return lambda image: answer(image)[..., 0].astype(np.int32)


def check_made_for(
    dataset: Dataset, what: pathlib.Path, *, channels: int, classes: int | None = None
) -> None:
    """Compares the channels and, if they are known, the classes with those of the data set.

    Raises:
        ValueError: They differ; the message names both.
    """
    needed = {"channels": dataset.channels, "classes": len(dataset.class_names)}
    for name, number in (("channels", channels), ("classes", classes)):
        if number not in (None, needed[name]):
            how = "; or score it alone, and read its images with --channels"
            raise ValueError(
                f"{what} is made for {name}={number}; {dataset.name} has {name}={needed[name]}. "
                "Pass the data set that it was trained on as --data, and its folder as --data-dir"
                f"{f'{how} {number}' if (dataset.name, name) == ('folder', 'channels') else ''}."
            )


def _check_border(path: pathlib.Path, options: dict[str, Any]) -> None:
    if options.get("border") == "valid":
        raise ValueError(
            f"A class map is scored at the size of its image; {path} is a U-Net with border "
            "'valid', which answers a smaller one. Add --options '{\"border\": \"mirror\"}': it "
            "takes the same weights."
        )
