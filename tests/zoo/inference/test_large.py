"""A large image becomes a file; a killed try goes on, and is never mixed with another."""

import dataclasses
import json
import os

import numpy as np
import pytest
import rasterio
from PIL import Image

from tests.support.toys import build_toy, toy_images
from zoo import files, images, pictures
from zoo.image_files import ImageError
from zoo.inference import large, scorers
from zoo.inference.large import predict_large
from zoo.inference.strips import class_map

PALETTE = pictures.voc_palette()
OPTIONS = {"palette": PALETTE, "side": 96, "request": "weights 1"}
IMAGE = toy_images("unet", 1, (250, 150))[0].astype(np.uint8)


@pytest.fixture(scope="module")
def answer():
    return scorers.of_model(build_toy("unet"))


@pytest.fixture
def source(tmp_path):
    Image.fromarray(IMAGE).save(tmp_path / "field.png")
    return tmp_path / "field.png"


class KilledError(Exception):
    """Stands for the end of the process."""


def killed_after(tiles, answer):
    """A Scorer that answers some tiles, and then ends the work."""
    left = iter(range(tiles))

    def asked(batch):
        if next(left, None) is None:
            raise KilledError
        return answer.answer(batch)

    return dataclasses.replace(answer, answer=asked)


def counted(answer, sizes):
    def asked(batch):
        sizes.append(batch.shape)
        return answer.answer(batch)

    return dataclasses.replace(answer, answer=asked)


@pytest.mark.parametrize("overlap", [None, 16])
def test_a_class_map_and_its_overview(answer, source, tmp_path, overlap):
    expected, shown = class_map(answer, IMAGE, side=96, overlap=overlap), []
    found = predict_large(
        answer,
        source,
        tmp_path / "out/field.jpg",
        overlap=overlap,
        show=lambda *numbers: shown.append(numbers),
        **OPTIONS,
    )
    assert found.path == tmp_path / "out/field.png"
    assert os.listdir(tmp_path / "out") == ["field.png"]
    np.testing.assert_array_equal(images.read_class_map(found.path), expected)
    np.testing.assert_array_equal(images.palette_of(found.path)[:4], PALETTE[:4])
    np.testing.assert_array_equal(found.image, IMAGE)
    np.testing.assert_array_equal(found.class_map, expected)
    assert shown[0] == (0, 37500)
    assert shown[-1] == (37500, 37500)
    assert len(shown) > 6
    assert shown == sorted(shown)


def test_an_overview_has_every_nth_pixel(answer, source, tmp_path, monkeypatch):
    monkeypatch.setattr(large, "MAX_OVERVIEW", 100)
    monkeypatch.setattr(large, "_READ", 64)

    def expected(pixels):  # 84 rows of 250: the last middle is the last row
        return pixels[[*range(1, 250, 3), 249]][:, range(1, 150, 3)]

    found = predict_large(answer, source, tmp_path / "out", **OPTIONS)
    np.testing.assert_array_equal(found.image, expected(IMAGE))
    np.testing.assert_array_equal(found.class_map, expected(class_map(answer, IMAGE, side=96)))


@pytest.mark.parametrize(
    ("tiles", "overlap"), [(1, None), (7, None), (17, None), (1, 16), (3, 16), (5, 16)]
)
def test_what_is_killed_goes_on_where_it_was(answer, source, tmp_path, capsys, tiles, overlap):
    expected, sizes = class_map(answer, IMAGE, side=96, overlap=overlap), []
    options = OPTIONS | {"overlap": overlap}
    predict_large(counted(answer, sizes), source, tmp_path / "whole", **options)
    with pytest.raises(KilledError):
        predict_large(killed_after(tiles, answer), source, tmp_path / "out", **options)
    rows = tmp_path / "out.png.partial/rows"
    done = json.loads((rows.parent / "request.json").read_text())["rows"]
    assert not (tmp_path / "out.png").exists()
    with rows.open("ab") as stream:  # of a strip that was not finished
        stream.write(b"\7" * 100)
    again, shown = [], []
    found = predict_large(
        counted(answer, again),
        source,
        tmp_path / "out",
        show=lambda *numbers: shown.append(numbers),
        **options,
    )
    in_a_row = 3 if overlap is None else 2
    rows_done = tiles // in_a_row
    # Of blended tiles the last row is answered again, for what it shares with the next.
    rows_left_out = rows_done if overlap is None else max(rows_done - 1, 0)
    assert len(again) == len(sizes) - rows_left_out * in_a_row
    assert shown[0] == (done * 150, 37500)
    said = capsys.readouterr().out
    assert said == (f"{rows.parent}: going on from row {done} of 250\n" if done else "")
    np.testing.assert_array_equal(images.read_class_map(found.path), expected)
    assert (tmp_path / "whole.png").read_bytes() == found.path.read_bytes()
    assert not rows.parent.exists()


