"""Writes a net in the form that an engine reads, for `benchmarks.engines`.

Each form is written in a process of its own, so that what a converter held is free afterwards:

    python -m benchmarks.engine_files FORM NET FOLDER --size PIXELS --batch IMAGES

`weights` is the first: it builds the net, and writes its random weights by `layer/variable`, the
images and the scores that Keras gives for them. All other forms are made from these weights. The
zoo's own are written by its exporters, with scores in the place of the class map. The others are
made by an engine's converter from the net in PyTorch, `benchmarks.torch_nets`.
"""

import argparse
import dataclasses
import pathlib
import subprocess
import sys
import unittest.mock
from collections.abc import Mapping
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class Task:
    """A net with images of a size, in a batch; `narrow` is a quarter of the authors' widths.

    The scores of the largest batch are those of the smaller ones, too.
    """

    net: str
    size: int
    batch: int
    narrow: bool


# The side of the images of each net; its tables and those of its peers are of these sizes.
NETS = {"fcn8s": 500, "fcn_alexnet": 500, "unet": 500, "deconvnet": 224}
# The file of each form below the folder. Those of a fixed batch name it.
FORMS = {
    "weights": "weights.npz",
    "saved_model": "saved_model",
    "exact": "exact",
    "onnx": "onnx/model.onnx",
    "openvino": "openvino/model.xml",
    "torch.onnx": "torch-{batch}.onnx",
    "ncnn": "net.ncnn.param",
    "mnn": "net-{batch}.mnn",
}
OF_PYTORCH = ("weights", "torch.onnx", "ncnn", "mnn")  # channels first
IMAGES, SCORES = "images.npy", "scores.npy"


def key_of(task: Task) -> str:
    """The name of a net with its images in the results."""
    return f"{task.net}, {task.size} × {task.size}, batch {task.batch}"


def path_of(form: str, task: Task, folder: pathlib.Path) -> pathlib.Path:
    """The file of a form."""
    return folder / FORMS[form].format(batch=task.batch)


def write(form: str, task: Task, folder: pathlib.Path, limit: float = 1800) -> pathlib.Path:
    """Writes a form in a process of its own, unless it is there; returns its path.

    Raises:
        ImportError: The converter is not installed.
        RuntimeError: It cannot be written; the message says why.
        OSError: The process was killed, as the system does with what takes too much memory.
    """
    path = path_of(form, task, folder)
    if path.exists():
        return path
    command = [sys.executable, "-m", "benchmarks.engine_files", form, task.net, str(folder)]
    command += ["--size", str(task.size), "--batch", str(task.batch)]
    command += ["--narrow"] * task.narrow
    root = pathlib.Path(__file__).parents[1]
    try:
        run = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=limit)
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"not written within {limit} s") from error
    if run.returncode < 0:
        raise OSError(f"its converter was killed by signal {-run.returncode}")
    if run.returncode or not path.exists():
        said = [line.strip() for line in (run.stderr + run.stdout).splitlines() if line.strip()]
        reason = said[-1] if said else "its converter wrote no file"
        raise (ImportError if reason.startswith("ModuleNotFoundError") else RuntimeError)(reason)
    return path


def _weights(task: Task, folder: pathlib.Path) -> None:
    """The net with random weights, for which many classes win; its images, and its scores."""
    import keras

    from benchmarks import random_nets
    from exports.images import textures

    images = textures(task.batch, (task.size, task.size), 3).astype("float32")
    model = random_nets.build(task.net, full=not task.narrow, image=images[:1])
    scores = [keras.ops.convert_to_numpy(model(image[None], training=False)) for image in images]
    np.save(folder / IMAGES, images)
    np.save(folder / SCORES, np.concatenate(scores))
    arrays = {
        f"{layer.name}/{variable.name}": keras.ops.convert_to_numpy(variable)
        for layer in model.layers
        for variable in layer.weights
    }
    np.savez(folder / FORMS["weights"], **arrays)


