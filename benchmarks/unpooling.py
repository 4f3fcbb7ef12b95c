"""Times max pooling with switches and its unpooling, in the zoo, TensorFlow and PyTorch.

    python -m benchmarks.unpooling

The sizes are what DeconvNet pools in an image of 224 × 224 (Noh et al., 2015, Table 3): those of
pool1 to pool4. Pool5 is left out: it has the channels of pool4 on a quarter of the pixels. The
batch is the authors' 8 unless another is given. The contestants:

    zoo          MaxPoolingWithArgmax and MaxUnpooling in a tf.function
    zoo XLA      the same, with jit_compile=True
    scatter_nd   tf.nn.max_pool_with_argmax and tf.scatter_nd (XLA cannot compile the former)
    PyTorch      max_pool2d and max_unpool2d on channels_last, the faster of its memory formats

"forward" computes the unpooled image, "forward+backward" the gradient of the image too. Before
anything is timed, the values and gradients of all contestants must be equal, ties included;
otherwise the exit code is 1. In every repeat each contestant has one turn, in random order, so that
a busy moment of the machine affects all of them. A turn is two runs, and the second counts: the
contestant before may slow the first one, for example by PyTorch's threads that still wait for work.
The table has the medians in milliseconds.
"""

import argparse
import collections
import os
import random
import statistics
import sys
import time
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

import zoo.layers

try:
    import torch
except ImportError:
    torch = None

SIZES = ("224x224x64", "112x112x128", "56x56x256", "28x28x512")
PASSES = ("forward", "forward+backward")
CONTESTANTS = ("zoo", "zoo XLA", "scatter_nd", "PyTorch")
RATIOS = ("best other / zoo XLA", "scatter_nd / zoo")
INSTALL = (
    "PyTorch is not installed: its column stays empty. To install its CPU build in a clone:\n"
    "    .venv/bin/python -m pip install --editable '.[benchmarks]' "
    "--extra-index-url https://download.pytorch.org/whl/cpu"
)

Step = Callable[[], list]  # returns the unpooled image and, with backward, the gradient


class DifferenceError(Exception):
    """Two contestants compute different values."""


def zoo_pair(image: tf.Tensor) -> tf.Tensor:
    """Pools and unpools an image with the zoo's layers."""
    pooled, switches = zoo.layers.MaxPoolingWithArgmax()(image)
    return zoo.layers.MaxUnpooling()(pooled, switches, like=image)


def scatter_pair(image: tf.Tensor) -> tf.Tensor:
    """Pools and unpools an image with TensorFlow's operations."""
    pooled, indices = tf.nn.max_pool_with_argmax(image, 2, 2, "SAME", include_batch_in_index=True)
    flat = tf.scatter_nd(
        tf.reshape(indices, (-1, 1)), tf.reshape(pooled, (-1,)), [tf.size(image, tf.int64)]
    )
    return tf.reshape(flat, tf.shape(image))


def tensorflow_step(
    pair: Callable, which: str, image: np.ndarray, upstream: np.ndarray, *, xla: bool
) -> Step:
    """A function that runs a pair of layers or operations once."""

    def forward(image, upstream):
        return [pair(image)]

    def both(image, upstream):
        with tf.GradientTape() as tape:
            tape.watch(image)
            restored = pair(image)
        return [restored, tape.gradient(restored, image, output_gradients=upstream)]

    run = tf.function(forward if which == "forward" else both, jit_compile=xla)
    inputs = tf.constant(image), tf.constant(upstream)
    return lambda: run(*inputs)


def torch_step(which: str, image: np.ndarray, upstream: np.ndarray) -> Step:
    """A function that runs PyTorch's pair once."""
    image, upstream = (
        torch.from_numpy(array).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last)
        for array in (image, upstream)
    )

    def run():
        leaf = image.detach().requires_grad_(which != "forward")
        pooled, indices = torch.nn.functional.max_pool2d(
            leaf, 2, ceil_mode=True, return_indices=True
        )
        restored = torch.nn.functional.max_unpool2d(pooled, indices, 2, output_size=leaf.shape[2:])
        if which == "forward":
            return [restored]
        restored.backward(upstream)
        return [restored.detach(), leaf.grad]

    return run


