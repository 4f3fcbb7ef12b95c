"""Writes what the contestants of `benchmarks.training` read, in a process of its own.

    python -m benchmarks.training_files NET FOLDER --size PIXELS --batch IMAGES

`task.json` has the net, its options and the learning rate; `weights.npz` random weights by
`layer/variable`; `batch.npz` images of random pixels and their labels.
"""

import argparse
import dataclasses
import json
import math
import pathlib

import numpy as np

from benchmarks.engine_files import Task

TASK, WEIGHTS, BATCH = "task.json", "weights.npz", "batch.npz"
CLASSES = 21


@dataclasses.dataclass(frozen=True)
class Net:
    """A batch `(images, side)` to be timed, a small one to compare losses, and a learning rate.

    The sides of U-Net are those of its tiles: 256² is computed on the tile of 260². PyTorch mirrors
    no more pixels than there are: 92, so its small side is larger. In DeconvNet an image of 224²
    ends in one pixel, and the normalization of two numbers is 1 and -1, which of them is a matter
    of rounding: so its small side is larger, too. Its gradients at random weights are so large that
    with larger rates the losses of PyTorch's two layouts differ from each other.
    """

    batch: tuple[int, int]
    small: tuple[int, int]
    learning_rate: float


NETS = {
    "fcn8s": Net((1, 320), (1, 64), 1e-5),
    "deconvnet": Net((2, 224), (2, 288), 1e-8),
    "unet": Net((2, 260), (1, 100), 1e-2),
}


def write(task: Task, folder: pathlib.Path) -> None:
    """Writes the three files; TensorFlow and the whole net are loaded in this process."""
    import keras

    import zoo
    from benchmarks import random_nets

    options = {"classes": CLASSES} | (random_nets.NARROW[task.net] if task.narrow else {})
    model, rng = zoo.build(task.net, **options), np.random.default_rng(1)
    weights = {}
    for layer in model.layers:
        for variable in layer.weights:
            value = keras.ops.convert_to_numpy(variable)
            if variable.name == "kernel" and variable.trainable:
                incoming = math.prod(variable.shape[:3])
                value = rng.standard_normal(variable.shape, "float32") * math.sqrt(2 / incoming)
                if layer.name == "conv1_1":  # whose image has values up to 255
                    value /= 64
            weights[f"{layer.name}/{variable.name}"] = value.astype("float32")
    pixels = rng.integers(0, 256, (task.batch, task.size, task.size, 3), dtype=np.uint8)
    labels = (pixels[..., 0] // 13).astype(np.uint8)
    np.savez(folder / WEIGHTS, **weights)
    np.savez(folder / BATCH, images=pixels, labels=labels)
    told = {"net": task.net, "options": options, "learning_rate": NETS[task.net].learning_rate}
    (folder / TASK).write_text(json.dumps(told), encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Writes the files of one net."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.training_files")
    parser.add_argument("net", choices=NETS)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--narrow", action="store_true", help="a quarter of the authors' widths")
    given = parser.parse_args(arguments)
    write(Task(given.net, given.size, given.batch, given.narrow), given.folder)


if __name__ == "__main__":
    main()
