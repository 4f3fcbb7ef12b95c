"""NYUDv2 with the logarithm of the depth as an image with one channel; see `nyudv2`."""

import pathlib

from recipes.data.dataset import Dataset
from recipes.data.sets import nyudv2


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The depth images with the FCN paper's splits."""
    return nyudv2.read(data_dir, name="nyudv2_depth", images="depth")
