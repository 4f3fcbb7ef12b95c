r"""Turns trained weights into files that answer.

python -m exports unet --weights runs/coins/model.weights.h5 --out served
python -m exports unet --weights ... --out files --format tflite --size 256 256
python -m exports unet --weights ... --out files --format tflite mediapipe --size 256 256 \
    --quantize integer --representative photographs --class-names background coin
python -m exports unet --weights ... --out files --format onnx openvino
"""

import zoo  # isort: skip  # first: it keeps the terminal free of TensorFlow's start

import argparse
import json
import pathlib
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras

from exports.check import MismatchError
from exports.check.reference import read_image
from exports.formats import exchange, mediapipe, quantization, saved_model, tflite
from exports.graph import single_output
from exports.graph.requests import MAX_BATCH, MAX_PIXELS
from exports.runtimes.tensorflow_c import StatusError
from exports.serving import export_json
from zoo.class_names import CLASS_NAMES

SAVED_MODEL, TFLITE, MEDIAPIPE = "saved_model", "tflite", "mediapipe"
FORMATS = (SAVED_MODEL, TFLITE, MEDIAPIPE, *exchange.FORMS)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status: 2 for a wrong request, 1 for a wrong file."""
    parser = _parser()
    chosen = parser.parse_args(arguments)
    quantized = chosen.quantize != quantization.NONE or chosen.representative
    if (quantized or chosen.max_disagreement) and not {TFLITE, MEDIAPIPE} & set(chosen.format):
        parser.error(
            "--quantize, --representative and --max-disagreement are for TFLite files; received "
            f"--format {' '.join(chosen.format)}. Add --format tflite."
        )
    start = time.monotonic()

    def report(line: str) -> None:
        print(f"[{time.monotonic() - start:5.1f} s] {line}", flush=True)

    try:
        report(f"Building {chosen.model} with the weights of {chosen.weights}")
        model = zoo.build(chosen.model, weights=chosen.weights, **_options(chosen))
        for path in _exported(model, chosen, report):
            print(f"{_megabytes(path):8.2f} MB  {path}", flush=True)
    except (MismatchError, StatusError) as error:
        print(f"exports: {error}", file=sys.stderr)
        return 1
    except (ValueError, TypeError, OSError, ImportError) as error:
        print(f"exports: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("exports: stopped; what was not complete is removed", file=sys.stderr)
        return 130
    if SAVED_MODEL in chosen.format:
        print(
            f"Next: serve {pathlib.Path(chosen.out, model.name).resolve()} with TensorFlow Serving "
            f"(--model_name={model.name} --model_base_path=...), or load the version with "
            "tf.saved_model.load(...)."
        )
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m exports",
        description="Exports a model with its weights, and checks the files before they appear.",
    )
    parser.add_argument("model", help="its name in the zoo; `zoo list` lists them")
    parser.add_argument(
        "--weights",
        required=True,
        metavar="FILE",
        help="what it was trained to: .weights.h5, .keras or .caffemodel",
    )
    parser.add_argument("--out", required=True, metavar="FOLDER", help="of all exported models")
    parser.add_argument("--classes", type=int, metavar="N", help="if not the model's default")
    parser.add_argument("--channels", type=int, metavar="C", help="3, or 1 for grey images")
    parser.add_argument(
        "--options",
        default="{}",
        metavar="JSON",
        help="further options that the model was built with, such as '{\"filters\": 16}'",
    )
    parser.add_argument(
        "--format",
        nargs="+",
        choices=FORMATS,
        default=[SAVED_MODEL],
        metavar="FORMAT",
        help=f"one or more of {', '.join(FORMATS)}; saved_model is the default, mediapipe a TFLite "
        "file for its ImageSegmenter",
    )
    parser.add_argument(
        "--size",
        nargs=2,
        type=int,
        metavar=("HEIGHT", "WIDTH"),
        help="of the images of all other formats; without it they take any size (slower in TFLite)",
    )
    parser.add_argument(
        "--dtype",
        choices=single_output.DTYPES,
        default="uint8",
        help="of the same images, which are 0-255 in both; uint8 is the default",
    )
    parser.add_argument(
        "--quantize",
        choices=quantization.KINDS,
        default=quantization.NONE,
        help="a TFLite file to float16 weights, int8 weights, or int8 arithmetic (integer)",
    )
    parser.add_argument(
        "--representative",
        metavar="FOLDER",
        help="of images of your data, for the ranges of integer and to check a TFLite file with",
    )
    parser.add_argument(
        "--max-disagreement",
        type=float,
        metavar="SHARE",
        help="of the pixels to which a quantized file may give another class; "
        f"{tflite.MAX_DISAGREEMENT} is the default",
    )
    parser.add_argument(
        "--mediapipe-python",
        metavar="FILE",
        help="the Python in whose MediaPipe such a file is checked, if not this one",
    )
    parser.add_argument(
        "--class-names",
        nargs="+",
        metavar="NAME",
        help="written beside the files; or those of a data set by its name: "
        + ", ".join(CLASS_NAMES),
    )
    parser.add_argument(
        "--image",
        metavar="FILE",
        help="to check with, if not textures: one in which the model sees two classes or more",
    )
    parser.add_argument(
        "--max-pixels", type=int, default=MAX_PIXELS, metavar="N", help="of an image of a request"
    )
    parser.add_argument(
        "--max-batch", type=int, default=MAX_BATCH, metavar="N", help="the most images of a request"
    )
    parser.add_argument("--version", type=int, metavar="N", help="if not the next free one")
    return parser


def _options(chosen: argparse.Namespace) -> dict[str, Any]:
    try:
        options = json.loads(chosen.options)
    except json.JSONDecodeError as error:
        options = error
    if not isinstance(options, dict):
        raise ValueError(
            f"--options is a JSON object of options and values; received {chosen.options!r}. "
            'Pass, for example, --options \'{"filters": 16, "depth": 3}\'.'
        )
    given = {"classes": chosen.classes, "channels": chosen.channels}
    return options | {name: value for name, value in given.items() if value is not None}


def _class_names(chosen: argparse.Namespace) -> Sequence[str] | None:
    names = chosen.class_names
    # No model has a single class, so that a single name cannot be a class's.
    return CLASS_NAMES.get(names[0], names) if names and len(names) == 1 else names


def _exported(
    model: keras.Model, chosen: argparse.Namespace, report: Callable[[str], None]
) -> Iterator[pathlib.Path]:
    """Writes all formats that were asked for, under one version."""
    version, channels = chosen.version, model.input_shape[-1]
    recorded = {
        "class_names": _class_names(chosen),
        "options": _options(chosen),
        "weights": chosen.weights,
    }
    if version is None and len(set(chosen.format)) > 1:
        home = pathlib.Path(chosen.out, model.name)
        ends = (tflite.END, tflite.MEDIAPIPE_END)
        taken = [one for end in ends for one in tflite.taken(home.parent, model.name, end)]
        for form in exchange.FORMS:
            taken += exchange.taken(home.parent, model.name, form)
        version = max(saved_model.taken(home) + taken, default=0) + 1
    size, image, representative = chosen.size and tuple(chosen.size), None, None
    # What is wrong about any format is said before the first one is written.
    if set(chosen.format) != {SAVED_MODEL}:
        image = single_output.image_spec(model, size=size, dtype=chosen.dtype)
    if chosen.representative:
        side = export_json.SIDE
        representative = quantization.images_in(
            chosen.representative, channels, size or (side, side)
        )
    if {TFLITE, MEDIAPIPE} & set(chosen.format):
        quantization.check_options(chosen.quantize, representative, chosen.max_disagreement, image)
    if MEDIAPIPE in chosen.format:
        mediapipe.check_image(image)
    if SAVED_MODEL in chosen.format:
        images = chosen.image and read_image(chosen.image, channels)
        yield saved_model.export(
            model,
            chosen.out,
            version=version,
            max_pixels=chosen.max_pixels,
            max_batch=chosen.max_batch,
            images=images,
            report=report,
            **recorded,
        )
    files = {
        "size": size,
        "dtype": chosen.dtype,
        "version": version,
        "images": chosen.image and read_image(chosen.image, channels, size),
        "report": report,
        **recorded,
    }
    for form in (TFLITE, MEDIAPIPE):
        if form not in chosen.format:
            continue
        yield tflite.export(
            model,
            chosen.out,
            quantize=chosen.quantize,
            representative=representative,
            max_disagreement=chosen.max_disagreement,
            for_mediapipe=form == MEDIAPIPE,
            mediapipe_python=chosen.mediapipe_python,
            **files,
        )
    for form in exchange.FORMS:
        if form in chosen.format:
            yield exchange.export(model, chosen.out, form=form, **files)


def _megabytes(path: pathlib.Path) -> float:
    files = path.rglob("*") if path.is_dir() else [path]
    return sum(file.stat().st_size for file in files if file.is_file()) / 1e6


if __name__ == "__main__":
    sys.exit(main())
