"""Boundary IoU against a double that follows the definition, mask by mask and pixel by pixel."""

import re

import numpy as np
import pytest

from zoo import metrics


def double(truth, class_map, *, classes, distance):
    """Erodes each mask step by step, as the authors say it; void is in no mask."""
    counted = truth != 255
    found = np.zeros((2, classes), int)
    for number in range(classes):
        masks = []
        for labels in (truth, class_map):
            mask = eroded = (labels == number) & counted
            for _ in range(distance):
                around = np.pad(eroded, 1)
                height, width = mask.shape
                eroded = np.ones_like(mask)
                for down in range(3):
                    for right in range(3):
                        eroded &= around[down : down + height, right : right + width]
            masks.append(mask & ~eroded)
        found[:, number] = (masks[0] & masks[1]).sum(), (masks[0] | masks[1]).sum()
    return found


def blobs(seed, size, classes):
    """Coarse random patches: masks with an interior."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes, (size[0] // 9 + 1, size[1] // 9 + 1))
    return coarse.repeat(9, 0).repeat(9, 1)[: size[0], : size[1]]


@pytest.mark.parametrize("distance", [1, 3])
@pytest.mark.parametrize("size", [(40, 61), (1, 30), (5, 5)])
def test_counts_are_those_of_masks_that_are_eroded(distance, size):
    truth, class_map = blobs(1, size, 4), blobs(2, size, 4)
    class_map[::5] = truth[::5]
    truth[size[0] // 2 :, 7:12] = 255
    found = metrics.boundary_counts(truth, class_map, classes=5, distance=distance)
    np.testing.assert_array_equal(found, double(truth, class_map, classes=5, distance=distance))
    assert found.dtype == np.int64
    assert found[1, :4].min() > 0 or min(size) < 30


def test_a_shift_by_two_pixels_costs_the_boundary_more_than_the_mask():
    truth = np.zeros((60, 60), np.uint8)
    truth[20:40, 20:40] = 1
    moved = np.roll(truth, 2, 0)
    scores = metrics.boundary_scores(metrics.boundary_counts(truth, moved, classes=3))
    whole = metrics.scores(metrics.confusion_matrix(truth, moved, classes=3))
    # Rings of 20² − 14² pixels: the columns share 2 · 3 · 18, each end a row of 14 of its three.
    expected = (108 + 2 * 14) / (2 * 204 - 136)
    assert scores["boundary_iou_per_class"][1] == pytest.approx(expected)
    assert expected < whole["iou_per_class"][1]
    assert np.isnan(scores["boundary_iou_per_class"][2])
    assert scores["mean_boundary_iou"] == pytest.approx(
        np.mean(scores["boundary_iou_per_class"][:2])
    )


def test_classes_without_labels_can_be_left_out_of_the_mean():
    truth = blobs(1, (30, 30), 3)
    answer = np.where(truth == 2, 3, truth)
    counts = metrics.boundary_counts(truth, answer, classes=4)
    per_class = metrics.boundary_scores(counts)["boundary_iou_per_class"]
    assert per_class[3] == 0
    found = metrics.boundary_scores(counts, unscored=(3,))
    np.testing.assert_array_equal(found["boundary_iou_per_class"][:3], per_class[:3])
    assert np.isnan(found["boundary_iou_per_class"][3])
    assert found["mean_boundary_iou"] == pytest.approx(per_class[:3].mean())


def test_what_is_answered_in_void_does_not_count():
    truth = np.zeros((30, 30), np.uint8)
    truth[8:22, 8:22] = 255
    truth[10:20, 10:20] = 1
    answer = truth.copy()
    answer[truth == 255] = 1
    counts = metrics.boundary_counts(truth, answer, classes=2)
    np.testing.assert_array_equal(counts[0], counts[1])


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"distance": 0}, "whole number of pixels from 1; received 0. Pass distance=3"),
        ({"truth": np.zeros((2, 3, 3), int)}, "[2, 3, 3]. Count the images one by one, and add up"),
        ({"class_map": np.full((3, 3), 9)}, "class from 0 to 1, or 255, which is not counted; rec"),
        ({"class_map": np.zeros((3, 4), int)}, "must have one shape; received (3, 3) and (3, 4)"),
    ],
)
def test_what_has_no_boundary_is_refused(options, text):
    given = {"truth": np.zeros((3, 3), int), "class_map": np.zeros((3, 3), int), "classes": 2}
    with pytest.raises(ValueError, match=re.escape(text)):
        metrics.boundary_counts(**given | options)
