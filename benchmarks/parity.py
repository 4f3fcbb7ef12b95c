"""Compares the zoo's FCN nets with those of torchfcn by layer, and writes docs/parity.md.

    python -m benchmarks.parity

torchfcn 1.9.7 (github.com/wkentaro/pytorch-fcn, MIT) is Kentaro Wada's PyTorch version of the
authors' nets. It requires packages that its nets do not use and that can no longer be installed. So
it is installed without them, and mocks replace them while it is imported. In a clone:

    .venv/bin/pip install --extra-index-url https://download.pytorch.org/whl/cpu -e '.[parity]'
    .venv/bin/pip install --no-deps torchfcn==1.9.7

The exit code is 1, and nothing is written, if scores differ by more than 1e-5 of the largest, or if
fewer than 99.99 % of the pixels have the same class. It takes a few minutes and 4 GB of memory.
With `--nets` or `--sizes` it runs a part and only prints.
"""

import argparse
import dataclasses
import gc
import importlib.metadata
import math
import pathlib
import sys
import types
import unittest.mock

import keras
import numpy as np

import zoo
from benchmarks.documents import report, table, write

try:
    import torch
except ImportError:
    torch = None

SIZES = ("96x160", "201x133", "97x131", "33x50", "1x1")
TOLERANCE, AGREEMENT = 1e-5, 0.9999
MEAN_BGR = (104.00699, 116.66877, 122.67892)
DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "parity.md"
# torchfcn's class, and the options of the zoo's net, whose name ends before the space.
NETS = {
    "fcn32s": ("FCN32s", {}),
    "fcn16s": ("FCN16s", {}),
    "fcn8s": ("FCN8s", {}),
    "fcn8s_atonce": ("FCN8sAtOnce", {}),
    "fcn8s learned": ("FCN8s", {"upsampling": "learned"}),
}
# FCN-8s at-once multiplies these scores by small scales; larger weights keep them visible.
GAINS = {"score_pool4": 100, "score_pool3": 10_000}
# torchfcn imports them, but its nets do not need them.
UNUSED = ("fcn", "torchvision", "torchfcn.datasets", "torchfcn.trainer")
INSTALL = "\n".join(line for line in __doc__.splitlines() if "install" in line and "    " in line)
DOCUMENT_TEXT = """\
# FCN compared with torchfcn

Written by `python -m benchmarks.parity`; run it again instead of editing. The program's docstring
explains how to install what it needs.

{versions}.

The nets are FCN-32s, FCN-16s, FCN-8s and FCN-8s at-once, of the zoo and of torchfcn, in full width
and with 21 classes. Both have the same random parameters: He-normal kernels, and biases for which
many classes win. `fcn8s learned` is `upsampling="learned"`: its two deconvolutions between the
skips are random too. All other deconvolutions are bilinear. Both nets get the same random image of
coloured blocks and noise, torchfcn in BGR without the mean colour. Both compute in float32 on the
CPU, but they add in different orders.

A difference is the largest difference of two values of a layer, divided by torchfcn's largest
value. It must be at most {tolerance:g} for the scores, and {agreement:.2%} of all pixels must have
the same class.

## Scores

{scores}

## Layers

The largest difference over all sizes. A convolution's output is taken after its ReLU.

{layers}

## Where torchfcn is not the authors' net

In inference, neither these tables nor its source show a difference. The border of 100, the poolings
that round up, the offsets of the crops (19; 27 and 5; 31, 9 and 5), the scales of at-once (0.01,
0.0001) and the bilinear kernels are the authors'. In training there are some:

- `Dropout2d` drops whole feature maps after fc6 and fc7; Caffe and the zoo drop single values.
- Up-scores are parameters with a gradient, which a training script must leave out. The authors' and
  the zoo's are fixed.
- Its mean colour has three more digits (104.00698793 …). Here both nets use the zoo's.
"""


