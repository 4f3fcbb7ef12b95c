"""Median frequency balancing: by its definition, on CamVid's counts, and in `zoo verify`."""

import statistics

import numpy as np
import pytest

from recipes import command, data
from recipes.data.class_balance import median_frequency
from recipes.data.verify import examine
from tests.support import scene_files

IMAGE = 360 * 480
# CamVid's training masks: the pixels of each class, and the images that it occurs in.
PIXELS = (
    *(10682767, 14750079, 623349, 20076880, 2845085, 6166762, 743859, 714595, 3719877, 405385),
    184967,
)
IMAGES = (366, 365, 366, 367, 349, 319, 351, 173, 360, 317, 201)
# Those of the same classes in github.com/alexgkendall/SegNet-Tutorial, Models/segnet_train.prototxt
PUBLISHED = (
    *(0.2595, 0.1826, 4.5640, 0.1417, 0.9051, 0.3826, 9.6446, 1.8418, 0.6823, 6.2478, 7.3614),
)


def by_definition(labels, classes):
    """The weights from labels of any sizes; the double of `median_frequency`."""
    frequencies = {}
    for number in range(classes):
        shown = [label for label in labels if (label == number).any()]
        if shown:
            count = sum(int((label == number).sum()) for label in shown)
            frequencies[number] = count / sum(label.size for label in shown)
    middle = statistics.median(frequencies.values())
    return [middle / frequencies[x] if x in frequencies else 0 for x in range(classes)]


@pytest.mark.parametrize("classes", [2, 5, 8])
def test_the_weights_are_those_of_the_definition(classes):
    rng = np.random.default_rng(classes)
    sizes = rng.integers(5, 30, (6, 2))
    labels = [rng.integers(0, 2 + index % 4, size) % classes for index, size in enumerate(sizes)]
    for label in labels:
        label[0] = 255
    counts = np.array([np.bincount(label.ravel(), minlength=256)[:classes] for label in labels])
    around = ((counts > 0) * np.array([[label.size] for label in labels])).sum(0)
    found = median_frequency(counts.sum(0), around)
    assert found == pytest.approx(by_definition(labels, classes))
    assert all(type(weight) is float for weight in found)
    assert classes < 8 or found[-1] == 0  # the last classes never occur


def test_camvids_weights_are_near_to_the_published_ones_but_for_one():
    found = median_frequency(np.array(PIXELS), IMAGE * np.array(IMAGES))
    ratios = np.array(PUBLISHED) / (0.918 * np.array(found))
    assert ratios[6] == pytest.approx(9.64 / 3.53, abs=0.01)
    assert np.abs(np.delete(ratios, 6) - 1).max() < 0.1
    # With void, 2,503,995 pixels in all 367 images, as a twelfth class:
    twelve = median_frequency(np.array([*PIXELS, 2503995]), IMAGE * np.array([*IMAGES, 367]))
    assert twelve[0] / found[0] == pytest.approx(0.918, abs=1e-3)


def test_verify_shows_the_weights_of_the_training_split(tmp_path, capsys):
    scene_files.write(tmp_path, "camvid")
    train = data.load("camvid", tmp_path)["train"]
    labels = [train.example(index)[1] for index in range(len(train))]
    expected = by_definition(labels, 11)
    examined = examine(train)
    assert median_frequency(examined.pixels, examined.pixels_around) == pytest.approx(expected)
    assert command.verify(["camvid", str(tmp_path)]) == 0
    of_train, of_val = capsys.readouterr().out.split("val: ")
    count, total = examined.pixels[1], sum(label.size for label in labels)
    assert (
        f"  building    {count:>14,} pixels  {count / total:7.2%}  balanced weight "
        f"{expected[1]:.4f}\n" in of_train
    )
    assert "  bicyclist                0 pixels    0.00%  balanced weight 0.0000\n" in of_train
    assert "balanced weight" not in of_val
