"""Asks a file of `exports.formats.onnx` through ONNX Runtime on the CPU."""

import contextlib
import pathlib
from collections.abc import Iterator, Mapping

import numpy as np

from exports.runtimes import Ask, UnableError


@contextlib.contextmanager
def loaded(path: pathlib.Path) -> Iterator[Ask]:
    """A loaded file, which has one signature.

    Its weights stay in the file and are mapped into memory. ONNX Runtime's default,
    `ORT_ENABLE_ALL`, copies them into the order that suits the processor: while it loads, it takes
    more than three times the weights. All other optimizations are the default's.

    Raises:
        ImportError: ONNX Runtime is not installed; the message says how to.
        UnableError: It cannot run the graph.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise ImportError(
            'ONNX Runtime is not installed. Install it: pip install "segmentation-zoo[onnx]".'
        ) from error

    def run(call, *arguments):
        try:
            return call(*arguments)
        except Exception as error:  # its own exceptions share no class but Exception
            raise UnableError(f"ONNX Runtime cannot run the graph ({error})") from error

    def ask(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        return dict(zip(names, run(session.run, names, dict(inputs)), strict=True))

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    session = run(
        lambda: onnxruntime.InferenceSession(str(path), options, ["CPUExecutionProvider"])
    )
    names = [output.name for output in session.get_outputs()]
    yield ask
