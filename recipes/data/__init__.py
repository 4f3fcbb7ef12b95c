"""Data sets, one module each; every one loads as the same thing, a dictionary of `Dataset`."""

import importlib
import pathlib
from typing import NamedTuple

from recipes.data.dataset import IGNORE_LABEL, DataError, Dataset
from recipes.data.folds import divided
from zoo.images import ImageError
from zoo.terminal import nearest


class Known(NamedTuple):
    """What is known of a data set before its files are read; None where the files decide.

    `instances` says whether it tells the objects of a class apart, `other_heads` for which heads of
    a net it has labels beside those of the first, `one_size` whether all images have the same size,
    so that whole images make a batch.
    """

    classes: int | None
    channels: int | None
    instances: bool | None = False
    other_heads: tuple[str, ...] = ()
    one_size: bool = False


SETS = {
    "camvid": Known(11, 3, one_size=True),
    "coins": Known(2, 1),
    "folder": Known(None, None, instances=None),
    "isbi": Known(2, 1, instances=True),
    "nyudv2": Known(40, 3),
    "nyudv2_color_depth": Known(40, 4),
    "nyudv2_color_hha": Known(40, 6),
    "nyudv2_depth": Known(40, 1),
    "nyudv2_hha": Known(40, 3),
    "pascal_context": Known(60, 3),
    "sbd": Known(21, 3, instances=True),
    "sbd_objects": Known(21, 3),
    "sbd_proposals": Known(21, 3),
    "shapes": Known(5, 3),
    "sift_flow": Known(33, 3, other_heads=("geometric",)),
    "sift_flow_geometric": Known(3, 3),
    "voc": Known(21, 3),
}
NAMES = tuple(SETS)


def load(
    name: str, data_dir: pathlib.Path, *, channels: int = 0, fold: str = ""
) -> dict[str, Dataset]:
    """The splits "train" and "val" of a data set, and "test" if it has one.

    Args:
        name: One of `NAMES`.
        data_dir: The folder of its files; a set that makes its own files writes them there.
        channels: That images are read with, for `folder`; 0 for as many as are stored.
        fold: That is held out, such as "2/5", see `recipes.data.folds`; "" for the splits of the
            data set.

    Raises:
        DataError: No data set has this name, its files are not in `data_dir`, or an image is in two
            splits; or `channels` are not those of the data set, or the fold is empty.
        OSError: The folder cannot be read.
    """
    if name not in SETS:
        near = nearest(name, NAMES)
        raise DataError(
            f"A data set is one of {', '.join(NAMES)}; received {name!r}. Pass "
            f"{f'--data {near}' if near else 'one of these as --data'}."
        )
    given = {"channels": channels} if channels and SETS[name].channels is None else {}
    if channels and not given and channels != SETS[name].channels:
        raise DataError(
            f"--channels is for --data folder; the images of {name} have {SETS[name].channels}, "
            f"and it received {channels}. Leave it out."
        )
    module = importlib.import_module(f"recipes.data.sets.{name}")
    try:
        splits = module.load(pathlib.Path(data_dir), **given)
    except ImageError as error:
        raise DataError(str(error)) from error
    except OSError as error:
        raise OSError(
            f"{data_dir}: the folder of {name} cannot be used ({error}). Pass a folder that "
            "you may read and, for shapes, write."
        ) from error
    split_of: dict[str, str] = {}
    for split, dataset in splits.items():
        for image, *_ in dataset.files:
            other = split_of.setdefault(image, split)
            if other != split:
                raise DataError(
                    f"{image}: an image is in one split; it is in {other} and in {split}. Take it "
                    f"off the list of one of them."
                )
    return divided(splits, fold) if fold else splits


__all__ = ["DataError", "Dataset", "IGNORE_LABEL", "Known", "NAMES", "SETS", "load"]
