"""Sends images to TensorFlow Serving and writes a mask and an overlay of each."""

import io
import os
import pathlib
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from exports.client.connection import Class, Connection, connected
from exports.client.errors import RefusedError, ServerError
from zoo import files, pictures

Say = Callable[[str], None]


def write_masks(
    images: Sequence[str | os.PathLike],
    out: str | os.PathLike,
    *,
    url: str,
    model: str,
    report: Say = lambda line: None,
    warn: Say = lambda line: None,
    **options: Any,
) -> list[pathlib.Path]:
    """Writes `out/NAME-mask.png` and `out/NAME-overlay.png` of each image.

    The mask is a palette PNG whose values are the classes; the overlay shows the classes on the
    image, with a legend. Names, colours and the background are the served model's. Nothing is
    overwritten.

    Args:
        images: JPEG or PNG files.
        out: The folder; made if it is not there.
        url: Of the server, as `exports.client.connected` takes it.
        model: The name under which it is served.
        report: Called with the path of each file that was written.
        warn: Called with a line on an image without a mask, and on a model without class names.
        options: The others of `exports.client.connected`, such as `timeout`.

    Returns:
        The images that the server cannot decode, or that are too large.

    Raises:
        FileNotFoundError: An image is not there.
        FileExistsError: A mask or an overlay is there already, or two would have the same name.
        ServerError: The server does not answer as it should; what was written is whole.
    """
    targets = _targets([pathlib.Path(image) for image in images], pathlib.Path(out))
    without = []
    with connected(url, model, **options) as server:
        class_of = _classes(server, warn)
        for path, (mask, overlay) in targets.items():
            png = server.mask_png(path.read_bytes())
            if png is None:
                without.append(path)
                warn(
                    f"{path}: the server cannot decode the image, or it is too large (valid is 0). "
                    "Send a whole JPEG or PNG file within the limits that the model was exported "
                    "with."
                )
                continue
            _write(path, _class_map(path, png), class_of, mask, overlay)
            report(str(mask))
            report(str(overlay))
    return without


def _targets(
    images: list[pathlib.Path], out: pathlib.Path
) -> dict[pathlib.Path, tuple[pathlib.Path, pathlib.Path]]:
    """Mask and overlay of each image, none of which is there already."""
    found, taken = {}, {}
    for path in dict.fromkeys(images):
        if not path.is_file():
            raise FileNotFoundError(f"An image is a JPEG or PNG file; there is none at {path}.")
        targets = tuple(out / f"{path.stem}-{what}.png" for what in ("mask", "overlay"))
        there = [target for target in targets if target.exists()]
        if there:
            raise FileExistsError(
                f"Nothing is overwritten; {there[0]} is there already. Choose another --out, or "
                "move the file away."
            )
        if path.stem in taken:
            raise FileExistsError(
                f"Each image has a mask of its own name; {taken[path.stem]} and {path} would both "
                f"be {targets[0]}. Send them to two folders."
            )
        found[path], taken[path.stem] = targets, path
    return found


def _classes(server: Connection, warn: Say) -> Callable[[int], Class]:
    """What a class number means; the server is asked once about each class that occurs."""
    known: dict[int, Class] = {}

    def class_of(number: int) -> Class:
        if not known:
            try:  # whether it says what its classes are: any model has the class 0
                known[0] = server.class_of(0)
            except RefusedError as error:
                warn(f"The legend has numbers, and no class is background. {error}")
                for each, colour in enumerate(pictures.voc_palette()):
                    known[each] = Class(f"class {each}", False, tuple(map(int, colour)))
        if number not in known:
            try:
                known[number] = server.class_of(number)
            except RefusedError as error:
                raise ServerError(
                    f"A mask holds numbers of the model's classes; one of the server holds {number}"
                    f", about which it says: {error}"
                ) from error
        return known[number]

    return class_of


def _class_map(path: pathlib.Path, png: bytes) -> np.ndarray:
    """The classes in a PNG of the server, uint8 `[h, w]`."""
    try:
        with Image.open(path, formats=("PNG", "JPEG")) as picture:
            size = picture.size
        with warnings.catch_warnings():
            # Its size is compared before it is decoded.
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            mask = Image.open(io.BytesIO(png), formats=("PNG",))
        if mask.size != size or mask.mode != "L":
            raise ValueError(f"received {mask.size[0]} × {mask.size[1]} {mask.mode}")
        return np.array(mask)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise ServerError(
            f"A mask is a grey PNG of the size of its image; that of {path} is not ({error}). Ask "
            "an export of this zoo in TensorFlow Serving."
        ) from error


def _write(
    path: pathlib.Path,
    class_map: np.ndarray,
    class_of: Callable[[int], Class],
    mask: pathlib.Path,
    overlay: pathlib.Path,
) -> None:
    occurring = {int(number): class_of(int(number)) for number in np.unique(class_map)}
    names = [f"class {number}" for number in range(max(occurring) + 1)]
    voc, bright = pictures.voc_palette(), pictures.bright_palette()
    background = None
    for number, known in occurring.items():
        names[number] = known.name
        # VOC's colours are dark on an image: only a model's own are drawn there.
        if tuple(voc[number]) != known.colour:
            voc[number] = bright[number] = known.colour
        if known.is_background:
            background = number
    drawn = pictures.overlay(_image(path), class_map, names, background=background, palette=bright)
    with files.creating(mask) as unfinished:
        pictures.save_class_map(unfinished, class_map, palette=voc)
    with files.creating(overlay) as unfinished:
        drawn.save(unfinished)


def _image(path: pathlib.Path) -> np.ndarray:
    """What the model sees of an image file, uint8 `[h, w]` or `[h, w, 3]`."""
    with Image.open(path, formats=("PNG", "JPEG")) as picture:
        # Pillow makes white of most values of a 16-bit PNG; the model sees the upper 8 bits.
        if picture.mode.startswith("I"):
            return (np.array(picture) >> 8).astype(np.uint8)
        return np.array(picture.convert("RGB"))
