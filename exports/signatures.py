"""What an exported model can be asked, and what it answers.

| signature | takes | gives |
|---|---|---|
| `serving_default` | `image` uint8 `[n, h, w, c]` | `class_map` uint8 `[n, h, w]` |
| `class_map_from_bytes` | `image_bytes` string `[n]`, one size | `class_map` uint8 `[n, h, w]` |
| `mask_png` | `image_bytes` string `[n]` | `mask_png_bytes` string `[n]`, `valid` uint8 `[n]` |
| `scores` | `image` uint8 `[n, h, w, c]` | `probabilities` float32 `[n, h, w, classes]` |

c is the model's number of channels. Every image has at least one pixel and at most `MAX_PIXELS`.

Image bytes are JPEG or PNG; GIF, WebP, BMP and TIFF are refused. The decoder turns grey into RGB
and RGB into grey where the model needs it, drops transparency, gives a palette PNG its colours and
a 16-bit PNG its upper 8 bits. The EXIF orientation is ignored: the mask fits the stored pixels.

`mask_png` answers each image at its own size, with a grey PNG whose values are the classes. Where
the bytes are no image, `valid` is 0 and the PNG is empty; the others are answered all the same.
"""

from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

SERVING_DEFAULT = "serving_default"
CLASS_MAP_FROM_BYTES = "class_map_from_bytes"
MASK_PNG = "mask_png"
SCORES = "scores"

# A PNG of 410 kB can hold 12,000 × 12,000 pixels and cost 2 GB before the network starts.
MAX_PIXELS = 4096 * 4096

_PNG = np.frombuffer(b"\x89PNG\r\n\x1a\n", np.uint8)
_JPEG = np.frombuffer(b"\xff\xd8\xff", np.uint8)
_HEADER = 24  # bytes up to the end of the height in a PNG's IHDR


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


