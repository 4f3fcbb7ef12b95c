"""Writes a folder of images and masks as another one, whose masks hold indices."""

import pathlib
import shutil

import zoo.pictures
from recipes.data.classes import text_of
from recipes.data.dataset import Dataset
from zoo import files
from zoo.progress import told


def write_indices(splits: dict[str, Dataset], out: pathlib.Path) -> None:
    """Writes a new folder, which `zoo train` takes with `--data folder` as it is.

    Images and instances are copied; each mask becomes a palette PNG of indices in the colours of
    the classes, or in VOC's. The splits become lists. The folder appears when it is complete.

    Args:
        splits: Of a folder.
        out: The new folder.

    Raises:
        FileExistsError: There is something already.
        DataError: An example cannot be read.
        OSError: The folder cannot be written.
    """
    try:
        with files.creating(out) as unfinished:
            _write(splits, unfinished)
    except FileExistsError:
        raise
    except OSError as error:
        raise OSError(
            f"{out}: the new folder cannot be written ({error}). Choose another place, which you "
            "may write to and which has room."
        ) from error


def _write(splits: dict[str, Dataset], folder: pathlib.Path) -> None:
    classes = splits["train"]
    palette = zoo.pictures.with_colours(zoo.pictures.voc_palette(), classes.colours)
    for part in ("images", "masks", *(["instances"] * bool(classes.instances))):
        (folder / part).mkdir(parents=True)
    text = text_of(classes.class_names, classes.colours)
    (folder / "classes.txt").write_text(text, encoding="utf-8")
    for split, dataset in splits.items():
        names = [pathlib.Path(image).stem for image, *_ in dataset.files]
        # With its folder, since a name may begin or end with a space.
        lines = "".join(f"images/{pathlib.Path(image).name}\n" for image, *_ in dataset.files)
        (folder / f"{split}.txt").write_text(lines, encoding="utf-8")
        for index in told(range(len(dataset)), f"writing {split}", len(dataset)):
            image, _, *objects = map(pathlib.Path, dataset.files[index])
            shutil.copyfile(image, folder / "images" / image.name)
            mask = folder / "masks" / f"{names[index]}.png"
            zoo.pictures.save_class_map(mask, dataset.example(index)[1], palette=palette)
            for file in objects:
                to = folder / "instances" / f"{names[index]}{file.suffix}"
                shutil.copyfile(file, to)
