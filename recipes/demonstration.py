"""From a photograph to an exported model that answers: trains, scores, exports, checks, asks.

Trains `coins_unet`, prints its scores on the held-out part of the photograph beside those of two
simple answers, exports the model as a SavedModel and as a TFLite file, and asks the SavedModel on
the disk for the mask of the whole photograph: PNG in, PNG out.
"""

import zoo  # isort: skip  # first: it keeps the terminal free of TensorFlow's start

import argparse
import io
import os
import pathlib
import signal
import sys
import time

import numpy as np
import tensorflow as tf
from PIL import Image

import exports.check
import exports.formats.saved_model
import exports.formats.tflite
import zoo.pictures
from recipes import scoring
from recipes.data import DataError
from recipes.data.sets import coins
from recipes.evaluation import evaluate
from recipes.runs.coins_unet import RECIPE
from recipes.training import records
from recipes.training.recipe import RecipeError
from recipes.training.train import train


def main(arguments: list[str] | None = None) -> int:
    """Runs the demonstration; run again, it goes on where it was stopped."""
    parser = argparse.ArgumentParser(prog="python -m recipes.demonstration", description=__doc__)
    parser.add_argument(
        "--workdir", type=pathlib.Path, required=True, help="the folder that everything goes into"
    )
    workdir = parser.parse_args(arguments).workdir
    try:
        files = demonstrate(workdir)
    except (RecipeError, DataError, exports.check.MismatchError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped: run the same command again to go on", file=sys.stderr)
        return 128 + signal.SIGINT
    print("\nwritten:", *(f"  {file}" for file in files), sep="\n")
    return 0


def demonstrate(workdir: pathlib.Path) -> list[pathlib.Path]:
    """Trains, scores, exports and asks; returns the files and folders that it wrote."""
    began = time.monotonic()
    model = train(RECIPE, workdir)

    splits = coins.load(workdir)
    held_out = splits["val"]
    threshold = _otsu()
    answers = {
        "U-Net": scoring.of_model(model),
        "all background": lambda image: np.zeros(image.shape[:2], np.uint8),
        "Otsu": lambda image: (image[..., 0] > threshold).astype(np.uint8),
    }
    print(f"\nthe held-out part of the photograph (Otsu's threshold of the whole: {threshold})")
    scores = {name: scoring.measure(answer, held_out) for name, answer in answers.items()}
    print(evaluate.show(scores, held_out.class_names), end="\n\n")

    photograph = coins.photograph()[..., np.newaxis]
    given = {"classes": len(held_out.class_names), "channels": held_out.channels}
    recorded = {
        "class_names": held_out.class_names,
        "options": given | RECIPE.options,
        "weights": workdir / records.WEIGHTS,
        "images": photograph[np.newaxis],
        "report": _say,
    }
    served = exports.formats.saved_model.export(model, workdir / "served", **recorded)
    lite = exports.formats.tflite.export(
        model, workdir / "tflite", size=photograph.shape[:2], **recorded
    )

    _say(f"Asking {served} about the whole photograph")
    class_map = ask(served, photograph)
    mask = zoo.pictures.save_class_map(workdir / "mask.png", class_map)
    overlay, unfinished = workdir / "overlay.png", workdir / "writing-overlay.png"
    zoo.pictures.overlay(photograph, class_map, held_out.class_names).save(unfinished)
    os.replace(unfinished, overlay)
    _say(f"done in {time.monotonic() - began:.0f} s")
    return [workdir / records.WEIGHTS, workdir / "log.csv", served, lite, mask, overlay]


def ask(saved_model: pathlib.Path, image: np.ndarray) -> np.ndarray:
    """The class map of an image by the signature `mask_png` of a SavedModel on the disk."""
    png = io.BytesIO()
    Image.fromarray(image[..., 0]).save(png, "PNG")
    loaded = tf.saved_model.load(str(saved_model))
    answer = loaded.signatures["mask_png"](image_bytes=tf.constant([png.getvalue()]))
    if not answer["valid"][0]:
        raise RecipeError(f"{saved_model} did not take the photograph. Export the model again.")
    mask = answer["mask_png_bytes"][0].numpy()
    return np.asarray(Image.open(io.BytesIO(mask)))


def _otsu() -> int:
    from skimage.filters import threshold_otsu

    return int(threshold_otsu(coins.photograph()))


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
