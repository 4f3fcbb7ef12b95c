"""`zoo bounds`: what labels themselves reach when they are down-sampled."""

import json

import numpy as np
import pytest
from PIL import Image

import zoo.__main__
import zoo.metrics
from recipes.data.sets import shapes
from recipes.evaluation import bounds
from zoo import pictures


def double(label, factor):
    """Cell by cell: the class that most pixels of the cell have."""
    found = np.zeros_like(label)
    for top in range(0, label.shape[0], factor):
        for left in range(0, label.shape[1], factor):
            cell = label[top : top + factor, left : left + factor]
            counts = [(cell == number).sum() for number in range(255)]
            found[top : top + factor, left : left + factor] = int(np.argmax(counts))
    return found


@pytest.mark.parametrize("factor", [1, 4, 8, 128])
@pytest.mark.parametrize("size", [(37, 50), (1, 9)])
def test_a_cell_has_the_class_of_most_of_its_pixels(factor, size):
    coarse = np.random.default_rng(3).choice(np.array([0, 2, 7, 254, 255], np.uint8), (10, 13))
    label = coarse.repeat(5, 0).repeat(5, 1)[: size[0], : size[1]]
    found = bounds.majority(label, factor)
    np.testing.assert_array_equal(found, double(label, factor))
    assert found.dtype == np.uint8


def test_the_matrix_counts_all_labels_together():
    one, other = np.zeros((8, 8), np.uint8), np.ones((8, 8), np.uint8)
    other[:2, :2] = 255
    one[:4, :4] = 1
    found = bounds.upper_bounds([one, other])
    assert list(found) == [128, 64, 32, 16, 8, 4]
    assert found[4] == 1
    # 16 pixels of class 1 are answered as 0: 48 / 64, and 60 / 76.
    assert found[8] == found[128] == pytest.approx((48 / 64 + 60 / 76) / 2)


def command(*words):
    return zoo.__main__.main(["bounds", *map(str, words)])


def test_a_folder_of_class_maps_and_a_data_set_are_read(tmp_path, capsys):
    shapes.write(tmp_path / "shapes", train=1, val=2)
    assert command(tmp_path, "--data", "shapes", "--json") == 0
    held_out = json.loads(capsys.readouterr().out)
    assert held_out["labels"] == 2
    assert list(held_out["mean_iou"]) == ["128", "64", "32", "16", "8", "4"]
    assert held_out["mean_iou"]["4"] > held_out["mean_iou"]["16"] > 0
    assert command(tmp_path, "--data", "shapes", "--split", "train", "--json") == 0
    assert json.loads(capsys.readouterr().out)["labels"] == 1

    folder = tmp_path / "shapes" / "SegmentationClass"
    (folder / "000000.png").unlink()
    assert command(folder) == 0
    out = capsys.readouterr().out
    assert f"{folder}, 2 labels\nfactor  mean_iou\n   128    " in out
    assert f"     4  {held_out['mean_iou']['4']:>8.4f}\n" in out


def test_labels_of_void_have_no_bound(tmp_path, capsys):
    pictures.save_class_map(tmp_path / "void.png", np.full((5, 5), 255))
    assert command(tmp_path, "--json") == 0
    assert set(json.loads(capsys.readouterr().out)["mean_iou"].values()) == {None}


def test_what_is_no_label_is_told(tmp_path, capsys):
    assert command(tmp_path, "--split", "val") == 2
    assert "Pass its name as --data, or leave --split out." in capsys.readouterr().err
    assert command(tmp_path) == 1
    assert "Pass the folder of the class maps, or the name of a" in capsys.readouterr().err
    assert command(tmp_path / "missing") == 2
    Image.new("RGB", (4, 4)).save(tmp_path / "colours.png")
    assert command(tmp_path) == 1
    assert f"zoo bounds: {tmp_path}/colours.png: a class map holds one" in capsys.readouterr().err
    assert command(tmp_path, "--data", "coins", "--split", "test") == 2
    assert "--split is one of train, val; received test." in capsys.readouterr().err
