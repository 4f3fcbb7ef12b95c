"""The class map of an image file that does not fit into the memory, which a second try continues.

Finished rows lie in a folder beside the target, `NAME.partial`, with what was asked for. The same
request goes on behind the last strip that is on the disk.
"""

import dataclasses
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from zoo import files, images, rasters
from zoo.image_files import ENDINGS, ImageError
from zoo.inference.scorers import Scorer
from zoo.inference.strips import Rows, strips
from zoo.inference.tiling import tiling
from zoo.terminal import tell

MAX_OVERVIEW = 4096
"""Pixels on the longer side of an overview."""

_READ = 512  # rows at a time, for an overview
_PARTIAL = ".partial"
_ROWS, _REQUEST, _LOCK = "rows", "request.json", "lock"


@dataclasses.dataclass(frozen=True)
class Predicted:
    """The file of a class map, and a reduced image uint8 `[h, w, channels]` with its class map."""

    path: pathlib.Path
    image: np.ndarray
    class_map: np.ndarray


def predict_large(
    answer: Scorer,
    source: str | os.PathLike,
    target: str | os.PathLike,
    *,
    palette: np.ndarray,
    request: str = "",
    side: int | None = None,
    overlap: int | None = None,
    show: Callable[[int, int], Any] = lambda done, total: None,
) -> Predicted:
    """Writes the class map of an image of any size, strip by strip.

    ```python
    palette = zoo.pictures.voc_palette()
    with counting("pixels") as show:
        predict_large(answer, "field.tif", "answers/field", palette=palette, show=show)
    ```

    As viewers do, an EXIF orientation turns the class map, if there is no georeference.

    Args:
        answer: Answers a tile.
        source: A PNG, TIFF or JPEG.
        target: The file, whose ending becomes `.tif` for an image with a georeference, and else
            `.png`. An existing file is replaced.
        palette: uint8 `[256, 3]`, of the class map.
        request: What else the answer depends on, such as the checksum of the weights. What was
            begun for another request, or for an image that has changed, begins anew.
        side: As of `zoo.inference.tiles.tiled`.
        overlap: As of `zoo.inference.tiles.tiled`.
        show: Called after each tile with the number of pixels that are done, and that of all.

    Raises:
        ImageError: The image cannot be used, as of `zoo.rasters.open_raster`, or has changed while
            it was read.
        zoo.files.InUseError: Another process works on the same target.
        OSError: A file cannot be written, as on a full disk. What is done stays: the same call
            goes on from there.
        ValueError: As `zoo.inference.tiles.tiled`.
        MemoryError: There is too little for a tile.
    """
    source, cut = pathlib.Path(source), tiling(answer, side=side, overlap=overlap)
    with rasters.open_raster(source, channels=answer.spec.channels) as image:
        target = _named(pathlib.Path(target), image)
        partial = target.with_name(target.name + _PARTIAL)
        asked = {
            "request": request,
            "image": [str(source.absolute()), *_state(source)],
            "size": list(image.shape[:2]),
            "tiles": [dataclasses.asdict(cut), answer.margin, answer.stride],
        }
        partial.mkdir(parents=True, exist_ok=True)
        _check_ours(partial)
        with files.locked(partial / _LOCK):
            _answer(answer, image, partial, asked, show, side=side, overlap=overlap)
            if _state(source) != tuple(asked["image"][1:]):
                raise ImageError(
                    f"{source}: it has changed while it was read. Run the same command again."
                )
            class_map = np.memmap(partial / _ROWS, np.uint8, "r", shape=tuple(asked["size"]))
            turn = images.orientation_of(source) if image.georeference is None else 1
            turned = np.ascontiguousarray(images.turned(class_map, turn))
            rasters.write_class_map(target, turned, palette, georeference=image.georeference)
            overviews = (images.turned(_overview(one), turn) for one in (image, class_map))
            found = Predicted(target, *overviews)
            del class_map, turned  # Windows removes no open file
        files.remove(partial)
    return found


def _check_ours(partial: pathlib.Path) -> None:
    """Raises FileExistsError if somebody else's files lie where finished rows are kept."""
    foreign = {one.name for one in partial.iterdir()} - {_ROWS, _REQUEST, _LOCK}
    if foreign:
        raise FileExistsError(
            f"{partial} is where finished rows are kept; {min(foreign)} in it is not of them. Move "
            "it away."
        )


def _named(target: pathlib.Path, image: rasters.Raster) -> pathlib.Path:
    name = target.stem if target.suffix.lower() in ENDINGS else target.name
    return target.with_name(f"{name}{'.png' if image.georeference is None else '.tif'}")


def _state(source: pathlib.Path) -> tuple[int, int]:
    """What changes when a file does: its bytes and its time."""
    try:
        found = source.stat()
    except FileNotFoundError as error:
        raise ImageError(
            f"{source}: it was removed while it was read. Put it back, and run the same command "
            "again."
        ) from error
    return found.st_size, found.st_mtime_ns


def _answer(
    answer: Scorer,
    image: rasters.Raster,
    partial: pathlib.Path,
    asked: dict[str, Any],
    show: Callable[[int, int], Any],
    **options: int | None,
) -> None:
    """Adds to the rows in `partial` until all are there."""
    height, width = image.shape[:2]
    done = _done(partial, asked)
    if done:
        tell(f"{partial}: going on from row {done:,} of {height:,}")
    count = done * width

    def told(pixels: int) -> None:
        nonlocal count
        count += pixels
        show(count, height * width)

    show(count, height * width)
    for rows, part in strips(answer, image, start=done, told=told, **options):
        files.write_at(partial / _ROWS, rows.start * width, part.data)
        _note(partial, asked, rows.stop)


def _done(partial: pathlib.Path, asked: dict[str, Any]) -> int:
    """How many rows are on the disk for the same request. For another, those there are removed."""
    try:
        said = json.loads((partial / _REQUEST).read_text(encoding="utf-8"))
        done = said.pop("rows")
        there = (partial / _ROWS).stat().st_size // asked["size"][1]
        if said == asked and 0 <= done <= there:
            return done
        tell(f"{partial} is of another request or image: beginning anew")
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        pass  # killed before anything was done
    files.remove(partial / _REQUEST)
    files.write_at(partial / _ROWS, 0, b"")
    _note(partial, asked, 0)
    return 0


def _note(partial: pathlib.Path, asked: dict[str, Any], rows: int) -> None:
    files.write_text(partial / _REQUEST, json.dumps(asked | {"rows": rows}))


def _overview(image: Rows) -> np.ndarray:
    """Every nth pixel of each row and column, so that MAX_OVERVIEW are left at most."""
    height, width = image.shape[:2]
    every = -(-max(height, width) // MAX_OVERVIEW)
    rows, columns = (
        np.minimum(np.arange(0, length, every) + every // 2, length - 1)
        for length in (height, width)
    )
    found = []
    for first in range(0, height, _READ):
        inside = rows[(rows >= first) & (rows < first + _READ)] - first
        found.append(image[first : first + _READ][inside][:, columns])
    return np.concatenate(found)