@pytest.mark.parametrize("change", ["request", "side", "image", "nonsense"])
def test_another_request_begins_anew(answer, source, tmp_path, capsys, change):
    with pytest.raises(KilledError):
        predict_large(killed_after(9, answer), source, tmp_path / "out", **OPTIONS)
    other, options, image = dataclasses.replace(answer), dict(OPTIONS), IMAGE
    if change == "request":
        options["request"] = "weights 2"
    elif change == "side":
        options["side"] = 100
    elif change == "image":
        image = IMAGE[::-1]
        Image.fromarray(image).save(source)
    else:
        (tmp_path / "out.png.partial/request.json").write_text("[]")
    rows = tmp_path / "out.png.partial/rows"
    rows.write_bytes(b"\3" * rows.stat().st_size)  # would be seen
    found = predict_large(other, source, tmp_path / "out", **options)
    expected = class_map(answer, image, side=options["side"])
    np.testing.assert_array_equal(images.read_class_map(found.path), expected)
    said = capsys.readouterr().out
    assert ("is of another request or image: beginning anew" in said) == (change != "nonsense")


def test_an_image_that_changes_meanwhile_is_an_error(answer, source, tmp_path):
    def touched(batch):
        os.utime(source, ns=(1, 1))
        return answer.answer(batch)

    with pytest.raises(ImageError, match=r"field\.png: it has changed while it was read\. Run the"):
        predict_large(
            dataclasses.replace(answer, answer=touched), source, tmp_path / "out", **OPTIONS
        )
    assert not (tmp_path / "out.png").exists()
    predict_large(answer, source, tmp_path / "out", **OPTIONS)


def test_two_do_not_write_the_same(answer, source, tmp_path):
    (tmp_path / "out.png.partial").mkdir()
    with (
        files.locked(tmp_path / "out.png.partial/lock"),
        pytest.raises(files.InUseError, match="process"),
    ):
        predict_large(answer, source, tmp_path / "out", **OPTIONS)


def test_a_full_disk_is_told_and_the_same_call_goes_on(answer, source, tmp_path, monkeypatch):
    """The system's limit of a file's size, of one strip: errors of the system as on a full disk."""
    import resource
    import signal

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (18_000, limit[1]))
    try:
        with pytest.raises(OSError, match="rows") as error:
            predict_large(answer, source, tmp_path / "out", **OPTIONS)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, before)
    assert error.value.filename == str(tmp_path / "out.png.partial/rows")
    sizes = []
    found = predict_large(counted(answer, sizes), source, tmp_path / "out", **OPTIONS)
    assert len(sizes) == 12  # of 18
    np.testing.assert_array_equal(
        images.read_class_map(found.path), class_map(answer, IMAGE, side=96)
    )


def test_a_geotiff_becomes_a_geotiff(answer, tmp_path):
    layout = {"driver": "GTiff", "height": 250, "width": 150, "count": 4, "dtype": "uint16"}
    place = {"crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0, 4e5, 0, -0.5, 5e6)}
    with rasterio.open(tmp_path / "a.tif", "w", **layout, **place) as dataset:
        dataset.write(np.moveaxis(np.dstack([IMAGE, IMAGE[..., :1]]).astype("uint16") * 257, -1, 0))
    found = predict_large(answer, tmp_path / "a.tif", tmp_path / "v1.0", **OPTIONS)
    assert found.path == tmp_path / "v1.0.tif"
    with rasterio.open(found.path) as dataset:
        assert (dataset.crs, dataset.transform) == (place["crs"], place["transform"])
        np.testing.assert_array_equal(dataset.read(1), class_map(answer, IMAGE, side=96))


@pytest.mark.parametrize("size", [(1, 300), (300, 1), (1, 1), (20, 30)])
def test_thin_and_small_images(answer, tmp_path, size):
    image = toy_images("unet", 1, size)[0].astype(np.uint8)
    Image.fromarray(image).save(tmp_path / "a.png")
    found = predict_large(answer, tmp_path / "a.png", tmp_path / "out", **OPTIONS)
    np.testing.assert_array_equal(
        images.read_class_map(found.path), class_map(answer, image, side=96)
    )
