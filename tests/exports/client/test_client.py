"""The client of TensorFlow Serving, asked against a stand-in for it with a toy behind."""

import base64
import errno
import io
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import ExifTags, Image, ImageFont, ImageOps

import zoo
from exports.client import Class, RefusedError, ServerError, connected
from tests.support import serving_double as double
from tests.support import specs
from tests.support.serving_faults import http_answer, one_that_says
from tests.support.toys import toy_images
from zoo import fonts

ROOT = pathlib.Path(__file__).parents[3]
IMAGES = toy_images("unet").astype(np.uint8)
NAMES = ("sky", "background", "sånd", "sun")


def class_map_of(model, image: np.ndarray) -> np.ndarray:
    return np.asarray(model(image[None].astype("float32"))).argmax(-1)[0]


def saved(folder: pathlib.Path, name: str, image: np.ndarray) -> pathlib.Path:
    Image.fromarray(image).save(folder / name)
    return folder / name


def test_masks_and_overlays_of_images_of_several_sizes(model, url, tmp_path, said):
    images = {"a.png": IMAGES[0], "b.v2.png": IMAGES[1, :20, :31]}
    files = [saved(tmp_path, name, image) for name, image in images.items()]
    out = tmp_path / "not" / "there"
    status, printed = said(*files, "--url", url, "--model", "unet", "--out", out)
    assert status == 0
    assert printed.split() == [
        str(out / f"{name}-{what}.png") for name in ("a", "b.v2") for what in ("mask", "overlay")
    ]
    assert sorted(path.name for path in out.iterdir()) == sorted(
        pathlib.Path(line).name for line in printed.split()
    )
    for path, image in zip(files, images.values(), strict=True):
        expected = class_map_of(model, image)
        assert len(np.unique(expected)) > 1
        np.testing.assert_array_equal(
            zoo.images.read_class_map(out / f"{path.stem}-mask.png"), expected
        )
        names = [f"class {number}" for number in range(4)]
        drawn = zoo.pictures.overlay(image, expected, names, background=None)
        np.testing.assert_array_equal(np.array(Image.open(out / f"{path.stem}-overlay.png")), drawn)


def test_images_without_a_mask_are_named_and_the_others_are_written(url, tmp_path, said):
    first, last = (saved(tmp_path, f"{name}.png", IMAGES[0]) for name in "az")
    broken, empty, text = (tmp_path / f"{name}.png" for name in ("m", "n", "o"))
    broken.write_bytes(first.read_bytes()[:90])
    empty.write_bytes(b"")
    text.write_text("<html>not found")
    large = tmp_path / "p.png"
    large.write_bytes(first.read_bytes() + bytes(5_000_000))
    other = saved(tmp_path, "q.webp", IMAGES[0])  # which the server does not read
    arguments = ["--url", url, "--model", "unet", "--out", tmp_path / "out"]
    status, printed = said(first, broken, empty, text, large, other, last, *arguments)
    assert status == 1
    assert printed.count("zoo ask: ") == 5
    for path, why in {
        broken: "cannot be read as an image",
        empty: "it is empty",
        text: "this is a web page, whatever its name says",
        large: "a file has at most 8 bytes a pixel",
        other: "the server cannot decode the image, or it is too large (valid is 0). Send a whole",
    }.items():
        assert re.search(f"zoo ask: {re.escape(str(path))}: .*{re.escape(why)}", printed)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        *("a-mask.png", "a-overlay.png", "z-mask.png", "z-overlay.png"),
    ]


@pytest.mark.parametrize("orientation", [3, 5, 6, 8])
def test_image_and_answer_are_turned_alike(orientation, model, served, tmp_path, said):
    """The server sees the pixels as they are stored; people see them turned."""
    file, exif = tmp_path / "phone.png", Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    Image.fromarray(IMAGES[0]).save(file, exif=exif)
    with double.rest(served) as url:
        assert said(file, "--url", url, "--model", "unet", "--out", tmp_path)[0] == 0
    mask = zoo.images.read_class_map(tmp_path / "phone-mask.png")
    with Image.open(file) as stored:
        seen = np.asarray(ImageOps.exif_transpose(stored))
    answer = Image.fromarray(class_map_of(model, IMAGES[0]).astype(np.uint8))
    answer.getexif()[ExifTags.Base.Orientation] = orientation
    expected = np.asarray(ImageOps.exif_transpose(answer))
    assert len(np.unique(expected)) > 1
    np.testing.assert_array_equal(mask, expected)
    names = [f"class {number}" for number in range(4)]
    drawn = zoo.pictures.overlay(seen, mask, names, background=None)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "phone-overlay.png")), drawn)


