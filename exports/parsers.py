"""The options of `zoo export`, `zoo check` and `zoo ask`, with their help."""

import argparse
import pathlib

from exports.formats import DTYPES, FORMATS, KINDS, MAX_DISAGREEMENT, NONE
from exports.graph import MAX_BATCH, MAX_BYTES, MAX_PIXELS, MEMORY
from zoo import terminal
from zoo.class_names import CLASS_NAMES

_EXPORT = """\
Exports a trained model to files that other programs run.

  zoo export runs/coins --out served
  zoo export runs/coins --out files --format tflite --size 256 256
  zoo export runs/coins --out files --format tflite mediapipe --size 256 256 \\
      --quantize integer --representative photographs
  zoo export runs/coins --out files --format tflite --size 256 256 --quantize integer
  zoo export fcn8s-heavy-pascal.caffemodel --out files --format onnx openvino

A version appears only after its files gave the model's answers in the programs that run them.
"""

_CHECK = """\
Checks an exported SavedModel again, in all loaders that are installed.

  zoo check served/unet/1 --weights runs/coins
  zoo check served/unet/1

With --weights, the loaders must give the answers of that model. Without it, they must give the same
answers as each other. The other formats are checked when they are written.
"""

_ASK = """\
Sends images to a model in TensorFlow Serving, and writes a mask and an overlay of each.

  zoo ask photograph.jpg --model unet --out masks
  zoo ask photographs/*.jpg --model unet --out masks --url grpc://localhost:8500

masks/photograph-mask.png holds the class of each pixel, in a palette; photograph-overlay.png shows
the classes on the image, with a legend of the model's class names. Nothing is overwritten.

The exit status is 0 when every image has its mask; 1 when an image has none, or the server does not
answer as it should; 2 for a wrong request, of which nothing is sent.
"""


def export_parser() -> terminal.Parser:
    """Of `zoo export`."""
    formats = "\n".join(f"  {name:12} {form.summary}" for name, form in FORMATS.items())
    parser = terminal.Parser(
        prog="zoo export",
        description=_EXPORT,
        epilog=f"formats:\n{formats}\n",
    )
    parser.add_argument(
        "path",
        metavar="PATH",
        help="a weights file, the workdir of a run, or a file of the authors",
    )
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="the folder of all exported models"
    )
    parser.add_argument(
        "--format",
        nargs="+",
        action="extend",
        choices=tuple(FORMATS),
        metavar="FORMAT",
        help="one or more formats, listed below (default: saved_model)",
    )
    parser.add_argument(
        "--version", type=terminal.positive, metavar="N", help="default: the next free number"
    )
    parser.add_argument(
        "--checkpoint",
        metavar="WHICH",
        help="of a workdir: newest (default), best, or the step of a checkpoint",
    )
    parser.add_argument(
        "--image",
        metavar="FILE",
        help="an image to check every format with, in which the model sees two classes or more "
        "(default: made textures)",
    )
    parser.add_argument(
        "--head",
        metavar="NAME",
        help="of a net with several heads, the only one of the export, such as geometric; without "
        "it a SavedModel answers for all, and the other formats cannot be written",
    )
    speed = parser.add_mutually_exclusive_group()
    speed.add_argument(
        "--fast",
        action="store_true",
        default=None,
        help="write the fast copy, also as TFLite, whose files it makes up to 7 times larger, but "
        "not in quantized files; that it gives other classes is an error (default: in all other "
        "formats, if 99.99 %% of the checked pixels get the model's class)",
    )
    speed.add_argument(
        "--exact",
        dest="fast",
        action="store_false",
        help="write the model as its authors defined it",
    )
    _add_spec(parser.add_argument_group("for a file that does not say which model it is of"))
    _add_files(parser.add_argument_group("for every format but saved_model"))
    _add_quantization(
        parser.add_argument_group("for the formats tflite and mediapipe; integer for openvino, too")
    )
    serving = parser.add_argument_group("for the format saved_model")
    serving.add_argument(
        "--memory",
        type=terminal.above_zero("gigabytes, such as 4"),
        default=MEMORY,
        metavar="GB",
        help="what a server may take for itself and one request; what a request takes is measured, "
        f"and what takes more is refused (default: {MEMORY:g})",
    )
    serving.add_argument(
        "--max-pixels",
        type=terminal.positive,
        metavar="N",
        help="the most pixels of one image of a request, whatever memory it takes (default: as "
        f"many as --memory allows, at most {MAX_PIXELS})",
    )
    serving.add_argument(
        "--max-batch",
        type=terminal.positive,
        default=MAX_BATCH,
        metavar="N",
        help=f"the most images of one request (default: {MAX_BATCH})",
    )
    serving.add_argument(
        "--max-bytes",
        type=terminal.positive,
        default=MAX_BYTES,
        metavar="N",
        help=f"the most bytes of the file of one image (default: {MAX_BYTES})",
    )
    return parser


