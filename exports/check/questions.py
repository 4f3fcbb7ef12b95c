"""The questions to a SavedModel, and whether their answers are the model's."""

import io
from collections.abc import Iterator, Mapping

import numpy as np
import tensorflow as tf
from PIL import Image

from exports.check.agreement import ROUNDING, Agreement, MismatchError, Named, compare
from exports.check.reference import Reference
from exports.graph import (
    CLASS_MAP,
    CLASS_MAP_FROM_BYTES,
    HEADS,
    MASK_PNG,
    SCORES,
    SERVING_DEFAULT,
)
from exports.graph.classes import Classes
from exports.graph.ports import Ports
from exports.runtimes import Ask
from zoo.images import read_class_map, read_image


def in_batches(ask: Ask, max_batch: int) -> Ask:
    """Asks about at most `max_batch` images at a time."""

    def ask_in_batches(signature: str, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        count = len(next(iter(inputs.values())))
        parts = [slice(start, start + max_batch) for start in range(0, count, max_batch)]
        answers = [
            ask(signature, {name: rows[part] for name, rows in inputs.items()}) for part in parts
        ]
        return {key: np.concatenate([answer[key] for answer in answers]) for key in answers[0]}

    return ask_in_batches


def ask_default(
    ask: Ask,
    loader: str,
    images: np.ndarray,
    scores: Mapping[str | None, np.ndarray],
    ports: Ports,
) -> Iterator[Agreement]:
    """One request, which gives the class map of each head."""
    answer = ask(SERVING_DEFAULT, ports.split(images))
    for head, expected in scores.items():
        output = ports.name_of(CLASS_MAP, head)
        of_one = head == ports.heads[0]
        called = SERVING_DEFAULT if of_one else f"{SERVING_DEFAULT}: {output}"
        yield compare(loader, called, answer[output], expected)


def ask_names(ask: Ask, loader: str, classes: Classes, signature: str) -> Named:
    """What the class numbers of a head mean."""
    count = len(classes.names)
    answer = ask(signature, {"index": np.arange(count, dtype=np.int32)})
    same = (
        [name.decode() for name in answer["name"]] == list(classes.names)
        and answer["is_background"].tolist() == [n == classes.background for n in range(count)]
        and np.array_equal(answer["colour"], classes.colours)
    )
    if not same:
        raise MismatchError(f"{loader}, {signature}: the classes are not those of the model")
    return Named(loader, count)


def ask_heads(ask: Ask, loader: str, ports: Ports) -> None:
    """Which heads there are."""
    answer = ask(HEADS, {"index": np.arange(len(ports.heads), dtype=np.int32)})
    names = tuple(name.decode() for name in answer["name"])
    if names != ports.heads or set(answer["count"].tolist()) != {len(names)}:
        raise MismatchError(f"{loader}, {HEADS}: they are {', '.join(names)}, not the model's")


def ask_head(
    ask: Ask,
    loader: str,
    asked: Reference,
    scores: np.ndarray,
    ports: Ports,
    head: str | None,
) -> Iterator[Agreement]:
    """Asks the signatures of a head, `mask_png` about two sizes, a JPEG and a damaged image.

    `scores` are those of batches; a mask is made of each image alone.
    """
    images = ports.split(asked.images)
    if head != ports.heads[0]:  # that of the first is asked for all of them
        signature = ports.name_of(SERVING_DEFAULT, head)
        yield compare(loader, signature, ask(signature, images)[CLASS_MAP], scores)

    encoded = {
        ports.bytes_of(name): [tf.io.encode_png(image).numpy() for image in rows]
        for name, rows in images.items()
    }
    signature = ports.name_of(CLASS_MAP_FROM_BYTES, head)
    files = {name: np.array(rows, object) for name, rows in encoded.items()}
    yield compare(loader, signature, ask(signature, files)[CLASS_MAP], scores)

    parts = {name: _part_of(rows[0]) for name, rows in images.items()}
    mixed = {
        ports.bytes_of(name): np.array(
            [*encoded[ports.bytes_of(name)], b"no image", parts[name][0]], object
        )
        for name in images
    }
    signature = ports.name_of(MASK_PNG, head)
    answer = ask(signature, mixed)
    if answer["valid"].tolist() != [1] * len(asked.images) + [0, 1]:
        raise MismatchError(f"{loader}, {signature}: valid is {answer['valid'].tolist()}")
    masks = [read_class_map(png) for png in answer["mask_png_bytes"] if png]
    part = np.concatenate([pixels for _, pixels in parts.values()], axis=-1)
    compare(loader, signature, masks[-1][None], asked.scores_of(part[None]))
    yield compare(loader, signature, np.stack(masks[:-1]), asked.scores)

    signature = ports.name_of(SCORES, head)
    probabilities = ask(signature, images)["probabilities"]
    expected = tf.nn.softmax(scores).numpy()
    # A softmax changes by at most as much as its scores.
    rounding = max(ROUNDING * np.ptp(scores), ROUNDING)
    if probabilities.shape != expected.shape or not np.allclose(
        probabilities, expected, rtol=0, atol=rounding
    ):
        raise MismatchError(f"{loader}, {signature}: the probabilities are not the model's")
    yield compare(loader, signature, probabilities.argmax(-1), scores)


def _part_of(image: np.ndarray) -> tuple[bytes, np.ndarray]:
    """A part of an image as the bytes of a file, a JPEG if it can be one, and the pixels in it."""
    height, width, channels = image.shape
    part = image[: -(-height * 2 // 3), : -(-width * 3 // 4)]
    if channels not in (1, 3):
        return tf.io.encode_png(part).numpy(), part
    buffer = io.BytesIO()
    Image.fromarray(part if channels == 3 else part[..., 0]).save(buffer, "JPEG")
    return buffer.getvalue(), read_image(buffer.getvalue(), channels=channels)