@pytest.mark.parametrize("server", ["rest", "grpc_server"])
def test_the_legend_is_the_served_models(server, named, model, tmp_path, said):
    file = saved(tmp_path, "a.png", IMAGES[0])
    with getattr(double, server)(named) as url:
        assert said(file, "--url", url, "--model", "unet", "--out", tmp_path)[0] == 0
    class_map = class_map_of(model, IMAGES[0])
    assert len(np.unique(class_map)) == 4
    drawn = zoo.pictures.overlay(IMAGES[0], class_map, NAMES, background=1)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a-overlay.png")), drawn)


def test_colours_of_the_model_are_those_of_mask_and_overlay(served_with, model, tmp_path, said):
    colours = ((9, 8, 7), (200, 0, 255), (0, 130, 0), (128, 128, 0))
    file = saved(tmp_path, "a.png", IMAGES[0])
    with (
        served_with(colours=colours) as loaded,
        double.rest(loaded) as url,
    ):
        assert said(file, "--url", url, "--model", "unet", "--out", tmp_path)[0] == 0
    with Image.open(tmp_path / "a-mask.png") as mask:
        assert mask.getpalette()[:12] == [part for colour in colours for part in colour]
    palette = zoo.pictures.bright_palette()
    palette[:3] = colours[:3]  # the last is VOC's
    class_map = class_map_of(model, IMAGES[0])
    names = [f"class {number}" for number in range(4)]
    drawn = zoo.pictures.overlay(IMAGES[0], class_map, names, background=None, palette=palette)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a-overlay.png")), drawn)


def test_an_exported_version_says_all_that_a_legend_needs(unet_files, model, tmp_path, said):
    """From a Spec through an export and a server to the drawn overlay."""
    file = saved(tmp_path, "a.png", IMAGES[0])
    with (
        double.served(unet_files["saved_model"], "unet") as loaded,
        double.rest(loaded) as url,
    ):
        assert said(file, "--url", url, "--model", "unet", "--out", tmp_path)[0] == 0
    palette = zoo.pictures.bright_palette()
    palette[:4] = specs.UNET.colours
    drawn = zoo.pictures.overlay(
        IMAGES[0],
        class_map_of(model, IMAGES[0]),
        specs.UNET.class_names,
        background=specs.UNET.background,
        palette=palette,
    )
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a-overlay.png")), drawn)


@pytest.mark.parametrize("server", ["rest", "grpc_server"])
def test_each_class_is_asked_about_once(server, named, tmp_path, said, monkeypatch):
    asked = []
    honest = named.predict

    def predict(model, signature, inputs):
        asked.append((signature, *inputs.get("index", ())))
        return honest(model, signature, inputs)

    monkeypatch.setattr(named, "predict", predict)
    files = [saved(tmp_path, f"{name}.png", IMAGES[0]) for name in "ab"]
    with getattr(double, server)(named) as url:
        assert said(*files, "--url", url, "--model", "unet", "--out", tmp_path)[0] == 0
    assert sorted(asked) == [*(("class_names", n) for n in range(4)), *[("mask_png",)] * 2]


def test_classes_are_asked_by_their_number(named, url):
    """One number in a request: more than one might not fit into the server's batches."""
    for server in (double.rest, double.grpc_server):
        with server(named) as address, connected(address, "unet") as asked:
            assert asked.class_of(1) == Class("background", True, (128, 0, 0))
            assert asked.class_of(2) == Class("sånd", False, (0, 128, 0))
            with pytest.raises(RefusedError, match="A class number is from 0 to 3 here"):
                asked.class_of(4)
    with connected(url, "unet") as asked:
        assert asked.class_of(3) == Class("class 3", False, (128, 128, 0))


def test_a_model_without_class_names_is_asked_once_and_said_so(
    served, url, model, tmp_path, said, monkeypatch
):
    without = {name: s for name, s in served.signatures.items() if name != "class_names"}
    monkeypatch.setattr(served, "signatures", without)
    files = [saved(tmp_path, f"{name}.png", IMAGES[0]) for name in "ab"]
    status, printed = said(*files, "--url", url, "--model", "unet", "--out", tmp_path)
    assert status == 0
    text = "zoo ask: The legend has numbers, and no class is background. The server at "
    assert printed.count(text) == 1
    assert 'Serving signature name: "class_names" not found' in printed
    class_map, names = class_map_of(model, IMAGES[0]), [f"class {number}" for number in range(4)]
    drawn = zoo.pictures.overlay(IMAGES[0], class_map, names, background=None)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a-overlay.png")), drawn)


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("a\x1b[2J\x07b", r"a\x1b[2J\x07b"),
        (" two\nlines\r ", "two lines"),
        ("x" * 5000, "x" * 100),
        ("\u202egnp", r"\u202egnp"),
        (" \n", "class 0"),
    ],
)
def test_names_of_a_server_are_cleaned(name, kept):
    row = {"name": name, "is_background": 0, "colour": [1, 2, 3]}
    body = json.dumps({"predictions": [row]}).encode()
    with (
        one_that_says(http_answer("200 OK", body)) as place,
        connected(f"http://{place}", "unet") as server,
    ):
        assert server.class_of(0) == Class(kept, False, (1, 2, 3))


