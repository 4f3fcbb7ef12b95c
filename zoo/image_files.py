"""Opens image files within limits; `zoo.images` says what is in them."""

import contextlib
import io
import os
import pathlib
import re
import stat
import threading
import warnings
from collections.abc import Iterator

from PIL import Image, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "BMP", "TIFF", "WEBP")  # of others, Pillow starts programs for some
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp")

MAX_PIXELS = 2**26  # 8192²; Pillow itself warns from 89 and refuses from 179 million pixels on
# A 16-bit PNG with transparency has 8 bytes a pixel. The rest is for profiles, previews and texts.
BYTES_PER_PIXEL, MAX_BYTES_BESIDES = 8, 2**22
# A progressive JPEG has about 10 scans, each costs a pass over all pixels and a few bytes.
MAX_SCANS, MAX_SCANNED = 100, 2**30
# What a PNG's decoder decompresses beside the pixels, at up to 8 MB each.
MAX_TEXTS = 16

SCAN = rb"\xff\xda\x00(?:\x08\x01|\x0a\x02|\x0c\x03|\x0e\x04)"
"""The header of a JPEG's scan: by chance it occurs once in 10¹¹ bytes."""

Source = str | os.PathLike | bytes
"""A file, or the bytes of one."""

_SAMPLES = 277  # the tag of a TIFF with its number of channels
_OTHER_FORMATS = (
    *((rb".{4}ftyp(hei|hev|mif1|msf1)", "HEIC"), (rb".{4}ftypavi", "AVIF"), (rb"GIF8", "GIF")),
    *((rb".{4}ftyp", "MP4 or QuickTime"), (rb"8BPS", "Photoshop"), (rb"%PDF", "PDF")),
    *((rb"%!PS|\xc5\xd0\xd3\xc6", "PostScript (EPS)"), (rb"\0\0\0\x0cjP|\xff\x4f", "JPEG 2000")),
    *((rb"\x93NUMPY", "NumPy"), (rb"\x89HDF", "HDF5"), (rb".{128}DICM", "DICOM")),
    *((rb"v/1\x01", "OpenEXR"), (rb"P[1-7]\s", "PNM"), (rb"\s*(<\?xml|<svg)", "SVG")),
)
_NO_IMAGES = (
    *((rb"\s*(<!doctype )?<?html", "web page"), (rb"PK\x03\x04", "ZIP archive")),
    (rb"version https://git-lfs", "pointer of Git LFS"),
)
# Pillow warns of odd headers by the warnings of the whole process: one thread at a time.
_HEADERS = threading.Lock()


class ImageError(ValueError):
    """A file cannot be used as an image or a class map; the message says why and what to do."""


class TooManyPixelsError(ImageError):
    """An image has more than `MAX_PIXELS`."""


class UnknownTiffError(ImageError):
    """Pillow does not know a form of TIFF, such as 5 channels."""


@contextlib.contextmanager
def opened(source: Source, *, page: int = 0, header_only: bool = False) -> Iterator[Image.Image]:
    """Opens an image at one of its pages; its pixels can be read inside the `with` block.

    With `header_only` the file is not read to its end for the limits of what follows the header,
    and the pixels are to be left alone.
    """
    shown = shown_as(source, page)
    try:
        with stream_of(source) as stream, _header(stream, shown, page, header_only) as image:
            yield image
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(
            f"{shown}: there is no such file. Add it, or take it off the list."
        ) from error
    except Exception as error:  # for damaged bytes Pillow's readers raise errors of any kind
        raise ImageError(f"{shown}: cannot be read as an image ({error}). Replace it.") from error


@contextlib.contextmanager
def peeked(source: Source) -> Iterator[Image.Image]:
    """Opens an image of any number of pixels, of which only the header is to be looked at.

    Raises:
        ImageError: The file is missing, or its header cannot be read.
    """
    shown = shown_as(source)
    try:
        with stream_of(source) as stream:
            with _HEADERS, warnings.catch_warnings():
                warnings.simplefilter("ignore")
                most, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
                try:
                    image = Image.open(stream, formats=FORMATS)
                finally:
                    Image.MAX_IMAGE_PIXELS = most
            yield image
    except ImageError:
        raise
    except Exception as error:  # for damaged bytes Pillow's readers raise errors of any kind
        raise ImageError(f"{shown}: cannot be read as an image ({error}). Replace it.") from error


@contextlib.contextmanager
def stream_of(source: Source) -> Iterator[io.BufferedIOBase]:
    """Opens a file, or bytes.

    Raises:
        ImageError: It is a folder, a pipe or a device.
    """
    if isinstance(source, bytes):
        yield io.BytesIO(source)
        return
    if not stat.S_ISREG(os.stat(source).st_mode):  # a pipe would be waited for
        raise ImageError(f"{source}: an image is a file; this is none. Replace it.")
    with pathlib.Path(source).open("rb") as stream:
        yield stream


