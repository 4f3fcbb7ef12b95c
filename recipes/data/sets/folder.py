"""A folder of your own images and masks.

    images/NAME.jpg        or .jpeg or .png
    masks/NAME.png         palette or grey: class indices, and 255 for void
    classes.txt            one class name a line, in the order of the indices, from 0
    train.txt, val.txt     one NAME a line; both, one or none of them

The class that is called "background" in classes.txt is the background, which pictures leave without
a tint; without such a name all classes are tinted. Training and scores treat it as any class.

With one list, all other names are the other split; with both, all other names are left out. Without
lists the SHA-256 of a name decides: about a fifth of the names is "val", in a small folder at
least one; adding a file moves no other name, but for the only one.

If all images are stored as grey, they are read as grey with one channel; else as RGB.
"""

import functools
import hashlib
import pathlib

import numpy as np

from recipes.data.dataset import IGNORE_LABEL, DataError, Dataset, pair
from recipes.data.listed import read_lines
from zoo.images import ImageError, channels_of, read_class_map, read_image
from zoo.spec import MAX_NAME

ENDINGS = (".jpg", ".jpeg", ".png")
BACKGROUND = "background"


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The splits of the folder that holds images, masks and classes.txt.

    Raises:
        DataError: The folder has another layout, or its classes or lists break a rule.
    """
    class_names = _class_names(data_dir / "classes.txt")
    images = _by_name(data_dir / "images", ENDINGS)
    masks = _by_name(data_dir / "masks", (".png",))
    splits = _splits(data_dir, sorted(images.keys() | masks.keys()))
    channels = 1 if images and all(map(_is_grey, images.values())) else 3
    background = class_names.index(BACKGROUND) if BACKGROUND in class_names else None
    datasets = {}
    for split, names in splits.items():
        # A name without an image or a mask stays, so that `verify` lists it with all problems.
        files = tuple(
            (
                str(images.get(name, data_dir / "images" / f"{name}.png")),
                str(masks.get(name, data_dir / "masks" / f"{name}.png")),
            )
            for name in names
        )
        example = functools.partial(_example, files, channels)
        datasets[split] = Dataset(
            *("folder", split, class_names, channels, files, example), background=background
        )
    return datasets


def _example(
    files: tuple[tuple[str, str], ...], channels: int, index: int
) -> tuple[np.ndarray, np.ndarray]:
    image, mask = map(pathlib.Path, files[index])
    if image.exists() and not mask.exists():
        raise DataError(f"{image}: each image has a mask; there is no {mask}. Add it.")
    if mask.exists() and not image.exists():
        endings = ", ".join(ENDINGS)
        raise DataError(
            f"{mask}: each mask has an image; there is no {image.with_suffix('')} with one of the "
            f"endings {endings}. Add it."
        )
    return pair(
        lambda: read_image(image, channels=channels, upright=True), lambda: read_class_map(mask)
    )


def _class_names(file: pathlib.Path) -> tuple[str, ...]:
    remedy = "Write one class name a line into it, in the order of the indices."
    if not file.exists():
        raise DataError(
            f"{file.parent} is not a folder of images and masks: there is no {file}. {remedy} Pass "
            "the folder that holds images, masks and classes.txt as --data-dir."
        )
    names = tuple(read_lines(file, remedy=remedy))
    if not 2 <= len(names) <= IGNORE_LABEL or len(set(names)) != len(names):
        raise DataError(
            f"{file}: 2 to {IGNORE_LABEL} classes have different names; received {len(names)} "
            f"names, {len(set(names))} of them different. {remedy}"
        )
    for line, name in enumerate(file.read_text(encoding="utf-8-sig").splitlines(), start=1):
        name = name.strip()
        if not name.isprintable() or len(name) > MAX_NAME:
            raise DataError(
                f"{file}, line {line}: a class name has at most {MAX_NAME} printable characters; "
                f"received {len(name)}, beginning with {name[:20]!r}. Rename the class."
            )
    return names


def _by_name(folder: pathlib.Path, endings: tuple[str, ...]) -> dict[str, pathlib.Path]:
    """The files of a folder by their names without the ending."""
    if not folder.is_dir():
        raise DataError(
            f"{folder.parent} is not a folder of images and masks: there is no {folder}. Pass the "
            "folder that holds images, masks and classes.txt as --data-dir."
        )
    files: dict[str, pathlib.Path] = {}
    for file in sorted(folder.iterdir()):
        # Systems add hidden files of their own, such as ._NAME.jpg on a Mac's disk.
        if file.suffix.lower() not in endings or file.name.startswith("."):
            continue
        other = files.setdefault(file.stem, file)
        if other != file:
            raise DataError(
                f"{file}: a name belongs to one file; there is {other.name} too. Rename one of "
                "them."
            )
    return files


def _splits(folder: pathlib.Path, names: list[str]) -> dict[str, list[str]]:
    train, val = (
        read_lines(file, remedy="Write one name a line into it.") if file.exists() else None
        for file in (folder / "train.txt", folder / "val.txt")
    )
    both = sorted(set(train or ()) & set(val or ()))
    if both:
        raise DataError(
            f"{folder / 'val.txt'}: a name is in one of the splits; {both[0]} is in train.txt too. "
            "Take it off one of the lists."
        )
    if train is None and val is None:
        val = _held_out(names)
    # With one list, the other split has all other names.
    if train is None:
        train = sorted(set(names).difference(val))
    if val is None:
        val = sorted(set(names).difference(train))
    for split, part in (("train", train), ("val", val)):
        ended = [name for name in part if name.endswith(ENDINGS) and name not in names]
        if ended:
            raise DataError(
                f"{folder / split}.txt: a name is written without its ending; received "
                f"{ended[0]!r}. Write {pathlib.Path(ended[0]).stem}."
            )
        if not part:
            raise DataError(
                f"{folder}: each split has at least one example; {split} has none of the "
                f"{len(names)} names in images and masks. Write one name a line into {split}.txt."
            )
    return {"train": train, "val": val}


def _held_out(names: list[str]) -> list[str]:
    """The names whose hash is a multiple of 5; where none or all are, the one with the least."""
    hashes = {name: int.from_bytes(hashlib.sha256(name.encode()).digest()[:8]) for name in names}
    chosen = [name for name in names if hashes[name] % 5 == 0]
    if len(chosen) in (0, len(names)):
        chosen = sorted(names, key=hashes.get)[:1]
    return chosen


def _is_grey(file: pathlib.Path) -> bool:
    """Whether the image is stored without colours; True for one that cannot be read."""
    try:
        return channels_of(file) <= 2
    except ImageError:  # `verify` reports the damage
        return True
