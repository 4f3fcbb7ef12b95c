"""A folder of your own images and masks.

    images/NAME.jpg        or another ending of `zoo.images.ENDINGS`
    masks/NAME.png         class indices in a palette or grey file, and 255 for void; or colours
    instances/NAME.png     if objects are told apart: the number of each pixel's object, 0 for none
    classes.txt            one class name a line, in the order of the indices; with colours, if
                           masks store those: see `recipes.data.classes`
    train.txt, val.txt,    one NAME a line; all, some or none of them
    test.txt

The class that is called "background" in classes.txt is the background, which pictures leave without
a tint; without such a name all classes are tinted. Training and scores treat it as any class.

With train.txt or val.txt alone, all other names are the other split; with both, they are left out.
Without both the SHA-256 of a name decides: about a fifth of the names is "val", in a small folder
at least one; adding a file moves no other name, but for the only one. Only test.txt makes a split
"test", which training leaves alone and `zoo evaluate --split test` scores.

Images are read with the channels that they are stored with, grey with one and RGB with three; where
they differ, as RGB, or as grey if none has colours. With `channels` 3 grey is repeated, with 1
colours become grey. In instances of 8 bits 255 is no object, as in VOC's; those of 16 bits number
up to 65,535.
"""

import concurrent.futures
import functools
import pathlib

import numpy as np

from recipes.data.classes import Classes, read_classes, read_mask
from recipes.data.dataset import IGNORE_LABEL, DataError, Dataset, pair
from recipes.data.lists import as_shells, can_be_listed, composed, hashed, read_entries
from zoo.images import ENDINGS, ImageError, channels_of, read_image, read_numbers

BACKGROUND = "background"
_LAYOUT = "Pass the folder that holds images, masks and classes.txt as the data folder."
_MAX_NUMBER = 2**16 - 1


def load(data_dir: pathlib.Path, *, channels: int = 0) -> dict[str, Dataset]:
    """The splits of the folder that holds images, masks and classes.txt.

    Args:
        data_dir: The folder.
        channels: That the images are read with; 0 for as many as are stored.

    Raises:
        DataError: The folder has another layout, or its classes or lists break a rule.
    """
    classes = read_classes(data_dir)
    images, masks = (_by_name(data_dir / part) for part in ("images", "masks"))
    objects = _by_name(data_dir / "instances") if (data_dir / "instances").exists() else None
    splits = _splits(data_dir, sorted(images.keys() | masks.keys()))
    channels = channels or _channels(list(images.values()))
    background = classes.names.index(BACKGROUND) if BACKGROUND in classes.names else None

    def paths(name: str) -> tuple[str, ...]:
        # A name without an image or a mask stays, so that `verify` lists it with all problems.
        parts = {"images": images, "masks": masks, "instances": objects}
        return tuple(
            str(found.get(name, data_dir / part / f"{name}.png"))
            for part, found in parts.items()
            if found is not None
        )

    datasets = {}
    for split, names in splits.items():
        files = tuple(map(paths, names))
        datasets[split] = Dataset(
            *("folder", split, classes.names, channels, files),
            example=functools.partial(_example, files, channels, classes),
            instances=None if objects is None else functools.partial(_instances, files),
            background=background,
            colours=classes.colours,
        )
    return datasets


def _example(
    files: tuple[tuple[str, ...], ...], channels: int, classes: Classes, index: int
) -> tuple[np.ndarray, np.ndarray]:
    image, mask = map(pathlib.Path, files[index][:2])
    if image.exists() and not mask.exists():
        raise DataError(
            f"{image}: each image has a mask; there is no {mask}. Add it, or take the image out of "
            "the folder."
        )
    if mask.exists() and not image.exists():
        raise DataError(
            f"{mask}: each mask has an image; there is no {image.with_suffix('')} with one of the "
            f"endings {', '.join(ENDINGS)}. Add it, or take the mask out of the folder."
        )
    return pair(
        lambda: read_image(image, channels=channels, upright=True),
        lambda: read_mask(mask, classes),
    )