@pytest.mark.parametrize(
    "row",
    [
        {"name": "a", "is_background": 0},
        {"name": 3, "is_background": 0, "colour": [1, 2, 3]},
        {"name": "a", "is_background": 0, "colour": [1, 2]},
        {"name": "a", "is_background": 0, "colour": [1, 2, 256]},
        {"name": "a", "is_background": 0, "colour": [1, 2, True]},
        {"name": "a", "is_background": [0, 1], "colour": [1, 2, 3]},
        3,
    ],
)
def test_a_class_that_is_none_is_refused(row):
    body = json.dumps({"predictions": [row]}).encode()
    text = "An export of this zoo answers class_names for one index; 'unet' at http"
    with (
        one_that_says(http_answer("200 OK", body)) as place,
        connected(f"http://{place}", "unet") as server,
        pytest.raises(ServerError, match=text),
    ):
        server.class_of(0)


@pytest.mark.parametrize("size", [(50, 34), (12_000, 12_000), None])
def test_a_mask_that_is_none_is_refused(size, tmp_path, monkeypatch, said):
    """Its size is known before its pixels are decoded."""
    file, png = saved(tmp_path, "a.png", IMAGES[0]), io.BytesIO(b"no mask")
    if size is not None:
        Image.new("L", size).save(png, "PNG")
    row = {"mask_png_bytes": {"b64": base64.b64encode(png.getvalue()).decode()}, "valid": 1}
    body = json.dumps({"predictions": [row]}).encode()
    with one_that_says(http_answer("200 OK", body)) as place:
        url = f"http://{place}"
        status, printed = said(file, "--url", url, "--model", "unet", "--out", tmp_path / "out")
    assert status == 1
    assert f"A mask is a grey PNG of the size of its image; that of {file} is not (" in printed
    assert not (tmp_path / "out").exists()


def test_what_the_model_sees_of_a_16_bit_image_is_drawn(model, url, tmp_path, said):
    grey = IMAGES[0, ..., 0]
    file = saved(tmp_path, "deep.png", grey.astype(np.uint16) * 256 + 99)
    assert said(file, "--url", url, "--model", "unet", "--out", tmp_path)[0] == 0
    expected = class_map_of(model, np.dstack([grey] * 3))
    np.testing.assert_array_equal(zoo.images.read_class_map(tmp_path / "deep-mask.png"), expected)
    names = [f"class {number}" for number in range(4)]
    drawn = zoo.pictures.overlay(grey, expected, names, background=None)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "deep-overlay.png")), drawn)


def test_nothing_is_overwritten_and_nothing_is_sent_before_that_is_sure(tmp_path, said):
    file = saved(tmp_path, "a.png", IMAGES[0])
    (tmp_path / "b").mkdir()
    twin = saved(tmp_path / "b", "a.jpg", IMAGES[1])
    asked = ["--url", "http://127.0.0.1:9", "--model", "unet", "--out"]
    status, printed = said(file, twin, *asked, tmp_path / "out")
    assert status == 2
    text = f"Each image has a mask of its own name; {file} and {twin} would both be "
    assert text + f"{tmp_path / 'out' / 'a-mask.png'}. Send them to two folders." in printed
    (tmp_path / "a-overlay.png").write_text("mine")
    status, printed = said(file, *asked, tmp_path)
    assert status == 2
    text = f"Nothing is overwritten; {tmp_path / 'a-overlay.png'} is there already. Choose another"
    assert text in printed
    assert (tmp_path / "a-overlay.png").read_text() == "mine"
    status, printed = said(tmp_path, *asked, tmp_path)
    assert status == 2
    assert f"An image is a JPEG or PNG file; there is none at {tmp_path}." in printed


def test_a_model_that_is_not_served_is_named(url):
    with connected(url, "fcn8s") as server, pytest.raises(ServerError) as raised:
        server.mask_png(b"")
    text = f"the server at {url} has none with the name 'fcn8s' (Servable not found for request: "
    assert text + "Latest(fcn8s)). Pass another --model, or wait until" in str(raised.value)


def test_a_model_without_the_signature_is_refused(served, url, monkeypatch):
    without = {name: s for name, s in served.signatures.items() if name != "mask_png"}
    monkeypatch.setattr(served, "signatures", without)
    code = "status 400" if url.startswith("http") else "INVALID_ARGUMENT"
    text = f"refused to ask 'unet' with {code}: Serving signature name: \"mask_png\" not found"
    with connected(url, "unet") as server, pytest.raises(RefusedError, match=re.escape(text)):
        server.mask_png(b"")


