"""Writes the files of one image: a photograph, a large image, a video, or a classifier's maps.

All writers are called alike, and give a line on what is written, and one on what is missing.
"""

import contextlib
import pathlib
import time
from collections.abc import Callable

import numpy as np
from PIL import Image

from zoo import depths, files, image_files, images, pictures, rasters, videos
from zoo.inference import heatmaps, inputs
from zoo.inference.asked import Asked
from zoo.inference.journal import Journal
from zoo.inference.large import predict_large
from zoo.inference.predicting import class_maps
from zoo.spec import Spec

_TOLD = 5  # classes in a line on an image

Show = Callable[[str], None]
"""Called with a text on how far the work is."""


def write_image(
    asked: Asked,
    path: pathlib.Path,
    image: np.ndarray,
    named: dict[str, str],
    kept: Journal,
    show: Show,
) -> tuple[str, None]:
    """Writes the files of an image; gives a line on it."""
    began, turn = time.monotonic(), images.orientation_of(path)
    if inputs.is_large(image.shape) and not asked.method.needs_whole:
        _check_strips(asked, path)
        numbers = class_maps(asked.model, asked.method, asked.others)(image)
    else:
        found = asked.composed_of(asked.boxes.get(path.stem))(image)
        numbers = found.argmax(-1).astype(np.uint8)
    shares = inputs.shares(numbers, asked.spec)
    in_grey = asked.spec.channels == 1 and images.channels_of(path) >= 3
    shown = images.read_image(path, channels=3) if in_grey else inputs.shown(image)
    turned, shown = images.turned(numbers, turn), images.turned(shown, turn)
    targets = {what: kept.folder / name for what, name in named.items()}
    kept.announce(
        path, [*named.values()], seconds=round(time.monotonic() - began, 3), shares=shares
    )
    if asked.scores:
        _save_array(images.turned(found, turn), targets["probabilities"])
    if asked.heatmaps:
        numbers_of = heatmaps.find(asked.heatmaps, asked.spec.names)
        _save_heatmaps(asked, shown, images.turned(found[..., numbers_of], turn), targets)
    place = inputs.georeference_of(path)
    if place is None:
        pictures.save_class_map(targets["mask"], turned, palette=_palette(asked.spec))
    else:
        rasters.write_class_map(targets["mask"], numbers, _palette(asked.spec), georeference=place)
    _save(_overlay(shown, turned, asked), targets["overlay"])
    told = _line(targets["mask"], shares) + _of_a_stack(path)
    if place is None and images.is_geotiff(path):
        told += ' (without its georeference, which pip install "segmentation-zoo[large]" keeps)'
    return told + " (from its grey values: the model takes 1 channel)" * in_grey, None


def _of_a_stack(path: pathlib.Path) -> str:
    """What a line says of a stack, of which one page is answered; empty for other files."""
    pages = 1
    if path.suffix.lower() in (".tif", ".tiff"):
        with contextlib.suppress(images.ImageError):  # of a form that Pillow does not know
            pages = images.pages_of(path)
    return f" (page 1 of {pages}; save each page as a file of its own)" if pages > 1 else ""


def write_large(
    asked: Asked,
    path: pathlib.Path,
    image: None,
    named: dict[str, str],
    kept: Journal,
    show: Show,
) -> tuple[str, None]:
    """Writes the class map of an image strip by strip, and a smaller overlay."""
    _check_strips(asked, path)
    if depths.takes_depth(asked.spec):
        raise images.ImageError(
            f"{path}: a net of colour and depth answers images that are read at once, of "
            f"{image_files.MAX_PIXELS:,} pixels at most. Cut it into smaller images."
        )
    answer = asked.method.of_a_tile(asked.model, asked.others)
    began, names = time.monotonic(), [*named.values()]
    kept.announce(path, names)
    found = predict_large(
        answer,
        path,
        kept.folder / named["mask"],
        palette=_palette(asked.spec),
        side=asked.method.side_of(answer),
        overlap=asked.method.overlap,
        show=lambda done, total: show(f"{path.name}: {done / total:.1%}"),
    )
    shares = inputs.shares(found.class_map, asked.spec)
    kept.announce(path, names, seconds=round(time.monotonic() - began, 3), shares=shares)
    shown = _overlay(inputs.shown(found.image), found.class_map, asked)
    _save(shown, kept.folder / named["overlay"])
    return _line(found.path, shares), None