def _instances(files: tuple[tuple[str, ...], ...], index: int) -> np.ndarray:
    file = pathlib.Path(files[index][2])
    if not file.exists():
        raise DataError(
            f"{file}: each image has a file in instances, if there is that folder; this one is "
            "missing. Add it, or remove the folder instances."
        )
    numbers = read_numbers(file)
    if numbers.dtype == np.uint8:
        numbers = np.where(numbers == IGNORE_LABEL, 0, numbers)
    if numbers.min() < 0 or numbers.max() > _MAX_NUMBER:
        raise DataError(
            f"{file}: the number of an object is 1 to {_MAX_NUMBER:,}, or 0 for none; it holds "
            f"{numbers.min()} to {numbers.max()}. Number the objects again."
        )
    return numbers.astype(np.int32)


def _by_name(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """The files of a folder by their names without the ending."""
    if not folder.is_dir():
        raise DataError(
            f"{folder.parent} is not a folder of images and masks: there is no folder {folder}. "
            f"{_LAYOUT}"
        )
    files: dict[str, pathlib.Path] = {}
    for file in sorted(folder.iterdir()):
        # Systems add hidden files of their own, such as ._NAME.jpg on a Mac's disk.
        if file.suffix.lower() not in ENDINGS or file.name.startswith("."):
            continue
        if not can_be_listed(file.name):
            raise DataError(
                f"{folder}/{as_shells(file.name)}: a name can stand on a list: it is UTF-8 without "
                "control characters, has no \\ and does not begin with #. Rename the file; a shell "
                "takes the name as it is written here."
            )
        # A Mac's disk writes accents in another way than most systems.
        other = files.setdefault(composed(file.stem), file)
        if other != file:
            raise DataError(
                f"{file}: a name belongs to one file; there is {other.name} too. Rename one of "
                "them."
            )
    return files


def _channels(images: list[pathlib.Path]) -> int:
    """The channels that all images can be read with."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = dict(zip(pool.map(_stored_channels, images), images, strict=True))
    found.pop(None, None)
    if len(found) == 1:
        return next(iter(found))
    if found and max(found) > 4:
        one, other = sorted(found)[:: len(found) - 1]
        raise DataError(
            f"{found[other]}: images have the same channels; this one has {other}, and "
            f"{found[one]} has {one}. Save them alike."
        )
    return 1 if found and max(found) < 3 else 3


def _stored_channels(file: pathlib.Path) -> int | None:
    try:
        return channels_of(file)
    except ImageError:  # `verify` reports the damage
        return None


def _splits(folder: pathlib.Path, names: list[str]) -> dict[str, list[str]]:
    splits = {
        split: _listed(folder / f"{split}.txt", names)
        for split in ("train", "val", "test")
        if (folder / f"{split}.txt").exists()
    }
    on_lists = {name for part in splits.values() for name in part}
    others = [name for name in names if name not in on_lists]
    if "train" not in splits and "val" not in splits:
        splits["val"] = _held_out(others)
        others = sorted(set(others).difference(splits["val"]))
    splits = {"train": others, "val": others} | splits
    for split, part in splits.items():
        if not part:
            raise DataError(
                f"{folder}: each split has at least one example; {split} has none of the "
                f"{len(names)} names in images and masks. "
                + (
                    f"Write some of the names into {split}.txt, one a line, and not into another "
                    "list."
                    if len(names) > 1
                    else f"Add images and masks: here are their endings: {', '.join(ENDINGS)}."
                )
            )
    return splits


def _listed(file: pathlib.Path, names: list[str]) -> list[str]:
    found, known = [], set(names)
    for entry in read_entries(file, remedy="Write one name a line into it, or delete it."):
        written = composed(entry.image.name)
        name = written if written in known else composed(entry.name)
        label = entry.label
        if entry.image.parent.name not in ("", "images") or (
            label and (label.parent.name, composed(label.stem)) != ("masks", name)
        ):
            raise DataError(
                f"{entry.where}: an image is in images, and its mask has its name and is in masks; "
                f"received {str(label or entry.image)!r}. Write {name!r}, and put both there."
            )
        found.append(name)
    return found


def _held_out(names: list[str]) -> list[str]:
    """The names whose hash is a multiple of 5; where none or all are, the one with the least."""
    hashes = {name: hashed(name) for name in names}
    chosen = [name for name in names if hashes[name] % 5 == 0]
    if len(chosen) in (0, len(names)):
        chosen = sorted(names, key=hashes.get)[:1]
    return chosen
