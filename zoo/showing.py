"""The verbs that show a model: draw, its stages and skips; activations, what its layers give."""

import argparse
import pathlib

from zoo import files, quiet, registry
from zoo.terminal import Parser, json_object, run, tell


def draw(arguments: list[str]) -> int:
    """`zoo draw MODEL`."""
    parser = Parser(
        prog="zoo draw",
        description="Draws a model as an SVG: stages, their sizes, skips. No weights are needed.",
    )
    parser.add_argument(
        "model", help="name of a model, or the path of a trained one as zoo evaluate takes it"
    )
    parser.add_argument(
        "--out", type=pathlib.Path, metavar="FILE.svg", help="what is written (default: NAME.svg)"
    )
    parser.add_argument(
        "--size",
        type=_side,
        nargs=2,
        metavar=("HEIGHT", "WIDTH"),
        help="of the image whose sizes are written (default: that of the paper)",
    )
    parser.add_argument(
        "--options",
        type=json_object,
        default={},
        metavar="JSON",
        help="of a model by its name, such as '{\"classes\": 60}'",
    )
    parser.add_argument(
        "--head",
        metavar="NAME",
        help="of a net with several heads, the one that is drawn (default: the first)",
    )
    chosen = parser.parse_args(arguments)
    return run(lambda: _draw(chosen), prog="zoo draw")


def _draw(chosen: argparse.Namespace) -> int:
    name, options = _what(chosen.model, chosen.options)
    out = files.check_new(chosen.out or pathlib.Path(f"{name}.svg"), (".svg",), what="A drawing")
    quiet.import_tensorflow()
    from zoo import drawing
    from zoo.models.plain import plain
    from zoo.models.without_values import without_values

    with without_values():
        model = registry.build(name, **options)
        model = plain(model, chosen.head or model.spec.head)
    text = drawing.svg(model, chosen.size and tuple(chosen.size))
    with files.creating(out) as unfinished:
        unfinished.write_text(text, encoding="utf-8")
    tell(f"written: {out}")
    return 0


def _what(model: str, options: dict) -> tuple[str, dict]:
    """The name and the options of the model that is asked for by its name or path."""
    if filled := sorted({"weights", "encoder_weights"} & set(options)):
        raise ValueError(
            f"A drawing shows no weights; received {filled[0]} in --options. Leave {filled[0]} out."
        )
    if model in registry.list_models() or not pathlib.Path(model).exists():
        registry.describe(model)  # an unknown name is an error with the nearest ones
        return model, options
    if options:
        raise ValueError(
            f"{model} says what it holds; received --options too. Leave --options out, or give the "
            "name of a model."
        )
    from zoo import loading

    spec = loading.read_spec(model)
    return spec.model, dict(spec.options)


def activations(arguments: list[str]) -> int:
    """`zoo activations MODEL IMAGE --out FILE`."""
    parser = Parser(
        prog="zoo activations",
        description="Draws what the layers of a trained model give for an image, as Figure 4 of\n"
        "DeconvNet's paper: the strongest map of each unpooling and of the last deconvolution\n"
        "behind it; of an FCN the scores of each stride, of U-Net the up-convolutions.",
    )
    parser.add_argument("model", help="a weights file, a workdir, or an authors' file by its name")
    parser.add_argument("image", type=pathlib.Path)
    parser.add_argument(
        "--out", type=pathlib.Path, required=True, metavar="FILE.png", help="what is written"
    )
    parser.add_argument(
        "--layers",
        nargs="+",
        metavar="NAME",
        help="others, by their names in Keras; a wrong name is answered with the nearest",
    )
    parser.add_argument(
        "--checkpoint",
        metavar="WHICH",
        help="of a workdir: newest, best, or the step of a checkpoint (default: newest)",
    )
    parser.add_argument(
        "--head", metavar="NAME", help="of a net with several heads, the one that is shown"
    )
    parser.add_argument(
        "--depth",
        metavar="FILE",
        help="of a net of colour and depth, the depth of the image or its folder, as zoo predict "
        "takes it",
    )
    parser.add_argument("--model", dest="kind", help="name in the zoo, if the file does not say it")
    parser.add_argument(
        "--options",
        type=json_object,
        default={},
        metavar="JSON",
        help="the model's, if the file does not say them",
    )
    chosen = parser.parse_args(arguments)
    return run(lambda: _activations(chosen), prog="zoo activations")


def _activations(chosen: argparse.Namespace) -> int:
    out = files.check_new(chosen.out, (".png",), what="A picture")
    quiet.import_tensorflow()
    from zoo import depths, loading
    from zoo.inference import activations as shown
    from zoo.inference import inputs
    from zoo.models.plain import plain

    model = loading.load(
        chosen.model, model=chosen.kind, checkpoint=chosen.checkpoint, **chosen.options
    )
    model = plain(model, chosen.head)
    beside = None if chosen.depth is None else depths.find([chosen.image], chosen.depth)
    image = inputs.read(chosen.image, model.spec, depth=beside and beside[chosen.image])
    found = shown.activations(model, image, chosen.layers)
    picture = shown.sheet(image, found)
    with files.creating(out) as unfinished:
        picture.save(unfinished, "PNG")
    tell(f"written: {out}")
    return 0


def _side(text: str) -> int:
    """A number of pixels, for argparse's `type`."""
    if not text.isdecimal() or not 1 <= int(text) <= 100_000:
        raise argparse.ArgumentTypeError(
            f"takes a number of pixels from 1 to 100000; received {text!r}. Pass 500, for example"
        )
    return int(text)
