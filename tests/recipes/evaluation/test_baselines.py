"""What the training labels alone tell."""

import numpy as np
import pytest

from recipes.data import Dataset
from recipes.evaluation import baselines

LABELS = np.array(
    [
        [[0, 1, 1], [2, 255, 255]],
        [[0, 1, 0], [2, 255, 1]],
        [[1, 1, 0], [0, 255, 255]],
    ],
    np.uint8,
)


def train(labels):
    return Dataset(
        name="made",
        split="train",
        class_names=("a", "b", "c"),
        channels=1,
        files=tuple((f"{index}.png", f"{index}.png") for index in range(len(labels))),
        example=lambda index: (np.zeros((*labels[index].shape, 1), np.uint8), labels[index]),
    )


def image(height, width):
    return np.zeros((height, width, 1), np.uint8)


def test_the_most_frequent_class_is_everywhere():
    answer = baselines.of(train(LABELS))["most frequent class"](image(4, 5))
    np.testing.assert_array_equal(answer, np.ones((4, 5)))  # 6 pixels have class 1, 5 class 0


def test_each_place_has_the_class_that_most_labels_have_there():
    answer = baselines.of(train(LABELS))["class of each place"]
    expected = [[0, 1, 0], [2, 1, 1]]  # nothing is known in the middle below: 1, as everywhere
    np.testing.assert_array_equal(answer(image(2, 3)), expected)
    doubled = np.repeat(np.repeat(expected, 2, 0), 2, 1)
    np.testing.assert_array_equal(answer(image(4, 6)), doubled)
    np.testing.assert_array_equal(answer(image(1, 1)), [[1]])


def test_labels_of_other_sizes_count_too(monkeypatch):
    larger = [np.repeat(np.repeat(label, 2, 0), 3, 1) for label in LABELS[1:]]
    answer = baselines.of(train([LABELS[0], *larger]))["class of each place"]
    np.testing.assert_array_equal(answer(image(2, 3)), [[0, 1, 0], [2, 1, 1]])
    monkeypatch.setattr(baselines, "LONGEST", 3)
    answer = baselines.of(train([*larger, LABELS[0]]))["class of each place"]
    assert answer(image(200, 100)).shape == (200, 100)


def test_without_a_labelled_pixel_nothing_is_told():
    with pytest.raises(ValueError, match="made has no labelled pixel there"):
        baselines.of(train(np.full_like(LABELS, 255)))
