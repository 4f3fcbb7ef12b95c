"""Measures how many bytes a server sends for the demonstration's photograph."""

import dataclasses
import json
import pathlib
from collections.abc import Mapping

import numpy as np

from benchmarks.documents import table
from exports.graph.signatures import MASK_PNG, SCORES, SERVING_DEFAULT
from exports.runtimes import process
from tests.support import serving_double as double
from tests.support.serving_contract import png


class MissingError(Exception):
    """The demonstration was not run."""


@dataclasses.dataclass(frozen=True)
class Sizes:
    """The photograph in words, the bytes of its mask as PNG and of its probabilities.

    `rows` has, for each answer, its signature, its bytes by gRPC and its bytes by REST.
    """

    photograph: str
    png: int
    probabilities: int
    rows: list[tuple[str, int, int]]


def of_demonstration(workdir: pathlib.Path) -> Sizes:
    """Measures the answers of the demonstration's newest export.

    Raises:
        MissingError: There is no export.
    """
    from recipes.data.sets import coins

    versions = sorted(workdir.glob("served/unet/[0-9]*"), key=lambda path: int(path.name))
    if not versions:
        raise MissingError(
            f"The bytes are those of the demonstration's answers; {workdir} holds no export of it. "
            f"Run python -m recipes.demonstration --workdir {workdir}"
        )
    image = coins.photograph()
    with process.loaded(versions[-1]) as ask:
        mask = ask(MASK_PNG, {"image_bytes": double.strings([png(image[..., None])])}).outputs
        pixels = {"image": image[None, ..., None]}
        class_map, scores = (ask(name, pixels).outputs for name in (SERVING_DEFAULT, SCORES))
    answers = {MASK_PNG: mask, SERVING_DEFAULT: class_map, SCORES: scores}
    return Sizes(
        f"{image.shape[0]} × {image.shape[1]} pixels, {scores['probabilities'].shape[-1]} classes",
        len(mask["mask_png_bytes"][0]),
        scores["probabilities"].nbytes,
        [(name, len(double.write_answer(x)), rest_bytes(x)) for name, x in answers.items()],
    )


def rest_bytes(outputs: Mapping[str, np.ndarray]) -> int:
    """The bytes of an answer as JSON, without spaces and with the shortest form of each number."""
    floats = {
        # As a double each number would have more digits than it needs.
        name: np.reshape([float(str(x)) for x in array.ravel()], array.shape)
        for name, array in outputs.items()
        if array.dtype == np.float32
    }
    rows = double.rows({**outputs, **floats})
    return len(json.dumps({"predictions": rows}, separators=(",", ":")))


def byte_table(sizes: Sizes) -> str:
    """A table with a row for each answer."""
    rows = [(name, f"{grpc:,}", f"{rest:,}") for name, grpc, rest in sizes.rows]
    return table(("signature", "gRPC, bytes", "REST, bytes"), *rows)
