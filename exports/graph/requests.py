"""The images of a request, in the graph: checked against the limits, then decoded."""

import numpy as np
import tensorflow as tf

from exports.graph import MAX_BATCH
from exports.graph.limits import Limits

MAX_INDICES = 256
"""The most class numbers of one request; no model has more classes."""

# PNG's signature, and the length and name of the first chunk; the size follows.
_PNG = np.frombuffer(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", np.uint8)
_JPEG = np.frombuffer(b"\xff\xd8\xff", np.uint8)
_HEADER = 24  # bytes up to the end of the height in a PNG's IHDR


def checked(image: tf.Tensor, limits: Limits) -> tf.Tensor:
    """Images `[n, h, w, channels]` after a check of their shape, which a server does not check."""
    shape = _shape(image, 4, f"Images are [n, height, width, {limits.channels}]")
    count, height, width, channels = tf.unstack(shape, num=4)
    rules = [
        *_count_rules(count, limits),
        _rule(
            channels == limits.channels,
            f"An image has {limits.channels} channels here. Convert it. Channels received:",
            channels,
        ),
        *_size_rules(height, width, limits),
        *_request_rules(count * height * width, limits),
    ]
    with tf.control_dependencies(rules):
        return tf.identity(image)


def checked_bytes(image_bytes: tf.Tensor, limits: Limits) -> tf.Tensor:
    """Strings `[n]` after a check of their shape."""
    shape = _shape(image_bytes, 1, "Image bytes are [n], a string for each image")
    with tf.control_dependencies(_count_rules(shape[0], limits)):
        return tf.identity(image_bytes)


def checked_index(index: tf.Tensor, classes: int) -> tf.Tensor:
    """Class numbers `[n]` after a check of their shape and their range."""
    count = _shape(index, 1, "Class numbers are [n]")[0]
    with tf.control_dependencies([count]):  # the rank is checked before it is relied on
        index = tf.identity(index)
    rules = [
        _rule(
            (count > 0) & (count <= MAX_INDICES),
            f"A request holds 1 to {MAX_INDICES} class numbers. Split it or fill it. Received:",
            count,
        ),
        _rule(
            tf.reduce_all((index >= 0) & (index < classes)),
            f"A class number is from 0 to {classes - 1} here. Ask about these. Received:",
            index,
        ),
    ]
    with tf.control_dependencies(rules):
        return tf.identity(index)


def decode(image_bytes: tf.Tensor, limits: Limits) -> tf.Tensor:
    """One image, uint8 `[h, w, channels]`; the size in its header is checked before decoding."""
    with tf.control_dependencies(_size_rules(*_size_in_header(image_bytes), limits)):
        image_bytes = tf.identity(image_bytes)
    image = tf.io.decode_image(image_bytes, channels=limits.channels, expand_animations=False)
    return tf.ensure_shape(image, [None, None, limits.channels])


def decode_one_size(image_bytes: tf.Tensor, limits: Limits) -> tf.Tensor:
    """Images of one size, uint8 `[n, h, w, channels]`."""
    sizes = tf.map_fn(
        lambda one: tf.stack(_size_in_header(one)),
        image_bytes,
        fn_output_signature=tf.TensorSpec([2], tf.int64),
    )
    rule = _rule(
        tf.reduce_all(sizes == sizes[:1]),
        "The images of one request have one size here. Ask `mask_png` about mixed sizes. "
        "Heights and widths received:",
        sizes,
    )
    # An image that is too large by itself is refused below; here it must not overflow the sum.
    pixels = tf.minimum(tf.reduce_prod(sizes, axis=1), limits.max_pixels)
    with tf.control_dependencies([rule, *_request_rules(tf.reduce_sum(pixels), limits)]):
        image_bytes = tf.identity(image_bytes)
    return tf.map_fn(
        lambda one: decode(one, limits),
        image_bytes,
        fn_output_signature=tf.TensorSpec([None, None, limits.channels], tf.uint8),
    )


def decodable(image_bytes: tf.Tensor, limits: Limits) -> tf.Tensor:
    """Whether each of the strings `[n]` is an image, bool `[n]`.

    An error in a graph fails the whole request; tf.data can drop the one element that failed.
    """

    def examined(row: tf.Tensor, one: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        # The answer depends on the decoding: otherwise the optimizer drops it.
        return row, tf.size(decode(one, limits))

    count = tf.size(image_bytes, out_type=tf.int64)
    nothing = tf.data.Dataset.from_tensors((tf.constant(-1, tf.int64), tf.constant(0)))
    examined_rows = (
        tf.data.Dataset.from_tensor_slices((tf.range(count), image_bytes))
        .map(examined)
        .ignore_errors()
        .concatenate(
            nothing
        )  # get_single_element fails where every image is bad and nothing is left
        .batch(count + 1)
    )
    rows, pixels = examined_rows.get_single_element()
    good = tf.boolean_mask(rows, pixels > 0)
    return tf.reduce_any(tf.range(count)[:, None] == good, axis=1)


def _shape(tensor: tf.Tensor, rank: int, rule: str) -> tf.Tensor:
    """The run-time shape; the optimizer would substitute the declared one."""
    shape = tf.shape(tensor, out_type=tf.int64)
    shape = tf.raw_ops.PlaceholderWithDefault(input=shape, shape=None)
    received = tf.raw_ops.Size(input=shape)
    text = f"{rule}. Add or remove a dimension. Dimensions received:"
    with tf.control_dependencies([_rule(received == rank, text, received)]):
        return tf.identity(shape)


def _rule(holds: tf.Tensor, message: str, *received: tf.Tensor) -> tf.Operation:
    return tf.debugging.Assert(holds, [message, *received], summarize=2 * MAX_BATCH)


def _count_rules(count: tf.Tensor, limits: Limits) -> list[tf.Operation]:
    return [
        _rule(count > 0, "A request holds at least one image. Send one."),
        _rule(
            count <= limits.max_batch,
            f"A request holds at most {limits.max_batch} images. Send several requests. "
            "Images received:",
            count,
        ),
    ]


def _size_rules(height: tf.Tensor, width: tf.Tensor, limits: Limits) -> list[tf.Operation]:
    pixels = height * width
    return [
        _rule(tf.minimum(height, width) > 0, "An image has at least one pixel. Send one that has."),
        _rule(
            pixels <= limits.max_pixels,
            f"An image has at most {limits.max_pixels} pixels. Scale it down or cut it into tiles. "
            "Pixels received:",
            pixels,
        ),
    ]


def _request_rules(pixels: tf.Tensor, limits: Limits) -> list[tf.Operation]:
    """The rules for images that are computed together: memory grows with all their pixels."""
    if limits.max_request_pixels is None:
        return []
    return [
        _rule(
            pixels <= limits.max_request_pixels,
            f"The images of a request have at most {limits.max_request_pixels} pixels together. "
            "Send several requests, or ask `mask_png`. Pixels received:",
            pixels,
        )
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
