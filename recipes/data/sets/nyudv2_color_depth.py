"""NYUDv2 with the logarithm of the depth behind RGB, in one image of 4 channels; see `nyudv2`."""

import pathlib

from recipes.data.dataset import Dataset
from recipes.data.sets import nyudv2


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The colour images, each with its depth, with the FCN paper's splits."""
    return nyudv2.read(data_dir, name="nyudv2_color_depth", images="images", beside="depth")
