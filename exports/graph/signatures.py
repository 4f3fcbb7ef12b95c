"""What an exported model can be asked, and what it answers.

| signature | takes | gives |
|---|---|---|
| `serving_default` | `image` uint8 `[n, h, w, c]` | `class_map` uint8 `[n, h, w]` |
| `class_map_from_bytes` | `image_bytes` string `[n]`, one size | `class_map` uint8 `[n, h, w]` |
| `mask_png` | `image_bytes` string `[n]` | `mask_png_bytes` string `[n]`, `valid` uint8 `[n]` |
| `scores` | `image` uint8 `[n, h, w, c]` | `probabilities` float32 `[n, h, w, classes]` |
| `class_names` | `index` int32 `[n]` | `name`, `is_background`, `colour`, a row for each |

c is the model's number of channels. A request holds 1 to `max_batch` images of 1 to `max_pixels`
pixels, together at most `max_request_pixels`; any other is refused with INVALID_ARGUMENT before
anything is computed. Memory grows with all pixels of a request, but that of `mask_png` with those
of its largest image only: it computes one image at a time, and may take more pixels together.

`class_names` says what class numbers mean; it gives `name` string `[n]`, `is_background` uint8
`[n]`, 1 for the class that is background, and `colour` uint8 `[n, 3]`, red, green and blue. A
request holds 1 to 256 numbers from 0 to classes - 1; where the server forms batches, at most
`max_batch`.

Image bytes are JPEG or PNG; GIF, WebP, BMP and TIFF are refused. The decoder turns grey into RGB
and RGB into grey where the model needs it, drops transparency, gives a palette PNG its colours and
a 16-bit PNG its upper 8 bits. The EXIF orientation is ignored: the mask fits the stored pixels.

`mask_png` answers each image at its own size, with a grey PNG whose values are the classes. For
bytes that are not an image, or a too large one, `valid` is 0 and the PNG is empty; the other images
of the request are answered.
"""

from collections.abc import Callable

import keras
import tensorflow as tf

from exports.graph import (
    CLASS_MAP_FROM_BYTES,
    CLASS_NAMES,
    MASK_PNG,
    MAX_BATCH,
    MAX_PIXELS,
    SCORES,
    SERVING_DEFAULT,
    requests,
)
from exports.graph.classes import class_names_signature, classes_of
from exports.graph.limits import Limits
from zoo.spec import Spec


