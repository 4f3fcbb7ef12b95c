"""`zoo predict` with what users have: odd names, odd models, files that others made."""

import errno
import importlib
import os

import numpy as np
import pytest
from PIL import Image

import zoo
from tests.support.toys import build_toy, toy_images
from zoo import files, image_files
from zoo.inference import crf, large, scorer


def test_without_rasterio_a_geotiff_loses_its_place_and_that_is_said(
    ask, photographs, tmp_path, monkeypatch
):
    rasterio = pytest.importorskip("rasterio")
    (photographs / "1.png").unlink()
    (image,) = toy_images("unet", 1).astype(np.uint8)
    place = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
    form = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": "EPSG:32632"}
    size = {"height": image.shape[0], "width": image.shape[1]}
    with rasterio.open(photographs / "1.tif", "w", transform=place, **form, **size) as file:
        file.write(np.moveaxis(image, -1, 0))
    real = importlib.util.find_spec
    with monkeypatch.context() as patched:
        patched.setattr(
            importlib.util, "find_spec", lambda name: None if name == "rasterio" else real(name)
        )
        out = ask()
    assert 'without its georeference, which pip install "segmentation-zoo[large]" keeps' in out
    assert (tmp_path / "answers/1-mask.png").exists()
    assert "2 of 3 images were answered before" in ask()
    assert (tmp_path / "answers/1-mask.tif").exists()


def test_one_file_is_not_the_answer_to_two_images(ask, photographs, tmp_path):
    """Its mask is moved away for another image of its name, as the error says."""
    ask()
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(toy_images("unet", 2)[1].astype(np.uint8)[::-1]).save(other / "0.png")
    out = ask(images=other, status=2)
    assert f"Nothing is overwritten; {tmp_path}/answers/0-mask.png is there already" in out
    for name in ("0-mask.png", "0-overlay.png"):
        (tmp_path / "answers" / name).unlink()
    ask(images=other)
    assert "Nothing is overwritten" in ask(status=2)


def test_a_link_that_leads_nowhere_is_not_replaced(ask, tmp_path):
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers/0-mask.png").symlink_to(tmp_path / "nowhere")
    assert "Nothing is overwritten" in ask(status=2)
    assert (tmp_path / "answers/0-mask.png").is_symlink()


def test_names_of_any_bytes_and_too_long_ones(ask, photographs, tmp_path):
    content = (photographs / "0.png").read_bytes()
    odd, long = os.fsdecode(b"bad\xff.png"), "y" * 250 + ".png"
    for name in (odd, long, "two\nlines.png"):
        (photographs / name).write_bytes(content)
    out = ask(status=1)
    assert "the name of a file has 255 bytes at most; those of its answers have more. R" in out
    assert "two\\nlines-mask.png: " in out
    assert (tmp_path / "answers" / os.fsdecode(b"bad\xff-mask.png")).exists()
    assert "5 of 6 images were answered before" in ask(status=1)


def test_an_image_that_a_method_does_not_take_is_named_and_the_rest_is_done(
    ask, photographs, tmp_path, monkeypatch
):
    pytest.importorskip("pydensecrf")
    Image.new("RGB", (70, 70)).save(photographs / "1.png")
    monkeypatch.setattr(crf, "MAX_PIXELS", 60 * 60)
    out = ask("--crf", status=1)
    assert f"{photographs}/1.png: A CRF takes images of at most 3600 pixels; received 70 ×" in out
    assert (tmp_path / "answers/2-mask.png").exists()


def test_a_box_outside_is_named_with_its_image(ask, tmp_path):
    file = tmp_path / "boxes.txt"
    file.write_text("0,5,5,25,25\n1,200,200,300,300\n2,5,5,25,25\n")
    out = ask("--proposals", "--boxes", file, status=1)
    assert "photographs/1.png: A box has pixels of its image of 50 × 33" in out
    assert (tmp_path / "answers/2-mask.png").exists()


def test_what_somebody_keeps_beside_the_rows_is_not_deleted(
    ask, photographs, tmp_path, monkeypatch
):
    pytest.importorskip("rasterio")
    monkeypatch.setattr(image_files, "MAX_PIXELS", 40 * 30)
    partial = tmp_path / "answers/0-mask.png.partial"
    partial.mkdir(parents=True)
    (partial / "precious").touch()
    assert "precious in it is not of them. Move it away." in ask(status=2)
    assert (partial / "precious").exists()


def test_a_large_image_that_is_removed_is_named(tmp_path):
    with pytest.raises(zoo.images.ImageError, match=r"x\.png: it was removed while it was read\."):
        large._state(tmp_path / "x.png")


def test_a_full_disk_says_that_it_is_full(ask, tmp_path, monkeypatch):
    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    monkeypatch.setattr(files, "sync", full)
    out = ask("--scores", status=2)
    assert "(No space left on device). Free some space there and run the same command again." in out


def test_an_empty_name_is_no_folder(ask, capsys):
    with pytest.raises(SystemExit):
        ask("--out", "")
    assert "takes a folder; received an empty name" in capsys.readouterr().err
    assert "received an empty name. Check the path." in ask(images="", status=2)


def test_an_export_says_itself_what_it_is(ask, exported_toy):
    out = ask("--checkpoint", "600", model=exported_toy("unet", "tflite"), status=2)
    assert "An exported file says itself what it is; received checkpoint for" in out


def test_a_saved_model_with_a_limit_answers_what_it_takes(exported_toy, tmp_path):
    import exports

    version = exports.export(build_toy("unet"), tmp_path, ["saved_model"], max_pixels=3000)
    (image,) = toy_images("unet", 1, (40, 60))
    expected = zoo.predict(build_toy("unet"), image)
    found = zoo.predict(version["saved_model"], image)
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ValueError, match=r"takes images of 3,000 pixels at most; received 224 ×"):
        zoo.predict(version["saved_model"], image, proposals=True)


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "L", "1", "P", "LA", "RGBA", "I;16"])
def test_an_image_of_pillow_may_have_any_mode(mode):
    model = scorer(build_toy("unet"))
    image = Image.fromarray(toy_images("unet", 1)[0].astype(np.uint8))
    image = image.convert("I").convert(mode) if mode == "I;16" else image.convert(mode)
    assert zoo.predict(model, image).shape == (33, 50)