def signatures(model: keras.Model) -> dict[str, Callable]:
    """The four signatures of a model as traced functions, to be saved in a SavedModel.

    Raises:
        ValueError: As `channels_of`.
    """
    channels = channels_of(model)
    image = tf.TensorSpec([None, None, None, channels], tf.uint8, name="image")
    image_bytes = tf.TensorSpec([None], tf.string, name="image_bytes")

    def scores_of(image: tf.Tensor) -> tf.Tensor:
        return model(tf.cast(image, tf.float32), training=False)

    @tf.function(input_signature=[image])
    def serving_default(image: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"class_map": class_map_of(scores_of(_checked(image, channels)))}

    @tf.function(input_signature=[image_bytes])
    def class_map_from_bytes(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        image = _decode_one_size(image_bytes, channels)
        return {"class_map": class_map_of(scores_of(image))}

    @tf.function(input_signature=[image_bytes])
    def mask_png(image_bytes: tf.Tensor) -> dict[str, tf.Tensor]:
        def mask_of(one: tf.Tensor) -> tf.Tensor:
            class_map = class_map_of(scores_of(_decode(one, channels)[None]))
            return tf.io.encode_png(class_map[0, :, :, None])

        rows = _decodable(image_bytes, channels)
        # One after the other: their sizes differ, and so that memory is that of one image.
        masks = tf.map_fn(
            mask_of,
            tf.gather(image_bytes, rows),
            fn_output_signature=tf.TensorSpec([], tf.string),
            parallel_iterations=1,
        )
        unanswered = tf.fill(tf.shape(image_bytes), "")
        valid = tf.zeros(tf.shape(image_bytes), tf.uint8)
        return {
            "mask_png_bytes": tf.tensor_scatter_nd_update(unanswered, rows[:, None], masks),
            "valid": tf.tensor_scatter_nd_update(
                valid, rows[:, None], tf.ones(tf.shape(rows), tf.uint8)
            ),
        }

    @tf.function(input_signature=[image])
    def scores(image: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = scores_of(_checked(image, channels))
        return {"probabilities": tf.nn.softmax(tf.cast(logits, tf.float32))}

    return {
        SERVING_DEFAULT: serving_default,
        CLASS_MAP_FROM_BYTES: class_map_from_bytes,
        MASK_PNG: mask_png,
        SCORES: scores,
    }


def class_map_of(scores: tf.Tensor) -> tf.Tensor:
    """The class of each pixel, uint8 `[n, h, w]`, from scores `[n, h, w, classes]`."""
    return tf.cast(tf.argmax(scores, axis=-1, output_type=tf.int32), tf.uint8)


def _check_size_is_kept(model: keras.Model, channels: int) -> None:
    size = (61, 83)  # no network's multiple
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


def _checked(image: tf.Tensor, channels: int) -> tf.Tensor:
    """The image, after its shape: the server does not hold a request to the declared shape."""
    count, height, width, received = tf.unstack(tf.shape(image, out_type=tf.int64))
    rules = [
        _rule(count > 0, "A request holds at least one image. Send one."),
        _rule(
            received == channels,
            f"An image has {channels} channels here. Convert it first. Channels received:",
            received,
        ),
        *_size_rules(height, width),
    ]
    with tf.control_dependencies(rules):
        return tf.identity(image)


def _rule(holds: tf.Tensor, message: str, *received: tf.Tensor) -> tf.Operation:
    return tf.debugging.Assert(holds, [message, *received])


def _size_rules(height: tf.Tensor, width: tf.Tensor) -> list[tf.Operation]:
    """An image has at least one pixel and at most `MAX_PIXELS`."""
    pixels = height * width
    return [
        _rule(tf.minimum(height, width) > 0, "An image has at least one pixel. Send one that has."),
        _rule(
            pixels <= MAX_PIXELS,
            f"An image has at most {MAX_PIXELS} pixels. Scale it down or cut it into tiles. "
            "Pixels received:",
            pixels,
        ),
    ]


def _size_in_header(image_bytes: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Height and width, int64, as the header of one JPEG or PNG states them."""
    header = tf.io.decode_raw(image_bytes, tf.uint8, fixed_length=_HEADER)
    is_png = tf.reduce_all(header[: len(_PNG)] == _PNG)
    is_jpeg = tf.reduce_all(header[: len(_JPEG)] == _JPEG)
    rule = _rule(
        is_png | is_jpeg,
        "Image bytes are a JPEG or a PNG file; these are not. Convert the image first.",
    )

    def of_png() -> tf.Tensor:
        digits = tf.reshape(tf.cast(header[16:24], tf.int64), [2, 4])
        width_and_height = tf.reduce_sum(digits * [1 << 24, 1 << 16, 1 << 8, 1], axis=1)
        return width_and_height[::-1]

    def of_jpeg() -> tf.Tensor:
        return tf.cast(tf.image.extract_jpeg_shape(image_bytes)[:2], tf.int64)

    with tf.control_dependencies([rule]):
        size = tf.cond(tf.identity(is_png), of_png, of_jpeg)
    return size[0], size[1]


def _decode(image_bytes: tf.Tensor, channels: int) -> tf.Tensor:
    """One image, uint8 `[h, w, channels]`; its header is held to the rules before it is decoded."""
    with tf.control_dependencies(_size_rules(*_size_in_header(image_bytes))):
        image_bytes = tf.identity(image_bytes)
    image = tf.io.decode_image(image_bytes, channels=channels, expand_animations=False)
    return tf.ensure_shape(image, [None, None, channels])


def _decode_one_size(image_bytes: tf.Tensor, channels: int) -> tf.Tensor:
    """Images of one size, uint8 `[n, h, w, channels]`."""
    sizes = tf.map_fn(
        lambda one: tf.stack(_size_in_header(one)),
        image_bytes,
        fn_output_signature=tf.TensorSpec([2], tf.int64),
    )
    rules = [
        _rule(tf.size(image_bytes) > 0, "A request holds at least one image. Send one."),
        _rule(
            tf.reduce_all(sizes == sizes[:1]),
            "The images of one request have one size here. Ask `mask_png` about mixed sizes. "
            "Heights and widths received:",
            sizes,
        ),
    ]
    with tf.control_dependencies(rules):
        image_bytes = tf.identity(image_bytes)
    return tf.map_fn(
        lambda one: _decode(one, channels),
        image_bytes,
        fn_output_signature=tf.TensorSpec([None, None, channels], tf.uint8),
    )


def _decodable(image_bytes: tf.Tensor, channels: int) -> tf.Tensor:
    """The rows, int64 `[m]`, whose bytes are an image.

    An error in a graph ends the whole request; tf.data can leave out the element that failed.
    """

    def examined(row: tf.Tensor, one: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # The size makes the decoding a part of the answer: otherwise the optimizer drops it.
        return row, tf.size(_decode(one, channels))

    count = tf.size(image_bytes, out_type=tf.int64)
    nothing = tf.data.Dataset.from_tensors((tf.constant(-1, tf.int64), tf.constant(0)))
    examined_rows = (
        tf.data.Dataset.from_tensor_slices((tf.range(count), image_bytes))
        .map(examined)
        .ignore_errors()
        .concatenate(nothing)  # so that there is a batch when every image is bad
        .batch(count + 1)
    )
    rows, pixels = examined_rows.get_single_element()
    return tf.boolean_mask(rows, pixels > 0)
