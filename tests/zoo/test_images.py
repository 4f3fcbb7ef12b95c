"""What image files and class maps mean, and what is refused before it is decoded."""

import contextlib
import io
import os
import re
import struct
import sys
import time
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image, ImageOps

from tests.support.image_bytes import chunk, encoded, grey_png, with_scans
from zoo import image_files, images

RNG = np.random.default_rng(3)
COLOUR = RNG.integers(0, 256, (7, 5, 3), np.uint8)
NUMBERS = RNG.integers(0, 3, (7, 5), np.uint8)


@pytest.mark.parametrize("form", image_files.FORMATS)
def test_every_format_is_read_by_its_content(form, tmp_path):
    path = tmp_path / "image.of-no-ending"
    path.write_bytes(encoded(COLOUR, form, **({"lossless": True} if form == "WEBP" else {})))
    if form == "JPEG":
        with Image.open(path) as picture:
            expected = np.asarray(picture)
    else:
        expected = COLOUR
    for source in (path, str(path), path.read_bytes()):
        np.testing.assert_array_equal(images.read_image(source), expected)


def test_of_a_file_with_several_pictures_the_first_counts_or_the_given_page():
    def two():
        return {"save_all": True, "append_images": [Image.fromarray(255 - COLOUR)]}

    phone = encoded(COLOUR, "MPO", **two())
    with Image.open(io.BytesIO(phone)) as picture:
        assert (picture.format, picture.n_frames) == ("MPO", 2)
        np.testing.assert_array_equal(images.read_image(phone), picture)
    stack = encoded(COLOUR, "TIFF", **two())
    np.testing.assert_array_equal(images.read_image(stack, page=1), 255 - COLOUR)
    assert images.pages_of(stack) == 2
    with pytest.raises(images.ImageError, match=re.escape("the image's bytes (page 3): ")):
        images.read_image(stack, page=2)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bits_are_scaled_to_eight_and_never_clipped(form):
    ramp = np.linspace(0, 65535, 512).round().astype(np.uint16).reshape(8, 64)
    for order in ("<u2", ">u2") if form == "TIFF" else ("<u2",):
        content = encoded(ramp.astype(order), form)
        np.testing.assert_array_equal(images.read_image(content)[..., 0], ramp >> 8)
        np.testing.assert_array_equal(images.read_image(content, channels=3)[..., 2], ramp >> 8)
        numbers = images.read_numbers(content)
        assert numbers.dtype == np.uint16
        np.testing.assert_array_equal(numbers, ramp)


