"""The benchmark of U-Net's borders, on a few mosaics and a tiny net."""

import dataclasses

import numpy as np
import pytest

from benchmarks import unet_borders
from recipes.data.sets import folder, shapes


@pytest.fixture(scope="module")
def mosaics(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "mosaics"
    unet_borders.write_mosaics(place, training=2, held_out=1)
    return place


def test_a_mosaic_is_of_nine_scenes(mosaics):
    splits = folder.load(mosaics)
    assert (len(splits["train"]), len(splits["val"])) == (2, 1)
    assert splits["train"].class_names == shapes.CLASS_NAMES
    image, label = splits["train"].example(1)
    scene, truth = shapes.scene(0, 9 + 5)
    np.testing.assert_array_equal(image[96:192, 256:], scene)
    np.testing.assert_array_equal(label[96:192, 256:], truth)
    assert image.shape == (288, 384, 3)


def test_a_row_is_measured(mosaics, monkeypatch):
    tiny = dataclasses.replace(
        unet_borders.RECIPE, options={"filters": 2, "depth": 1}, crop=16, batch_size=1
    )
    monkeypatch.setattr(unet_borders, "RECIPE", tiny)
    monkeypatch.setattr(unet_borders, "LAST", 8)
    found = unet_borders.measured("real context", mosaics, seconds=0.1, seeds=2)
    assert found["steps"] >= 8
    assert found["rate"] > 0
    assert len(found["mean_iou"]) == 2
    assert all(0 <= iou <= 1 for iou in found["mean_iou"])
    assert found["megabytes"] > 100


def test_the_rows_differ_in_their_border_alone():
    recipes = [unet_borders.recipe_of(row) for row in unet_borders.ROWS]
    assert [(x.context, x.options.get("border")) for x in recipes] == [
        (False, None),
        (True, None),
        (True, "same"),
    ]
    alike = [dataclasses.replace(x, context=True, options={}) for x in recipes]
    assert alike[0] == alike[1] == alike[2]
    sides = [unet_borders.computed(row, depth=4, crop=256) for row in unet_borders.ROWS]
    assert sides == [444, 444, 256]


def test_the_best_is_told_with_how_sure_it_is():
    numbers = {"rate": 2.5, "steps": 100, "megabytes": 900}
    ious = {
        "mirrored crops": [0.4, 0.5],
        "real context": [0.6, 0.7],
        "padded with zeros": [0.5, 0.55],
    }
    found = {row: {"mean_iou": iou, **numbers} for row, iou in ious.items()}
    assert unet_borders.verdict(found) == (
        "**In this time the best is: real context** (0.6500). The next is padded with zeros "
        "(0.5250); every seed of it is above all others."
    )
    found["mirrored crops"]["mean_iou"] = [0.5, 0.65]
    assert unet_borders.verdict(found).endswith("mirrored crops (0.5750); the seeds overlap.")
    text = unet_borders.text_of(found, seconds=45, seeds=2)
    assert "| real context | 188² | 2.50 | 100 | 0.6500 | 0.6000 to 0.7000 | 900 |" in text
    assert "computes 444² pixels for a crop of 256" in text
    assert "and 256² when it pads with zeros: 3.0 times fewer." in text


def test_a_wrong_budget_is_told(capsys):
    with pytest.raises(SystemExit):
        unet_borders.main(["--seconds", "0"])
    assert "received 0 and 2. Pass 45 and 2." in capsys.readouterr().err
