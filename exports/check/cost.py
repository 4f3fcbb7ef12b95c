"""What one request to an exported file costs."""

import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from exports.graph import SERVING_DEFAULT
from exports.runtimes import process


def cost_of_request(
    path: pathlib.Path, images: Mapping[str, np.ndarray], loader: str
) -> dict[str, Any]:
    """Time and memory of one image in a process that does nothing else, on the CPU.

    The first request is slower: with it the graph is optimized. The memory is the most that the
    process held, the loader's library and the weights included.

    Args:
        path: What the loader opens.
        images: `[1, h, w, channels]`, of the file's type, by the names of the inputs.
        loader: A module of `exports.runtimes`.
    """
    with process.loaded(path, loader) as ask:
        first, second = (ask(SERVING_DEFAULT, images) for _ in range(2))
    return {
        "signature": SERVING_DEFAULT,
        **{name: list(image.shape) for name, image in images.items()},
        "first_seconds": round(first.seconds, 4),
        "seconds": round(second.seconds, 4),
        "peak_bytes": second.peak_bytes,
    }
