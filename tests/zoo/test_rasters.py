"""Windows of files are those of the one reader of images; class maps keep a georeference."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest
import rasterio
import tifffile
from PIL import Image
from rasterio.control import GroundControlPoint

from tests.support.toys import toy_images
from zoo import images, pictures, rasters
from zoo.image_files import ImageError
from zoo.rasters import open_raster, write_class_map

RGB = toy_images("unet", 1, (70, 90))[0].astype(np.uint8)
GREY = RGB[..., 0]
DEEP = np.random.default_rng(0).integers(0, 2**16, (70, 90, 3)).astype(np.uint16)


def palette_png(path):
    picture = Image.fromarray(GREY // 64)
    picture.putpalette([9, 8, 7, 200, 100, 0, 0, 255, 0, 0, 0, 255])
    picture.save(path, bits=2)


FILES = {
    "rgb.png": lambda path: Image.fromarray(RGB).save(path),
    "grey.png": lambda path: Image.fromarray(GREY).save(path),
    "bits.png": lambda path: Image.fromarray(GREY > 128).save(path),
    "bits.tif": lambda path: Image.fromarray(GREY > 128).save(path),
    "palette.png": palette_png,
    "deep_grey.png": lambda path: Image.fromarray(DEEP[..., 0]).save(path),
    "rgba.png": lambda path: Image.fromarray(np.dstack([RGB, GREY])).save(path),
    "grey_alpha.png": lambda path: Image.fromarray(np.dstack([GREY, RGB[..., 1]]), "LA").save(path),
    "deep.tif": lambda path: tifffile.imwrite(path, DEEP, photometric="rgb", byteorder=">"),
    "white.tif": lambda path: tifffile.imwrite(path, GREY, photometric="miniswhite"),
    "four.tif": lambda path: tifffile.imwrite(
        path, np.dstack([RGB, GREY]), photometric="rgb", extrasamples=[0], tile=(32, 32)
    ),
    "five.tif": lambda path: tifffile.imwrite(
        path, np.dstack([RGB, RGB])[..., :5], photometric="minisblack", planarconfig="contig"
    ),
    "planar.tif": lambda path: tifffile.imwrite(
        path, np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate", rowsperstrip=7
    ),
    "cmyk.tif": lambda path: Image.fromarray(np.dstack([RGB, GREY]), "CMYK").save(path),
}


@pytest.fixture(params=FILES)
def file(request, tmp_path):
    FILES[request.param](tmp_path / request.param)
    return tmp_path / request.param


def test_a_window_is_what_the_reader_of_images_gives(file):
    for channels in (None, 1, 3):
        if file.name == "five.tif" and channels:
            continue
        if file.name == "cmyk.tif" and channels is None:  # GDAL adds an alpha channel
            continue
        expected = images.read_image(file, channels=channels)
        with open_raster(file, channels=channels) as raster:
            assert raster.shape == expected.shape
            assert raster.georeference is None
            for place in (slice(None), slice(5, 60), (slice(11, 50), slice(30, 1000))):
                assert raster[place].dtype == np.uint8
                np.testing.assert_array_equal(raster[place], expected[place])
            assert raster[70:].shape == (0, 90, raster.shape[2])


def test_a_jpeg_is_nearly_that_of_the_reader_of_images(tmp_path):
    Image.fromarray(RGB).save(tmp_path / "a.jpg", quality=95)
    with open_raster(tmp_path / "a.jpg") as raster:
        difference = np.abs(raster[:].astype(int) - images.read_image(tmp_path / "a.jpg"))
    assert difference.mean() < 3


def test_channels_that_do_not_become_those_of_a_model_are_an_error(tmp_path):
    FILES["five.tif"](tmp_path / "five.tif")
    with (
        open_raster(tmp_path / "five.tif", channels=3) as raster,
        pytest.raises(ImageError, match=r"here 3; this one has 5\. Take a model with channels=5"),
    ):
        raster[:3]


def test_a_window_has_no_steps(tmp_path):
    FILES["rgb.png"](tmp_path / "a.png")
    with (
        open_raster(tmp_path / "a.png") as raster,
        pytest.raises(ValueError, match=r"received slice\(None, None, 2\)\. Leave out the step\."),
    ):
        raster[::2]


def damaged(kind, path: pathlib.Path) -> None:
    Image.fromarray(DEEP.astype(np.uint8)).save(path, kind)
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])


REFUSED = {
    "a folder": (pathlib.Path.mkdir, "an image is a file; this is none. Replace it."),
    "nothing": (lambda path: None, "there is no such file. Add it"),
    "text": (lambda path: path.write_text("<VRTDataset/>"), "PNG, TIFF or JPEG file; this is none"),
    "half a PNG": (lambda path: damaged("PNG", path), "cannot be read as a PNG, TIFF or JPEG ("),
    "half a TIFF": (lambda path: damaged("TIFF", path), "cannot be read as a PNG, TIFF or JPEG ("),
    "a head": (lambda path: path.write_bytes(b"II*\0"), "cannot be read as a PNG, TIFF or JPEG ("),
    "floats": (
        lambda path: tifffile.imwrite(path, DEEP.astype(np.float32), photometric="rgb"),
        "8 or 16 bits per channel; this one is stored as float32 of 32 bits. Save it with 8 or 16",
    ),
    "signed": (
        lambda path: tifffile.imwrite(path, DEEP.astype(np.int16), photometric="rgb"),
        "stored as int16 of 16",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_no_image_is_an_image_error_with_a_remedy(what, tmp_path):
    write, text = REFUSED[what]
    write(tmp_path / "a.tif")
    with pytest.raises(ImageError) as error, open_raster(tmp_path / "a.tif") as raster:
        raster[:]
    assert str(error.value).startswith(f"{tmp_path / 'a.tif'}: ")
    assert text in str(error.value)


def test_a_file_that_costs_too_much_is_refused(tmp_path, monkeypatch):
    FILES["rgb.png"](tmp_path / "a.png")
    monkeypatch.setattr(rasters, "MAX_PIXELS", 6299)
    with pytest.raises(ImageError, match=r"6,299 pixels at most; this one has 6,300\. Cut it into"):
        open_raster(tmp_path / "a.png").__enter__()
    monkeypatch.setattr(rasters, "MAX_PIXELS", 6300)
    monkeypatch.setattr(rasters, "MAX_BLOCK_BYTES", 32 * 32 * 4 - 1)
    FILES["four.tif"](tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"4,095 bytes at most; this one has 4,096\. Save it in t"):
        open_raster(tmp_path / "a.tif").__enter__()


def test_files_beside_an_image_are_not_read(tmp_path):
    FILES["rgb.png"](tmp_path / "a.tif")  # a PNG, whatever its name says
    FILES["five.tif"](tmp_path / "b.tif")
    for name in ("a.tfw", "a.wld", "b.tfw"):
        (tmp_path / name).write_text("2\n0\n0\n-2\n100\n200\n")
    for name in ("a.tif", "b.tif"):
        with open_raster(tmp_path / name) as raster:
            assert raster.georeference is None


def georeferenced(path, **place):
    layout = {"driver": "GTiff", "height": 70, "width": 90, "count": 3, "dtype": "uint8"}
    with rasterio.open(path, "w", nodata=0, **layout, **place) as dataset:
        dataset.write(np.moveaxis(RGB, -1, 0))
    return path


PLACES = {
    "transform": {"crs": "EPSG:32633", "transform": rasterio.Affine(0.5, 0, 4e5, 0, -0.5, 5e6)},
    "gcps": {
        "crs": "EPSG:4326",
        "gcps": [GroundControlPoint(r, c, 10 + c, 50 - r) for r, c in ((0, 0), (0, 9), (9, 0))],
    },
}


@pytest.mark.parametrize("place", PLACES)
def test_a_class_map_lies_where_its_image_lies(tmp_path, place):
    source = georeferenced(tmp_path / "a.tif", **PLACES[place])
    class_map, palette = GREY // 16, pictures.voc_palette()
    with open_raster(source, channels=3) as image:
        np.testing.assert_array_equal(image[:], RGB)  # also where a pixel is 0, nodata
        write_class_map(tmp_path / "m.tif", class_map, palette, georeference=image.georeference)
    with rasterio.open(source) as expected, rasterio.open(tmp_path / "m.tif") as found:
        np.testing.assert_array_equal(found.read(1), class_map)
        assert (found.crs, found.transform) == (expected.crs, expected.transform)
        assert len(found.gcps[0]) == len(expected.gcps[0])
        assert found.gcps[1] == expected.gcps[1]
        assert found.tags()["AREA_OR_POINT"] == expected.tags()["AREA_OR_POINT"]
        assert found.compression.name == "deflate"
        assert found.block_shapes == [(256, 256)]
        assert found.colormap(1)[15][:3] == tuple(palette[15])
    np.testing.assert_array_equal(images.read_class_map(tmp_path / "m.tif"), class_map)


def test_a_class_map_without_a_place_is_a_png_with_a_palette(tmp_path):
    class_map, palette = GREY // 16, pictures.bright_palette()
    stored = np.memmap(tmp_path / "rows", np.uint8, "w+", shape=class_map.shape)
    stored[:] = class_map
    write_class_map(tmp_path / "m.png", stored, palette)
    np.testing.assert_array_equal(images.read_class_map(tmp_path / "m.png"), class_map)
    np.testing.assert_array_equal(images.palette_of(tmp_path / "m.png")[:16], palette[:16])
    with pytest.raises(ValueError, match=r"received 'm\.jpg'\. Name it m\.png, or m\.tif\."):
        write_class_map(tmp_path / "m.jpg", stored, palette)


@pytest.mark.parametrize("left", ["a part", "another"])
def test_what_gdal_does_not_write_is_an_error(tmp_path, monkeypatch, left):
    opened, class_map = rasters._opened, DEEP[..., 0].astype(np.uint8)
    write_class_map(tmp_path / "other.tif", class_map // 2, pictures.voc_palette())
    other = (tmp_path / "other.tif").read_bytes()

    def broken(path, *arguments, **options):
        if not arguments:  # it is read again
            content = path.read_bytes()
            path.write_bytes(content[: len(content) * 2 // 3] if left == "a part" else other)
        return opened(path, *arguments, **options)

    monkeypatch.setattr(rasters, "_opened", broken)
    (tmp_path / "m.tif").write_text("before")
    with pytest.raises(
        OSError, match=r"m\.tif cannot be written \(.*\)\. Free some space there, a"
    ):
        write_class_map(tmp_path / "m.tif", class_map, pictures.voc_palette())
    assert (tmp_path / "m.tif").read_text() == "before"
    assert sorted(one.name for one in tmp_path.iterdir()) == ["m.tif", "other.tif"]


def test_without_rasterio_the_extra_is_named(tmp_path):
    FILES["rgb.png"](tmp_path / "a.png")
    code = (
        "import sys; sys.modules['rasterio'] = None\n"
        "from zoo import rasters\n"
        f"rasters.open_raster({str(tmp_path / 'a.png')!r}).__enter__()"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stderr.splitlines()[-1] == (
        f"zoo.image_files.ImageError: {tmp_path / 'a.png'}: an image of more than 67,108,864 "
        "pixels, or with a georeference, is read by rasterio, which is not installed. Install it: "
        'pip install "segmentation-zoo[large]".'
    )
