"""Data sets, one module each; every one loads as the same thing, a dictionary of `Dataset`."""

import importlib
import pathlib

from recipes.data.dataset import DataError, Dataset

NAMES = (
    "coins",
    "folder",
    "isbi",
    "nyudv2",
    "nyudv2_depth",
    "nyudv2_hha",
    "pascal_context",
    "sbd",
    "sbd_objects",
    "sbd_proposals",
    "shapes",
    "sift_flow",
    "sift_flow_geometric",
    "voc",
)


def load(name: str, data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The splits "train" and "val" of a data set; `data_dir` is where its files are, or will be.

    Raises:
        DataError: No data set has this name, or its files are not in `data_dir`.
    """
    if name not in NAMES:
        raise DataError(
            f"A data set is one of {', '.join(NAMES)}; received {name!r}. Pass --data {NAMES[0]}."
        )
    return importlib.import_module(f"recipes.data.sets.{name}").load(pathlib.Path(data_dir))


__all__ = ["DataError", "Dataset", "NAMES", "load"]
