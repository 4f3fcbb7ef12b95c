"""One contestant of `benchmarks.training`, in a process of its own.

    python -m benchmarks.training_step CONTESTANT FOLDER STEPS

The folder has the files of `benchmarks.training_files`. The process prints a line of JSON: the
`losses` before each step, the `seconds` of each, and `peak`, the most bytes that it has held.
"""

import functools
import json
import os
import pathlib
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.training_files import BATCH, TASK, WEIGHTS

THREADS = 2
MOMENTUM = 0.9

Step = Callable[[], float]


def zoo_step(
    task: dict[str, Any],
    weights: dict[str, np.ndarray],
    batch: dict[str, np.ndarray],
    *,
    fast: bool = True,
    recompute: bool = False,
) -> Step:
    """A step of the loop of `zoo train`, which also looks at every gradient."""
    import keras
    import tensorflow as tf

    import zoo
    from recipes.training.checkpoints import State
    from recipes.training.recipe import Recipe
    from recipes.training.step import make_optimizer, make_step

    tf.config.threading.set_intra_op_parallelism_threads(THREADS)
    tf.config.threading.set_inter_op_parallelism_threads(THREADS)
    recipe = Recipe(
        model=task["net"],
        data="shapes",
        steps=1,
        batch_size=len(batch["images"]),
        crop=batch["images"].shape[1],
        context=False,
        optimizer="sgd",
        learning_rate=task["learning_rate"],
        momentum=MOMENTUM,
        fast=fast,
        recompute=recompute,
        deterministic=False,
    )
    model = zoo.build(task["net"], **task["options"])
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout):
            layer.rate = 0
        for variable in layer.weights:
            variable.assign(weights[f"{layer.name}/{variable.name}"])
    weights.clear()
    optimizer = make_optimizer(recipe)
    optimizer.build(model.trainable_variables)
    data = tf.data.Dataset.from_tensors((batch["images"], batch["labels"]))
    state, strategy = State(model, optimizer), tf.distribute.get_strategy()
    step = make_step(recipe, state, strategy, data.element_spec)
    (tensors,) = data
    return lambda: float(step(tensors, tf.constant(0), last=True)[0])


def torch_step(
    task: dict[str, Any],
    weights: dict[str, np.ndarray],
    batch: dict[str, np.ndarray],
    *,
    layout: str,
) -> Step:
    """The step that one writes in PyTorch."""
    import torch

    from benchmarks import torch_nets

    torch.set_num_threads(THREADS)
    layout = getattr(torch, layout)
    net = torch_nets.build(task["net"], weights).train().to(memory_format=layout)
    weights.clear()
    for module in net.modules():
        if isinstance(module, torch.nn.ConvTranspose2d) and module.groups > 1:
            module.requires_grad_(False)  # the bilinear up-samplings of an FCN are fixed
    images = torch.from_numpy(batch["images"].transpose(0, 3, 1, 2).astype("float32"))
    images = images.contiguous(memory_format=layout)
    labels = torch.from_numpy(batch["labels"].astype("int64"))
    learned = [parameter for parameter in net.parameters() if parameter.requires_grad]
    solver = torch.optim.SGD(learned, lr=task["learning_rate"], momentum=MOMENTUM)

    def step() -> float:
        solver.zero_grad()
        loss = torch.nn.functional.cross_entropy(net(images), labels)
        loss.backward()
        solver.step()
        return loss.item()

    return step


CONTESTANTS = {
    "zoo": zoo_step,
    "zoo --no-fast": functools.partial(zoo_step, fast=False),
    "zoo --recompute": functools.partial(zoo_step, recompute=True),
    "PyTorch NCHW": functools.partial(torch_step, layout="contiguous_format"),
    "PyTorch channels last": functools.partial(torch_step, layout="channels_last"),
}


def main(contestant: str, folder: pathlib.Path, steps: int) -> None:
    """Takes the steps and prints what they gave."""
    answer = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an engine prints must not get between the lines
    task = json.loads((folder / TASK).read_text(encoding="utf-8"))
    arrays = [dict(np.load(folder / name)) for name in (WEIGHTS, BATCH)]
    step = CONTESTANTS[contestant](task, *arrays)
    del arrays
    losses, seconds = [], []
    for _ in range(steps):
        start = time.perf_counter()
        losses.append(step())
        seconds.append(time.perf_counter() - start)
    status = pathlib.Path("/proc/self/status").read_text().splitlines()
    peak = next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM"))
    print(json.dumps({"losses": losses, "seconds": seconds, "peak": peak}), file=answer, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], pathlib.Path(sys.argv[2]), int(sys.argv[3]))