@pytest.mark.parametrize(("dtype", "mode"), [(np.int32, "I"), (np.float32, "F")])
def test_images_of_32_bits_are_refused(dtype, mode):
    content = encoded(np.ones((3, 4), dtype), "TIFF")
    text = f"stored as '{mode}', with 32. Save it with 8 or 16 bits."
    for read in (images.read_image, images.channels_of):
        with pytest.raises(images.ImageError, match=re.escape(text)):
            read(content)


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_few_bits_are_brightness_in_an_image_and_numbers_in_a_class_map(bits):
    samples = RNG.integers(0, 2**bits, (6, 13)).astype(np.uint8)
    content = grey_png(samples, bits)
    np.testing.assert_array_equal(images.read_class_map(content), samples)
    np.testing.assert_array_equal(
        images.read_image(content)[..., 0], samples * (255 // (2**bits - 1))
    )


def test_a_tiff_in_which_0_is_white_holds_the_stored_numbers():
    content = encoded(255 - NUMBERS, "TIFF", tiffinfo={262: 0})  # Pillow stores NUMBERS
    np.testing.assert_array_equal(images.read_class_map(content), NUMBERS)
    np.testing.assert_array_equal(images.read_image(content)[..., 0], 255 - NUMBERS)


def test_channels_are_those_that_are_stored_or_become_those_that_are_asked():
    grey, alpha = COLOUR[..., :1], COLOUR[..., 1:2]
    for stored in (grey[..., 0], np.dstack([grey, alpha]), COLOUR, np.dstack([COLOUR, alpha])):
        content, count = encoded(stored), stored.ndim == 2 or stored.shape[2]
        assert images.channels_of(content) == count
        for channels in (None, int(count)):
            given = images.read_image(content, channels=channels)
            np.testing.assert_array_equal(given, stored.reshape(7, 5, -1))
        rgb = COLOUR if count > 2 else grey.repeat(3, axis=2)
        np.testing.assert_array_equal(images.read_image(content, channels=3), rgb)
        luma = (rgb.astype(int) @ [19595, 38470, 7471] + 32768 >> 16)[..., None]
        np.testing.assert_array_equal(images.read_image(content, channels=1), luma)


class Counting(io.BytesIO):
    """Counts the bytes that are read."""

    count = 0

    def read(self, *size):
        found = super().read(*size)
        self.count += len(found)
        return found


@pytest.mark.parametrize("form", ["JPEG", "PNG", "BMP", "TIFF"])
@pytest.mark.parametrize("read", [images.channels_of, images.palette_of])
def test_of_a_large_file_the_channels_need_the_header_only(form, read, monkeypatch):
    large = encoded(RNG.integers(0, 256, (700, 900, 3), np.uint8), form)
    stream = Counting(large)
    monkeypatch.setattr(image_files, "stream_of", lambda _: contextlib.nullcontext(stream))
    assert read("large") == (3 if read == images.channels_of else None)
    assert 0 < stream.count < len(large) / 10


def test_an_opaque_alpha_channel_does_not_count():
    """Screenshots have one; a fourth channel of data varies."""
    screenshot = encoded(np.dstack([COLOUR, np.full((7, 5), 255, np.uint8)]))
    assert images.channels_of(screenshot) == 3
    np.testing.assert_array_equal(images.read_image(screenshot), COLOUR)
    assert images.read_image(screenshot, channels=4).shape == (7, 5, 4)


def test_channels_that_do_not_fit_are_named():
    text = (
        "the image's bytes: an image has the channels of its model, here 4; this one has 3. Take a "
        "model with channels=3, or files with 4 channels."
    )
    with pytest.raises(images.ImageError, match=re.escape(text)):
        images.read_image(encoded(COLOUR), channels=4)


def test_cmyk_becomes_rgb():
    inks = Image.fromarray(COLOUR).convert("CMYK")
    given = images.read_image(encoded(inks, "TIFF"))
    np.testing.assert_allclose(given.astype(int), COLOUR.astype(int), atol=1)
    assert images.channels_of(encoded(inks, "JPEG")) == 3


def test_an_image_of_many_channels_is_not_turned(tmp_path):
    tifffile.imwrite(tmp_path / "x.tif", np.zeros((4, 6, 5), np.uint8), planarconfig="contig")
    assert images.orientation_of(tmp_path / "x.tif") == 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_stored_pixels_count_and_can_be_turned(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    content = encoded(COLOUR, exif=exif)
    np.testing.assert_array_equal(images.read_image(content), COLOUR)
    assert images.orientation_of(content) == orientation
    with Image.open(io.BytesIO(content)) as picture:
        shown = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(images.turned(COLOUR, orientation), shown)
    if orientation == 1:
        images.read_image(content, upright=True)
    else:
        with pytest.raises(images.ImageError, match=r"EXIF orientation that turns it\. Save"):
            images.read_image(content, upright=True)


def test_a_class_map_holds_the_indices_of_a_palette():
    picture = Image.fromarray(NUMBERS)
    picture.putpalette([9, 8, 7, 1, 2, 3, 200, 100, 50])
    content = encoded(picture)
    np.testing.assert_array_equal(images.read_class_map(content), NUMBERS)
    palette = [[9, 8, 7], [1, 2, 3], [200, 100, 50]]
    np.testing.assert_array_equal(images.palette_of(content)[:3], palette)
    np.testing.assert_array_equal(images.read_colours(content), np.array(palette)[NUMBERS])
    assert images.palette_of(encoded(NUMBERS)) is None


def test_a_class_map_of_16_bits_is_read_if_its_numbers_are_classes():
    numbers = NUMBERS.astype(np.uint16)
    np.testing.assert_array_equal(images.read_class_map(encoded(numbers)), NUMBERS)
    numbers[2, 3] = 256
    with pytest.raises(images.ImageError, match=r"from 0 to 255; it holds 256\. Save class"):
        images.read_class_map(encoded(numbers))


def test_colours_are_no_class_map():
    with pytest.raises(images.ImageError, match="one number per pixel; this one is stored"):
        images.read_class_map(encoded(COLOUR))
    np.testing.assert_array_equal(images.read_colours(encoded(COLOUR)), COLOUR)


@pytest.mark.parametrize("form", ["JPEG", "MPO", "WEBP", "TIFF"])
def test_a_lossy_class_map_is_refused_whatever_its_name(form, tmp_path):
    path = tmp_path / "mask.png"
    options = {"compression": "jpeg"} if form == "TIFF" else {}
    for pixels, read in ((NUMBERS, images.read_class_map), (COLOUR, images.read_colours)):
        path.write_bytes(encoded(pixels, form, **options))
        with pytest.raises(images.ImageError, match=r"mask\.png: .*without loss.*Save the class"):
            read(path)


def test_a_lossless_webp_keeps_colours():
    content = encoded(COLOUR, "WEBP", lossless=True)
    np.testing.assert_array_equal(images.read_colours(content), COLOUR)


def test_the_size_of_a_class_map_is_compared_before_it_is_decoded():
    content = encoded(NUMBERS)
    start = content.index(b"IDAT") + 4
    broken = content[:start] + bytes(8) + content[start + 8 :]
    assert images.read_class_map(content, size=(7, 5)).shape == (7, 5)
    text = "a class map has its image's size, 5×7; it is 7×5 (height × width). Replace one"
    for one in (content, broken):
        with pytest.raises(images.ImageError, match=re.escape(text)):
            images.read_class_map(one, size=(5, 7))


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC file"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF file"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0", "MP4 or QuickTime file"),
        (encoded(COLOUR, "GIF"), "GIF file"),
        (encoded(COLOUR, "EPS"), "PostScript (EPS) file"),
        (encoded(COLOUR, "PDF"), "PDF file"),
        (encoded(COLOUR, "PPM"), "PNM file"),
        (encoded(COLOUR, "JPEG2000"), "JPEG 2000 file"),
        (b"8BPS\0\1", "Photoshop file"),
        (b'<?xml version="1.0"?><svg/>', "SVG file"),
        (b"\x93NUMPY\1\0", "NumPy file"),
        (b"<!DOCTYPE html><html>", "web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0", "pointer of Git LFS"),
    ],
)
def test_other_formats_are_named_and_not_opened(content, name, tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(content)
    for read in (images.read_image, images.read_class_map, images.read_colours):
        with pytest.raises(images.ImageError, match=re.escape(f"{path}: this is a {name}, what")):
            read(path)


def test_what_is_no_image_file_is_named(tmp_path):
    pipe, folder, empty, text = (tmp_path / name for name in ("pipe", "folder", "empty", "text"))
    os.mkfifo(pipe)
    folder.mkdir()
    empty.touch()
    text.write_text("no image")
    for path, why in {
        pipe: "an image is a file; this is none",
        folder: "an image is a file; this is none",
        empty: "it is empty",
        text: "cannot be read as an image (it is none of PNG, JPEG, BMP, TIFF, WEBP, or damaged)",
        tmp_path / "none.png": "there is no such file",
    }.items():
        with pytest.raises(images.ImageError, match=re.escape(f"{path}: ")) as caught:
            images.read_image(path)
        assert why in str(caught.value)


@pytest.mark.parametrize("form", image_files.FORMATS)
def test_truncated_files_are_refused(form):
    content = encoded(np.tile(COLOUR, (9, 4, 1)), form)
    for length in (*np.linspace(20, len(content) - 20, 9).astype(int), len(content) - 1):
        with pytest.raises(images.ImageError):
            images.read_image(content[:length])


def test_too_many_pixels_are_refused_by_the_header():
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 9000, 8000, 8, 2, 0, 0, 0))
    text = "an image has 67,108,864 pixels at most; this one has 72,000,000. Cut it into tiles."
    bmp = bytearray(encoded(COLOUR, "BMP"))
    for width in (9000, 30_000):  # Pillow warns of the first, and refuses the second
        bmp[18:26] = struct.pack("<ii", width, 8000)
        with pytest.raises(images.ImageError, match=r"67,108,864 pixels at most.*Cut it"):
            images.read_image(bytes(bmp))
    with pytest.raises(images.ImageError, match=re.escape(text)):
        images.read_image(png)
    with pytest.raises(images.ImageError, match="at least one pixel; this one has none"):
        images.read_image(png[:16] + bytes(4) + png[20:])


