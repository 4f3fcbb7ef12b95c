"""`zoo.predict` and `zoo predict`: from trained weights to pictures, again and again."""

import errno
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile
from PIL import Image

import zoo
from tests.support import specs
from tests.support.toys import CLASSIFIER_TOYS, build_toy, toy_images
from zoo import image_files, videos
from zoo.inference import answers, command, inputs, journal, methods, predicting, scorer
from zoo.inference.asked import Asked


def expected(path):
    image = zoo.images.read_image(path, channels=3)
    return build_toy("unet")(image[np.newaxis].astype("float32"))[0].numpy().argmax(-1)


def expected_at_once(path):
    with Image.open(path) as image:
        pixels = np.asarray(image, np.float32)
    return build_toy("unet")(pixels[np.newaxis])[0].numpy().argmax(-1)


def test_an_image_becomes_a_class_map_whatever_it_is(weights, photographs):
    path = photographs / "0.png"
    with Image.open(path) as opened:
        for image in (path, str(path), opened, np.asarray(opened)):
            found = zoo.predict(weights, image)
            assert found.dtype == np.uint8
            np.testing.assert_array_equal(found, expected(path))
    np.testing.assert_array_equal(zoo.predict(build_toy("unet"), path), expected(path))


def test_a_folder_becomes_masks_and_pictures(ask, photographs, tmp_path):
    out = ask()
    for index in range(3):
        mask = Image.open(tmp_path / f"answers/{index}-mask.png")
        np.testing.assert_array_equal(np.asarray(mask), expected(photographs / f"{index}.png"))
        assert mask.getpalette()[:6] == [1, 2, 3, 4, 5, 6]  # the colours of the Spec
        with Image.open(tmp_path / f"answers/{index}-overlay.png") as overlay:
            assert overlay.size > (320, 250)  # enlarged, with a legend
        assert f"answers/{index}-mask.png: " in out
    assert "3 of 3 images" in out
    text = (tmp_path / "answers/answers.jsonl").read_text()
    lines = [json.loads(line) for line in text.splitlines()]
    assert lines[1]["files"] == ["0-mask.png", "0-overlay.png"]
    numbers = np.bincount(expected(photographs / "0.png").ravel()) / (33 * 50)
    told = {name: round(share, 6) for name, share in lines[1]["shares"].items()}
    names = specs.UNET.class_names
    assert told == {names[n]: round(share, 6) for n, share in enumerate(numbers) if share}


def test_probabilities_are_written_on_request(ask, photographs, tmp_path):
    ask("--scores")
    found = np.load(tmp_path / "answers/1-probabilities.npy")
    image = zoo.images.read_image(photographs / "1.png")
    np.testing.assert_allclose(found, scorer(build_toy("unet"))(image), atol=1e-5)
    assert found.dtype == np.float32


def test_the_answer_is_turned_as_viewers_turn_the_image(ask, photographs, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the row 0 is the right side
    Image.open(photographs / "0.png").save(photographs / "0.png", exif=exif)
    ask()
    mask = np.asarray(Image.open(tmp_path / "answers/0-mask.png"))
    np.testing.assert_array_equal(mask, np.rot90(expected(photographs / "0.png"), -1))


def test_the_same_command_goes_on_where_it_was(ask, photographs, tmp_path):
    ask()
    before = (tmp_path / "answers/1-mask.png").stat().st_mtime_ns
    (tmp_path / "answers/2-mask.png").unlink()
    Image.open(photographs / "1.png").rotate(180).save(photographs / "0.png")
    Image.open(photographs / "1.png").save(photographs / "new.png")
    out = ask()
    assert "1 of 4 images were answered before" in out
    assert (tmp_path / "answers/1-mask.png").stat().st_mtime_ns == before
    for name in ("0", "2", "new"):
        mask = np.asarray(Image.open(tmp_path / f"answers/{name}-mask.png"))
        np.testing.assert_array_equal(mask, expected(photographs / f"{name}.png"))


def test_another_request_needs_another_folder(ask, weights, tmp_path):
    ask()
    assert "holds those to another: scores differs. Choose another --out." in ask(
        "--scores", status=2
    )
    os.utime(weights)
    assert "model differs" in ask(status=2)


def test_an_image_that_cannot_be_read_is_named_and_the_rest_is_done(ask, photographs, tmp_path):
    (photographs / "1.png").write_bytes(b"no image")
    out = ask(status=1)
    assert f"zoo predict: {photographs}/1.png: cannot be read as an image" in out
    assert sorted(file.name for file in (tmp_path / "answers").glob("*.png")) == [
        *("0-mask.png", "0-overlay.png", "2-mask.png", "2-overlay.png"),
    ]


def test_a_file_of_somebody_else_is_never_replaced(ask, tmp_path):
    (tmp_path / "answers").mkdir()
    (tmp_path / "answers/2-mask.png").write_bytes(b"mine")
    out = ask(status=2)
    assert f"Nothing is overwritten; {tmp_path}/answers/2-mask.png is there already." in out
    assert not (tmp_path / "answers/0-mask.png").exists()
    assert (tmp_path / "answers/2-mask.png").read_bytes() == b"mine"


def test_answers_lie_in_a_folder_of_their_own(weights, photographs, capsys):
    words = [weights, photographs, "--out", photographs]
    assert command.predict([str(word) for word in words]) == 2
    assert "holds the images. Choose another --out." in capsys.readouterr().err


def test_a_full_disk_ends_it_and_leaves_no_half_file(ask, tmp_path, monkeypatch):
    def full(self, *arguments):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))

    real = journal.files.append_text
    monkeypatch.setattr(journal.files, "append_text", full)
    out = ask(status=2)
    assert "(No space left on device). Free some space there and run the same command again." in out
    assert sorted(file.name for file in (tmp_path / "answers").iterdir()) == ["answers.jsonl"]
    monkeypatch.setattr(journal.files, "append_text", real)
    assert "3 of 3 images" in ask()