@dataclasses.dataclass(frozen=True)
class Result:
    """A net at one size: the difference of each layer, and the count of pixels that agree."""

    net: str
    size: str
    layers: dict[str, float]
    agreeing: int
    pixels: int
    classes: int

    @property
    def passed(self) -> bool:
        """Whether scores and classes agree with torchfcn's; with a NaN they do not."""
        return self.layers["score"] <= TOLERANCE and self.agreeing >= AGREEMENT * self.pixels


def load_torchfcn() -> types.ModuleType:
    """Imports torchfcn's nets."""
    stand_ins = {name: unittest.mock.MagicMock() for name in UNUSED}
    with unittest.mock.patch.dict(sys.modules, stand_ins):
        import torchfcn

        return torchfcn.models


def random_image(size: str, seed: int = 5, *, channels: int = 3) -> np.ndarray:
    """Blocks of 16 pixels in random colours with noise, float32 0-255 [1, h, w, channels]."""
    rng = np.random.default_rng(seed)
    height, width = map(int, size.split("x"))
    blocks = rng.uniform(30, 225, (1, -(-height // 16), -(-width // 16), channels))
    image = blocks.repeat(16, 1).repeat(16, 2)[:, :height, :width]
    return np.rint(image + rng.uniform(-30, 30, image.shape)).astype("float32")


def pair(net: str, torchfcn: types.ModuleType) -> tuple:
    """The zoo's net and torchfcn's, with the same random parameters."""
    name, options = NETS[net]
    ours = zoo.build(net.split()[0], **options)
    theirs = getattr(torchfcn, name)(n_class=21).eval()
    fill(ours, theirs, seed=list(NETS).index(net))
    # If every class scores 0 on average, many classes win somewhere.
    mean = their_layers(theirs, random_image(SIZES[0]))["score"].mean((0, 1, 2))
    ours.get_layer("score_fr").bias.assign_sub(mean)
    with torch.no_grad():
        theirs.score_fr.bias.sub_(torch.from_numpy(mean))
    return ours, theirs


def fill(ours: keras.Model, theirs, *, seed: int) -> None:
    """Gives both nets the same random parameters."""
    rng = np.random.default_rng(seed)
    parameters = dict(theirs.named_parameters())
    gains = GAINS if ours.name == "fcn8s_atonce" else {}
    for layer in ours.layers:
        for variable in layer.weights:
            learned = layer.name.startswith("upscore")
            if learned and variable.name == "bias":
                continue  # stays zero: torchfcn's has none
            value = rng.standard_normal(variable.shape, "float32")
            if learned:
                value = 0.02 * value + keras.ops.convert_to_numpy(variable)
            elif variable.name == "kernel":
                incoming = math.prod(variable.shape[:3])
                value *= gains.get(layer.name, 1) * math.sqrt(2 / incoming)
            else:
                value *= 5
            variable.assign(value)
            name = {"kernel": "weight", "bias": "bias"}[variable.name]
            if name == "weight":
                value = value.transpose(3, 2, 0, 1)
            with torch.no_grad():
                parameters.pop(f"{layer.name}.{name}").copy_(torch.from_numpy(value))
    left = [name for name in parameters if not name.startswith("upscore")]
    if left:
        raise ValueError(f"torchfcn has parameters that the zoo's {ours.name} lacks: {left}.")


def their_layers(theirs, image: np.ndarray) -> dict[str, np.ndarray]:
    """The output of each layer of torchfcn's net by name, channels last, and the `score`."""
    data = np.ascontiguousarray((image[..., ::-1] - np.float32(MEAN_BGR)).transpose(0, 3, 1, 2))
    outputs = {}

    def keep(name):
        return lambda module, inputs, output: outputs.__setitem__(name, output)

    # ReLUs work in place, so the kept output of a convolution is that of its ReLU, as in the zoo's
    # layers.
    hooks = [module.register_forward_hook(keep(name)) for name, module in theirs.named_children()]
    with torch.inference_mode():
        outputs["score"] = theirs(torch.from_numpy(data))
    for hook in hooks:
        hook.remove()
    return {name: output.numpy().transpose(0, 2, 3, 1) for name, output in outputs.items()}


def our_layers(ours: keras.Model, names, image: np.ndarray) -> dict[str, np.ndarray]:
    """The output of each of the zoo's layers with one of these names."""
    outputs = {layer.name: layer.output for layer in ours.layers if layer.name in names}
    answers = keras.Model(ours.input, outputs)(image)
    return {name: keras.ops.convert_to_numpy(answer) for name, answer in answers.items()}


def difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference relative to the largest value; infinite if the shapes differ."""
    if ours.shape != theirs.shape:
        return math.inf
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def compared(net: str, size: str, ours: dict, theirs: dict) -> Result:
    """Compares the outputs of all layers of torchfcn's net but its ReLUs and dropouts."""
    names = [name for name in theirs if not name.startswith(("relu", "drop"))]
    layers = {name: difference(ours[name], theirs[name]) for name in names}
    expected = theirs["score"].argmax(-1)
    same_shape = ours["score"].shape == theirs["score"].shape
    agreeing = int((ours["score"].argmax(-1) == expected).sum()) if same_shape else 0
    return Result(net, size, layers, agreeing, expected.size, len(np.unique(expected)))


def score_table(results: list[Result]) -> str:
    """A table with a row for each net and size."""
    head = ("net", "image", "largest difference", "same class, pixels", "classes", "passed")
    rows = []
    for x in results:
        same, passed = f"{x.agreeing} of {x.pixels}", "yes" if x.passed else "no"
        rows.append((x.net, x.size, f"{x.layers['score']:.1e}", same, x.classes, passed))
    return table(head, *rows, left=2)


def layer_table(results: list[Result]) -> str:
    """A table with a row for each layer: its largest difference over all sizes, in each net."""
    nets = list(dict.fromkeys(result.net for result in results))
    layers = dict.fromkeys(name for result in results for name in result.layers)
    layers["score"] = layers.pop("score")  # last, whatever the first net has before it

    def cell(layer: str, net: str) -> str:
        values = [x.layers[layer] for x in results if x.net == net and layer in x.layers]
        return f"{np.max(values):.1e}" if values else ""  # np.max keeps a NaN

    rows = [(layer, *(cell(layer, net) for net in nets)) for layer in layers]
    return table(("layer", *nets), *rows)


def main(arguments: list[str] | None = None) -> int:
    """Prints the tables, writes them, and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.parity",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--nets", nargs="+", choices=NETS, metavar="NET", help=", ".join(NETS))
    parser.add_argument("--sizes", nargs="+", metavar="HxW", help="default: " + " ".join(SIZES))
    options = parser.parse_args(arguments)
    try:
        torchfcn = load_torchfcn()
    except ImportError as error:
        report(f"{error}.\n{INSTALL}")
        return 1
    results = []
    for net in options.nets or NETS:
        report(f"{net}: building …")
        ours, theirs = pair(net, torchfcn)
        for size in options.sizes or SIZES:
            image = random_image(size)
            expected = their_layers(theirs, image)
            results.append(compared(net, size, our_layers(ours, expected, image), expected))
            report(score_table(results[-1:]).splitlines()[-1])
        del ours, theirs
        gc.collect()  # a Keras model refers to itself: 1 GB would stay for a while
    names = ("torchfcn", "torch", "tensorflow", "keras", "numpy")
    text = DOCUMENT_TEXT.format(
        versions=", ".join(f"{name} {importlib.metadata.version(name)}" for name in names),
        tolerance=TOLERANCE,
        agreement=AGREEMENT,
        scores=score_table(results),
        layers=layer_table(results),
    )
    passed = all(result.passed for result in results)
    return finish(
        *(text, "torchfcn"),
        passed=passed,
        document=None if options.nets or options.sizes else DOCUMENT,
    )


def finish(text: str, other: str, *, passed: bool, document: pathlib.Path | None) -> int:
    """Prints the text of a comparison, and writes it if it passed; gives the exit code.

    Args:
        text: The document.
        other: What the zoo was compared with.
        passed: Whether all of it agreed.
        document: Where the text goes; None for a part of the comparison.
    """
    print(text)
    if not passed:
        report(f"Scores differ from those of {other}: nothing is written.")
        return 1
    if document is not None:
        write(text, document)
        report(f"Wrote {document}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
