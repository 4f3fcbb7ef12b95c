"""Counting the pixels of a split: whole, in shares, stopped, and what is no answer to it."""

import numpy as np
import pytest

import zoo.metrics
from recipes import scoring
from recipes.data.dataset import Dataset

IMAGES = np.random.default_rng(0).integers(0, 3, (5, 4, 6, 1), np.uint8)
LABELS = np.random.default_rng(1).choice(np.array([0, 1, 2, 255], np.uint8), (5, 4, 6))
DATASET = Dataset(
    name="noise",
    split="val",
    class_names=("background", "one", "two"),
    channels=1,
    files=tuple((f"{n}.jpg", f"{n}.png") for n in range(5)),
    example=lambda index: (IMAGES[index], LABELS[index]),
)


def predict(image):
    return image[..., 0]


def test_a_whole_split_is_one_matrix():
    matrix = scoring.confusion_matrix(predict, DATASET)
    assert matrix.dtype == np.int64
    for truth, answer in np.ndindex(3, 3):
        assert matrix[truth, answer] == np.sum((truth == LABELS) & (IMAGES[..., 0] == answer))
    assert len(np.unique(matrix)) > 3
    found, expected = scoring.measure(predict, DATASET), zoo.metrics.scores(matrix)
    assert found["mean_iou"] == expected["mean_iou"]
    np.testing.assert_array_equal(found["iou_per_class"], expected["iou_per_class"])


def test_the_shares_of_several_workers_add_up():
    shares = [
        scoring.confusion_matrix(predict, DATASET, indices=range(worker, 5, 3))
        for worker in range(3)
    ]
    assert all(share.any() for share in shares)
    np.testing.assert_array_equal(sum(shares), scoring.confusion_matrix(predict, DATASET))


def test_it_stops_between_two_images_with_what_it_has():
    answers = iter([False, False, True])
    matrix = scoring.confusion_matrix(predict, DATASET, stopped=lambda: next(answers))
    two = scoring.confusion_matrix(predict, DATASET, indices=range(2))
    np.testing.assert_array_equal(matrix, two)
    assert not scoring.confusion_matrix(predict, DATASET, stopped=lambda: True).any()


def refusal(class_map):
    with pytest.raises(ValueError, match=r"^0\.jpg: ") as error:
        scoring.confusion_matrix(lambda image: class_map, DATASET)
    return str(error.value)


def test_an_answer_of_another_size_is_named_with_both():
    text = refusal(np.zeros((2, 6), np.uint8))
    assert text.startswith("0.jpg: a class map is scored at the size of its label, 4×6; received")
    assert text.endswith("of 2×6 (height × width). Score a model that keeps the size of its image.")


@pytest.mark.parametrize(("value", "dtype"), [(3, np.uint8), (-1, np.int32)])
def test_an_answer_outside_the_classes_is_named_even_where_it_is_not_counted(value, dtype):
    where = np.argwhere(LABELS[0] == 255)[0]
    class_map = np.zeros((4, 6), dtype)
    class_map[tuple(where)] = value
    assert refusal(class_map) == (
        f"0.jpg: noise has the classes 0 to 2; received a class map with {value}. Pass the data "
        "set that the model was trained on as --data, and its folder as --data-dir."
    )
