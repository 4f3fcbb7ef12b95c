"""`export.json`: what was exported, from which weights, and how it was checked."""

import dataclasses
import hashlib
import json
import pathlib
import platform
import re
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import zoo
from exports.graph import SERVING_DEFAULT
from exports.graph.limits import Limits
from exports.graph.ports import IMAGE, Ports, classes_by_head
from exports.reading import read_record
from zoo.spec import Spec

FILE = "export.json"


def of_model(
    model: keras.Model, *, spec: Spec | None, weights: str | pathlib.Path | None
) -> dict[str, Any]:
    """What a model is: its name, its Spec, its weights.

    Raises:
        OSError: The weights file cannot be read.
    """
    classes = classes_by_head(model)
    file = weights and {
        "name": pathlib.Path(weights).name,
        "sha256": zoo.weights.sha256(weights),
    }
    return {
        "model": model.name,
        "spec": spec and spec.to_dict(),
        "weights": {
            "sha256": weights_sha256(model),
            "count": model.count_params(),
            "file": file,
        },
        "classes": classes.get(None, classes),
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

    Of each, a line `PATH TYPE SHAPE` and its bytes are hashed.
    """
    digest = hashlib.sha256()
    for variable in model.weights:
        array = np.ascontiguousarray(keras.ops.convert_to_numpy(variable))
        digest.update(f"{variable.path} {array.dtype} {list(array.shape)}\n".encode())
        digest.update(array.data)
    return digest.hexdigest()


def sizes(path: pathlib.Path) -> dict[str, int]:
    """The bytes of each file of a version, by its path in the version's folder."""
    return {
        file.relative_to(path).as_posix(): file.stat().st_size
        for file in sorted(path.rglob("*"))
        if file.is_file()
    }


def port(spec: tf.TensorSpec) -> dict[str, Any]:
    """The type and shape of an input or output; None stands for any size."""
    return {"type": spec.dtype.name, "shape": spec.shape.as_list()}


def ports(record: Mapping[str, Any]) -> Ports:
    """What the signatures of a SavedModel take and give, as its record has it."""
    inputs = record.get("inputs", {IMAGE: record["limits"]["channels"]})  # older versions have none
    return Ports(inputs, tuple(record.get("heads", (None,))))


def class_map_signature(image: tf.TensorSpec) -> dict[str, Any]:
    """The only signature of a file for another runtime, as a record has it."""
    class_map = tf.TensorSpec(image.shape[:3], tf.int32)
    return {
        SERVING_DEFAULT: {"takes": {"image": port(image)}, "gives": {"class_map": port(class_map)}}
    }


def text(content: Mapping[str, Any]) -> str:
    """JSON with each list of numbers or texts on one line."""
    lines = json.dumps(content, indent=2, ensure_ascii=False)
    return re.sub(r"\[\n\s+[^\[\]{}]+\n\s+\]", lambda found: _one_line(found[0]), lines) + "\n"


def read(directory: pathlib.Path) -> dict[str, Any]:
    """The `export.json` of a SavedModel.

    Raises:
        ValueError: There is none, or it was not written by an export.
    """
    content = read_record(directory)
    form = content.get("format", "saved_model")
    if form != "saved_model":
        raise ValueError(
            f"zoo check takes the folder of a SavedModel; {directory} is an export of the format "
            f"{form}. The other formats are checked when they are written: run zoo export again."
        )
    kinds = {"model": str, "weights": dict, "limits": dict, "files": dict}
    whole = all(isinstance(content.get(field), kind) for field, kind in kinds.items())
    fields = {field.name for field in dataclasses.fields(Limits)}
    said = set(content["limits"]) if whole else set()
    # Older versions have the first three only.
    if "spec" not in content or not {"channels", "max_pixels", "max_batch"} <= said <= fields:
        raise ValueError(
            f"A version has a file {FILE} of a SavedModel; that of {directory} lacks what an "
            "export writes. Pass OUT/NAME/VERSION, as zoo export wrote it, or export again."
        )
    return content


def _one_line(listed: str) -> str:
    return re.sub(r"\n\s+", " ", listed).replace("[ ", "[").replace(" ]", "]")
