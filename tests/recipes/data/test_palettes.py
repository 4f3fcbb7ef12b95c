"""Labels whose palettes were numbered anew by a program that kept their colours."""

import numpy as np
import pytest
from PIL import Image

import zoo.pictures
from recipes import data
from recipes.data.sets import voc
from recipes.data.verify import verify
from zoo.class_names import CLASS_NAMES

VOC = zoo.pictures.voc_palette()


def label(*values):
    """A label with a stripe of each value, 8 pixels wide."""
    return np.repeat(np.array(values, np.uint8), 8)[np.newaxis].repeat(10, 0)


def optimized(values):
    """As oxipng writes it: only the indices that occur, numbered from 0, with their colours."""
    indices, anew = np.unique(values, return_inverse=True)
    return anew.reshape(values.shape).astype(np.uint8), VOC[indices]


def save(file, values, palette):
    image = Image.fromarray(values)
    image.putpalette(np.asarray(palette, np.uint8).tobytes())
    image.save(file)


@pytest.fixture
def folder(tmp_path):
    """A folder with three images, of which the last is scored, and the masks to come."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    for name in "abc":
        Image.new("RGB", (24, 10)).save(tmp_path / "images" / f"{name}.png")
    (tmp_path / "classes.txt").write_text("\n".join(CLASS_NAMES["voc"]))
    (tmp_path / "val.txt").write_text("c\n")
    for name in "abc":
        save(tmp_path / "masks" / f"{name}.png", label(0, 15, 255), VOC)
    return tmp_path


def counts(folder):
    return verify(data.load("folder", folder))["train"].pixels


def problem(folder):
    with pytest.raises(data.DataError) as error:
        counts(folder)
    return str(error.value)


def test_an_index_in_the_colour_of_another_class_is_refused(folder):
    save(folder / "masks/b.png", *optimized(label(0, 12, 15)))
    assert problem(folder).startswith(
        "1 of the 2 examples of folder (train) cannot be used:\n"
        f"  {folder}/masks/b.png: an index is shown in the colour of its class; 1 (aeroplane) is "
        "shown in (64, 0, 128), the colour of 12 (dog). A program may have numbered the palette "
        "anew: put the file there that it was given. Or save it as RGB, and give classes.txt"
    )


def test_a_mask_of_one_class_that_was_numbered_anew_is_refused(folder):
    save(folder / "masks/b.png", *optimized(label(15, 15, 15)))
    assert "0 (background) is shown in (192, 128, 128), the colour of 15 (person)" in problem(
        folder
    )


def test_vocs_own_layout_is_compared_too(tmp_path):
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / part).mkdir(parents=True)
    for split, name in (("train", "x"), ("val", "y")):
        (tmp_path / f"ImageSets/Segmentation/{split}.txt").write_text(name)
        Image.new("RGB", (24, 10)).save(tmp_path / f"JPEGImages/{name}.jpg")
        save(tmp_path / f"SegmentationClass/{name}.png", *optimized(label(0, 7, 255)))
    with pytest.raises(data.DataError) as error:
        verify(voc.load(tmp_path))
    first, second = str(error.value).splitlines()[1::2]
    for line, name in ((first, "x"), (second, "y")):
        assert f"{name}.png: an index is shown in" in line
        assert "the colour of 7 (car)" in line
        assert line.endswith("put the file there that it was given.")  # it has no classes.txt


def test_the_remedy_works(folder):
    """RGB masks, and colours in classes.txt."""
    for name in "abc":
        save(folder / f"masks/{name}.png", *optimized(label(0, 12, 255)))
    assert "give classes.txt the colours, as NAME R G B" in problem(folder)
    for name in "abc":
        with Image.open(folder / f"masks/{name}.png") as mask:
            mask.convert("RGB").save(folder / f"masks/{name}.png")
    rows = zip(CLASS_NAMES["voc"], VOC, strict=False)
    text = "\n".join(f"{name} {' '.join(map(str, colour))}" for name, colour in rows)
    (folder / "classes.txt").write_text(text)
    assert counts(folder)[12] == 160


OWN = np.array([(0, 0, 0), (255, 0, 0), (0, 128, 255), *[(9, 9, 9)] * 253])


@pytest.mark.parametrize(
    "palette",
    [
        OWN,
        OWN[:3],  # short, as many programs write it
        np.arange(256)[:, np.newaxis].repeat(3, 1),  # a ramp of greys
        np.zeros((256, 3)),  # no information
        VOC,
        np.concatenate([VOC[:3], OWN[3:]]),
    ],
)
def test_sound_palettes_raise_no_alarm(folder, palette):
    (folder / "classes.txt").write_text("ground\ncat\nred fox\n")
    for name in "abc":
        save(folder / "masks" / f"{name}.png", label(0, 1, 2), palette)
    assert list(counts(folder)) == [160, 160, 160]


def test_grey_files_and_ramps_go_with_any_palette(folder):
    save(folder / "masks/a.png", label(0, 15, 255), np.arange(256)[:, np.newaxis].repeat(3, 1))
    Image.fromarray(label(0, 15, 255)).save(folder / "masks/c.png")
    assert counts(folder)[15] == 160


def test_two_files_that_show_an_index_in_two_colours_are_both_named(folder):
    (folder / "classes.txt").write_text("ground\ncat\nred fox\n")
    other = OWN.copy()
    other[[1, 2]] = OWN[[2, 1]]
    for name, palette in zip("abc", (OWN, OWN, other), strict=True):
        save(folder / "masks" / f"{name}.png", label(0, 1, 2), palette)
    assert (  # also where one of them is scored and the other trained
        f"folder (val) cannot be used:\n  {folder}/masks/c.png: in a data set an index has one "
        f"colour; this shows 1 in (0, 128, 255), and {folder}/masks/a.png in (255, 0, 0). A"
    ) in problem(folder)


def test_colours_of_unused_indices_do_not_count(folder):
    (folder / "classes.txt").write_text("ground\ncat\nred fox\n")
    other = OWN.copy()
    other[2] = 77
    save(folder / "masks/a.png", label(0, 1, 1), OWN)
    save(folder / "masks/b.png", label(0, 1, 1), other)
    save(folder / "masks/c.png", label(0, 1, 1), OWN)
    assert list(counts(folder)) == [160, 320, 0]


def test_void_may_have_any_colour_but_that_of_a_class(folder):
    white, person = VOC.copy(), VOC.copy()
    white[255] = 255
    save(folder / "masks/a.png", label(0, 15, 255), white)
    assert counts(folder)[15] == 160
    person[15], person[255] = VOC[255], VOC[15]
    save(folder / "masks/a.png", label(0, 15, 255), person)
    assert "15 (person) is shown in (224, 224, 192), the colour of 255 (void)" in problem(folder)


def test_own_colours_in_classes_txt_are_compared(folder):
    (folder / "classes.txt").write_text("ground 0 0 0\ncat 255 0 0\nred fox 0 128 255\n")
    for name in "abc":
        save(folder / "masks" / f"{name}.png", label(0, 1, 2), OWN)
    assert list(counts(folder)) == [160, 160, 160]
    save(folder / "masks/b.png", label(0, 1, 2), OWN[[0, 2, 1]])
    assert "1 (cat) is shown in (0, 128, 255), the colour of 2 (red fox)" in problem(folder)


@pytest.mark.parametrize("foreign", [(255, 255, 255), (255, 0, 0), (1, 2, 3)])
@pytest.mark.parametrize("indices", [(0, 15, 255), (0, 3, 7, 18, 255)])
@pytest.mark.parametrize("names", [CLASS_NAMES["voc"], [f"class {n}" for n in range(21)]])
def test_one_foreign_colour_hides_no_new_numbers(folder, foreign, indices, names):
    """Void is drawn white by many, and then numbered anew with the rest."""
    (folder / "classes.txt").write_text("\n".join(names))
    for name in "abc":
        anew, palette = optimized(np.resize(np.uint8(indices), (10, 24)))
        palette[-1] = foreign
        save(folder / f"masks/{name}.png", anew, palette)
    colour = tuple(map(int, VOC[indices[1]]))
    assert f"1 ({names[1]}) is shown in {colour}, the colour of {indices[1]}" in problem(folder)


def test_void_in_its_colour_hides_behind_no_foreign_ones(folder):
    palette = np.array([(0, 0, 0), (250, 1, 1), (9, 250, 3), (224, 224, 192)])
    for name in "abc":
        save(folder / f"masks/{name}.png", label(0, 1, 2, 3)[:, :24], palette[[0, 1, 3, 2]])
    assert "2 (bicycle) is shown in (224, 224, 192), the colour of 255 (void)" in problem(folder)


CAMVID = {
    **{"sky": (128, 128, 128), "building": (128, 0, 0), "pole": (192, 192, 128)},
    **{"road": (128, 64, 128), "pavement": (60, 40, 222), "tree": (128, 128, 0)},
    **{"sign": (192, 128, 128), "fence": (64, 64, 128), "car": (64, 0, 128)},
    **{"pedestrian": (64, 64, 0), "bicyclist": (0, 128, 192), "void": (0, 0, 0)},
}
STREET = {"road": (128, 128, 128), "car": (255, 0, 0), "bus": (0, 0, 255), "person": (0, 128, 0)}
PAPER = {"background": (255, 255, 255), "ink": (0, 0, 0), "stamp": (128, 0, 0)}


@pytest.mark.parametrize("own", [CAMVID, STREET, PAPER], ids=["camvid", "street", "paper"])
def test_own_palettes_that_share_colours_with_vocs_raise_no_alarm(folder, own):
    """Also where the classes of one mask, alone, are all in VOC's colours."""
    (folder / "classes.txt").write_text("\n".join(own))
    for name in "abc":
        every = np.resize(np.arange(len(own)), (10, 24)).astype(np.uint8)
        save(folder / f"masks/{name}.png", every, [*own.values()])
    pair = [index for index, colour in enumerate(own.values()) if not {64, 255} & {*colour}][:2]
    save(folder / "masks/b.png", label(*np.resize(pair, 3)), [*own.values()])
    assert counts(folder).sum() == 480
