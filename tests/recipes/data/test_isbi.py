"""The ISBI challenges' TIFF files, written as their authors' programs write them."""

import numpy as np
import pytest
import tifffile
from PIL import Image

from recipes import data
from recipes.data.sets import isbi
from recipes.data.verify import examine
from tests.support.data_sets import assert_known
from zoo import image_files, images

SIZE = (40, 48)


def membranes():
    """Twelve labels whose membrane, two pixels wide, goes one column further in each."""
    labels = np.full((12, *SIZE), 255, np.uint8)
    for page, label in enumerate(labels):
        label[:, 10 + page : 12 + page] = 0
    return labels


def volume(count=12):
    return np.random.default_rng(0).integers(0, 255, (count, *SIZE), np.uint8)


@pytest.fixture
def stacks(tmp_path):
    tifffile.imwrite(tmp_path / "train-volume.tif", volume(), imagej=True)
    tifffile.imwrite(tmp_path / "train-labels.tif", membranes(), imagej=True)
    return tmp_path


@pytest.fixture
def films(tmp_path):
    """Two films; cells 3 and 700 touch, 9 stands alone."""
    for film, frames in (("01", (0, 2, 4, 6, 8)), ("02", (1, 3))):
        (tmp_path / film).mkdir()
        (tmp_path / f"{film}_GT" / "SEG").mkdir(parents=True)
        (tmp_path / f"{film}_GT" / "TRA").mkdir()
        for frame in range(9):
            tifffile.imwrite(tmp_path / film / f"t{frame:03}.tif", volume(1)[0] // (frame + 1))
        for frame in frames:
            name = tmp_path / f"{film}_GT" / "SEG" / f"man_seg{frame:03}.tif"
            Image.fromarray(cells()).save(name, compression="tiff_lzw")
    return tmp_path


def cells():
    ids = np.zeros(SIZE, np.uint16)
    ids[4:20, 4:12], ids[4:20, 12:20], ids[30:36, 30:36] = 3, 700, 9
    return ids


def problem(folder, split="train"):
    with pytest.raises(data.DataError) as error:
        examine(data.load("isbi", folder)[split])
    return str(error.value)


def refusal(folder):
    with pytest.raises(data.DataError) as error:
        data.load("isbi", folder)
    return str(error.value)


def test_the_last_fifth_of_the_pages_is_held_out(stacks):
    splits = data.load("isbi", stacks)
    assert [len(split) for split in splits.values()] == [10, 2]
    assert splits["val"].files[1] == (
        f"{stacks}/train-volume.tif (page 12)",
        f"{stacks}/train-labels.tif (page 12)",
    )
    read = [split.example(index) for split in splits.values() for index in range(len(split))]
    np.testing.assert_array_equal([image[..., 0] for image, _ in read], volume())
    np.testing.assert_array_equal([label for _, label in read], membranes() == 255)
    assert {image.shape for image, _ in read} == {(*SIZE, 1)}
    assert splits["train"].class_names == ("membrane", "cell")
    np.testing.assert_array_equal(examine(splits["val"]).pixels, [2 * 80, 2 * (1920 - 80)])


def test_cells_of_a_section_are_numbered(stacks):
    splits = data.load("isbi", stacks)
    train, ids = splits["train"], splits["train"].instances(3)
    assert ids.dtype == np.int32
    np.testing.assert_array_equal(ids > 0, train.example(3)[1])
    assert set(ids[:, :13].ravel()) == {1}
    assert set(ids[:, 15:].ravel()) == {2}
    val = splits["val"]
    np.testing.assert_array_equal(val.instances(1) > 0, val.example(1)[1])


def test_the_last_fifth_of_each_films_annotated_frames_is_held_out(films):
    splits = data.load("isbi", films)
    assert [len(split) for split in splits.values()] == [5, 2]
    assert [files[0].removeprefix(f"{films}/") for files in splits["val"].files] == [
        "01/t008.tif",
        "02/t003.tif",
    ]
    assert splits["val"].files[1][1] == f"{films}/02_GT/SEG/man_seg003.tif"
    image, _ = splits["val"].example(0)
    np.testing.assert_array_equal(image[..., 0], volume(1)[0] // 9)
    assert splits["train"].class_names == ("background", "cell")


def test_cells_that_touch_are_kept_apart(films):
    train = data.load("isbi", films)["train"]
    ids, (_, label) = train.instances(0), train.example(0)
    expected = cells()
    expected[4:20, 11:13] = 0
    np.testing.assert_array_equal(ids, expected)
    np.testing.assert_array_equal(label, expected > 0)
    assert examine(train).pixels[1] == 5 * (2 * 16 * 7 + 36)


def test_cells_that_touch_at_a_corner_are_kept_apart():
    ids = np.zeros((6, 6), np.int32)
    ids[:3, :3], ids[3:, 3:] = 1, 2
    apart = isbi._apart(ids)
    assert (apart[2, 2], apart[3, 3]) == (0, 0)
    assert np.count_nonzero(apart) == 16


def test_another_layout_is_named(tmp_path):
    assert refusal(tmp_path) == (
        f"{tmp_path} has no ISBI layout: there is no train-volume.tif, no image/0.png with "
        "label/0.png, and no 01_GT/SEG/man_seg000.tif. Pass the folder that holds one of them as "
        "the data folder."
    )


def test_numbered_files_are_the_pages_of_the_stacks(stacks, tmp_path):
    of_stacks = data.load("isbi", stacks)
    folder = tmp_path / "png"
    write_files(folder)
    (folder / "image/.0.png").write_bytes(b"")
    of_files = data.load("isbi", folder)
    assert of_files["val"].files == (
        (f"{folder}/image/10.png", f"{folder}/label/10.png"),
        (f"{folder}/image/11.png", f"{folder}/label/11.png"),
    )
    for split, pages in of_stacks.items():
        files = of_files[split]
        assert (files.class_names, files.channels) == (pages.class_names, 1)
        for index in range(len(pages)):
            for one, other in zip(files.example(index), pages.example(index), strict=True):
                np.testing.assert_array_equal(one, other)
            np.testing.assert_array_equal(files.instances(index), pages.instances(index))
    assert_known("isbi", folder, background=None)


def test_numbered_files_that_do_not_match_are_named(tmp_path):
    write_files(tmp_path)
    (tmp_path / "label/3.png").unlink()
    (tmp_path / "image/5.png").unlink()
    smooth = membranes()[4]
    smooth[0, 0] = 9
    Image.fromarray(smooth).save(tmp_path / "label/4.png")
    text = problem(tmp_path)
    assert "3 of the 10 examples of isbi (train) cannot be used" in text
    assert f"{tmp_path}/label/3.png: there is no such file" in text
    assert f"{tmp_path}/image/5.png: there is no such file" in text
    assert f"{tmp_path}/label/4.png: a label holds 0 on membranes and 255 in cells; it" in text


@pytest.mark.parametrize("name", ["03", "0_predict", "-1", "٣"])
def test_a_file_without_a_number_is_named(tmp_path, name):
    write_files(tmp_path)
    file = (tmp_path / "image/0.png").rename(tmp_path / f"image/{name}.png")
    assert refusal(tmp_path) == (
        f"{file}: the sections are numbered, 0.png, 1.png and so on; received '{name}.png'. "
        "Rename it, or take it out of the folder."
    )


def write_files(folder):
    for part, sections in (("image", volume()), ("label", membranes())):
        (folder / part).mkdir(parents=True)
        for number, section in enumerate(sections):
            Image.fromarray(section).save(folder / part / f"{number}.png")


def test_stacks_of_different_lengths_are_refused(stacks):
    tifffile.imwrite(stacks / "train-labels.tif", membranes()[:-1], imagej=True)
    assert refusal(stacks) == (
        f"{stacks}/train-labels.tif: each page of train-volume.tif has its label; it has 11 pages, "
        "and train-volume.tif has 12. Replace one of them."
    )
    (stacks / "train-labels.tif").unlink()
    assert f"{stacks}/train-labels.tif: there is no such file" in refusal(stacks)
    tifffile.imwrite(stacks / "train-volume.tif", volume(1))
    tifffile.imwrite(stacks / "train-labels.tif", membranes()[:1])
    assert f"{stacks}: each split has at least one example, so there are at least" in refusal(
        stacks
    )


@pytest.mark.parametrize("content", [b"", b"II*\0 no image" * 9], ids=["empty", "text"])
def test_a_stack_that_is_no_image_is_named(stacks, content):
    (stacks / "train-volume.tif").write_bytes(content)
    assert f"{stacks}/train-volume.tif: cannot be read as an image" in refusal(stacks)


def test_a_page_of_smoothed_labels_and_one_of_another_size_are_named(stacks):
    pages = [Image.fromarray(label) for label in membranes()]
    smooth = membranes()[4]
    smooth[0, :3] = 128, 7, 128
    pages[4] = Image.fromarray(smooth)
    pages[6] = Image.fromarray(membranes()[6, 1:])
    pages[0].save(stacks / "train-labels.tif", save_all=True, append_images=pages[1:])
    text = problem(stacks)
    assert "2 of the 10 examples of isbi (train) cannot be used" in text
    assert (
        f"{stacks}/train-labels.tif (page 5): a label holds 0 on membranes and 255 in cells; it "
        "holds 7, 128 too. Replace it, or save it without smoothing." in text
    )
    assert "train-labels.tif (page 7): a label has its image's size; it is 39×48 and" in text


def test_a_stack_that_ends_early_is_named_with_its_page(stacks):
    file = stacks / "train-volume.tif"
    # Pillow writes a page's pixels after its header, ImageJ all headers after all pixels.
    pages = [Image.fromarray(page) for page in volume()]
    pages[0].save(file, save_all=True, append_images=pages[1:])
    whole = file.read_bytes()
    file.write_bytes(whole[: whole.rindex(volume()[-1].tobytes()) + 900])
    assert f"{file} (page 12): cannot be read as an image" in problem(stacks, "val")
    assert examine(data.load("isbi", stacks)["train"]).pixels.all()  # the other pages are there


def test_a_stack_of_imagej_that_ends_early_is_refused(stacks):
    file = stacks / "train-volume.tif"
    whole = file.read_bytes()
    pixels = whole.rindex(volume()[-1].tobytes())
    for end in (pixels + 900, pixels + 1920 + 100):
        file.write_bytes(whole[:end])
        assert f"{stacks}/train-" in refusal(stacks)


def test_a_stack_has_limits(stacks, monkeypatch):
    monkeypatch.setattr(images, "MAX_PAGES", 10)
    assert refusal(stacks) == (
        f"{stacks}/train-volume.tif: a stack has 10 pages at most; this one has more. Cut it."
    )
    monkeypatch.undo()
    splits = data.load("isbi", stacks)
    monkeypatch.setattr(image_files, "MAX_PIXELS", 1919)
    with pytest.raises(data.DataError, match=r"1,919 pixels at most; this one has 1,920\. Cut"):
        examine(splits["train"])


def test_damaged_and_missing_frames_are_all_named(films):
    (films / "01/t000.tif").unlink()
    image, label = films / "01/t002.tif", films / "01_GT/SEG/man_seg004.tif"
    image.write_bytes(image.read_bytes()[:1000])
    label.write_bytes(b"")
    tifffile.imwrite(films / "01_GT/SEG/man_seg006.tif", cells()[1:])
    tifffile.imwrite(films / "02/t001.tif", volume(1)[0].astype(np.float32))
    text = problem(films)
    assert "5 of the 5 examples" in text
    assert f"{films}/01/t000.tif: there is no such file" in text
    assert f"{image}: cannot be read as an image" in text
    assert f"{label}: cannot be read as an image" in text
    assert "man_seg006.tif: a label has its image's size; it is 39×48 and" in text
    assert "02/t001.tif: an image has 8 or 16 bits per channel; this one is stored as 'F'" in text


def test_labels_that_hold_no_cell_numbers_are_named(films):
    seg = films / "01_GT/SEG"
    tifffile.imwrite(seg / "man_seg000.tif", np.zeros((*SIZE, 3), np.uint8))
    tifffile.imwrite(seg / "man_seg002.tif", cells().astype(np.int32) * 100)
    tifffile.imwrite(seg / "man_seg004.tif", cells().astype(np.int32) - 1)
    text = problem(films)
    assert (
        f"{seg}/man_seg000.tif: a class map holds one number per pixel; this one is stored as "
        "'RGB'. Save the numbers as a palette (P) or 8-bit grey (L) PNG." in text
    )
    assert "man_seg002.tif: the number of a cell is 1 to 65,535, or 0 for none; it holds " in text
    assert "it holds 0 to 70000. Number the cells again." in text
    assert "it holds -1 to 699. Number the cells again." in text


def test_eight_bits_are_enough_for_few_cells(films):
    few = np.minimum(cells(), 200).astype(np.uint8)
    tifffile.imwrite(films / "01_GT/SEG/man_seg000.tif", few)
    assert set(data.load("isbi", films)["train"].instances(0).ravel()) == {0, 3, 9, 200}


def test_both_kinds_are_what_is_known_before_they_are_read(stacks, films):
    assert_known("isbi", stacks, background=None)
    (stacks / "train-volume.tif").unlink()
    assert_known("isbi", films, background=0)  # membranes come first where both are there
