"""NYUDv2 with HHA images, which encode the depth in three channels; see `nyudv2`."""

import pathlib

from recipes.data.dataset import Dataset
from recipes.data.sets import nyudv2


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The HHA images with the FCN paper's splits."""
    return nyudv2.read(data_dir, name="nyudv2_hha", images="hha")
