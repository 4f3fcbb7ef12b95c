"""How much memory an answer takes, and how much there is."""

import inspect
import math
import pathlib
from typing import Any

import keras
import numpy as np

from zoo.calls import calls
from zoo.layers import PreparedConv2D, ProductConv2D
from zoo.layers.winograd import overlap

UNKNOWN = 2000
"""Bytes for each pixel, of a file that does not tell: U-Net takes 1830."""

_SIDE = 512  # of the image whose layers are counted; less than a tile, so that borders weigh more
_WORKSPACE = 2  # of what lives while a layer computes: its own copies, and what is freed late
_CAUTIOUS = 2 * 2**30  # where the system does not tell


def bytes_per_pixel(model: keras.Model) -> float:
    """How much memory an answer takes for each pixel of an image, beside the weights.

    The outputs of layers that live at the same time are added up, from layer to layer, and the
    largest sum counts, twice, for the work of a layer, or with the tiles that a layer computes by.
    """
    made = calls(model)
    uses = {id(tensor): number for number, call in enumerate(made) for tensor in call.input_tensors}
    uses |= {id(tensor): len(made) for tensor in keras.tree.flatten(model.output)}
    shapes, living, most = {}, {}, 0
    for number, call in enumerate(made):
        for tensor, shape in zip(call.outputs, _shapes(call, shapes), strict=True):
            shapes[id(tensor)] = shape
            living[id(tensor)] = np.prod(shape) * np.dtype(tensor.dtype).itemsize
        total = sum(living.values())
        most = max(most, _WORKSPACE * total, total + _bytes_of_tiles(call, shapes))
        living = {key: value for key, value in living.items() if uses.get(key, 0) > number}
    return float(most) / _SIDE**2


def available() -> int:
    """The bytes of memory that this process can still take, of the host and of its control groups.

    Where the system does not tell, 2 GiB.
    """
    found = [_available_of_host(), *_available_of_groups()]
    return min((one for one in found if one is not None), default=_CAUTIOUS)


def _bytes_of_tiles(call: Any, shapes: dict[int, tuple]) -> float:
    """Of the image, before and after their transform, or of the image and the result.

    The tiles of a product of matrices are its patches, one for each pixel of the result.
    """
    layer = call.operation
    if isinstance(layer, ProductConv2D) and layer.kernel_size != (1, 1):
        pixels = np.prod(shapes[id(call.outputs[0])][:-1])
        return 4 * pixels * np.prod(layer.kernel.shape[:-1])
    if not isinstance(layer, PreparedConv2D):
        return 0
    image, result = (np.prod(shapes[id(x[0])]) for x in (call.input_tensors, call.outputs))
    tile = math.isqrt(layer.kernel.shape[0] // layer.groups)
    values = overlap(layer.kernel_size, tile)
    return 4 * values * (image + max(image, result))


def _shapes(call: Any, shapes: dict[int, tuple]) -> list[tuple]:
    """The shapes of what a call gives for an image of `_SIDE` × `_SIDE`."""
    layer = call.operation
    if isinstance(layer, keras.layers.InputLayer):
        return [(1, _SIDE, _SIDE, output.shape[-1]) for output in call.outputs]
    taken = [shapes[id(tensor)] for tensor in call.input_tensors]
    if not isinstance(layer, keras.Layer):  # an operation, which keeps the size in all of the zoo
        return [(*taken[0][:-1], output.shape[-1]) for output in call.outputs]
    # Layers of ours take the shapes one by one, Keras's sums and joints a list of them.
    has_one = len(inspect.signature(layer.compute_output_shape).parameters) == 1
    taken = [taken] if has_one and len(taken) > 1 else taken
    found = layer.compute_output_shape(*taken)
    return list(found) if isinstance(found[0], tuple) else [found]


def _available_of_host() -> int | None:
    """As Linux tells it; None elsewhere."""
    try:
        lines = pathlib.Path("/proc/meminfo").read_text().splitlines()
        values = dict(line.split(":", 1) for line in lines)
        return int(values["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError):
        return None


def _available_of_groups() -> list[int]:
    return left_of_groups(pathlib.Path("/proc/self/cgroup"), pathlib.Path("/sys/fs/cgroup"))


def left_of_groups(listed: pathlib.Path, root: pathlib.Path) -> list[int]:
    """What is left of the limits of control groups, of version 1 and 2.

    Args:
        listed: The file that lists the groups of a process.
        root: The folder of all groups. In a container its own may lie at the root.
    """
    try:
        lines = listed.read_text().splitlines()
    except OSError:
        return []
    found = []
    for line in lines:
        _, controllers, place = line.split(":", 2)
        if not controllers:
            found += _left(root, place, "memory.max", "memory.current")
        elif "memory" in controllers.split(","):
            names = "memory.limit_in_bytes", "memory.usage_in_bytes"
            found += _left(root / "memory", place, *names)
    return found


def _left(root: pathlib.Path, place: str, limit: str, usage: str) -> list[int]:
    """In a group and in those above it."""
    inside = pathlib.PurePosixPath(place.lstrip("/"))
    found = []
    for folder in (inside, *inside.parents):
        try:
            most = (root / folder / limit).read_text().strip()
            used = int((root / folder / usage).read_text()) - _reclaimable(root / folder)
        except (OSError, ValueError):
            continue
        if most != "max":
            found.append(max(int(most) - used, 0))
    return found


def _reclaimable(group: pathlib.Path) -> int:
    """What a group holds of files that were read: the system takes it back when there is need."""
    try:
        lines = (group / "memory.stat").read_text().splitlines()
    except OSError:
        return 0
    values = dict(line.split(" ", 1) for line in lines)
    return int(values.get("total_inactive_file", values.get("inactive_file", 0)))
