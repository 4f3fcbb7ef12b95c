"""Sends images to TensorFlow Serving and writes a mask and an overlay of each."""

import contextlib
import errno
import itertools
import os
import pathlib
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
from PIL import Image

from exports.client.connection import Class, Connection, connected
from exports.client.errors import RefusedError, ServerError
from zoo import files, images, pictures

Say = Callable[[str], None]


def write_masks(
    paths: Sequence[str | os.PathLike],
    out: str | os.PathLike,
    *,
    url: str,
    model: str,
    head: str | None = None,
    font: str | os.PathLike | None = None,
    report: Say = lambda line: None,
    warn: Say = lambda line: None,
    **options: Any,
) -> list[pathlib.Path]:
    """Writes `out/NAME-mask.png` and `out/NAME-overlay.png` of each image.

    The mask is a palette PNG whose values are the classes; the overlay shows the classes on the
    image, with a legend. Both are turned as viewers turn an image with an EXIF orientation. Names,
    colours and the background are the served model's. Nothing is overwritten.

    Args:
        paths: JPEG or PNG files.
        out: The folder; made if it is not there.
        url: Of the server, as `exports.client.connected` takes it.
        model: The name under which it is served.
        head: Of a model with several heads, the one that answers; the first if None.
        font: The path of a font file for the legends, as `zoo.pictures.overlay` takes it.
        report: Called with the path of each file that was written.
        warn: Called with a line on an image without a mask, on a model without class names, and on
            letters that no font has.
        options: The others of `exports.client.connected`, such as `timeout`.

    Returns:
        The images without a mask: they cannot be read, are too large for the server, or what was
        drawn cannot be written.

    Raises:
        FileNotFoundError: An image is not there.
        FileExistsError: A mask or an overlay is there already, or two would have the same name.
        OSError: `out` cannot be written to.
        ServerError: The server does not answer as it should; what was written is whole.
    """
    targets = _targets([pathlib.Path(path) for path in paths], pathlib.Path(out))
    without = []
    with connected(url, model, **options) as server, _made(pathlib.Path(out), targets.values()):
        server = server if head is None else server.of_head(head)
        class_of = _classes(server, warn)
        for path, (mask, overlay) in targets.items():
            try:
                image, class_map = _asked(server, path)
                palette, drawn = _drawn(image, class_map, class_of, font, warn)
                # Both are written before one of them is there.
                with files.creating(overlay) as picture, files.creating(mask) as numbers:
                    pictures.save_class_map(numbers, class_map, palette=palette)
                    drawn.save(picture)
            except images.ImageError as error:
                without.append(path)
                warn(str(error))
            except OSError as error:
                without.append(path)
                warn(f"{path} has no mask ({error}). Send it again when that is mended.")
            else:
                report(str(mask))
                report(str(overlay))
    return without


def _targets(
    paths: list[pathlib.Path], out: pathlib.Path
) -> dict[pathlib.Path, tuple[pathlib.Path, pathlib.Path]]:
    """Mask and overlay of each image, none of which is there already."""
    found, taken = {}, {}
    for path in dict.fromkeys(paths):
        if not os.path.isfile(path):
            raise FileNotFoundError(f"An image is a JPEG or PNG file; there is none at {path}.")
        targets = tuple(out / f"{path.stem}-{what}.png" for what in ("mask", "overlay"))
        there = [target for target in targets if os.path.lexists(target)]
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


@contextlib.contextmanager
def _made(
    out: pathlib.Path, targets: Iterable[tuple[pathlib.Path, pathlib.Path]]
) -> Iterator[None]:
    """The folder of the masks, in which files of these names can be written."""
    target = out
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(files.making(out))
            with files.unfinished_folder(out) as tried:
                for target in itertools.chain.from_iterable(targets):
                    (tried / target.name).touch()
        except OSError as error:
            remedy = "Choose another --out."
            if error.errno == errno.ENAMETOOLONG:
                remedy = "Give the image or the folder a shorter name."
            raise OSError(
                f"--out is a folder that files can be written to; {target} cannot be written "
                f"({error.strerror}). {remedy}"
            ) from error
        yield


def _asked(server: Connection, path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    """An image and its class map, both turned as viewers turn the image.

    Raises:
        ImageError, OSError: It has no mask.
        ServerError: The server does not answer as it should.
    """
    image = images.read_image(path, channels=3)
    orientation = images.orientation_of(path)
    png = server.mask_png(path.read_bytes())
    if png is None:
        raise images.ImageError(
            f"{path}: the server cannot decode the image, or it is too large (valid is 0). Send a "
            "whole JPEG or PNG file within the limits that the model was exported with."
        )
    class_map = _class_map(path, png, image.shape[:2])
    return images.turned(image, orientation), images.turned(class_map, orientation)


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


def _class_map(path: pathlib.Path, png: bytes, size: tuple[int, int]) -> np.ndarray:
    """The classes in a PNG of the server, uint8 `[h, w]`, which has the image's size."""
    try:
        if not png.startswith(b"\x89PNG"):
            raise images.ImageError(f"it begins with {png[:8]!r}")
        return images.read_class_map(png, size=size)
    except images.ImageError as error:
        why = str(error).partition(". ")[0]  # without a remedy, which is for files of one's own
        raise ServerError(
            f"A mask is a grey PNG of the size of its image; that of {path} is not ({why}). Ask an "
            "export of this zoo in TensorFlow Serving."
        ) from error


def _drawn(
    image: np.ndarray,
    class_map: np.ndarray,
    class_of: Callable[[int], Class],
    font: str | os.PathLike | None,
    warn: Say,
) -> tuple[np.ndarray, Image.Image]:
    """The palette of a mask, and the overlay."""
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
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        drawn = pictures.overlay(
            image, class_map, names, background=background, palette=bright, font=font
        )
    for one in said:
        warn(str(one.message))
    return voc, drawn
