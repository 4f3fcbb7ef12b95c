"""What is asked about: image files by what a user names, and images in memory."""

import collections
import glob
import importlib.util
import io
import os
import pathlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from zoo import depths, image_files, images, registry
from zoo.spec import Spec
from zoo.videos import VIDEO_ENDINGS

if TYPE_CHECKING:
    from zoo.rasters import Georeference

Picture = str | os.PathLike | np.ndarray | Image.Image
"""A file, an array `[h, w, channels]` or `[h, w]` with values 0-255, or an image of Pillow."""


_OF_TIFF = ("CMYK", "LAB", "F", "I")  # modes of Pillow that a PNG has not

MAX_PIXELS = 2**24
"""Of an image that is answered at once: its probabilities of 21 classes take 1.4 GB."""


def find(words: Sequence[str | os.PathLike]) -> list[pathlib.Path]:
    """The files that are named: each file, the images and videos of each folder, and of patterns.

    ```python
    files = find(["photograph.jpg", "photographs", "scans/*.tif"])
    ```

    Raises:
        FileNotFoundError: Nothing is there, or a folder or pattern holds no image.
    """
    found: dict[str, pathlib.Path] = {}
    for name in words:
        word = pathlib.Path(name)
        if not str(name):
            raise FileNotFoundError("An image is a file; received an empty name. Check the path.")
        if word.is_dir():
            inside = [one for one in sorted(word.iterdir()) if _is_asked_about(one)]
            what = f"the folder {word} holds none; the folders inside it are not searched"
        elif word.exists() or not glob.has_magic(str(word)):
            inside = [word] if word.exists() else []
            what = f"there is none at {word}"
        else:
            inside = sorted(map(pathlib.Path, glob.glob(str(word), recursive=True)))
            inside = [one for one in inside if _is_asked_about(one)]
            what = f"the pattern {word} matches none"
        if not inside:
            raise FileNotFoundError(
                f"An image is a file that ends in {', '.join(images.ENDINGS)}, a video one in "
                f"{', '.join(VIDEO_ENDINGS)}; {what}. Check the path."
            )
        for path in inside:  # a file that is named twice, as by ./a.png and a.png, counts once
            found.setdefault(os.path.abspath(path), path)
    return list(found.values())


def _is_asked_about(path: pathlib.Path) -> bool:
    endings = (*images.ENDINGS, *VIDEO_ENDINGS)
    return path.name.lower().endswith(endings) and not path.name.startswith(".")


def names_of(paths: Sequence[pathlib.Path]) -> dict[pathlib.Path, str]:
    """The name of each file's answers: its own without the ending, or with it if two share that.

    Raises:
        ValueError: Two files in different folders have one name.
    """
    # Some file systems do not tell "a" from "A".
    stems = collections.Counter(path.stem.casefold() for path in paths)
    names = {path: path.stem if stems[path.stem.casefold()] == 1 else path.name for path in paths}
    taken: dict[str, pathlib.Path] = {}
    for path, name in names.items():
        other = taken.setdefault(name.casefold(), path)
        if other != path:
            raise ValueError(
                f"Each image has answers of its own name; {other} and {path} would both be "
                f"{name}. Answer them into two folders."
            )
    return names


def read(picture: Picture, spec: Spec, *, depth: str | os.PathLike | None = None) -> np.ndarray:
    """An image as a model takes it, `[h, w, channels]`; files by the rules of `zoo.images`.

    Args:
        picture: The image.
        spec: Of the model.
        depth: The file of the depth, for a net of colour and depth; see `zoo.depths`.

    Raises:
        zoo.images.ImageError: A file cannot be read.
        ValueError: An array has another shape, other channels or other values; the model takes
            another image beside it, or none.
    """
    is_file = isinstance(picture, str | os.PathLike)
    if depth is not None:
        if not is_file:
            raise ValueError(
                "A depth is the file beside that of an image; received an image in memory. Pass "
                f"an array [h, w, {spec.channels}] with the channels of both, and no depth."
            )
        return depths.joined(picture, depth, spec)
    if is_file:
        depths.check_alone(spec, picture)
        return images.read_image(picture, channels=spec.channels)
    if getattr(picture, "dtype", np.dtype(np.uint8)).kind != "f":
        depths.check_alone(spec, "an image of whole numbers")
    if isinstance(picture, Image.Image):
        picture = picture.convert("RGB") if picture.mode in ("HSV", "YCbCr") else picture
        form = "TIFF" if picture.mode in _OF_TIFF else "PNG"
        with io.BytesIO() as stream:  # so the rules of files hold
            picture.save(stream, form, compress_level=0)
            return images.read_image(stream.getvalue(), channels=spec.channels)
    if isinstance(picture, list | tuple):
        raise ValueError(
            f"One image is answered at a time; received a {type(picture).__name__} of "
            f"{len(picture)}. Make a Scorer once, zoo.inference.scorer(model), and ask it for each."
        )
    return _checked(np.asarray(picture), spec)