def zoo_net(task: Task, folder: pathlib.Path) -> Any:
    """The zoo's net with the weights of the folder."""
    import zoo
    from benchmarks import random_nets

    model = zoo.build(task.net, **(random_nets.NARROW[task.net] if task.narrow else {}))
    arrays = np.load(folder / FORMS["weights"])
    for layer in model.layers:
        for variable in layer.weights:
            variable.assign(arrays[f"{layer.name}/{variable.name}"])
    return model


def fast_net(task: Task, folder: pathlib.Path) -> Any:
    """The fast copy of that net, which exports write by default."""
    import zoo

    return zoo.faster(zoo_net(task, folder), keep_switches=False)


def _saved_model(form: str, model: Any, task: Task, folder: pathlib.Path) -> None:
    from exports.formats import saved_model
    from exports.graph import SERVING_DEFAULT, single_output

    spec = single_output.image_spec((None, None, 3), dtype="float32", batch=None)
    answers = {SERVING_DEFAULT: single_output.scores(model, spec)}
    saved_model.save(model, answers, path_of(form, task, folder))


def _by_exporter(form: str, task: Task, folder: pathlib.Path) -> None:
    import importlib

    from exports.formats.settings import Settings
    from exports.graph import single_output
    from exports.graph.limits import Limits

    settings = Settings(limits=Limits(3), size=(task.size, task.size), dtype="float32")
    writer = importlib.import_module(f"exports.formats.{form}")
    # What is written is a class map, but scores tell more about an engine's rounding.
    with unittest.mock.patch.object(single_output, "class_map", single_output.scores):
        writer.write(fast_net(task, folder), settings, path_of(form, task, folder).parent)


def torch_net(task: Task, folder: pathlib.Path) -> Any:
    """The net in PyTorch with the weights of the folder."""
    from benchmarks import torch_nets

    return torch_nets.build(task.net, np.load(folder / FORMS["weights"]))


def _torch_onnx(task: Task, folder: pathlib.Path) -> None:
    import torch

    net = torch_net(task, folder).requires_grad_(False)
    image = torch.zeros(task.batch, 3, task.size, task.size)
    path = str(path_of("torch.onnx", task, folder))
    torch.onnx.export(net, (image,), path, input_names=["image"], output_names=["scores"])


def _ncnn(task: Task, folder: pathlib.Path) -> None:
    import pnnx
    import torch

    net = torch_net(task, folder).requires_grad_(False)
    image = torch.zeros(1, 3, task.size, task.size)  # ncnn has no batches
    traced = folder / "net.pt"
    torch.jit.trace(net, image).save(str(traced))
    shape = ",".join(map(str, image.shape))
    command = [pnnx.EXEC_PATH, str(traced), f"inputshape=[{shape}]f32", "fp16=0"]
    subprocess.run(command, cwd=folder, check=True)


def _mnn(task: Task, folder: pathlib.Path) -> None:
    source = write("torch.onnx", task, folder)
    command = [sys.executable, "-m", "MNN.tools.mnnconvert", "-f", "ONNX", "--bizCode", "zoo"]
    command += ["--modelFile", str(source)]
    subprocess.run([*command, "--MNNModel", str(path_of("mnn", task, folder))], check=True)


WRITERS: Mapping[str, Any] = {
    "weights": _weights,
    "saved_model": lambda *where: _saved_model("saved_model", fast_net(*where), *where),
    "exact": lambda *where: _saved_model("exact", zoo_net(*where), *where),
    "onnx": lambda task, folder: _by_exporter("onnx", task, folder),
    "openvino": lambda task, folder: _by_exporter("openvino", task, folder),
    "torch.onnx": _torch_onnx,
    "ncnn": _ncnn,
    "mnn": _mnn,
}


def main(arguments: list[str] | None = None) -> None:
    """Writes one form in this process."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.engine_files")
    parser.add_argument("form", choices=WRITERS)
    parser.add_argument("net")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--size", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--narrow", action="store_true")
    given = parser.parse_args(arguments)
    task = Task(given.net, given.size, given.batch, given.narrow)
    WRITERS[given.form](task, given.folder)


if __name__ == "__main__":
    main()
