"""The benchmark of the methods of inference, on a few scenes and narrow nets."""

import json

import numpy as np
import pytest

import zoo
from benchmarks import inference
from recipes.data.sets import shapes
from tests.support.toys import TOYS

OURS = ("with", "mosaic", "size")  # options of a row that are none of a Method


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Workdirs of two of the runs, with weights that nobody trained."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("fcn8s", "unet"):
        workdir = folder / f"shapes_{name}"
        shapes.write(workdir / "data/shapes", train=1, val=9)
        model = zoo.build(name, **TOYS[name].options | {"classes": 5})
        zoo.weights.save(model, workdir / "model.weights.h5")
        recipe = {"name": name, "model": name, "data": "shapes"}
        found = {"recipe": recipe, "spec": model.spec.to_dict(), "weights": {"step": 1}}
        (workdir / "recipe.json").write_text(json.dumps(found))
    return folder


def test_a_row_is_measured(runs):
    row = "ensemble of FCN-8s and U-Net"
    found = inference.measured(runs, row, 3)
    answer = inference.composed(runs, *inference.ROWS[row])
    dataset = shapes.load(runs / "shapes_fcn8s/data")["val"]
    matrix = sum(
        zoo.metrics.confusion_matrix(label, zoo.inference.class_map(answer, image), classes=5)
        for image, label in map(dataset.example, range(3))
    )
    assert found["mean_iou"] == pytest.approx(zoo.metrics.scores(matrix)["mean_iou"])
    assert 0 <= found["boundary_iou"] <= 1
    assert found["seconds"] > 0
    assert found["megabytes"] > 100
    assert found["class_maps"] is None
    (shown, *_) = inference.measured(runs, "U-Net", 2)["class_maps"]
    assert np.shape(shown) == (96, 128)


def test_what_helps_and_what_does_not_is_said():
    ious = {"FCN-8s": 0.5, "FCN-8s, CRF": 0.6, "FCN-8s, 3 scales": 0.4, "FCN-8s, 2 flips": 0.501}
    ious |= {"U-Net": 0.7, "ensemble of FCN-8s and U-Net": 0.65}
    numbers = {"boundary_iou": 0.1, "seconds": 0.02, "megabytes": 900}
    found = {row: {"mean_iou": iou, **numbers} for row, iou in ious.items()}
    said = inference.verdict(found).splitlines()
    assert said == [
        "- **Helps:** FCN-8s, CRF (+0.1000); ensemble of FCN-8s and U-Net (+0.1500).",
        "- **Makes it worse:** FCN-8s, 3 scales (-0.1000).",
        "- **Changes at most 0.002:** FCN-8s, 2 flips.",
    ]
    lines = inference.results_table(found).splitlines()
    assert lines[2] == "| FCN-8s | 0.5000 |  | 0.1000 | 20 | 1.0 | 900 |"
    assert "| FCN-8s, CRF | 0.6000 | +0.1000 |" in lines[3]


def test_the_scenes_are_drawn_side_by_side(runs):
    dataset = shapes.load(runs / "shapes_fcn8s/data")["val"]
    labels = [dataset.example(index)[1] % 255 for index in inference.SHOWN]
    found = {row: {"class_maps": labels} for row in inference.PICTURED}
    sheet = inference.sheet(runs, found)
    assert sheet.size == (8 * (256 + 8) + 8, 3 * (192 + 8) + 22 + 8)
    assert len(sheet.getcolors(1 << 24)) > 10


def test_every_option_of_a_row_is_one_of_the_method():
    for _, options in inference.ROWS.values():
        zoo.inference.Method(**{name: x for name, x in options.items() if name not in OURS})


def test_a_mosaic_is_of_nine_scenes(runs):
    dataset = shapes.load(runs / "shapes_unet/data")["val"]
    ((image, label),) = inference.examples(dataset, 9, mosaic=True)
    scene, truth = dataset.example(5)
    np.testing.assert_array_equal(image[96:192, 256:], scene)
    np.testing.assert_array_equal(label[96:192, 256:], truth)
    assert image.shape == (288, 384, 3)
    assert not list(inference.examples(dataset, 8, mosaic=True))