def _check_strips(asked: Asked, path: pathlib.Path) -> None:
    if asked.scores or asked.heatmaps:
        raise images.ImageError(
            f"{path}: --scores and --heatmaps are of images of {inputs.MAX_PIXELS:,} pixels at "
            "most; a larger one is answered strip by strip. Leave them out, or cut it into smaller "
            "images."
        )


def write_video(
    asked: Asked,
    path: pathlib.Path,
    image: None,
    named: dict[str, str],
    kept: Journal,
    show: Show,
) -> tuple[str, str | None]:
    """Writes a video with the classes drawn over each frame."""
    target = kept.folder / named["overlay"]
    kept.announce(path, [*named.values()])
    written = videos.overlay_video(
        path,
        target,
        class_maps(asked.model, asked.method, asked.others),
        asked.spec,
        font=asked.font,
        progress=lambda done, total: show(f"{path.name}: frame {done} of {total or '?'}"),
    )
    if written.missing:  # so that the next command tries again, and says so again
        kept.announce(path, [*named.values()], missing=written.missing)
    return f"{target}: {written.frames} frames", written.missing


def write_heatmaps(
    asked: Asked,
    path: pathlib.Path,
    image: np.ndarray | None,
    named: dict[str, str],
    kept: Journal,
    show: Show,
) -> tuple[str, None]:
    """Writes the heat maps of a classifier."""
    image = inputs.read(path, asked.spec) if image is None else image
    maps = heatmaps.heatmaps(asked.model, image, asked.heatmaps)
    turn, named_maps = images.orientation_of(path), _names_of_maps(asked)
    most = dict(zip(named_maps, maps.max((0, 1)).tolist(), strict=True))
    kept.announce(path, [*named.values()], most=most)
    shown = images.turned(inputs.shown(image), turn)
    targets = {what: kept.folder / name for what, name in named.items()}
    _save_heatmaps(asked, shown, images.turned(maps, turn), targets)
    said = ", ".join(f"{name.partition(',')[0]} {share:.1%}" for name, share in most.items())
    return f"{targets['heatmaps']}: at most {said}", None


def _names_of_maps(asked: Asked) -> list[str]:
    return [asked.spec.names[one] for one in heatmaps.find(asked.heatmaps, asked.spec.names)]


def _save_heatmaps(
    asked: Asked, image: np.ndarray, maps: np.ndarray, targets: dict[str, pathlib.Path]
) -> None:
    sheet = heatmaps.sheet(image, maps, _names_of_maps(asked), font=asked.font)
    _save(sheet, targets["heatmaps"])


def _line(target: pathlib.Path, shares: dict[str, float]) -> str:
    told = [f"{name} {share:.1%}" for name, share in list(shares.items())[:_TOLD]]
    more = len(shares) - len(told)
    return f"{target}: {', '.join(told)}" + (f" and {more} more" if more else "")


def _palette(spec: Spec) -> np.ndarray:
    return pictures.with_colours(pictures.voc_palette(), spec.colours)


def _overlay(image: np.ndarray, numbers: np.ndarray, asked: Asked) -> Image.Image:
    return pictures.overlay(
        image,
        numbers,
        asked.spec.names,
        background=asked.spec.background,
        palette=pictures.with_colours(pictures.bright_palette(), asked.spec.colours),
        font=asked.font,
    )


def _save_array(array: np.ndarray, target: pathlib.Path) -> None:
    """As `np.save`, whose error on a full disk does not say that the disk is full."""
    array = np.ascontiguousarray(array)
    with files.replacing(target) as unfinished, open(unfinished, "wb") as stream:
        header = np.lib.format.header_data_from_array_1_0(array)
        np.lib.format.write_array_header_1_0(stream, header)
        stream.write(array.data)


def _save(picture: Image.Image, target: pathlib.Path) -> None:
    with files.replacing(target) as unfinished:
        picture.save(unfinished)
