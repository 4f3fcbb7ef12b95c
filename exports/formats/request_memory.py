"""The limits of a request to a SavedModel, from the memory that its server has."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from exports.formats.saved_model import saved_for_conversion
from exports.formats.settings import SIDE
from exports.graph import MAX_PIXELS, SCORES, SERVING_DEFAULT
from exports.graph.limits import Limits
from exports.graph.ports import ports_of
from exports.graph.signatures import image_specs, scores_by_head
from exports.images import textures
from exports.runtimes import process

_SHARE = 0.8  # of the memory; the rest is the server's own, and pieces that an allocator keeps
_SMALL = 100  # pixels of the side of the smaller image that is measured
_LEAST = 64 * 64  # pixels of the largest image; who has less memory than that has the wrong number


def limited(
    model: keras.Model, limits: Limits, *, memory: float, given: bool, report: Callable[[str], None]
) -> tuple[Limits, dict[str, Any] | None]:
    """The limits of a request, and what export.json says about its memory.

    A process that does nothing else is asked about an image of 100 × 100 pixels and one of 500 ×
    500. Between the two the memory grows with the pixels, and beyond them by as much.

    Args:
        model: The model that is exported.
        limits: As given, without `max_request_pixels`.
        memory: Of the server, in GB.
        given: Whether `limits.max_pixels` was given; then it stays, whatever memory it takes.
        report: Called with a line on the limits.

    Raises:
        ValueError: A request of one small image would take more memory.
        OSError, exports.runtimes.StatusError: The model cannot be asked.
    """
    small, large = _peaks(model)
    if small is None:
        report("A request has no limit from --memory: this system does not tell what one takes")
        return limits, None
    per_pixel = max((large - small) / (SIDE**2 - _SMALL**2), limits.channels)
    of_model = small - per_pixel * _SMALL**2
    pixels = int((_SHARE * memory * 1e9 - of_model) / per_pixel)
    if pixels < _LEAST:
        least = (of_model + per_pixel * _LEAST) / _SHARE / 1e9
        raise ValueError(
            "A version refuses what its server has no memory for; with memory="
            f"{memory:g} GB it would refuse everything: {model.name!r} takes "
            f"{of_model / 1e9:.2f} GB without an image. Pass memory={least + 0.5:.1f} or more; on "
            "the command line --memory."
        )
    asked = limits.max_pixels
    most = asked if given else min(pixels, MAX_PIXELS)
    together = min(max(pixels, most), most * limits.max_batch, 2**31 - 1)
    report(
        f"A request takes {of_model / 1e9:.2f} GB and {per_pixel:,.0f} bytes a pixel: with "
        f"{memory:g} GB, an image has at most {most:,} pixels, all images {together:,}"
    )
    if most > pixels:
        needed = (of_model + per_pixel * most) / _SHARE / 1e9
        report(f"max_pixels was given: an image of {most:,} pixels needs memory={needed:.1f} GB")
    record = {"bytes": int(memory * 1e9), "model": int(of_model), "per_pixel": round(per_pixel)}
    return dataclasses.replace(limits, max_pixels=most, max_request_pixels=together), record


def _peaks(model: keras.Model) -> tuple[int | None, int | None]:
    """The most bytes that a process held when it had answered the smaller image, and the larger."""
    ports = ports_of(model)

    def scores(**images: tf.Tensor) -> dict[str, tf.Tensor]:
        found = scores_by_head(model, images)
        return {ports.name_of(SCORES, head): found[head] for head in ports.heads}

    answer = tf.function(scores).get_concrete_function(**image_specs(ports))
    with saved_for_conversion(model, answer) as scratch, process.loaded(scratch) as ask:
        images = (textures(1, (side, side), ports.channels) for side in (_SMALL, SIDE))
        small, large = (ask(SERVING_DEFAULT, ports.split(one)).peak_bytes for one in images)
    return small, large