@pytest.mark.parametrize(
    ("scans", "pixels_side", "fine"), [(60, 64, True), (101, 64, False), (20, 8000, False)]
)
def test_the_scans_of_a_progressive_jpeg_are_bounded(scans, pixels_side, fine):
    content = with_scans(pixels_side, scans)
    start = time.thread_time()
    if fine:
        assert images.read_image(content).shape == (64, 64, 1)
        return
    text = f"this one has {scans} scans of {pixels_side**2:,}. Save it as a PNG, or as a JPEG that"
    with pytest.raises(images.ImageError, match=re.escape(text)):
        images.read_image(content)
    assert time.thread_time() - start < 1


def test_texts_beside_the_pixels_are_bounded():
    png = encoded(COLOUR)
    bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(7_900_000), 9)) * 100
    flood = chunk(b"tEXt", b"k\0") * 400_000
    for texts, why in (
        (bomb, "Decompressed data too large|at most 16 compressed texts"),
        (flood, "8 bytes a pixel and"),
    ):
        for place in (33, len(png) - 12):
            start = time.thread_time()
            with pytest.raises(images.ImageError, match=why):
                images.read_image(png[:place] + texts + png[place:])
            assert time.thread_time() - start < 1


def test_an_odd_header_is_no_warning():
    """Warnings are errors in tests; a user could do nothing about one."""
    exif = encoded(COLOUR, "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\xff\xff\x12\1\3\0\1")
    assert images.read_image(exif, upright=True).shape == (7, 5, 3)


