"""Compares the zoo's nets with OpenCV on the authors' definitions, and writes docs/authors_nets.md.

    python -m benchmarks.authors_nets

Each net is built in full width from a `.caffemodel` of random weights; OpenCV (of the extra
`proposals`) runs the definition with the same file. The definitions are those of
`tests/parity/caffe/definitions.py`, written from the tables of the authors' own.

The exit code is 1, and nothing is written, if scores differ by more than 1e-5 of the largest, or if
fewer than 99.99 % of the pixels have the same class. Of nets with switches the classes alone count.
It takes 15 minutes and up to 8 GB of memory.
With `--nets` or `--sizes` it runs a part and only prints.
"""

import argparse
import dataclasses
import functools
import importlib.metadata
import math
import multiprocessing
import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import zoo
from benchmarks.documents import report, table
from benchmarks.parity import AGREEMENT, TOLERANCE, difference, finish, random_image
from tests.parity.caffe import definitions
from tests.parity.caffe.definitions import Net
from tests.parity.caffe.engine import opencv, random_blobs
from tests.parity.caffe.messages import write_caffemodel
from zoo.models.plain import plain

DOCUMENT = pathlib.Path(__file__).parents[1] / "docs" / "authors_nets.md"
SIZES = ("96x160", "97x131", "33x50", "1x1")
DOCUMENT_TEXT = """\
# The authors' nets compared with OpenCV

Written by `python -m benchmarks.authors_nets`; run it again instead of editing.

{versions}.

The nets are in full width. OpenCV runs a Caffe definition, which is written from the tables of the
authors' own; the zoo builds the model from the same `.caffemodel`. Its kernels are random
(He-normal), and so are its biases, to which is added what makes each class score 0 on average, so
that many classes win. Both get a random image of coloured blocks with noise, prepared as the
authors do. Both compute in float32 on the CPU, but they add in different orders.

`all` counts the numbers in the definition's file, with those of the deconvolutions and scales that
are fixed; `zoo` counts the parameters of the model, which holds none of these. A difference is the
largest difference of two scores, divided by OpenCV's largest score, and at most {tolerance:g}. At
least {agreement:.2%} of the pixels have the same class; of the others OpenCV's two best scores lie
closer together than that. DeconvNet and the SegNets put values back where the maxima of poolings
were: where two values of a window are equal but for rounding, another may be the maximum, and a
value lands beside its place. Of these nets the classes alone count.

{scores}

The sizes are {sizes}. OpenCV unpools even sizes only: SegNet's are {halved}.
FCN-GoogLeNet sees 907 pixels, and its scores hardly differ within a small image: its sizes are
{wide}.
"""


@dataclasses.dataclass(frozen=True)
class Row:
    """A net: its definition, and what the zoo calls it.

    `scores` names the layer of the biases of each head, None for a net with one head. `mean` is
    subtracted from the channels in the net's order; the first `reversed` of them are those of the
    image from behind.
    """

    define: Callable[[], Net]
    name: str
    options: dict[str, Any]
    scores: dict[str | None, str]
    mean: tuple[float, ...]
    reversed: int = 3
    sizes: tuple[str, ...] = SIZES


VGG = {"stages": (64, 128, 256, 512, 512), "fc_filters": 4096}
VOC, HHA = (104.00699, 116.66877, 122.67892), (132.431, 94.076, 118.477)
NYUD, SIFT = (116.190, 97.203, 92.318), (114.578, 115.294, 108.353)
HALVED = ("96x160", "224x32")
WIDE = ("321x483", "500x375", "1x1")
HEADS = {"semantic": "score_fr_sem", "geometric": "score_fr_geo"}


def _vgg(name: str, *, classes: int = 21, mean: tuple[float, ...] = VOC, **other: Any) -> Row:
    define = functools.partial(definitions.fcn_vgg, name, classes=classes, **VGG)
    options = {"classes": classes, "mean": mean[::-1], **other.pop("options", {})}
    return Row(define, name, options, {None: "score_fr"}, mean, **other)


def _two_heads(name: str) -> Row:
    define = functools.partial(definitions.siftflow, name, classes=33, **VGG)
    return Row(define, f"{name}_two_heads", {}, HEADS, SIFT)


def _fusion(define: Callable[..., Net], name: str, score: str, depth: tuple[float, ...]) -> Row:
    whole = functools.partial(define, classes=40, **VGG)
    return Row(whole, name, {}, {None: score}, NYUD + depth)


