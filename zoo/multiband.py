"""Reads TIFFs that Pillow does not know: of any number of channels, by tifffile if it is there."""

import io
import zlib

import numpy as np

from zoo import image_files
from zoo.image_files import ImageError, Source, shown_as

MAX_SAMPLES = 2**28  # pixels times channels
_DEFLATE = (8, 32946)


def read_bands(source: Source, *, page: int = 0) -> np.ndarray:
    """The channels of a page, uint8 `[h, w, channels]`; of 16 bits the upper 8.

    Raises:
        ImageError: tifffile is not installed; the page is missing, damaged or too large; its
            samples are not whole numbers of 8 or 16 bits.
    """
    shown = shown_as(source, page)
    try:
        import tifffile
    except ImportError as error:
        raise ImageError(
            f"{shown}: a TIFF of this form, such as one of more than 4 channels, is read by "
            "tifffile, which is not installed. Install it with pip install tifffile."
        ) from error
    try:
        with image_files.stream_of(source) as stream, tifffile.TiffFile(stream) as file:
            return _bands(file.pages[page], stream, shown)
    except ImageError:
        raise
    except Exception as error:  # for damaged bytes it raises errors of any kind
        raise ImageError(
            f"{shown}: cannot be read as an image ({error}). Save it uncompressed, or replace it."
        ) from error


def _bands(page, stream: io.BufferedIOBase, shown: str) -> np.ndarray:
    """The pixels of a page of tifffile, after a check of what it declares."""
    pixels, samples = page.imagewidth * page.imagelength, int(np.prod(page.shape))
    if pixels > image_files.MAX_PIXELS or samples > MAX_SAMPLES:
        raise ImageError(
            f"{shown}: an image has {image_files.MAX_PIXELS:,} pixels and {MAX_SAMPLES:,} samples "
            f"at most; this one has {pixels:,} and {samples:,}. Cut it into tiles."
        )
    if page.dtype not in (np.uint8, np.uint16):
        raise ImageError(
            f"{shown}: an image has 8 or 16 bits per channel; this one is stored as {page.dtype}. "
            "Save it with 8 or 16 bits."
        )
    if page.compression in _DEFLATE:
        _check_deflate(page, stream, shown)
    bands = page.asarray(maxworkers=1)
    bands = np.moveaxis(bands, 0, -1) if page.axes == "SYX" else bands
    if page.axes not in ("YX", "YXS", "SYX"):
        raise ImageError(
            f"{shown}: a page is an image [h, w, channels]; this one has the axes {page.axes}. "
            "Save one image on each page."
        )
    bands = bands.reshape(*bands.shape[:2], -1)
    return bands if bands.dtype == np.uint8 else (bands >> 8).astype(np.uint8)


def _check_deflate(page, stream: io.BufferedIOBase, shown: str) -> None:
    """Raises ImageError if a strip or tile unpacks to more than it declares: up to 1000 times."""
    most = int(np.prod(page.chunks)) * page.dtype.itemsize
    for start, length in zip(page.dataoffsets, page.databytecounts, strict=True):
        stream.seek(start)
        if len(zlib.decompressobj().decompress(stream.read(length), most + 1)) > most:
            raise ImageError(
                f"{shown}: a strip or tile of a TIFF has {most:,} bytes here; one unpacks to more. "
                "Replace the file."
            )
