"""Every format gives the answers of a U-Net with options that change its graph."""

import numpy as np
import pytest

import exports
import zoo
from exports import check, exporting
from exports.formats import FORMATS
from exports.runtimes import process
from tests.support.toys import TOYS, build_toy, dtype_policy, scores_of, toy_images


@pytest.fixture(autouse=True)
def uncosted(monkeypatch):
    monkeypatch.setattr(exporting, "cost_of_request", lambda *_: None)


@pytest.mark.parametrize("form", ["saved_model", "tflite", "onnx", "openvino"])
def test_a_normalized_unet_that_pads_with_zeros_is_exported(form, tmp_path):
    """Converters fold the normalizations into the convolutions; sizes are no multiple of 4."""
    pytest.importorskip({"onnx": "onnxruntime", "openvino": "openvino"}.get(form, "keras"))
    model = build_toy("unet", border="same", batch_norm=True)
    images = toy_images("unet", 1)
    assert len(np.unique(scores_of(model, images).argmax(-1))) == 4
    size = TOYS["unet"].size
    options = {"size": size, "images": images.astype(np.uint8)}
    path = exports.export(model, tmp_path, [form], **options)[form]
    file = path / FORMATS[form].file if path.is_dir() and FORMATS[form].file else path
    with process.loaded(file, FORMATS[form].loader) as ask:
        given = {"image": images.astype(np.uint8)}
        class_map = ask("serving_default", given).outputs["class_map"]
    check.compare(form, "class_map", class_map, scores_of(model, images))


@pytest.mark.parametrize(
    ("form", "name", "options"),
    [
        ("tflite", "unet", {"border": "same"}),  # padded to a multiple of 4
        ("tflite", "encoder_decoder", {"upsampling": "bed_of_nails"}),
        ("onnx", "encoder_decoder", {"upsampling": "max_unpooling"}),  # a pooling of an odd side
    ],
)
def test_one_file_of_any_size_pads_and_crops_as_the_model_does(form, name, options, tmp_path):
    pytest.importorskip({"onnx": "onnxruntime"}.get(form, "keras"))
    model = zoo.build(name, **(TOYS[name].options | options))
    images = toy_images(name, 1)
    scores = model.get_layer(TOYS[name].score)
    kernel, _ = scores.get_weights()
    scores.set_weights([kernel, -scores_of(model, images).mean((0, 1, 2))])
    assert len(np.unique(scores_of(model, images).argmax(-1))) > 1
    path = exports.export(model, tmp_path, [form], images=images.astype(np.uint8))[form]
    file = path / FORMATS[form].file if path.is_dir() and FORMATS[form].file else path
    with process.loaded(file, FORMATS[form].loader) as ask:
        for size in (TOYS[name].size, (37, 41)):
            images = toy_images(name, 1, size)
            given = {"image": images.astype(np.uint8)}
            class_map = ask("serving_default", given).outputs["class_map"]
            check.compare(form, "class_map", class_map, scores_of(model, images))


@pytest.mark.parametrize("precision", ["float16", "bfloat16"])
def test_a_normalized_unet_computes_in_half_precision(precision, tolerance):
    options = {"border": "same", "batch_norm": True}
    images = toy_images("unet")
    expected = scores_of(build_toy("unet", **options), images)
    with dtype_policy(f"mixed_{precision}"):
        scores = scores_of(build_toy("unet", **options), images)
    apart = np.abs(scores - expected).mean() / np.abs(expected).mean()
    assert 0 < apart < getattr(tolerance, precision)
