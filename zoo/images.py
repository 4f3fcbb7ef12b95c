"""Reads images and class maps: the one place that says what a file means.

These rules hold in training data, exports and their checks, predictions, the client, and, where
they concern JPEG and PNG, for the bytes that an exported graph is sent.

- **Formats** are known by their content, whatever the name says: PNG, JPEG, BMP, TIFF and WebP. Of
  a file with several pictures (MPO, TIFF) the first counts, or the given page. TIFFs of more than
  4 channels need tifffile.
- **An image** has 8 bits per channel. Of 16 bits the upper 8 are taken, so that the whole range is
  scaled and nothing is clipped; fewer than 8 are scaled up. 32 bits and floats are refused.
- **Channels**: a palette gives its colours, CMYK becomes RGB. Where a model takes other channels
  than are stored, grey is repeated to RGB, RGB becomes grey (ITU-R 601), and a fourth channel
  behind RGB, or a second behind grey, is dropped.
- **The pixels as they are stored** count, for images and class maps alike: an EXIF orientation
  turns nothing. Where an image that has one and its mask lie in two files, nobody knows which way
  the mask was drawn: `upright=True` refuses that. `turned` turns an image and the answer to it as
  viewers do.
- **A class map** holds the stored samples: palette indices, or grey samples of any number of bits,
  unscaled. `read_colours` reads one that stores colours. A lossy file (JPEG, most WebP) is refused:
  its values have changed.
- **Limits** (`zoo.image_files`) are checked before anything is decoded. Damaged and truncated files
  are refused.
"""

import contextlib

import numpy as np
from PIL import ExifTags, Image

from zoo.image_files import (
    ENDINGS,
    FORMATS,
    ImageError,
    Source,
    TooManyPixelsError,
    UnknownTiffError,
    opened,
    peeked,
    shown_as,
)
from zoo.multiband import read_bands

__all__ = [
    "ENDINGS",
    "FORMATS",
    "ImageError",
    "channels_of",
    "is_geotiff",
    "orientation_of",
    "pages_of",
    "palette_of",
    "read_class_map",
    "read_colours",
    "read_image",
    "read_numbers",
    "size_of",
    "turned",
    "with_channels",
]

MAX_PAGES = 4096  # of a stack; a small file can declare millions
_GEO_KEYS = 34735  # the tag of a GeoTIFF's directory
_ALPHA = ("LA", "La", "RGBA", "RGBa")
_LOSSY = ("jpeg", "tiff_jpeg", "webp")  # compressions of TIFF
_COLOURS = ("P", "PA", "RGB", "YCbCr", "LAB", "CMYK")


def read_image(
    source: Source, *, channels: int | None = None, page: int = 0, upright: bool = False
) -> np.ndarray:
    """An image, uint8 `[h, w, channels]`; it may be read-only.

    Args:
        source: A file, or its bytes.
        channels: That the image shall have; None for those of `channels_of`.
        page: Of a TIFF stack.
        upright: Refuses an EXIF orientation that turns the image.

    Raises:
        ImageError: The file is missing, damaged, too large or of another format; it has 32 bits or
            float samples, or channels that do not become `channels`.
    """
    try:
        pixels, alpha = _stored(source, page, upright)
    except UnknownTiffError:
        pixels, alpha = read_bands(source, page=page), False
    if channels is not None:
        return with_channels(pixels, channels, shown_as(source, page))
    return pixels[..., :-1] if alpha and pixels[..., -1].min() == 255 else pixels


def channels_of(source: Source) -> int:
    """The channels that an image has: 1 for grey, 3 for RGB, one more with transparency or data.

    An alpha channel that is opaque everywhere, as screenshots have it, does not count. Of images
    without one only the header is read.

    Raises:
        ImageError: As `read_image`, as far as the header tells.
    """
    with contextlib.suppress(UnknownTiffError), opened(source, header_only=True) as image:
        _check_bits(image, shown_as(source))
        if image.mode not in (*_ALPHA, "RGBX"):
            return 3 if image.mode in _COLOURS else 1
    return read_image(source).shape[2]


def read_class_map(
    source: Source, *, page: int = 0, size: tuple[int, int] | None = None
) -> np.ndarray:
    """The class numbers of a palette or grey file, uint8 `[h, w]`; it may be read-only.

    Args:
        source: A file, or its bytes.
        page: Of a TIFF stack.
        size: The height and width that it must have, compared before it is decoded.

    Raises:
        ImageError: As `read_image`; the file is lossy, holds colours or a number above 255, or has
            another size.
    """
    numbers = _samples(source, page, size)
    if numbers.dtype != np.uint8 and (numbers.min() < 0 or numbers.max() > 255):
        wrong = numbers.min() if numbers.min() < 0 else numbers.max()
        raise ImageError(
            f"{shown_as(source, page)}: a class map holds numbers from 0 to 255; it holds {wrong}. "
            "Save class numbers, and 255 for void."
        )
    return numbers.astype(np.uint8, copy=False)