def test_a_torn_or_damaged_journal(ask, tmp_path):
    ask()
    file = tmp_path / "answers/answers.jsonl"
    file.write_text(file.read_text()[:-20])  # which comes before the names of the files
    for name in ("2-mask.png", "2-overlay.png"):
        (tmp_path / "answers" / name).unlink()
    assert "2 of 3 images were answered before" in ask()
    file.write_text(file.read_text().replace("files", "bytes", 1))
    out = ask(status=2)
    assert "answers.jsonl is damaged (" in out
    assert "Choose another --out, or move the folder away." in out


def test_a_killed_command_leaves_whole_files_and_goes_on(weights, photographs, tmp_path):
    for index in range(3, 60):
        (photographs / f"{index}.png").write_bytes((photographs / "0.png").read_bytes())
    out = tmp_path / "answers"
    command = [sys.executable, "-m", "zoo", "predict", weights, photographs, "--out", out]
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen(command, **options) as process:
        while len(list(out.glob("*-mask.png"))) < 5 and process.poll() is None:
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    for file in out.glob("*-mask.png"):
        Image.open(file).load()
    assert 5 <= len(list(out.glob("*-mask.png"))) < 60
    assert subprocess.run(command, **options, check=True).stdout.count("-mask.png") <= 56
    assert len(list(out.glob("*-mask.png"))) == len(list(out.glob("*-overlay.png"))) == 60
    assert not list(out.glob("writing-*"))


def test_exports_are_asked_as_well(ask, exported_toy, photographs, tmp_path):
    for form in ("saved_model", "onnx"):
        ask("--out", tmp_path / form, model=exported_toy("unet", form))
        mask = np.asarray(Image.open(tmp_path / form / "1-mask.png"))
        np.testing.assert_array_equal(mask, expected(photographs / "1.png"))
    out = ask("--scores", model=exported_toy("unet", "onnx"), status=2)
    assert "--scores and --heatmaps are of probabilities; " in out
    assert "gives classes alone. Give the weights file, the workdir or a SavedModel." in out


def test_a_large_image_is_answered_strip_by_strip(ask, photographs, tmp_path, monkeypatch):
    (image,) = toy_images("unet", 1, (210, 150)).astype(np.uint8)
    Image.fromarray(image).save(photographs / "0.png")
    whole = tmp_path / "whole"
    ask("--out", whole)
    monkeypatch.setattr(image_files, "MAX_PIXELS", 40 * 60)  # the file is read by windows
    monkeypatch.setattr(inputs, "MAX_PIXELS", 40 * 60)
    out = ask("--tile", "80")
    np.testing.assert_array_equal(
        np.asarray(Image.open(tmp_path / "answers/0-mask.png")),
        np.asarray(Image.open(whole / "0-mask.png")),
    )
    assert (tmp_path / "answers/0-overlay.png").exists()
    assert "3 of 3 images" in out
    found = ask("--tile", "80", "--scores", "--out", tmp_path / "scores", status=1)
    assert "0.png: --scores and --heatmaps are of images of 2,400 pixels at most; a larger" in found
    assert (tmp_path / "scores/1-probabilities.npy").exists()
    found = ask("--tile", "80", "--crf", "--out", tmp_path / "crf", status=1)
    assert "0.png: --crf takes a whole image at once; this one is answered strip by" in found