def test_the_client_needs_neither_tensorflow_nor_keras(served, tmp_path):
    code = (
        "import sys\n"
        "from exports.command import ask as main\n"
        "status = main(sys.argv[1:])\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
        "sys.exit(status)\n"
    )
    file = saved(tmp_path, "a.png", IMAGES[0])
    for server in (double.rest, double.grpc_server):
        with server(served) as url:
            asked = [str(file), "--url", url, "--model", "unet", "--out", str(tmp_path / url[:4])]
            run = subprocess.run(
                [sys.executable, "-c", code, *asked],
                cwd=ROOT,
                capture_output=True,
                text=True,
                check=False,
            )
        assert (run.returncode, run.stderr) == (0, "")
        assert (tmp_path / url[:4] / "a-mask.png").is_file()


@pytest.mark.parametrize("out", ["a.png", "a.png/out", "gone", "n" * 300])
def test_a_folder_that_cannot_be_written_to_is_told_before_anything_is_sent(out, tmp_path, said):
    file = saved(tmp_path, "a.png", IMAGES[0])
    (tmp_path / "gone").symlink_to(tmp_path / "nowhere")
    out = tmp_path / out
    with one_that_says(b"") as place:  # asked, it would answer with status 1
        asked = [file, "--url", f"http://{place}", "--model", "unet", "--out", out]
        status, printed = said(*asked)
    assert status == 2
    text = f"zoo ask: --out is a folder that files can be written to; {out} cannot be written ("
    assert text in printed
    assert "Choose another --out." in printed or "Give the image or the folder a shorter" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.png", "gone"]


def test_a_name_that_becomes_too_long_is_told_before_anything_is_sent(tmp_path, said):
    file = saved(tmp_path, "n" * 246 + ".png", IMAGES[0])
    asked = [file, "--url", "http://127.0.0.1:9", "--model", "unet", "--out", tmp_path / "out"]
    status, printed = said(*asked)
    assert status == 2
    assert f"{tmp_path / 'out' / file.stem}-overlay.png cannot be written (" in printed
    assert "Give the image or the folder a shorter name." in printed
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_full_meanwhile_fails_its_image(url, tmp_path, said, monkeypatch):
    files = [saved(tmp_path, f"{name}.png", IMAGES[0]) for name in "ab"]
    save, out = Image.Image.save, tmp_path / "out"

    def full(self, target, *rest, **options):
        if pathlib.Path(target).name == "a-overlay.png":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return save(self, target, *rest, **options)

    monkeypatch.setattr(Image.Image, "save", full)
    status, printed = said(*files, "--url", url, "--model", "unet", "--out", out)
    assert status == 1
    assert f"zoo ask: {files[0]} has no mask ([Errno 28] No space left on device" in printed
    assert "Send it again when that is mended." in printed
    assert sorted(path.name for path in out.iterdir()) == ["b-mask.png", "b-overlay.png"]


def test_the_font_of_the_legend_is_chosen(served_with, model, tmp_path, said):
    file, font = saved(tmp_path, "a.png", IMAGES[0]), tmp_path / "own.ttf"
    font.write_bytes(ImageFont.load_default(20).path.getvalue())
    names = ("sky", "road", "背景", "sun")
    asked = [file, "--model", "unet", "--out", tmp_path, "--font", font]
    fonts._warn.cache_clear()
    with served_with(class_names=names) as loaded, double.rest(loaded) as url:
        status, printed = said(*asked, "--url", url)
    text = "zoo ask: The font has not '景背'; boxes stand in their place. Pass another, or none to "
    assert (status, printed.count("\n")) == (0, 3)
    assert f"{text}search the system's fonts.\n" in printed
    class_map = class_map_of(model, IMAGES[0])
    assert 2 in class_map
    drawn = zoo.pictures.overlay(IMAGES[0], class_map, names, background=None, font=font)
    np.testing.assert_array_equal(np.array(Image.open(tmp_path / "a-overlay.png")), drawn)


def test_a_font_that_is_none_is_told_before_anything_is_sent(tmp_path, said):
    file = saved(tmp_path, "a.png", IMAGES[0])
    asked = [file, "--url", "http://127.0.0.1:9", "--model", "unet", "--out", tmp_path / "out"]
    for font in (file, tmp_path, tmp_path / "none.ttf"):
        status, printed = said(*asked, "--font", font)
        assert status == 2
        assert printed.count("\n") == 2
        text = f"zoo ask: argument --font: A font is a TrueType or OpenType file; {font} is none ("
        assert text in printed
        assert "Pass another, or none to search the system's fonts." in printed
    assert not (tmp_path / "out").exists()