def bands(count: int, dtype: type = np.uint8, **options) -> tuple[np.ndarray, bytes]:
    """Channels of noise, as pixels and as a TIFF of tifffile."""
    pixels = RNG.integers(0, 2 ** (8 * np.dtype(dtype).itemsize), (6, 9, count)).astype(dtype)
    planes = np.moveaxis(pixels, -1, 0) if options.get("planarconfig") == "separate" else pixels
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, planes, photometric="minisblack", **options)
    return pixels, buffer.getvalue()


@pytest.mark.parametrize("count", [2, 4, 5, 12])
@pytest.mark.parametrize("options", [{}, {"planarconfig": "separate"}, {"compression": "zlib"}])
def test_a_tiff_has_any_number_of_channels(count, options):
    for dtype, shift in ((np.uint8, 0), (np.uint16, 8)):
        pixels, content = bands(count, dtype, **({"planarconfig": "contig"} | options))
        assert images.channels_of(content) == count
        np.testing.assert_array_equal(images.read_image(content), pixels >> shift)
        np.testing.assert_array_equal(images.read_image(content, channels=count), pixels >> shift)
    if count == 5:
        with pytest.raises(images.ImageError, match=r"here 3; this one has 5\. Take a model with"):
            images.read_image(content, channels=3)
        with pytest.raises(images.ImageError, match=r"1, 3 or 4 channels of 8 or 16 bits here"):
            images.read_class_map(content)


def test_what_no_reader_takes_of_such_a_tiff_is_named(monkeypatch):
    floats = np.zeros((6, 9, 5), np.float32)
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, floats, photometric="minisblack", planarconfig="contig")
    with pytest.raises(images.ImageError, match=r"8 or 16 bits per channel; .* stored as float32"):
        images.read_image(buffer.getvalue())
    content = bands(5, planarconfig="contig")[1]
    with pytest.raises(images.ImageError, match="cannot be read as an image"):
        images.read_image(content[:-100])
    with monkeypatch.context() as patch:
        patch.setattr(image_files, "MAX_PIXELS", 53)
        with pytest.raises(images.ImageError, match=r"53 pixels and .* has 54 and 270\. Cut it"):
            images.read_image(content)
    monkeypatch.setitem(sys.modules, "tifffile", None)
    with pytest.raises(images.ImageError, match="Install it with pip install tifffile"):
        images.read_image(content)


def test_a_tiff_that_unpacks_to_more_than_it_declares_is_refused():
    content = bands(5, planarconfig="contig", compression="zlib")[1]
    with tifffile.TiffFile(io.BytesIO(content)) as file:
        (start,), (length,) = file.pages[0].dataoffsets, file.pages[0].databytecounts
    bomb = zlib.compress(bytes(60_000), 9)
    assert len(bomb) <= length
    bomb = content[:start] + bomb.ljust(length, b"\0") + content[start + length :]
    with pytest.raises(images.ImageError, match="has 270 bytes here; one unpacks to more"):
        images.read_image(bomb)