def test_probabilities_of_a_large_image_are_not_held(ask, photographs, tmp_path, monkeypatch):
    ask("--out", tmp_path / "whole")
    monkeypatch.setattr(inputs, "MAX_PIXELS", 40 * 30)  # but the file is read at once
    monkeypatch.setattr(predicting, "class_map", None)
    ask()
    for name in ("0-mask.png", "2-mask.png"):
        assert (tmp_path / "answers" / name).read_bytes() == (
            tmp_path / "whole" / name
        ).read_bytes()


@pytest.mark.parametrize("by_windows", [False, True])
def test_a_large_answer_is_turned_too(ask, photographs, tmp_path, monkeypatch, by_windows):
    exif = Image.Exif()
    exif[0x0112] = 6
    file = photographs / ("0.jpg" if by_windows else "0.png")  # of a large PNG it is not looked for
    with Image.open(photographs / "0.png") as image:
        image.save(file, exif=exif, quality=100, subsampling=0)
    if by_windows:
        (photographs / "0.png").unlink()
        monkeypatch.setattr(image_files, "MAX_PIXELS", 40 * 30)
    monkeypatch.setattr(inputs, "MAX_PIXELS", 40 * 30)
    ask()
    mask = np.asarray(Image.open(tmp_path / "answers/0-mask.png"))
    agreeing = mask == np.rot90(expected_at_once(file), -1)
    assert agreeing.mean() == 1 if not by_windows else agreeing.mean() > 0.95  # decoders differ
    with Image.open(tmp_path / "answers/0-overlay.png") as overlay:
        assert overlay.height > overlay.width


def test_a_geotiff_keeps_its_georeference(ask, photographs, tmp_path):
    rasterio = pytest.importorskip("rasterio")
    (image,) = toy_images("unet", 1).astype(np.uint8)
    place = rasterio.Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
    form = {"driver": "GTiff", "count": 3, "dtype": "uint8", "crs": "EPSG:32632"}
    size = {"height": image.shape[0], "width": image.shape[1]}
    with rasterio.open(photographs / "0.tif", "w", transform=place, **form, **size) as file:
        file.write(np.moveaxis(image, -1, 0))
    (photographs / "0.png").unlink()
    ask()
    with rasterio.open(tmp_path / "answers/0-mask.tif") as mask:
        assert (mask.crs.to_epsg(), mask.transform) == (32632, place)
        np.testing.assert_array_equal(mask.read(1), expected(photographs / "0.tif"))
    assert "3 of 3 images were answered before" in ask()


def test_a_net_of_many_channels_is_asked(ask, photographs, tmp_path):
    model = zoo.build("unet", classes=3, filters=2, depth=1, channels=5)
    file = zoo.weights.save(model, tmp_path / "bands.weights.h5")
    for path in photographs.iterdir():
        path.unlink()
    bands = np.random.default_rng(0).integers(0, 256, (20, 30, 5), np.uint8)
    tifffile.imwrite(photographs / "field.tif", bands, planarconfig="contig")
    assert "1 of 1 images" in ask(model=file)
    mask = np.asarray(Image.open(tmp_path / "answers/field-mask.png"))
    expected = model(bands[np.newaxis].astype("float32"))[0].numpy().argmax(-1)
    np.testing.assert_array_equal(mask, expected)


def test_a_grey_net_is_asked_about_colours(ask, photographs, tmp_path):
    model = zoo.build("unet", classes=3, filters=2, depth=1, channels=1)
    file = zoo.weights.save(model, tmp_path / "grey.weights.h5")
    assert "(from its grey values: the model takes 1 channel)" in ask(model=file)
    with Image.open(tmp_path / "answers/0-overlay.png") as overlay:
        assert overlay.convert("RGB").getcolors(1 << 20)
    image = zoo.images.read_image(photographs / "0.png")
    np.testing.assert_array_equal(
        zoo.predict(model, image), np.asarray(Image.open(tmp_path / "answers/0-mask.png"))
    )


def test_of_a_stack_the_first_page_is_answered_and_that_is_said(ask, photographs, tmp_path):
    with Image.open(photographs / "0.png") as one, Image.open(photographs / "1.png") as two:
        one.save(photographs / "stack.tif", save_all=True, append_images=[two])
    assert "% (page 1 of 2; save each page as a file of its own)" in ask()
    mask = np.asarray(Image.open(tmp_path / "answers/stack-mask.png"))
    np.testing.assert_array_equal(mask, expected(photographs / "0.png"))