_ALEXNET = functools.partial(
    definitions.fcn_alexnet, classes=21, stages=(96, 256, 384, 384, 256), fc_filters=4096
)
_DECONVNET = functools.partial(definitions.deconvnet, classes=21, **VGG)
_EXACT_VOC = (104.00698793, 116.66876762, 122.67891434)
SWITCHED = ("DeconvNet", "SegNet", "SegNet-Basic")
ROWS = {
    "voc-fcn-alexnet": Row(_ALEXNET, "fcn_alexnet", {}, {None: "score_fr"}, VOC),
    **{f"voc-{x.replace('_', '-')}": _vgg(x) for x in ("fcn32s", "fcn16s", "fcn8s")},
    "voc-fcn8s-atonce": _vgg("fcn8s_atonce"),
    "nyud-fcn32s-color": _vgg("fcn32s", classes=40, mean=NYUD),
    "nyud-fcn32s-hha": _vgg(
        "fcn32s",
        classes=40,
        mean=HHA,
        reversed=0,
        options={"mean": HHA, "channel_order": [0, 1, 2]},
    ),
    "nyud-fcn32s-color-d": _fusion(
        definitions.early_fusion, "fcn32s_early_fusion", "score_fr", (7.844,)
    ),
    "nyud-fcn32s-color-hha": _fusion(
        definitions.late_fusion, "fcn32s_late_fusion", "score_frcolor", HHA
    ),
    **{f"siftflow-{name}": _two_heads(name) for name in ("fcn32s", "fcn16s", "fcn8s")},
    **{
        f"pascalcontext-{name}": _vgg(name, classes=60, mean=(104.007, 116.669, 122.679))
        for name in ("fcn32s", "fcn16s", "fcn8s")
    },
    "FCN-GoogLeNet (our reading)": Row(
        functools.partial(definitions.fcn_googlenet, classes=21, filters=64),
        *("fcn_googlenet", {}, {None: "score_fr"}, (104, 117, 123)),
        sizes=WIDE,
    ),
    "DeconvNet": Row(_DECONVNET, "deconvnet", {}, {None: "seg-score-voc"}, _EXACT_VOC),
    "SegNet": Row(
        functools.partial(definitions.segnet, classes=11, filters=64),
        *("segnet", {}, {None: "conv1_1_D"}, (0, 0, 0)),
        sizes=HALVED,
    ),
    "SegNet-Basic": Row(
        functools.partial(definitions.segnet_basic, classes=11, filters=64),
        *("segnet", {"definition": "basic"}, {None: "dense_softmax_inner_prod"}, (0, 0, 0)),
        sizes=HALVED,
    ),
}


@dataclasses.dataclass(frozen=True)
class Result:
    """A net, over all its sizes and heads: how far scores and classes agree.

    `all` and `zoo` count the parameters of the definition and of the model, and `classes` those
    that OpenCV answers, of `of` in all heads.
    """

    net: str
    call: str
    all: int
    zoo: int
    difference: float
    agreeing: int
    pixels: int
    classes: int
    of: int

    @property
    def passed(self) -> bool:
        """Whether scores and classes agree; with a NaN they do not."""
        alike = self.difference < math.inf if self.net in SWITCHED else self.difference <= TOLERANCE
        return alike and self.agreeing >= AGREEMENT * self.pixels


