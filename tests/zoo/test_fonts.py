"""Class names in any script: drawn with a font that has the letters, or a warning."""

import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image, ImageFont

import zoo
from zoo import fonts

SIZE = 20


def made(path: pathlib.Path, letters: str) -> pathlib.Path:
    """A font whose letters are triangles of different heights; what is missing is a square."""
    builder = pytest.importorskip("fontTools.fontBuilder").FontBuilder(1000, isTTF=True)
    from fontTools.pens.ttGlyphPen import TTGlyphPen

    def glyph(*points):
        pen = TTGlyphPen(None)
        pen.moveTo(points[0])
        for point in points[1:]:
            pen.lineTo(point)
        pen.closePath()
        return pen.glyph()

    names = {ord(letter): f"g{index}" for index, letter in enumerate(letters)}
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap(names)
    shapes = {".notdef": glyph((50, 0), (50, 700), (450, 700), (450, 0))}
    for index, name in enumerate(names.values()):
        shapes[name] = glyph((50, 0), (250, 300 + 90 * index), (450, 0))
    builder.setupGlyf(shapes)
    builder.setupHorizontalMetrics(dict.fromkeys(shapes, (500, 50)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": path.stem, "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(path)
    return path


@pytest.fixture
def system(tmp_path, monkeypatch):
    """A system with these fonts only."""
    monkeypatch.setattr(fonts, "font_folders", lambda: [tmp_path, tmp_path / "none"])
    for cached in (fonts._found, fonts._path_for, fonts._warn):
        cached.cache_clear()
    yield tmp_path
    for cached in (fonts._found, fonts._path_for, fonts._warn):
        cached.cache_clear()


def legend(*names, **options) -> np.ndarray:
    class_map = np.arange(len(names), dtype=np.uint8)[None].repeat(40, 0).repeat(200, 1)
    image = np.zeros((*class_map.shape, 3), np.uint8)
    return np.asarray(zoo.pictures.overlay(image, class_map, names, **options))


def test_each_name_has_the_font_of_its_letters(system):
    han = made(system / "b-han.ttf", "背景道路")
    thai = made(system / "sub-thai.ttf", "ถนนทาง")
    (system / "a-broken.ttf").write_bytes(b"no font")
    shutil.copy(han, system / "a-han-bold.ttf")
    chosen = fonts.for_names(["road", "背景", "ถนน", "道路"], SIZE)
    paths = [getattr(font, "path", None) for font in chosen]
    assert [paths[1], paths[2], paths[3]] == [str(han), str(thai), str(han)]
    assert chosen[0].getname() == ImageFont.load_default(SIZE).getname()


def test_a_legend_in_another_script_is_no_row_of_boxes(system):
    with pytest.warns(UserWarning, match="No font of this system has"):
        boxes = legend("背景", "道路")
    for cached in (fonts._found, fonts._path_for):
        cached.cache_clear()
    font = made(system / "han.ttf", "背景道路")
    drawn = legend("背景", "道路")
    assert drawn.shape != boxes.shape or (drawn != boxes).any()
    np.testing.assert_array_equal(drawn, legend("背景", "道路", font=font))


def test_without_a_font_a_warning_names_the_letters_once(system, recwarn):
    for _ in range(3):
        legend("背 景", "sky")
    (warning,) = recwarn
    assert str(warning.message) == (
        "No font of this system has '景背'; boxes stand in their place. Install one that has them, "
        "such as Noto Sans, or pass its file as --font of zoo ask (in Python font=)."
    )
    assert warning.filename == __file__


def test_a_font_that_is_given_is_used_or_named(system):
    font = made(system / "thai.ttf", "ถนน")
    with pytest.warns(UserWarning, match="The font has not 'adeor'; boxes .* Pass another, or"):
        legend("ถนน", "road e", font=font)
    Image.new("L", (3, 3)).save(system / "picture.ttf", "PNG")
    for path in (system / "picture.ttf", system / "none.ttf", system):
        with pytest.raises(ValueError, match=r"a TrueType or OpenType file; .* Pass another"):
            legend("sky", font=path)


@pytest.mark.parametrize("platform", ["linux", "darwin", "win32"])
def test_the_folders_of_each_system(platform, monkeypatch):
    monkeypatch.setattr(fonts.sys, "platform", platform)
    folders = [folder.as_posix() for folder in fonts.font_folders()]
    expected = {"linux": "/usr/share/fonts", "darwin": "/System/Library/Fonts"}
    assert expected.get(platform, "C:/Windows/Fonts") in folders
