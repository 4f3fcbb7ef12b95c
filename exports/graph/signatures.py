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

Image bytes are JPEG or PNG; GIF, WebP, BMP and TIFF are refused. The pixels are, to the bit, those
that `zoo.images` reads, which has the rules for 16 bits, palettes, grey, CMYK and transparency. The
EXIF orientation is ignored: the mask fits the stored pixels. A model of 2 or 4 channels takes PNGs
of grey or RGB with one channel more.

A file has at most `max_bytes` bytes, and at most 8 for each of its pixels and 4 MiB besides; a
JPEG at most 100 scans, and 2³⁰ pixels in all of them; a PNG at most 16 compressed texts and
profiles. Others are refused before they are decoded.

`mask_png` answers each image at its own size, with a grey PNG whose values are the classes. For
bytes that are not an image, or against a rule, `valid` is 0 and the PNG is empty; the other images
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
    MAX_BYTES,
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


def _check_channels(model: keras.Model, channels: int) -> None:
    if channels > 4:
        raise ValueError(
            "A SavedModel takes JPEG and PNG files, too, which have 1 to 4 channels; "
            f"{model.name!r} takes {channels}. Export it to tflite, onnx or openvino."
        )


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
    max_bytes: int = MAX_BYTES,
    max_request_pixels: int | None = None,
) -> dict[str, Callable]:
    """The five signatures of a model as traced functions, to be saved in a SavedModel.

    Args:
        model: Takes images of any size; gives scores of their size.
        spec: Says what the classes mean; None if that is unknown.
        max_pixels: The most pixels of one image of a request.
        max_batch: The most images of a request.
        max_bytes: The most bytes of the JPEG or PNG file of one image.
        max_request_pixels: The most pixels of all images that are computed together; None for no
            limit but the other two.

    Raises:
        ValueError: As `channels_of`; more classes than a byte holds; a limit is not a positive
            whole number.
    """
    limits = Limits(channels_of(model), max_pixels, max_batch, max_bytes, max_request_pixels)
    _check_channels(model, limits.channels)
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

    def png_of(image: tf.Tensor) -> tf.Tensor:
        return tf.io.encode_png(class_map_of(scores_of(image[None]))[0, :, :, None])

    def mask_of(one: tf.Tensor) -> tf.Tensor:
        image = requests.decode_or_nothing(one, limits)
        return tf.cond(tf.size(image) > 0, lambda: png_of(image), lambda: tf.constant(""))

    # One after the other: their sizes differ, and so that memory is that of one image.
    masks = tf.map_fn(
        mask_of,
        image_bytes,
        fn_output_signature=tf.TensorSpec([], tf.string),
        parallel_iterations=1,
    )
    return {
        "mask_png_bytes": masks,
        "valid": tf.cast(tf.strings.length(masks) > 0, tf.uint8),
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