def compared(net: str, sizes: tuple[str, ...] | None) -> Result:
    """Compares a net in all sizes; run in a process of its own, whose memory ends with it."""
    row = ROWS[net]
    definition, sizes = row.define(), sizes or row.sizes
    blobs = random_blobs(definition)
    channels = sum(definition.channels[name] for name in definition.inputs)
    images = [random_image(size, channels=channels) for size in sizes]
    with tempfile.TemporaryDirectory() as folder:
        path = write_caffemodel(pathlib.Path(folder, "net.caffemodel"), blobs)
        model = zoo.build(row.name, **row.options, weights=path)
        for head, score in row.scores.items():
            bias = level(model, head, score, images)
            blobs[score][1] = blobs[score][1] + bias
        # Both read what is compared from the same file.
        file = write_caffemodel(path, blobs).read_bytes()
        zoo.weights.load(model, weights=path)
    all_, blobs = sum(blob.size for arrays in blobs.values() for blob in arrays), None
    differences, agreeing, pixels, answered, decided = [], 0, 0, set(), True
    for head in row.scores:
        one = plain(model, head)
        for image in images:
            expected = theirs(row, definition, file, image, head)
            ours = keras.ops.convert_to_numpy(one(image))
            differences.append(difference(ours, expected))
            best = expected.argmax(-1)
            same = ours.argmax(-1) == best
            agreeing += int(same.sum())
            pixels += best.size
            second, first = np.sort(expected, axis=-1)[~same][:, -2:].T
            decided &= bool((first - second <= TOLERANCE * np.abs(expected).max()).all())
            answered |= {(head, number) for number in np.unique(best).tolist()}
    options = ", ".join(f"{key}={value}" for key, value in row.options.items() if key != "mean")
    return Result(
        net=net,
        call=f"`{row.name}`{f', {options}' if options else ''}",
        all=all_,
        zoo=sum(math.prod(variable.shape) for variable in model.trainable_variables),
        difference=float(np.max(differences)) if decided else math.inf,  # np.max keeps a NaN
        agreeing=agreeing,
        pixels=pixels,
        classes=len(answered),
        of=sum(plain(model, head).output_shape[-1] for head in row.scores),
    )


def level(model: keras.Model, head: str | None, score: str, images: list) -> np.ndarray:
    """Adds to the biases of a head so that each class scores 0 on average; gives what it added."""
    (bias,) = (x.weights[1] for x in model.layers if x.name == _ours(score))
    one = plain(model, head)
    found = [keras.ops.convert_to_numpy(one(image)) for image in images]
    shift = -np.concatenate([x.reshape(-1, x.shape[-1]) for x in found]).mean(0)
    bias.assign_add(shift)
    return shift


def theirs(
    row: Row, definition: Net, file: bytes, image: np.ndarray, head: str | None
) -> np.ndarray:
    """OpenCV's scores of an image, prepared as the authors prepare it."""
    height, width = image.shape[1:3]
    if row.name == "deconvnet":  # black at the bottom and right: a multiple of 32, at least 224
        bottom, right = (max(224, -(-side // 32) * 32) - side for side in (height, width))
        image = np.pad(image, [(0, 0), (0, bottom), (0, right), (0, 0)])
    first = row.reversed
    data = np.concatenate([image[..., :first][..., ::-1], image[..., first:]], axis=-1)
    output = f"score_{head[:3]}" if head else None
    scores = opencv(definition, file, data - np.float32(row.mean), output=output)
    return scores[:, :height, :width]


def _ours(layer: str) -> str:
    """The zoo's name of a layer of the definition."""
    return {"dense_softmax_inner_prod": "conv_classifier"}.get(layer, layer)


def score_table(results: list[Result]) -> str:
    """A table with a row for each net."""
    head = ("definition", "zoo.build", "all", "zoo", "difference", "same class", "classes")
    lines = [
        (
            *(x.net, x.call, f"{x.all:,}", f"{x.zoo:,}", f"{x.difference:.1e}"),
            *(f"{x.agreeing:,} of {x.pixels:,}", f"{x.classes} of {x.of}"),
        )
        for x in results
    ]
    return table(head, *lines, left=2)


def main(arguments: list[str] | None = None) -> int:
    """Prints the table, writes it, and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.authors_nets",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--nets", nargs="+", choices=ROWS, metavar="NET", help=", ".join(ROWS))
    parser.add_argument("--sizes", nargs="+", metavar="HxW", help="default: " + " ".join(SIZES))
    options = parser.parse_args(arguments)
    sizes, results = tuple(options.sizes or ()) or None, []
    context = multiprocessing.get_context("spawn")
    for net in options.nets or ROWS:
        with context.Pool(1) as alone:
            results.append(alone.apply(compared, (net, sizes)))
        report(score_table(results[-1:]).splitlines()[-1])
    names = ("opencv-contrib-python-headless", "tensorflow", "keras", "numpy")
    text = DOCUMENT_TEXT.format(
        versions=", ".join(f"{name} {importlib.metadata.version(name)}" for name in names),
        tolerance=TOLERANCE,
        agreement=AGREEMENT,
        scores=score_table(results),
        sizes=", ".join(SIZES),
        halved=" and ".join(HALVED),
        wide=", ".join(WIDE),
    )
    passed = all(result.passed for result in results)
    return finish(
        *(text, "OpenCV"),
        passed=passed,
        document=None if options.nets or options.sizes else DOCUMENT,
    )


if __name__ == "__main__":
    sys.exit(main())
