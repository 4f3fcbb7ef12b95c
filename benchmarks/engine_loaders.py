"""Loads a net in one engine, for `benchmarks.engines`; run by `exports.runtimes.process`.

The path is that of a JSON file with the engine, the net, its file and the number of threads. All
engines are asked alike: `image` float32 in the layout of the file → `scores`. Each computes in
float32 with its default settings otherwise. No part of Keras or of TensorFlow's Python is imported.
"""

import contextlib
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping

import numpy as np

from exports.runtimes import Ask

Compute = Callable[[np.ndarray], np.ndarray]


@contextlib.contextmanager
def loaded(path: pathlib.Path) -> Iterator[Ask]:
    """A loaded net.

    Raises:
        ImportError: The engine is not installed.
        RuntimeError: It cannot read or run the net; the message is the engine's.
    """
    task = json.loads(path.read_text(encoding="utf-8"))

    def ask(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        with _plain():
            return {"scores": compute(inputs["image"])}

    with contextlib.ExitStack() as stack:
        with _plain():
            loader = ENGINES[task["engine"]]
            compute = loader(pathlib.Path(task["file"]), task["net"], task["threads"], stack)
        yield ask


@contextlib.contextmanager
def _plain() -> Iterator[None]:
    """Errors as the other process can read them: it need not have the engine's own classes."""
    try:
        yield
    except ImportError as error:
        raise ImportError(str(error)) from None
    except Exception as error:
        raise RuntimeError(f"{type(error).__name__}: {str(error).strip()}") from None


def _tensorflow(path: pathlib.Path, net: str, threads: int, stack) -> Compute:
    from exports.graph import SERVING_DEFAULT
    from exports.runtimes import tensorflow_c

    os.environ |= {"TF_NUM_INTRAOP_THREADS": str(threads)}  # read when the session begins
    ask = stack.enter_context(tensorflow_c.loaded(path))
    return lambda image: ask(SERVING_DEFAULT, {"image": image})["scores"]


def _openvino(path: pathlib.Path, net: str, threads: int, stack) -> Compute:
    import openvino

    options = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": threads}
    model = openvino.Core().compile_model(str(path), "CPU", options)
    return lambda image: model([image])[0]


def _onnx_runtime(path: pathlib.Path, net: str, threads: int, stack) -> Compute:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    return lambda image: session.run(["scores"], {"image": image})[0]


def _ncnn(path: pathlib.Path, net: str, threads: int, stack) -> Compute:
    import ncnn

    model = ncnn.Net()
    model.opt.num_threads = threads
    for half in ("packed", "storage", "arithmetic"):
        setattr(model.opt, f"use_fp16_{half}", False)
    if model.load_param(str(path)) or model.load_model(str(path.with_suffix(".bin"))):
        raise ValueError("ncnn lacks a layer of the net")

    def one(image: np.ndarray) -> np.ndarray:
        extractor = model.create_extractor()
        extractor.input("in0", ncnn.Mat(image))
        failed, scores = extractor.extract("out0")
        if failed:
            raise ValueError(f"ncnn failed with {failed}")
        return np.array(scores)

    return lambda images: np.stack([one(image) for image in images])


def _mnn(path: pathlib.Path, net: str, threads: int, stack) -> Compute:
    import MNN

    config = {"backend": "CPU", "precision": "high", "numThread": threads}
    manager = MNN.nn.create_runtime_manager((config,))
    model = MNN.nn.load_module_from_file(str(path), ["image"], ["scores"], runtime_manager=manager)

    def compute(image: np.ndarray) -> np.ndarray:
        given = MNN.expr.const(image, list(image.shape), MNN.expr.NCHW)
        scores = MNN.expr.convert(model.forward(given), MNN.expr.NCHW)
        return np.array(scores.read())

    return compute


def _pytorch(
    path: pathlib.Path, net: str, threads: int, stack, *, layout: str, compiled: bool
) -> Compute:
    import torch

    from benchmarks import torch_nets

    torch.set_num_threads(threads)
    memory = getattr(torch, layout)
    model = torch_nets.build(net, np.load(path)).to(memory_format=memory)
    model = torch.compile(model) if compiled else model

    def compute(image: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return model(torch.from_numpy(image).contiguous(memory_format=memory)).numpy()

    return compute


def _eager(*given) -> Compute:
    return _pytorch(*given, layout="contiguous_format", compiled=False)


def _channels_last(*given) -> Compute:
    return _pytorch(*given, layout="channels_last", compiled=False)


def _compiled(*given) -> Compute:
    return _pytorch(*given, layout="contiguous_format", compiled=True)


ENGINES = {
    "tensorflow": _tensorflow,
    "openvino": _openvino,
    "onnx_runtime": _onnx_runtime,
    "ncnn": _ncnn,
    "mnn": _mnn,
    "pytorch": _eager,
    "pytorch_channels_last": _channels_last,
    "pytorch_compiled": _compiled,
}