def test_a_video_becomes_a_video(ask, photographs, tmp_path):
    imageio = pytest.importorskip("imageio.v3")
    frames = toy_images("unet", 3, (48, 64)).astype(np.uint8)
    imageio.imwrite(photographs / "film.mp4", frames, fps=10)
    assert f"{tmp_path}/answers/film-overlay.mp4: 3 frames" in ask()
    with videos.opened(tmp_path / "answers/film-overlay.mp4") as video:
        found = np.stack(list(video.frames))
    assert len(found) == 3
    assert np.abs(found[0, :48, :64].astype(int) - frames[0]).mean() > 10  # drawn over
    (photographs / "half.mp4").write_bytes((photographs / "film.mp4").read_bytes()[:900])
    assert f"zoo predict: {photographs}/half.mp4: " in ask(status=1)
    assert f"zoo predict: {photographs}/half.mp4: " in ask(status=1)  # it is not forgotten


def test_a_classifier_draws_heat_maps(ask, photographs, tmp_path):
    toy = CLASSIFIER_TOYS["vgg16_heatmap"]
    model = zoo.build("vgg16_heatmap", **toy.options)
    model.spec = model.spec.replace(class_names=("tabby, tabby cat", "tiger cat", "dog", "cup"))
    file = zoo.weights.save(model, tmp_path / "cats.weights.h5")
    out = ask("--heatmaps", "tabby", "dog", model=file)
    assert f"{tmp_path}/answers/0-heatmaps.png: at most tabby " in out
    with Image.open(tmp_path / "answers/0-heatmaps.png") as sheet:
        assert min(sheet.size) > 100
    assert not (tmp_path / "answers/0-mask.png").exists()
    words = ["--out", tmp_path / "other"]
    assert "is a classifier, which gives heat maps of classes and no class map. Pass" in ask(
        *words, model=file, status=2
    )
    out = ask(*words, "--heatmaps", "wolf", model=file, status=2)
    assert "wolf" in out
    assert not (tmp_path / "other").exists()


def test_heat_maps_of_a_net_are_its_probabilities(ask, tmp_path):
    ask("--heatmaps", "sky", "Sønd")
    with Image.open(tmp_path / "answers/2-heatmaps.png") as sheet:
        assert min(sheet.size) > 100
    assert "'cloud'" in ask("--heatmaps", "cloud", "--out", tmp_path / "x", status=2)


@pytest.mark.filterwarnings("default:none of the 0 boxes")
def test_proposals_come_from_a_list(ask, photographs, tmp_path):
    file = tmp_path / "boxes.txt"
    file.write_text("0,5,5,25,25\n0,10,2,40,30\n1,0,0,50,33\n")
    assert "has none for 2. Add it, or" in ask("--proposals", "--boxes", file, status=2)
    file.write_text(file.read_text() + "2\n")
    assert "none of the 0 boxes has sides of" in ask("--proposals", "--boxes", file)
    other = tmp_path / "other"
    ask("--out", other)
    one, two = (np.asarray(Image.open(x / "0-mask.png")) for x in (tmp_path / "answers", other))
    assert 0 < (one != two).mean() < 1
    assert "--boxes is for proposals. Add --proposals" in ask("--boxes", file, status=2)


def test_an_ensemble_and_its_product(ask, weights, tmp_path):
    other = zoo.weights.save(build_toy("fcn8s"), tmp_path / "fcn8s.weights.h5")
    masks = []
    for number, words in enumerate((["--ensemble", other], ["--ensemble", other, "--product"])):
        ask(*words, "--out", tmp_path / str(number))
        masks.append(np.asarray(Image.open(tmp_path / str(number) / "0-mask.png")))
    assert (masks[0] != masks[1]).any()
    with pytest.warns(UserWarning, match="is averaged with itself, which changes nothing"):
        methods.warn_of_twins(str(other), [f"{other.parent}/./{other.name}"])
    assert "product is for an ensemble; received none. Add further models" in ask(
        "--product", status=2
    )


def test_two_commands_do_not_write_into_one_folder(ask, tmp_path):
    with journal.opened(tmp_path / "answers", {}):
        assert "One command at a time writes into" in ask(status=2)


def test_images_are_read_in_their_order_a_few_ahead(photographs):
    paths = [photographs / f"{index % 3}.png" for index in range(20)]
    of_the_net = scorer(zoo.build("unet", classes=2, filters=1, depth=1))
    found = list(answers._read_ahead(paths, Asked(of_the_net)))
    assert [path for path, _ in found] == paths
    for path, image in found:
        np.testing.assert_array_equal(image, zoo.images.read_image(path))
