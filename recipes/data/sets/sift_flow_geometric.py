"""SIFT Flow in the geometric classes sky, horizontal and vertical; see `sift_flow`."""

import pathlib

from recipes.data.dataset import Dataset
from recipes.data.sets import sift_flow


def load(data_dir: pathlib.Path) -> dict[str, Dataset]:
    """The geometric labels with the FCN authors' splits."""
    return sift_flow.read(data_dir, name="sift_flow_geometric", labels="GeoLabels", first=-1)