def read_numbers(source: Source, *, page: int = 0) -> np.ndarray:
    """The stored samples of a grey or palette file: object numbers, or depths.

    Returns:
        `[h, w]`, uint8, uint16 or int32 as they are stored.

    Raises:
        ImageError: As `read_class_map`; but a number may have 32 bits.
    """
    numbers = _samples(source, page)
    return numbers.astype(numbers.dtype.newbyteorder("="), copy=False)


def read_colours(source: Source, *, page: int = 0) -> np.ndarray:
    """The colours of a class map that stores colours, uint8 `[h, w, 3]`; it may be read-only.

    Raises:
        ImageError: As `read_image`, or the file is lossy.
    """
    with opened(source, page=page) as image:
        _check_lossless(image, shown_as(source, page))
        pixels = _pixels(image, shown_as(source, page))
    return with_channels(pixels, 3, shown_as(source, page))


def palette_of(source: Source) -> np.ndarray | None:
    """The colours that a file's palette gives its indices, uint8 `[n, 3]`; None without a palette.

    Raises:
        ImageError: As `read_image`, as far as the header tells.
    """
    with opened(source, header_only=True) as image:
        if image.mode != "P":
            return None
        return np.array(image.getpalette("RGB"), np.uint8).reshape(-1, 3)


def pages_of(source: Source) -> int:
    """How many pages a stack has.

    Raises:
        ImageError: As `read_image`, or there are more than `MAX_PAGES`.
    """
    with opened(source) as stack:
        for page in range(MAX_PAGES + 1):
            try:
                stack.seek(page)
            except EOFError:
                return page
    raise ImageError(
        f"{shown_as(source)}: a stack has {MAX_PAGES:,} pages at most; this one has more. Cut it."
    )


def size_of(source: Source) -> tuple[int, int]:
    """Height and width as the header says, of an image of any number of pixels.

    Raises:
        ImageError: The file is missing, or its header cannot be read.
    """
    with peeked(source) as image:
        return image.height, image.width


def is_geotiff(source: Source) -> bool:
    """Whether a file is a TIFF that says where its pixels lie; what cannot be read is not."""
    try:
        with peeked(source) as image:
            return image.format == "TIFF" and _GEO_KEYS in image.tag_v2
    except ImageError:
        return False


def orientation_of(source: Source) -> int:
    """The EXIF orientation of an image, 1 to 8; 1 if it has none.

    That of a PNG of more than `zoo.image_files.MAX_PIXELS` is not looked for.

    Raises:
        ImageError: As `read_image`.
    """
    try:
        with opened(source) as image:
            return _orientation(image)
    except UnknownTiffError:  # of many channels, which no viewer turns
        return 1
    except TooManyPixelsError:
        with peeked(source) as image:  # a PNG may say it behind its pixels
            return 1 if image.format == "PNG" else _orientation(image)


def turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """An image or a class map `[h, w, ...]` as viewers show it with an EXIF orientation."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return pixels


def _orientation(image: Image.Image) -> int:
    value = image.getexif().get(ExifTags.Base.Orientation, 1)
    return value if value in range(1, 9) else 1


def _stored(source: Source, page: int, upright: bool) -> tuple[np.ndarray, bool]:
    """The stored channels, uint8 `[h, w, channels]`, and whether the last one is transparency."""
    with opened(source, page=page) as image:
        if upright and _orientation(image) != 1:
            raise ImageError(
                f"{shown_as(source, page)}: an image is stored the way its label is; this one has "
                "an EXIF orientation that turns it. Save it turned, without that tag."
            )
        alpha = image.mode in _ALPHA
        return _pixels(image, shown_as(source, page)), alpha


def _pixels(image: Image.Image, shown: str) -> np.ndarray:
    """The stored channels, uint8 `[h, w, channels]`."""
    _check_bits(image, shown)
    if image.mode.startswith("I;16"):
        pixels = (np.asarray(image) >> 8).astype(np.uint8)
    elif image.mode == "CMYK":
        # Pillow takes every JPEG for one of Adobe's, whose inks are stored inverted.
        inverted = image.format == "JPEG" and "adobe" not in image.info
        pixels = _rgb_of_inks(np.asarray(image), inverted)
    else:
        simple = {"1": "L", "La": "LA", "RGBa": "RGBA"} | dict.fromkeys(_COLOURS, "RGB")
        # Pillow makes RGBA of a PNG with 16-bit grey and alpha.
        used = [0, 3] if _coding(image).startswith("LA") and image.mode == "RGBA" else slice(None)
        image.load()
        image.info.pop("transparency", None)  # of a palette; Pillow would warn that it is lost
        if image.mode in simple and image.mode != simple[image.mode]:
            image = image.convert(simple[image.mode])
        pixels = np.asarray(image)[..., used]
    return pixels.reshape(*pixels.shape[:2], -1)


def _rgb_of_inks(inks: np.ndarray, inverted: bool) -> np.ndarray:
    """RGB of CMYK uint8 `[h, w, 4]`, as TensorFlow's decoder does it."""
    paper = inks if inverted else 255 - inks
    rgb = np.empty((*inks.shape[:2], 3), np.uint8)
    for channel in range(3):  # one at a time, for the memory
        product = paper[..., channel] * paper[..., 3].astype(np.uint16)
        rgb[..., channel] = (product + (product >> 8) + 1) >> 8  # product // 255
    return rgb


