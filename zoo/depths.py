"""Reads the image of depth that lies beside one of colour, for the nets that take both.

`zoo.registry` says which: of late fusion the second image is HHA, three channels 0-255; of early
fusion it is the depth in millimetres, which becomes the last channel of the image, as a logarithm.
"""

import os
import pathlib
from collections.abc import Sequence

import numpy as np

from zoo import images, registry
from zoo.images import ENDINGS, ImageError
from zoo.spec import Spec

_NETS = "fcn32s_early_fusion and fcn32s_late_fusion"


def takes_depth(spec: Spec) -> bool:
    """Whether a net takes an image of depth beside that of colour."""
    return registry.takes_log_depth(spec.model) or _takes_second(spec)


def _takes_second(spec: Spec) -> bool:
    return "hha_channels" in spec.options


def joined(image: str | os.PathLike, depth: str | os.PathLike, spec: Spec) -> np.ndarray:
    """The image of a net of colour and depth, `[h, w, channels]`, of two files.

    Args:
        image: The file of the colours.
        depth: The file of the depth, as the net takes it: HHA, or millimetres in 16 bits.
        spec: Of the net.

    Returns:
        uint8 for a net of late fusion, the HHA image behind the colours; float32 for one of early
        fusion, the logarithm of the depth behind the colours.

    Raises:
        ValueError: The net takes one image.
        zoo.images.ImageError: A file cannot be read, or their sizes differ.
    """
    check_taken(spec)
    if _takes_second(spec):
        second = read_hha(depth, channels=spec.options["hha_channels"])
    else:
        mean = spec.options.get("mean")
        second = log_depth(depth, missing=mean[-1] if mean else 0.0)
    colours = images.read_image(image, channels=spec.channels - second.shape[-1], upright=True)
    if colours.shape[:2] != second.shape[:2]:
        raise ImageError(
            f"{depth}: a depth has the size of its image, {_size(colours)}; it is {_size(second)} "
            "(height × width). Replace one of them."
        )
    return np.concatenate([colours.astype(second.dtype), second], axis=-1)


def read_hha(file: str | os.PathLike, *, channels: int = 3) -> np.ndarray:
    """The disparity, the height above ground and the angle with gravity, uint8 `[h, w, channels]`.

    Raises:
        zoo.images.ImageError: It cannot be read, or has other channels, as a depth has.
    """
    image = images.read_image(file, upright=True)
    if image.shape[-1] != channels:
        raise ImageError(
            f"{file}: an HHA image has {channels} channels; this one has {image.shape[-1]}. Take "
            "the file of HHA, not that of the depth."
        )
    return image


def log_depth(file: str | os.PathLike, *, missing: float) -> np.ndarray:
    """The natural logarithm of a depth in millimetres, float32 `[h, w, 1]`.

    Args:
        file: A grey file of 16 bits.
        missing: What stands where nothing was measured, which is 0 in the file.

    Raises:
        zoo.images.ImageError: It cannot be read, or has 8 bits or colours.
    """
    try:
        depth = images.read_numbers(file)
    except ImageError as error:
        if (channels := images.channels_of(file)) == 1:
            raise
        raise ImageError(
            f"{file}: a depth has one channel, in millimetres; this one has {channels}. Take the "
            "file of the depth."
        ) from error
    if depth.dtype == np.uint8:
        raise ImageError(
            f"{file}: a depth has 16 bits, in millimetres; this one has 8. Take the "
            "file of the depth."
        )
    found = np.full(depth.shape, missing, np.float32)
    np.log(depth, out=found, where=depth > 0, casting="same_kind", dtype=np.float32)
    return found[..., np.newaxis]


def find(
    paths: Sequence[pathlib.Path], depth: str | os.PathLike
) -> dict[pathlib.Path, pathlib.Path]:
    """The file of the depth of each image: that of its name in a folder, with any ending.

    `depth` may be a file where there is one image.

    Raises:
        FileNotFoundError: An image has none.
    """
    folder = pathlib.Path(depth)
    alone = folder.is_file() and len(paths) == 1
    found = {}
    for path in paths:
        names = [path.name, *(path.stem + ending for ending in ENDINGS)]
        there = [folder] if alone else [folder / name for name in names]
        others = (file for file in there if os.path.abspath(file) != os.path.abspath(path))
        file = next((file for file in others if file.is_file()), None)
        if file is None:
            raise FileNotFoundError(
                f"The depth of an image has its name; {folder} holds none for {path.name}. Pass "
                "the folder with the depths, which is another than that of the images."
            )
        found[path] = file
    return found


def colours(image: np.ndarray, spec: Spec) -> np.ndarray:
    """The channels of an image `[..., channels]` that are no depth: all but for nets that take it.

    Args:
        image: As the net takes it.
        spec: Of the net.
    """
    if not takes_depth(spec):
        return image
    return image[..., : spec.channels - spec.options.get("hha_channels", 1)]


def check_taken(spec: Spec) -> None:
    """Checks that a net takes a depth beside an image.

    Raises:
        ValueError: It does not.
    """
    if not takes_depth(spec):
        raise ValueError(
            f"A depth is for nets of colour and depth, {_NETS}; {spec.model} takes one image. "
            "Leave the depth out."
        )


def check_alone(spec: Spec, picture: str | os.PathLike) -> None:
    """Checks that a net takes an image without a depth beside it.

    Args:
        spec: Of the net.
        picture: A file, or what an error calls the image.

    Raises:
        ValueError: It does not.
    """
    if registry.takes_log_depth(spec.model):
        raise ValueError(
            f"The last channel of an image of {spec.model} is the logarithm of the depth in "
            f"millimetres, which 8 bits do not hold; received {picture} alone. Pass the depth, a "
            "file of 16 bits: depth=, or --depth FOLDER on the command line. Or pass an array of "
            f"floats [h, w, {spec.channels}]."
        )
    if _takes_second(spec) and os.path.exists(picture):
        stored = images.channels_of(picture)
        if stored != spec.channels:
            raise ValueError(
                f"{spec.model} takes an image of colours and one of HHA, {spec.channels} channels "
                f"together; received {picture} alone, with {stored}. Pass the file of its HHA: "
                "depth=, or --depth FOLDER on the command line."
            )


def _size(image: np.ndarray) -> str:
    return f"{image.shape[0]}×{image.shape[1]}"