def _checked(image: np.ndarray, spec: Spec) -> np.ndarray:
    image = image[..., np.newaxis] if image.ndim == 2 else image
    if image.ndim == 3 and image.dtype == np.uint8 and image.size:
        return images.with_channels(image, spec.channels, "the image")
    if image.ndim == 3 and image.shape[-1] == 1 and spec.channels == 3:
        image = np.repeat(image, 3, axis=-1)
    if image.ndim != 3 or image.shape[-1] != spec.channels or not image.size:
        raise ValueError(
            f"An image of this model is [h, w, {spec.channels}]; received {list(image.shape)}. "
            "Pass one image with these channels, not a batch."
        )
    finite = image.dtype.kind in "uif" and np.isfinite(image).all()
    if not finite:
        what = "NaN or infinity" if image.dtype.kind == "f" else str(image.dtype)
        raise ValueError(
            f"An image holds finite numbers; received {what}. Pass uint8, or floats 0-255."
        )
    least, most = image.min(), image.max()
    # A black image of floats is black in both ranges.
    is_share = image.dtype.kind == "f" and 0 < depths.colours(image, spec).max() <= 1
    if least < 0 or most > 255 or is_share:
        remedy = "Multiply it by 255." if is_share else "Scale it to 0-255."
        if registry.takes_log_depth(spec.model):
            remedy += " Its last channel is the logarithm of the depth in millimetres, np.log(d)."
        raise ValueError(f"An image holds 0 to 255; received {least:g} to {most:g}. {remedy}")
    return image


def is_large(size: Sequence[int]) -> bool:
    """Whether the probabilities of an image of this height and width are held strip by strip."""
    return size[0] * size[1] > MAX_PIXELS


def is_read_by_windows(path: pathlib.Path) -> bool:
    """Whether an image file is larger than what is read at once; what cannot be read is not."""
    try:
        height, width = images.size_of(path)
    except images.ImageError:
        return False
    return height * width > image_files.MAX_PIXELS


def georeference_of(path: pathlib.Path) -> "Georeference | None":
    """Where the pixels of a TIFF lie on the earth; None if it does not say, or rasterio is missing.

    What cannot be read has none.
    """
    if path.suffix.lower() not in (".tif", ".tiff") or not importlib.util.find_spec("rasterio"):
        return None
    from zoo import rasters

    try:
        with rasters.open_raster(path) as image:
            return image.georeference
    except images.ImageError:
        return None


def shown(image: np.ndarray) -> np.ndarray:
    """An image for a picture of it, uint8 `[h, w, 3]` or `[h, w, 1]`.

    Of other numbers of channels than 1 and 3 the first three are taken for red, green and blue, or
    the first alone.
    """
    count = 3 if image.shape[-1] >= 3 else 1
    return np.rint(image[..., :count]).astype(np.uint8)


def shares_by_number(class_map: np.ndarray) -> dict[int, float]:
    """The share of the pixels of each class that occurs, by its number, the largest first."""
    counts = np.bincount(class_map.ravel())
    order = [int(number) for number in np.argsort(-counts, kind="stable") if counts[number]]
    return {number: float(counts[number] / class_map.size) for number in order}


def shares(class_map: np.ndarray, spec: Spec) -> dict[str, float]:
    """As `shares_by_number`, by the name of each class."""
    return {spec.names[number]: share for number, share in shares_by_number(class_map).items()}