def channels_of(model: keras.Model) -> int:
    """The number of channels of the images that a model takes.

    Raises:
        ValueError: The model cannot be exported: it does not take one image `[n, h, w, channels]`
            of any size, or does not give scores `[n, h, w, classes]` of the size of that image, or
            does not run on TensorFlow.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "A model is exported from TensorFlow; Keras runs on "
            f"{keras.backend.backend()!r}. Set KERAS_BACKEND=tensorflow: it takes the same weights."
        )
    takes, gives = model.input_shape, model.output_shape
    if not (isinstance(takes, tuple) and len(takes) == 4 and takes[:3] == (None, None, None)):
        raise ValueError(
            "A model is exported for one image [n, h, w, channels] of any size; "
            f"{model.name!r} takes {takes}. Build it with Input((None, None, channels))."
        )
    if not (isinstance(gives, tuple) and len(gives) == 4 and isinstance(gives[3], int)):
        raise ValueError(
            f"A model is exported with scores [n, h, w, classes]; {model.name!r} gives {gives}. "
            "Take its scores as the only output."
        )
    _check_size_is_kept(model, takes[3])
    return takes[3]


def check_classes(model: keras.Model) -> None:
    """Raises ValueError if a model has more classes than a byte holds."""
    if model.output_shape[-1] > 256:
        raise ValueError(
            "A class map and a mask hold a byte for each pixel, so that a model is exported with "
            f"at most 256 classes; {model.name!r} has {model.output_shape[-1]}. Merge some."
        )


def signatures(
    model: keras.Model,
    *,
    spec: Spec | None = None,
    max_pixels: int = MAX_PIXELS,
    max_batch: int = MAX_BATCH,
    max_request_pixels: int | None = None,
) -> dict[str, Callable]:
    """The five signatures of a model as traced functions, to be saved in a SavedModel.

    Args:
        model: Takes images of any size; gives scores of their size.
        spec: Says what the classes mean; None if that is unknown.
        max_pixels: The most pixels of one image of a request.
        max_batch: The most images of a request.
        max_request_pixels: The most pixels of all images that are computed together; None for no
            limit but the other two.

    Raises:
        ValueError: As `channels_of`; more classes than a byte holds; a limit is not a positive
            whole number.
    """
    limits = Limits(channels_of(model), max_pixels, max_batch, max_request_pixels)
    check_classes(model)
    classes = model.output_shape[-1]
    image = tf.TensorSpec([None, None, None, limits.channels], tf.uint8, name="image")
    image_bytes = tf.TensorSpec([None], tf.string, name="image_bytes")

    def scores_of(image: tf.Tensor) -> tf.Tensor:
        return model(tf.cast(image, tf.float32), training=False)

    @tf.function(input_signature=[image])
    def serving_default(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"class_map": class_map_of(scores_of(requests.checked(image, limits)))}

    @tf.function(input_signature=[image_bytes])
    def class_map_from_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        image = requests.decode_one_size(requests.checked_bytes(image_bytes, limits), limits)
        return {"class_map": class_map_of(scores_of(image))}

    @tf.function(input_signature=[image_bytes])
    def mask_png(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        return _masks(scores_of, requests.checked_bytes(image_bytes, limits), limits)

    @tf.function(input_signature=[image])
    def scores(image: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = scores_of(requests.checked(image, limits))
        return {"probabilities": tf.nn.softmax(tf.cast(logits, tf.float32))}

    return {
        SERVING_DEFAULT: serving_default,
        CLASS_MAP_FROM_BYTES: class_map_from_bytes,
        MASK_PNG: mask_png,
        SCORES: scores,
        CLASS_NAMES: class_names_signature(classes_of(spec, classes)),
    }


def _masks(scores_of: Callable, image_bytes: tf.Tensor, limits: Limits) -> dict[str, tf.Tensor]:
    """A PNG of classes for each image that can be decoded, an empty string for each other."""

    def mask_of(one: tf.Tensor) -> tf.Tensor:
        class_map = class_map_of(scores_of(requests.decode(one, limits)[None]))
        return tf.io.encode_png(class_map[0, :, :, None])

    valid = requests.decodable(image_bytes, limits)
    # One after the other: their sizes differ, and so that memory is that of one image.
    masks = tf.map_fn(
        mask_of,
        tf.boolean_mask(image_bytes, valid),
        fn_output_signature=tf.TensorSpec([], tf.string),
        parallel_iterations=1,
    )
    # Each row takes the next mask, or the empty string behind the last.
    valid = tf.cast(valid, tf.int32)
    rows = tf.where(valid > 0, tf.cumsum(valid) - 1, tf.size(masks))
    return {
        "mask_png_bytes": tf.gather(tf.concat([masks, [""]], axis=0), rows),
        "valid": tf.cast(valid, tf.uint8),
    }


def class_map_of(scores: tf.Tensor) -> tf.Tensor:
    """The class of each pixel, uint8 `[n, h, w]`, from scores `[n, h, w, classes]`."""
    return tf.cast(tf.argmax(scores, axis=-1, output_type=tf.int32), tf.uint8)


def _check_size_is_kept(model: keras.Model, channels: int) -> None:
    size = (61, 83)  # a multiple of no network's stride
    try:
        answer = f"scores of {model.compute_output_shape((1, *size, channels))[1:3]}"
    except ValueError as error:
        answer = f"an error: {error}"
    if answer != f"scores of {size}":
        raise ValueError(
            "An exported model takes images of any size and answers with masks of the same size; "
            f"{model.name!r} answers {size} pixels with {answer}. Build it so that it keeps the "
            'size; a U-Net does with border="mirror", which takes the weights of border="valid".'
        )
