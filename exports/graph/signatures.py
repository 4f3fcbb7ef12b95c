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

A net with several heads answers for its first with these. Each other head has signatures of its own
with `_HEAD` at the end, such as `mask_png_geometric` and `serving_default_geometric`, and the same
outputs. `serving_default` gives `class_map_HEAD` of each other head, too: one request, one pass of
the trunk. `heads`, which only such a net has, takes `index` int32 `[n]` and gives `name` string
`[n]` and `count` uint8 `[n]`, the number of heads.

A net with several images takes each by its own name, as `color` and `hha` instead of `image`, and
`color_bytes` and `hha_bytes` instead of `image_bytes`. All have one size.

`mask_png` answers each image at its own size, with a grey PNG whose values are the classes. For
bytes that are not an image, or against a rule, `valid` is 0 and the PNG is empty; the other images
of the request are answered.
"""

import functools
from collections.abc import Callable, Mapping

import keras
import tensorflow as tf

from exports.graph import (
    CLASS_MAP,
    CLASS_MAP_FROM_BYTES,
    CLASS_NAMES,
    HEADS,
    MASK_PNG,
    MAX_BATCH,
    MAX_BYTES,
    MAX_PIXELS,
    SCORES,
    SERVING_DEFAULT,
    requests,
)
from exports.graph.classes import class_names_signature, classes_of, heads_signature
from exports.graph.limits import Limits
from exports.graph.ports import (
    IMAGE,
    Ports,
    check_channels,
    check_classes,
    classes_by_head,
    ports_of,
)
from zoo.spec import Spec

Images = Mapping[str, tf.Tensor]
"""uint8 `[n, h, w, channels]`, by the names of the inputs."""


def signatures(
    model: keras.Model,
    *,
    spec: Spec | None = None,
    max_pixels: int = MAX_PIXELS,
    max_batch: int = MAX_BATCH,
    max_bytes: int = MAX_BYTES,
    max_request_pixels: int | None = None,
) -> dict[str, Callable]:
    """The signatures of a model as traced functions, to be saved in a SavedModel.

    Args:
        model: Takes images of any size; gives scores of their size.
        spec: Says what the classes mean; None if that is unknown.
        max_pixels: The most pixels of one image of a request.
        max_batch: The most images of a request.
        max_bytes: The most bytes of the JPEG or PNG file of one image.
        max_request_pixels: The most pixels of all images that are computed together; None for no
            limit but the other two.

    Raises:
        ValueError: As `ports_of`; more classes than a byte holds; a limit is not a positive whole
            number.
    """
    ports = ports_of(model)
    limits = Limits(ports.channels, max_pixels, max_batch, max_bytes, max_request_pixels)
    check_channels(model, ports)
    check_classes(model)
    asked = _scores_once(model, ports)

    def class_maps(outputs: Mapping[str, str | None]) -> Callable:
        """Gives the class map of a head as each output."""

        def serving_default(**images: tf.Tensor) -> dict[str, tf.Tensor]:
            found = asked(requests.checked(images, limits, ports))
            return {output: class_map_of(found[head]) for output, head in outputs.items()}

        return _traced(serving_default, image_specs(ports))

    found = {}
    for head, classes in classes_by_head(model).items():
        of_head = _of_head(functools.partial(_of_one, asked, head), limits, ports)
        outputs = {CLASS_MAP: head}
        if head == ports.heads[0]:
            outputs = {ports.name_of(CLASS_MAP, one): one for one in ports.heads}
        of_head[SERVING_DEFAULT] = class_maps(outputs)
        of_head[CLASS_NAMES] = class_names_signature(classes_of(spec, classes, head))
        found |= {ports.name_of(name, head): answer for name, answer in of_head.items()}
    if len(ports.heads) > 1:
        found[HEADS] = heads_signature(ports.heads)
    return found


def scores_by_head(model: keras.Model, images: Images) -> dict[str | None, tf.Tensor]:
    """The scores of each head, all from one pass of the trunk; that of the only head is None."""
    given = {name: tf.cast(image, tf.float32) for name, image in images.items()}
    found = model(given if isinstance(model.input, dict) else given[IMAGE], training=False)
    return found if isinstance(found, dict) else {None: found}


def _scores_once(model: keras.Model, ports: Ports) -> Callable:
    """`scores_by_head` as one function that every signature calls.

    The model is traced once and lies in the file once, not with each signature. Where a signature
    runs, TensorFlow puts the function in the place of the call, and takes out what is not asked.
    """
    specs = {
        name: tf.TensorSpec([None, None, None, channels], tf.uint8)
        for name, channels in ports.inputs.items()
    }
    return tf.function(functools.partial(scores_by_head, model), input_signature=[specs])


def _of_one(asked: Callable, head: str | None, images: Images) -> tf.Tensor:
    return asked(images)[head]


def image_specs(ports: Ports) -> dict[str, tf.TensorSpec]:
    """The images of a request, uint8 `[n, h, w, channels]`, by the names of the inputs."""
    return {
        name: tf.TensorSpec([None, None, None, channels], tf.uint8, name=name)
        for name, channels in ports.inputs.items()
    }


def _traced(answer: Callable, takes: Mapping[str, tf.TensorSpec]) -> Callable:
    return tf.function(answer).get_concrete_function(**takes)


def _of_head(
    scores_of: Callable[[Images], tf.Tensor], limits: Limits, ports: Ports
) -> dict[str, Callable]:
    """The signatures for the scores of one head, but `serving_default`."""

    def class_map_from_bytes(**files: tf.Tensor) -> dict[str, tf.Tensor]:
        images = requests.decode_one_size(_checked(files), limits, ports)
        return {CLASS_MAP: class_map_of(scores_of(images))}

    def mask_png(**files: tf.Tensor) -> dict[str, tf.Tensor]:
        return _masks(scores_of, _checked(files), limits, ports)

    def scores(**images: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = scores_of(requests.checked(images, limits, ports))
        return {"probabilities": tf.nn.softmax(tf.cast(logits, tf.float32))}

    def _checked(files: Images) -> dict[str, tf.Tensor]:
        by_input = {name: files[ports.bytes_of(name)] for name in ports.inputs}
        return requests.checked_bytes(by_input, limits)

    files = {
        ports.bytes_of(name): tf.TensorSpec([None], tf.string, name=ports.bytes_of(name))
        for name in ports.inputs
    }
    return {
        CLASS_MAP_FROM_BYTES: _traced(class_map_from_bytes, files),
        MASK_PNG: _traced(mask_png, files),
        SCORES: _traced(scores, image_specs(ports)),
    }


def _masks(
    scores_of: Callable, files: Mapping[str, tf.Tensor], limits: Limits, ports: Ports
) -> dict[str, tf.Tensor]:
    """A PNG of classes for each image that can be decoded, an empty string for each other."""

    def png_of(images: Images) -> tf.Tensor:
        batch = {name: image[None] for name, image in images.items()}
        return tf.io.encode_png(class_map_of(scores_of(batch))[0, :, :, None])

    def mask_of(one: Mapping[str, tf.Tensor]) -> tf.Tensor:
        images = requests.decode_or_nothing(one, limits, ports)
        is_there = tf.size(next(iter(images.values()))) > 0
        return tf.cond(is_there, lambda: png_of(images), lambda: tf.constant(""))

    # One after the other: their sizes differ, and so that memory is that of one image.
    masks = tf.map_fn(
        mask_of,
        files,
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
