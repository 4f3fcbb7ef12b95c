"""NYUDv2 with HHA behind RGB, in one image of 6 channels; see `nyudv2`."""

import pathlib

from recipes.data.dataset import Dataset
from recipes.data.sets import nyudv2


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The colour images, each with its HHA image, with the FCN paper's splits."""
    return nyudv2.read(data_dir, name="nyudv2_color_hha", images="images", beside="hha")