def _add_spec(group: argparse._ArgumentGroup) -> None:
    group.add_argument("--model", metavar="NAME", help="its name; `zoo list` lists the models")
    group.add_argument(
        "--options",
        type=terminal.json_object,
        default={},
        metavar="JSON",
        help="the options that the model was built with, such as '{\"classes\": 3}'",
    )
    group.add_argument(
        "--class-names",
        nargs="+",
        metavar="NAME",
        help="in the order of the class numbers, the one called background is the background; or "
        "the name of a data set: " + ", ".join(CLASS_NAMES),
    )


def _add_files(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--size",
        nargs=2,
        type=int,
        metavar=("HEIGHT", "WIDTH"),
        help="the size of the images; without it a file takes any size (slower in TFLite)",
    )
    group.add_argument(
        "--dtype",
        choices=DTYPES,
        default="uint8",
        help="the type of the images, 0-255 in both (default: uint8)",
    )


def _add_quantization(group: argparse._ArgumentGroup) -> None:
    group.add_argument(
        "--quantize",
        choices=KINDS,
        default=NONE,
        help="float16: half the bytes; dynamic: int8 weights; integer: int8 arithmetic, too; "
        "mixed: int8 arithmetic but in the layers where it costs the most pixels, which are sought "
        "for minutes",
    )
    group.add_argument(
        "--representative",
        metavar="FOLDER",
        help="some dozens of images of your data: integer and mixed take their ranges from them, "
        "and the file is checked with some of them; or the name of a data set, as zoo verify "
        "--help lists them (default for integer and mixed: the data set of the workdir)",
    )
    group.add_argument(
        "--data-dir",
        type=pathlib.Path,
        metavar="FOLDER",
        help="the folder of that data set (default: that of the run, or data)",
    )
    group.add_argument(
        "--max-disagreement",
        type=float,
        metavar="SHARE",
        help="the largest share of the pixels to which a quantized file may give another class "
        f"(default: {MAX_DISAGREEMENT})",
    )
    group.add_argument(
        "--mediapipe-python",
        metavar="FILE",
        help="the Python in which MediaPipe is installed (default: this one)",
    )


def check_parser() -> terminal.Parser:
    """Of `zoo check`."""
    parser = terminal.Parser(prog="zoo check", description=_CHECK)
    parser.add_argument(
        "version", type=pathlib.Path, metavar="VERSION", help="its folder, such as served/unet/1"
    )
    parser.add_argument(
        "--weights",
        metavar="PATH",
        help="the weights file or workdir from which the version was exported",
    )
    parser.add_argument(
        "--image",
        metavar="FILE",
        help="an image to check with, in which the model sees two classes or more (default: made "
        "textures)",
    )
    return parser


def ask_parser() -> terminal.Parser:
    """Of `zoo ask`."""
    parser = terminal.Parser(prog="zoo ask", description=_ASK)
    parser.add_argument("images", nargs="+", type=pathlib.Path, metavar="IMAGE", help="JPEG or PNG")
    parser.add_argument(
        "--model", required=True, metavar="NAME", help="the name under which it is served"
    )
    parser.add_argument(
        "--out",
        required=True,
        type=pathlib.Path,
        metavar="FOLDER",
        help="the folder of the masks; made if it is not there",
    )
    parser.add_argument(
        "--head",
        metavar="NAME",
        help="of a model with several heads, the one that answers, such as geometric (default: the "
        "first)",
    )
    parser.add_argument(
        "--font",
        type=terminal.font,
        metavar="FILE",
        help="a TrueType or OpenType file for the class names of the legend (default: Pillow's own "
        "font, or for a name with other letters one of this system that has them)",
    )
    parser.add_argument(
        "--url",
        default="http://localhost:8501",
        help="the server: http://HOST:8501 (REST, the default: on this machine) or "
        "grpc://HOST:8500; https:// and grpcs:// encrypt",
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--version",
        type=terminal.positive,
        metavar="N",
        help="the number of a version (default: the highest that is served)",
    )
    which.add_argument("--label", metavar="NAME", help="the label of a version, such as stable")
    parser.add_argument(
        "--timeout",
        type=float,
        default=60,
        metavar="SECONDS",
        help="the most seconds from a question to the last byte of its answer, with all retries; "
        "an image is one question, a class that occurs for the first time another (default: 60)",
    )
    parser.add_argument(
        "--retries",
        type=int,
        default=3,
        metavar="N",
        help="how often a question is asked again, after longer and longer pauses, when the server "
        "is busy or not ready (default: 3)",
    )
    parser.add_argument(
        "--header",
        type=_header,
        action="append",
        metavar="NAME:VALUE",
        help="sent with each question, such as 'Authorization:Bearer …'; may be given again; its "
        "value is never printed",
    )
    parser.add_argument(
        "--ca",
        metavar="FILE",
        help="a PEM file with the certificates to trust instead of the system's",
    )
    return parser


def _header(text: str) -> tuple[str, str]:
    name, separator, value = text.partition(":")
    if not separator:  # what was received may be a secret
        raise argparse.ArgumentTypeError("takes a name, a colon and a value, such as X-Team:eyes")
    return name.strip(), value.strip()
