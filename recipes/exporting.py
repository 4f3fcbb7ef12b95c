"""`zoo export`, with the data sets: a name stands for its images, and a workdir knows its own.

`exports` knows no data sets; it is given the function that reads their images.
"""

import pathlib

import numpy as np

from exports import command, images
from recipes import data
from zoo import workdir as workdirs
from zoo.terminal import tell

SPLIT = "train"


def export(arguments: list[str]) -> int:
    """`zoo export`; returns the exit status, as `exports.command.export`."""
    return command.export(arguments, representative=representative)


def representative(
    path: pathlib.Path,
    name: str | None,
    data_dir: pathlib.Path | None,
    *,
    channels: int,
    size: tuple[int, int],
) -> np.ndarray | None:
    """At most 100 training images of a data set, spread over it, uint8 `[n, *size, channels]`.

    Args:
        path: What is exported.
        name: Of the data set; that of the run if None and `path` is a workdir.
        data_dir: The folder of the data set; that of the run if None, else `data`.
        channels: Of the model.
        size: Height and width to which the images are scaled.

    Returns:
        None if `name` is no data set's, or None outside of a workdir.

    Raises:
        ValueError: The data set cannot be read, or its images have other channels.
        OSError: Its folder cannot be read.
    """
    recorded = (workdirs.read_recipe(path) if path.is_dir() else None) or {}
    of_run = recorded.get("recipe", {}).get("data")
    name = of_run if name is None else name
    if name not in data.SETS:
        return None
    inside = recorded.get("data_dir") or path / "data" if name == of_run else "data"
    folder = data_dir or pathlib.Path(inside)
    given = {} if data.SETS[name].channels else {"channels": channels}
    if name == of_run:
        given["fold"] = recorded["recipe"].get("fold", "")
    try:
        dataset = data.load(name, folder, **given)[SPLIT]
    except (data.DataError, OSError) as error:
        raise type(error)(
            f"{error}\nRepresentative images are those of the data set {name}, sought in {folder}. "
            "Name its folder with --data-dir, or pass --representative FOLDER with images."
        ) from error
    if dataset.channels != channels:
        raise ValueError(
            f"Representative images have the {channels} channels of the model; those of {name} "
            f"have {dataset.channels}. Pass the data set that it was trained on, or "
            "--representative FOLDER with images."
        )
    chosen = images.spread(len(dataset))
    tell(f"Representative images: {len(chosen)} of {name}, split {SPLIT}, in {folder}")
    return images.of_size((dataset.example(index)[0] for index in chosen), size)
