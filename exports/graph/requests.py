"""The images of a request, in the graph: checked against the limits, then decoded."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from exports.graph import MAX_BATCH
from exports.graph.limits import Limits
from exports.graph.ports import Ports
from zoo.image_files import (
    BYTES_PER_PIXEL,
    MAX_BYTES_BESIDES,
    MAX_SCANNED,
    MAX_SCANS,
    MAX_TEXTS,
)

MAX_INDICES = 256
"""The most class numbers of one request; no model has more classes."""

# PNG's signature, and the length and name of the first chunk; the size follows.
_PNG = np.frombuffer(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", np.uint8)
_JPEG = np.frombuffer(b"\xff\xd8\xff", np.uint8)
_HEADER = 26  # bytes up to the colour type in a PNG's IHDR


def checked(images: Mapping[str, tf.Tensor], limits: Limits, ports: Ports) -> dict[str, tf.Tensor]:
    """Images `[n, h, w, channels]` after a check of their shapes, which a server does not check."""
    shapes, rules = {}, []
    for name, channels in ports.inputs.items():
        shape = _shape(images[name], 4, f"Images are [n, height, width, {channels}]")
        count, height, width, received = tf.unstack(shape, num=4)
        rules += [
            *_count_rules(count, limits),
            _rule(
                received == channels,
                f"An image has {channels} channels here. Convert it. Channels received:",
                received,
            ),
            *_size_rules(height, width, limits),
            *_request_rules(count * height * width, limits),
        ]
        shapes[name] = shape[:3]
    with tf.control_dependencies(rules + _same_rules(shapes, "number, height and width")):
        return {name: tf.identity(image) for name, image in images.items()}


def checked_bytes(files: Mapping[str, tf.Tensor], limits: Limits) -> dict[str, tf.Tensor]:
    """Strings `[n]` of each image after a check of their shapes."""
    rule = "Image bytes are [n], a string for each image"
    shapes = {name: _shape(content, 1, rule) for name, content in files.items()}
    rules = [one for shape in shapes.values() for one in _count_rules(shape[0], limits)]
    with tf.control_dependencies(rules + _same_rules(shapes, "number")):
        return {name: tf.identity(content) for name, content in files.items()}


def checked_index(index: tf.Tensor, most: int, what: str = "class number") -> tf.Tensor:
    """Numbers `[n]` from 0 to `most` - 1 after a check of their shape and their range."""
    count = _shape(index, 1, f"{what.capitalize()}s are [n]")[0]
    with tf.control_dependencies([count]):  # the rank is checked before it is relied on
        index = tf.identity(index)
    rules = [
        _rule(
            (count > 0) & (count <= MAX_INDICES),
            f"A request holds 1 to {MAX_INDICES} {what}s. Split it or fill it. Received:",
            count,
        ),
        _rule(
            tf.reduce_all((index >= 0) & (index < most)),
            f"A {what} is from 0 to {most - 1} here. Ask about these. Received:",
            index,
        ),
    ]
    with tf.control_dependencies(rules):
        return tf.identity(index)


def decode(image_bytes: tf.Tensor, limits: Limits, channels: int) -> tf.Tensor:
    """One image, uint8 `[h, w, channels]`, as `zoo.images` reads it; all rules come first."""
    header = _header_of(image_bytes)
    rules = _size_rules(header.height, header.width, limits)
    with tf.control_dependencies(rules + _file_rules(image_bytes, header, limits, channels)):
        image_bytes = tf.identity(image_bytes)
    if channels in (1, 3):
        # Pillow's pixels, to the bit: the default of decode_jpeg is faster and less accurate.
        image = tf.cond(
            header.is_png,
            lambda: tf.io.decode_png(image_bytes, channels=3),
            lambda: tf.io.decode_jpeg(image_bytes, channels=3, dct_method="INTEGER_ACCURATE"),
        )
        image = image if channels == 3 else _grey(image)
    else:  # a PNG, by the rules
        image = tf.io.decode_png(image_bytes, channels=4)
        image = image if channels == 4 else tf.gather(image, [0, 3], axis=2)
    return tf.ensure_shape(image, [None, None, channels])


def decode_together(
    files: Mapping[str, tf.Tensor], limits: Limits, ports: Ports
) -> dict[str, tf.Tensor]:
    """The images of one answer, of one size; those of a net with one input are one."""
    sizes = {name: tf.stack(_header_of(content)[1:3]) for name, content in files.items()}
    with tf.control_dependencies(_same_rules(sizes, "height and width")):
        return {
            name: decode(tf.identity(files[name]), limits, channels)
            for name, channels in ports.inputs.items()
        }


def decode_or_nothing(
    files: Mapping[str, tf.Tensor], limits: Limits, ports: Ports
) -> dict[str, tf.Tensor]:
    """As `decode_together`; uint8 `[0, 0, channels]` for what is no image, or against a rule.

    An error in a graph fails the whole request; tf.data can drop the one element that failed.
    """
    nothing = {name: tf.zeros([0, 0, count], tf.uint8) for name, count in ports.inputs.items()}
    return (
        tf.data.Dataset.from_tensors(dict(files))
        .map(lambda one: decode_together(one, limits, ports))
        .ignore_errors()
        .concatenate(tf.data.Dataset.from_tensors(nothing))
        .take(1)
        .get_single_element()
    )


def _grey(image: tf.Tensor) -> tf.Tensor:
    """ITU-R 601 in Pillow's whole numbers; of a grey image its values."""
    parts = tf.cast(image, tf.int32) * [19595, 38470, 7471]
    return tf.cast((tf.reduce_sum(parts, axis=-1, keepdims=True) + 32768) // 65536, tf.uint8)


def decode_one_size(
    files: Mapping[str, tf.Tensor], limits: Limits, ports: Ports
) -> dict[str, tf.Tensor]:
    """Images of one size, uint8 `[n, h, w, channels]`."""
    sizes = tf.map_fn(
        lambda one: tf.stack(_header_of(one)[1:3]),
        tf.concat(list(files.values()), 0),
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
    pixels = tf.reduce_sum(pixels) // len(files)
    with tf.control_dependencies([rule, *_request_rules(pixels, limits)]):
        files = {name: tf.identity(content) for name, content in files.items()}
    return {
        name: tf.map_fn(
            lambda one, channels=channels: decode(one, limits, channels),
            files[name],
            fn_output_signature=tf.TensorSpec([None, None, channels], tf.uint8),
        )
        for name, channels in ports.inputs.items()
    }


def _same_rules(shapes: Mapping[str, tf.Tensor], what: str) -> list[tf.Operation]:
    """The rule for the images of a net with several inputs, whose shapes are given."""
    first, *others = shapes.values()
    return [
        _rule(
            tf.reduce_all(other == first),
            f"The images {' and '.join(shapes)} of a request have one {what}. Scale or cut one of "
            "them. Received:",
            *(first, other),
        )
        for other in others
    ]


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


class _Header(NamedTuple):
    """What the first bytes of one image say; `kind` is a PNG's colour type, -1 for a JPEG."""

    is_png: tf.Tensor
    height: tf.Tensor
    width: tf.Tensor
    kind: tf.Tensor


def _header_of(image_bytes: tf.Tensor) -> _Header:
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
        return tf.concat([width_and_height[::-1], tf.cast(header[25:26], tf.int64)], 0)

    def of_jpeg() -> tf.Tensor:
        size = tf.image.extract_jpeg_shape(image_bytes)[:2]
        return tf.cast(tf.concat([size, [-1]], 0), tf.int64)

    with tf.control_dependencies([rule]):
        height, width, kind = tf.unstack(tf.cond(tf.identity(is_png), of_png, of_jpeg), num=3)
    return _Header(is_png, height, width, kind)


def _file_rules(
    image_bytes: tf.Tensor, header: _Header, limits: Limits, channels: int
) -> list[tf.Operation]:
    """What decoding may cost: a small file can take seconds."""
    length = tf.strings.length(image_bytes, unit="BYTE")
    length, pixels = tf.cast(length, tf.int64), header.height * header.width
    most = tf.minimum(
        tf.constant(limits.max_bytes, tf.int64), BYTES_PER_PIXEL * pixels + MAX_BYTES_BESIDES
    )
    scans = tf.cond(header.is_png, lambda: tf.constant(0, tf.int64), lambda: _scans(image_bytes))
    texts = tf.cond(header.is_png, lambda: _texts(image_bytes), lambda: tf.constant(0))
    rules = [
        _rule(
            length <= most,
            "A file has at most this number of bytes here. Save it without its metadata, or scale "
            "it down. Most, and received:",
            *(most, length),
        ),
        _rule(
            (scans <= MAX_SCANS) & (scans * pixels <= MAX_SCANNED),
            f"A JPEG has at most {MAX_SCANS} scans, and {MAX_SCANNED} pixels in all of them. Save "
            "it as one that is not progressive. Scans and pixels received:",
            *(scans, pixels),
        ),
        _rule(
            texts <= MAX_TEXTS,
            f"A PNG has at most {MAX_TEXTS} compressed texts and profiles. Save it without its "
            "metadata. Received:",
            texts,
        ),
    ]
    if channels not in (1, 3):
        kind = {2: 4, 4: 6}.get(channels, -2)  # a PNG's grey or RGB, and one channel more
        rules.append(
            _rule(
                header.kind == kind,
                f"An image has {channels} channels here, and as a file is a PNG of the "
                "colour type 4, if it has 2, or 6, if it has 4. Convert it, or send pixels. Colour "
                "type received, -1 for a JPEG:",
                header.kind,
            )
        )
    return rules


def _scans(image_bytes: tf.Tensor) -> tf.Tensor:
    """The number of scan headers of a JPEG, int64; `zoo.image_files.SCAN` says what one is."""
    content = tf.io.decode_raw(image_bytes, tf.uint8)
    starts = tf.where(content[:-4] == 0xFF)
    following = tf.gather(content, tf.constant([[1, 2, 3, 4]], tf.int64) + starts)
    marker, high, length, parts = tf.unstack(tf.cast(following, tf.int32), num=4, axis=1)
    found = (marker == 0xDA) & (high == 0) & (length == 6 + 2 * parts) & (parts > 0) & (parts < 5)
    return tf.math.count_nonzero(found)


def _texts(image_bytes: tf.Tensor) -> tf.Tensor:
    """The number of chunks of a PNG that a decoder decompresses beside the pixels."""
    without = tf.strings.regex_replace(image_bytes, "zTXt|iTXt|iCCP", "")
    return (tf.strings.length(image_bytes) - tf.strings.length(without)) // 4