def _header(stream: io.BufferedIOBase, shown: str, page: int, header_only: bool) -> Image.Image:
    """The image at a page, not yet decoded, after a check of the limits."""
    head = stream.read(256)
    length = stream.seek(0, io.SEEK_END)
    if not length:
        raise ImageError(f"{shown}: cannot be read as an image (it is empty). Replace it.")
    if head.startswith(b"\x89PNG"):  # before Pillow walks through its chunks, one by one
        if head[12:16] != b"IHDR":
            raise ImageError(f"{shown}: cannot be read as an image (no header). Replace it.")
        width, height = int.from_bytes(head[16:20]), int.from_bytes(head[20:24])
        _check_size(width * height, length, shown)
    stream.seek(0)
    with _HEADERS, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            image = Image.open(stream, formats=FORMATS)
            image.seek(page)
        except UnidentifiedImageError:
            if head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
                raise _unknown_tiff(shown) from None
            raise ImageError(f"{shown}: {_unknown(head)}") from None
        except Image.DecompressionBombError as error:
            raise TooManyPixelsError(
                f"{shown}: an image has {MAX_PIXELS:,} pixels at most ({error}). Cut it into tiles."
            ) from error
    if image.format == "TIFF" and image.tag_v2.get(_SAMPLES, 1) != len(image.getbands()):
        raise _unknown_tiff(shown)  # Pillow gives the first channel of some
    pixels = image.width * image.height
    _check_size(pixels, 0 if image.format in ("TIFF", "BMP") else length, shown)
    if header_only:
        return image
    place = stream.tell()
    stream.seek(0)
    if image.format in ("JPEG", "MPO"):
        _check_scans(stream.read(), pixels, shown)
    elif image.format == "PNG":
        _check_chunks(stream.read(), shown)
    stream.seek(place)
    return image


def _unknown_tiff(shown: str) -> UnknownTiffError:
    return UnknownTiffError(
        f"{shown}: cannot be read as an image (a TIFF has 1, 3 or 4 channels of 8 or 16 bits here, "
        "or it is damaged). Save it as PNG."
    )


def _check_size(pixels: int, length: int, shown: str) -> None:
    if not pixels:
        raise ImageError(
            f"{shown}: an image has at least one pixel; this one has none. Replace it."
        )
    if pixels > MAX_PIXELS:
        raise TooManyPixelsError(
            f"{shown}: an image has {MAX_PIXELS:,} pixels at most; this one has {pixels:,}. Cut it "
            "into tiles."
        )
    if length > BYTES_PER_PIXEL * pixels + MAX_BYTES_BESIDES:
        raise ImageError(
            f"{shown}: a file has at most {BYTES_PER_PIXEL} bytes a pixel and "
            f"{MAX_BYTES_BESIDES:,} besides; this one has {length:,} bytes for {pixels:,} pixels. "
            "Save it without its metadata."
        )


def _check_chunks(content: bytes, shown: str) -> None:
    place, name, texts = 8, b"", 0
    while name != b"IEND" and place < len(content):
        name = content[place + 4 : place + 8]
        texts += name in (b"zTXt", b"iTXt", b"iCCP")
        place += 12 + int.from_bytes(content[place : place + 4])
    if name != b"IEND" or place > len(content):  # Pillow does not miss the end
        raise ImageError(f"{shown}: cannot be read as an image (it is truncated). Replace it.")
    if texts > MAX_TEXTS:
        raise ImageError(
            f"{shown}: a PNG has at most {MAX_TEXTS} compressed texts and profiles; this one has "
            f"{texts}. Save it without its metadata."
        )


def _check_scans(content: bytes, pixels: int, shown: str) -> None:
    scans = len(re.findall(SCAN, content))
    if scans > MAX_SCANS or scans * pixels > MAX_SCANNED:
        raise ImageError(
            f"{shown}: a JPEG has at most {MAX_SCANS} scans, and {MAX_SCANNED:,} pixels in all of "
            f"them; this one has {scans} scans of {pixels:,}. Save it as a PNG, or as a JPEG that "
            "is not progressive."
        )


def _unknown(head: bytes) -> str:
    for kinds, text in (
        (_OTHER_FORMATS, "this is a {} file, whatever its name says. Convert it to PNG or JPEG."),
        (_NO_IMAGES, "this is a {}, whatever its name says. Put the image itself in its place."),
    ):
        for pattern, name in kinds:
            if re.match(pattern, head, re.DOTALL | re.IGNORECASE):
                return text.format(name)
    return (
        f"cannot be read as an image (it is none of {', '.join(FORMATS)}, or damaged). Replace it."
    )


def shown_as(source: Source, page: int = 0) -> str:
    """What an error calls a source."""
    name = "the image's bytes" if isinstance(source, bytes) else str(source)
    return f"{name} (page {page + 1})" if page else name
