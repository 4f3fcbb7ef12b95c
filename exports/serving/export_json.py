"""`export.json` beside a served graph: what it was made of, what it takes, how it was checked."""

import dataclasses
import hashlib
import json
import pathlib
import platform
import re
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

import zoo
from exports.check import Agreement, Finding
from exports.check.reference import textures
from exports.graph.requests import Limits
from exports.graph.signatures import SERVING_DEFAULT
from exports.runtimes import process

FILE = "export.json"

SIDE = 500  # pixels of the image of one request; PASCAL VOC's are as large


def of_model(
    model: keras.Model,
    *,
    options: Mapping[str, Any] | None,
    weights: str | pathlib.Path | None,
    class_names: Sequence[str] | None,
) -> dict[str, Any]:
    """What a model is: its name, its options, its weights and its classes.

    Raises:
        ValueError: The options cannot be written as JSON.
        OSError: The file of the weights cannot be read.
    """
    try:
        options = json.loads(json.dumps(options))
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"The options of a model are recorded as JSON; {options!r} cannot be ({error}). "
            "Pass numbers, texts and lists."
        ) from error
    file = weights and {
        "name": pathlib.Path(weights).name,
        "sha256": zoo.weights.sha256(weights),
    }
    return {
        "model": model.name,
        "options": options,
        "weights": {
            "sha256": weights_sha256(model),
            "count": model.count_params(),
            "file": file,
        },
        "classes": model.output_shape[-1],
        "class_names": None if class_names is None else list(class_names),
        "versions": {
            "segmentation-zoo": zoo.__version__,
            "keras": keras.__version__,
            "tensorflow": tf.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }


def weights_sha256(model: keras.Model) -> str:
    """The SHA-256 of all weights in their order, whatever file they were read from.

    Each is a line `PATH TYPE SHAPE` and its bytes.
    """
    digest = hashlib.sha256()
    for variable in model.weights:
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
        digest.update(f"{variable.path} {array.dtype} {list(array.shape)}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def of_files(
    directory: pathlib.Path, *, limits: Limits, checks: Sequence[Finding]
) -> dict[str, Any]:
    """What a SavedModel takes, how large it is, how it was checked and what one request costs."""
    image = textures(1, limits.fit(SIDE, SIDE), limits.channels)
    return {
        "signatures": _signatures(directory),
        "limits": dataclasses.asdict(limits),
        "files": sizes(directory),
        **of_checks(checks),
        "request": one_request(directory, image),
    }


def of_checks(checks: Sequence[Finding]) -> dict[str, Any]:
    """How each loader was checked, and the lowest agreement of all."""
    found = [check.agreement for check in checks if isinstance(check, Agreement)]
    return {
        "checks": [dataclasses.asdict(check) for check in checks],
        "agreement": min(found, default=None),
    }


def sizes(directory: pathlib.Path) -> dict[str, int]:
    """The bytes of each file of a version, by its path."""
    return {
        path.relative_to(directory).as_posix(): path.stat().st_size
        for path in sorted(directory.rglob("*"))
        if path.is_file()
    }


def one_request(
    path: pathlib.Path, image: np.ndarray, loader: str = "tensorflow_c"
) -> dict[str, Any]:
    """Time and memory of one image in a process that does nothing else, on the CPU.

    The first request is slower: with it the graph is optimized. The memory is the most that the
    process has held after both: the loader's library and the weights are in it.
    """
    with process.loaded(path, loader) as ask:
        first, second = (ask(SERVING_DEFAULT, {"image": image}) for _ in range(2))
    return {
        "signature": SERVING_DEFAULT,
        "image": list(image.shape),
        "first_seconds": round(first.seconds, 4),
        "seconds": round(second.seconds, 4),
        "peak_bytes": second.peak_bytes,
    }


def write(directory: pathlib.Path, content: Mapping[str, Any]) -> None:
    """Writes `export.json`."""
    (directory / FILE).write_text(text(content), encoding="utf-8")


def text(content: Mapping[str, Any]) -> str:
    """JSON with each list of numbers or texts on one line."""
    lines = json.dumps(content, indent=2, ensure_ascii=False)
    return re.sub(r"\[\n\s+[^\[\]{}]+\n\s+\]", lambda found: _one_line(found[0]), lines) + "\n"


def read(directory: pathlib.Path) -> dict[str, Any]:
    """What `export.json` says.

    Raises:
        ValueError: There is none, or it is not one that was written here.
    """
    try:
        content = json.loads((directory / FILE).read_text(encoding="utf-8"))
        if not {"model", "options", "weights", "limits", "files"} <= set(content):
            raise KeyError("it lacks what an export writes")
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ValueError(
            f"A version has a file {FILE}, written with it; that of {directory} cannot be read "
            f"({error}). Pass OUT/NAME/VERSION, as python -m exports wrote it, or export again."
        ) from error
    return content


def _one_line(listed: str) -> str:
    return re.sub(r"\n\s+", " ", listed).replace("[ ", "[").replace(" ]", "]")


def _signatures(directory: pathlib.Path) -> dict[str, Any]:
    content = (directory / "saved_model.pb").read_bytes()
    (graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs

    def ports(infos: Mapping[str, Any]) -> dict[str, Any]:
        return {
            name: {
                "type": tf.as_dtype(info.dtype).name,
                "shape": tf.TensorShape(info.tensor_shape).as_list(),
            }
            for name, info in sorted(infos.items())
        }

    return {
        name: {"takes": ports(signature.inputs), "gives": ports(signature.outputs)}
        for name, signature in sorted(graph.signature_def.items())
        if signature.inputs
    }