def _coding(image: Image.Image) -> str:
    """How a file that is not yet decoded stores its samples, in Pillow's words, such as "L;4"."""
    coding = image.tile[0][3] if image.tile else ""
    return coding if isinstance(coding, str) else coding[0]


def with_channels(pixels: np.ndarray, channels: int, shown: str) -> np.ndarray:
    """An image of the channels of a model, by the rules above, uint8 `[h, w, channels]`.

    Args:
        pixels: uint8 `[h, w, channels]`, as they are stored.
        channels: Of the model.
        shown: What an error calls the image.

    Raises:
        ImageError: They do not become `channels`.
    """
    stored = pixels.shape[2]
    if channels == stored:
        return pixels
    if channels in (1, 3) and stored <= 4:
        if stored in (2, 4):
            pixels = pixels[..., :-1]
        if channels == 3:
            return np.repeat(pixels, 3 // pixels.shape[2], axis=2)
        if pixels.shape[2] == 3:
            pixels = np.asarray(Image.fromarray(pixels).convert("L"))[..., None]
        return pixels
    raise ImageError(
        f"{shown}: an image has the channels of its model, here {channels}; this one has {stored}. "
        f"Take a model with channels={stored}, or files with {channels} channels."
    )


def _samples(source: Source, page: int, size: tuple[int, int] | None = None) -> np.ndarray:
    """The stored samples of the only channel."""
    shown = shown_as(source, page)
    with opened(source, page=page) as image:
        if size is not None and (image.height, image.width) != tuple(size):
            raise ImageError(
                f"{shown}: a class map has its image's size, {size[0]}×{size[1]}; it is "
                f"{image.height}×{image.width} (height × width). Replace one of them."
            )
        _check_lossless(image, shown)
        if image.mode not in ("1", "L", "P", "I") and not image.mode.startswith("I;16"):
            raise ImageError(
                f"{shown}: a class map holds one number per pixel; this one is stored as "
                f"{image.mode!r}. Save the numbers as a palette (P) or 8-bit grey (L) PNG."
            )
        kind, _, form = _coding(image).partition(";")
        samples = np.asarray(image)
        # Pillow gives the brightness of a grey sample; the number that is stored was scaled to it.
        if kind in ("1", "L"):
            samples = samples.astype(np.uint8, copy=False)
            bits = 1 if kind == "1" else int(form[:1]) if form[:1].isdigit() else 8
            if kind == "L":
                samples = samples // (255 // (2**bits - 1)) if bits < 8 else samples
            if "I" in form:  # 0 is white
                samples = 2**bits - 1 - samples
        return samples


def _check_bits(image: Image.Image, shown: str) -> None:
    if image.mode in ("I", "F"):
        raise ImageError(
            f"{shown}: an image has 8 or 16 bits per channel; this one is stored as "
            f"{image.mode!r}, with 32. Save it with 8 or 16 bits."
        )


def _check_lossless(image: Image.Image, shown: str) -> None:
    form = image.format
    if form == "WEBP":
        image.fp.seek(0)
        lossy = b"VP8L" not in image.fp.read()
    else:
        lossy = form in ("JPEG", "MPO") or image.info.get("compression") in _LOSSY
    if lossy:
        raise ImageError(
            f"{shown}: a class map is stored without loss; this one is a lossy "
            f"{'JPEG' if form == 'MPO' else form}, whose values are no longer those that were "
            "drawn. Save the class map as PNG where it was made."
        )
