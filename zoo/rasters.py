"""Reads images that do not fit into the memory, window by window, and writes their class maps.

By rasterio, which the extra `large` installs. What a file means is as in `zoo.images`; of a file
with several pictures the first counts. What is read is the file alone: a world file, statistics and
overviews beside it are not looked for. A JPEG's colours may differ a little from those of
`zoo.images`, as those of its decoders do. Pixels that a file declares as missing (nodata, a mask)
are pixels as all others.
"""

import contextlib
import dataclasses
import os
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
from PIL import Image

from zoo import files, images
from zoo.image_files import MAX_PIXELS as MAX_SIMPLE
from zoo.image_files import ImageError, stream_of

MAX_PIXELS = 2**32
# Of a block that a file is stored in, which is decoded at once: a strip, or a tile.
MAX_BLOCK_BYTES = 2**28

# GDAL's other drivers follow what a file names; none is asked whether it knows one.
_DRIVERS = {
    **dict.fromkeys((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"), "GTiff"),
    **{b"\x89PNG": "PNG", b"\xff\xd8\xff": "JPEG"},
}
_SETTINGS = {
    "GDAL_CACHEMAX": 2**26,
    "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
    "GDAL_NUM_THREADS": "1",
    "GDAL_PAM_ENABLED": False,
    "GDAL_TIFF_INTERNAL_MASK": True,
}
_ROWS = 256  # that are read or written at a time: of most files a row of blocks


@dataclasses.dataclass(frozen=True)
class Georeference:
    """Where the pixels of an image lie on the earth, in rasterio's types."""

    crs: Any
    transform: Any
    gcps: tuple[list, Any]
    area_or_point: str | None


@dataclasses.dataclass(frozen=True)
class Raster:
    """An image whose rows and windows are read when they are asked for.

    ```python
    with zoo.rasters.open_raster("field.tif", channels=3) as image:
        window = image[1000:1500, 2000:2500]  # uint8 [500, 500, 3]
    ```

    Args:
        path: The file.
        shape: Height, width and channels.
        georeference: None of an image that has none.
    """

    path: pathlib.Path
    shape: tuple[int, int, int]
    georeference: Georeference | None
    _dataset: Any = dataclasses.field(repr=False)

    def __getitem__(self, place: slice | tuple[slice, slice]) -> np.ndarray:
        """The pixels of rows, or of a window, uint8 `[h, w, channels]`; slices have no step.

        Raises:
            ImageError: The file is damaged there, or its channels do not become the model's.
        """
        rows, columns = place if isinstance(place, tuple) else (place, slice(None))
        first, last = _bounds(rows, self.shape[0])
        across = _bounds(columns, self.shape[1])
        window = np.empty((last - first, across[1] - across[0], self.shape[2]), np.uint8)
        for begin in range(first, last, _ROWS):  # in parts, for the memory
            end = min(begin + _ROWS, last)
            pixels = _pixels(self, (begin, end), across)
            part = images.with_channels(pixels, self.shape[2], str(self.path))
            window[begin - first : end - first] = part
        return window


def _bounds(part: slice, length: int) -> tuple[int, int]:
    first, last, step = part.indices(length)
    if step != 1:
        raise ValueError(f"A window has every pixel; received {part}. Leave out the step.")
    return first, max(first, last)


@contextlib.contextmanager
def open_raster(path: str | os.PathLike, *, channels: int | None = None) -> Iterator[Raster]:
    """Opens a PNG, TIFF or JPEG of up to MAX_PIXELS, whose pixels are read inside the `with` block.

    One thread reads at a time.

    Args:
        path: The file.
        channels: That the image shall have; None for those that are stored, an alpha channel among
            them.

    Raises:
        ImageError: rasterio is not installed; the file is missing, damaged, too large or of another
            format; its samples are not whole numbers of 8 bits or fewer, or of 16.
    """
    path = pathlib.Path(path).absolute()
    try:
        import rasterio
    except ImportError as error:
        raise ImageError(
            f"{path}: an image of more than {MAX_SIMPLE:,} pixels, or with a georeference, is "
            'read by rasterio, which is not installed. Install it: pip install "segmentation-zoo['
            'large]".'
        ) from error
    with contextlib.ExitStack() as stack:
        stack.enter_context(rasterio.Env(**_SETTINGS))
        with _image_errors(path):
            dataset = stack.enter_context(_opened(path, driver=_driver(path)))
            _check(dataset, path)
            height, width = dataset.shape
            raster = Raster(path, (height, width, 0), _georeference(dataset), dataset)
            stored = _pixels(raster, (0, 1), (0, 1)).shape[2]
        yield dataclasses.replace(raster, shape=(height, width, channels or stored))


def _opened(path: pathlib.Path, *arguments: str, **options: Any) -> Any:
    """`rasterio.open` without its warning of an image that has no georeference."""
    import rasterio
    from rasterio.errors import NotGeoreferencedWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        return rasterio.open(path, *arguments, **options)


def _driver(path: pathlib.Path) -> str:
    """GDAL's name of a file's format, by its first bytes."""
    with stream_of(path) as stream:
        head = stream.read(4)
    for begin, driver in _DRIVERS.items():
        if head.startswith(begin):
            return driver
    raise ImageError(
        f"{path}: an image is read by windows from a PNG, TIFF or JPEG file; this is none of them. "
        "Save it as one of them."
    )


@contextlib.contextmanager
def _image_errors(path: pathlib.Path) -> Iterator[None]:
    """Errors of GDAL, of any kind for damaged bytes, are an ImageError."""
    try:
        yield
    except ImageError:
        raise
    except FileNotFoundError as error:
        raise ImageError(
            f"{path}: there is no such file. Add it, or take it off the list."
        ) from error
    except Exception as error:
        raise ImageError(
            f"{path}: cannot be read as a PNG, TIFF or JPEG ({error}). Replace it, or save it as "
            "one of them."
        ) from error


def _check(dataset: Any, path: pathlib.Path) -> None:
    """Raises ImageError if a file takes too much to read, or its samples are none of an image."""
    height, width = dataset.shape
    if height * width > MAX_PIXELS:
        raise ImageError(
            f"{path}: an image has {MAX_PIXELS:,} pixels at most; this one has {height * width:,}. "
            "Cut it into parts."
        )
    bits, layout = _bits(dataset), dataset.tags(ns="IMAGE_STRUCTURE")
    if set(dataset.dtypes) not in ({"uint8"}, {"uint16"}) or bits not in (1, 2, 4, 8, 16):
        raise ImageError(
            f"{path}: an image has 8 or 16 bits per channel; this one is stored as "
            f"{', '.join(sorted(set(dataset.dtypes)))} of {bits} bits. Save it with 8 or 16 bits."
        )
    if layout.get("SOURCE_COLOR_SPACE") == "CIELAB":
        raise ImageError(f"{path}: an image is grey or RGB; this one is CIELAB. Save it as RGB.")
    block = max(rows * columns for rows, columns in dataset.block_shapes) * (bits // 8 or 1)
    block *= dataset.count if layout.get("INTERLEAVE") == "PIXEL" else 1
    if block > MAX_BLOCK_BYTES:
        raise ImageError(
            f"{path}: a strip or tile of a file has {MAX_BLOCK_BYTES:,} bytes at most; this one "
            f"has {block:,}. Save it in tiles of 512 × 512."
        )


def _bits(dataset: Any) -> int:
    stored = dataset.tags(1, ns="IMAGE_STRUCTURE").get("NBITS")
    return int(stored or np.dtype(dataset.dtypes[0]).itemsize * 8)


def _pixels(raster: Raster, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    """The stored channels of a window, uint8 `[h, w, channels]`."""
    dataset, bits = raster._dataset, _bits(raster._dataset)
    with _image_errors(raster.path):
        pixels = np.moveaxis(dataset.read(window=(rows, columns)), 0, -1)
        if dataset.count == 1 and (palette := _palette(dataset)) is not None:
            return palette[pixels[..., 0]]
    if bits == 16:
        pixels = (pixels >> 8).astype(np.uint8)
    elif bits < 8:
        pixels = pixels * np.uint8(255 // (2**bits - 1))
    white = dataset.tags(ns="IMAGE_STRUCTURE").get("MINISWHITE") == "YES"
    return np.ascontiguousarray(255 - pixels if white else pixels)


def _palette(dataset: Any) -> np.ndarray | None:
    """The colours of a palette, uint8 `[256, 3]`, or `[256, 1]` of greys; None without one."""
    if dataset.colorinterp[0].name != "palette" or dataset.dtypes[0] != "uint8":
        return None
    palette = np.zeros((256, 3), np.uint8)
    for number, colour in dataset.colormap(1).items():
        palette[number] = colour[:3]
    return palette[:, :1] if (palette == palette[:, :1]).all() else palette


def _georeference(dataset: Any) -> Georeference | None:
    gcps = dataset.gcps
    if dataset.crs is None and dataset.transform.is_identity and not gcps[0]:
        return None
    kind = dataset.tags().get("AREA_OR_POINT")
    return Georeference(dataset.crs, dataset.transform, gcps, kind)


def write_class_map(
    path: str | os.PathLike,
    class_map: np.ndarray,
    palette: np.ndarray,
    *,
    georeference: Georeference | None = None,
) -> None:
    """Writes a class map, which may be a memmap: a PNG with a palette, or a GeoTIFF with one.

    Args:
        path: Ends in `.tif` or `.tiff` for a GeoTIFF, else in `.png`. An existing file is replaced
            once the new one is complete.
        class_map: uint8 `[h, w]`.
        palette: uint8 `[256, 3]`.
        georeference: Of the image, for a GeoTIFF.

    Raises:
        ValueError: `path` has another ending.
        OSError: The file cannot be written; an existing file stays as it was.
    """
    path = pathlib.Path(path)
    if path.suffix.lower() not in (".tif", ".tiff", ".png"):
        raise ValueError(
            f"A class map is saved as PNG or GeoTIFF; received {path.name!r}. Name it "
            f"{path.with_suffix('.png').name}, or {path.with_suffix('.tif').name}."
        )
    with files.replacing(path) as unfinished:
        if path.suffix.lower() == ".png":
            size = class_map.shape[::-1]
            picture = Image.frombuffer("P", size, class_map, "raw", "P", 0, 1)  # copies nothing
            picture.putpalette(palette.tobytes())
            picture.save(unfinished, "PNG")
        else:
            _write_geotiff(path, unfinished, class_map, palette, georeference)


def _write_geotiff(
    path: pathlib.Path,
    unfinished: pathlib.Path,
    class_map: np.ndarray,
    palette: np.ndarray,
    georeference: Georeference | None,
) -> None:
    import rasterio
    from rasterio.errors import RasterioError

    height, width = class_map.shape
    layout = {"driver": "GTiff", "width": width, "height": height, "count": 1, "dtype": "uint8"}
    layout |= {"tiled": True, "blockxsize": 256, "blockysize": 256, "BIGTIFF": "IF_SAFER"}
    if georeference is not None and georeference.gcps[0]:
        layout |= {"gcps": georeference.gcps[0], "crs": georeference.gcps[1]}
    elif georeference is not None:
        layout |= {"crs": georeference.crs, "transform": georeference.transform}
    parts = [(first, min(first + _ROWS, height)) for first in range(0, height, _ROWS)]
    try:
        with rasterio.Env(**_SETTINGS):
            with _opened(unfinished, "w", compress="deflate", **layout) as dataset:
                dataset.write_colormap(1, dict(enumerate(map(tuple, palette.tolist()))))
                if georeference is not None and georeference.area_or_point:
                    dataset.update_tags(AREA_OR_POINT=georeference.area_or_point)
                for rows in parts:
                    dataset.write(class_map[slice(*rows)], 1, window=(rows, (0, width)))
            # GDAL writes its last blocks on closing, whose errors are not raised.
            with _opened(unfinished, driver="GTiff") as dataset:
                for rows in parts:
                    written = dataset.read(1, window=(rows, (0, width)))
                    if not np.array_equal(written, class_map[slice(*rows)]):
                        raise OSError("what was written is not what is read")
    except (RasterioError, OSError) as error:
        raise OSError(
            f"{path} cannot be written ({error}). Free some space there, and run the same command "
            "again."
        ) from error