def contestants(shape: tuple[int, ...], which: str) -> dict[str, Step]:
    """For each contestant, a function that runs it once on the same image."""
    rng = np.random.default_rng(0)
    # Whole numbers after a ReLU, as before DeconvNet's poolings: many windows have ties.
    image = np.maximum(rng.integers(-9, 10, shape), 0).astype("float32")
    upstream = rng.normal(size=shape).astype("float32")
    steps = {
        "zoo": tensorflow_step(zoo_pair, which, image, upstream, xla=False),
        "zoo XLA": tensorflow_step(zoo_pair, which, image, upstream, xla=True),
        "scatter_nd": tensorflow_step(scatter_pair, which, image, upstream, xla=False),
    }
    if torch is not None:
        steps["PyTorch"] = torch_step(which, image, upstream)
    return steps


def check_equal(steps: dict[str, Step]) -> None:
    """Raises a DifferenceError unless all give the values and gradients of scatter_nd."""
    expected = steps["scatter_nd"]()
    for name, step in steps.items():
        for what, output, reference in zip(("values", "gradients"), step(), expected, strict=False):
            array = np.asarray(output)
            if name == "PyTorch":
                array = array.transpose(0, 2, 3, 1)
            if not np.array_equal(array, reference):
                raise DifferenceError(f"the {what} of {name} are not those of scatter_nd")


def medians(steps: dict[str, Step], repeats: int) -> dict[str, float]:
    """The median milliseconds of each contestant."""
    times = collections.defaultdict(list)
    order = random.Random(0)
    for _ in range(repeats):
        for name in order.sample(list(steps), len(steps)):
            steps[name]()
            tf.test.experimental.sync_devices()
            start = time.perf_counter()
            outputs = steps[name]()
            tf.test.experimental.sync_devices()
            times[name].append(1000 * (time.perf_counter() - start))
            del outputs
    return {name: statistics.median(values) for name, values in times.items()}


def row(size: str, which: str, times: dict[str, float]) -> str:
    """A row of the table."""
    best_other = min(times[name] for name in ("scatter_nd", "PyTorch") if name in times)
    cells = [f"{times[name]:.2f}" if name in times else "not installed" for name in CONTESTANTS]
    ratios = best_other / times["zoo XLA"], times["scatter_nd"] / times["zoo"]
    return line(size, which, *cells, *(f"{ratio:.1f}" for ratio in ratios))


def line(*cells: str) -> str:
    """Cells as a row of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def report(text: str) -> None:
    """Prints progress and errors, apart from the table."""
    print(text, file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Prints the table and returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.unpooling",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--batch", type=int, default=8, help="images at a time (default: 8)")
    parser.add_argument("--repeats", type=int, default=31, help="runs of each, 10 or more")
    parser.add_argument("--sizes", nargs="+", default=SIZES, metavar="HxWxC")
    options = parser.parse_args(arguments)
    if options.batch < 1 or options.repeats < 10:
        parser.error(
            "a batch has 1 image or more, and the median needs 10 repeats or more; received "
            f"--batch {options.batch} --repeats {options.repeats}"
        )
    versions = f"TensorFlow {tf.__version__}, Keras {keras.__version__}"
    if torch is None:
        report(INSTALL)
    else:
        versions += f", PyTorch {torch.__version__}"
    devices = tf.config.list_physical_devices("GPU") or f"{os.cpu_count()} CPU cores"
    print(f"Batch {options.batch}, medians of {options.repeats} in ms, {devices}, {versions}.\n")
    print(line("size", "pass", *CONTESTANTS, *RATIOS))
    print("|---|---|" + "--:|" * len(CONTESTANTS + RATIOS), flush=True)
    for size in options.sizes:
        for which in PASSES:
            report(f"{size}, {which}: compiling, comparing, timing …")
            steps = contestants((options.batch, *map(int, size.split("x"))), which)
            try:
                check_equal(steps)
            except DifferenceError as error:
                report(f"{size}, {which}: {error}. Nothing is timed.")
                return 1
            print(row(size, which, medians(steps, options.repeats)), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
