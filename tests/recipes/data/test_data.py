"""Data sets: what their examples hold, and what is said of those that cannot be used."""

import hashlib
import time

import numpy as np
import pytest
from PIL import Image

import zoo.pictures
from recipes import command, data
from recipes.data import verify
from recipes.data.sets import coins, shapes, voc
from recipes.data.verify import examine
from tests.support.data_sets import assert_known

CLASS_NAMES = ("background", "thing", "other")


@pytest.fixture
def folder(tmp_path):
    """A data set of two examples a split, in VOC's layout."""
    for part in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (tmp_path / part).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for split, names in (("train", "ab"), ("val", "cd")):
        (tmp_path / "ImageSets/Segmentation" / f"{split}.txt").write_text("\n".join(names) + "\n")
        for name in names:
            image = rng.integers(0, 255, (20, 30, 3), dtype=np.uint8)
            Image.fromarray(image).save(tmp_path / "JPEGImages" / f"{name}.jpg")
            write_label(tmp_path, name, labels())
    return tmp_path


def labels(size=(20, 30)):
    label = np.zeros(size, np.uint8)
    label[5:15, 5:15] = 2
    label[5, :] = 255
    return label


def write_label(folder, name, label):
    zoo.pictures.save_class_map(folder / "SegmentationClass" / f"{name}.png", label)


def read(folder):
    return voc.read(folder, name="things", class_names=CLASS_NAMES)


def test_labels_are_palette_indices_and_not_colours(folder):
    split = read(folder)["val"]
    image, label = split.example(0)
    assert image.shape == (20, 30, 3)
    assert image.dtype == label.dtype == np.uint8
    np.testing.assert_array_equal(label, labels())
    assert split.files[0] == (
        str(folder / "JPEGImages/c.jpg"),
        str(folder / "SegmentationClass/c.png"),
    )


def test_verify_counts_the_pixels_of_each_class(folder):
    examined = examine(read(folder)["train"])
    np.testing.assert_array_equal(examined.pixels, [2 * 480, 0, 2 * 90])
    assert examined.ignored == 2 * 30
    assert examined.sizes == {(20, 30): 2}


def test_the_fingerprint_is_over_names_shapes_and_pixels_in_order(folder):
    split = read(folder)["train"]
    sha256 = hashlib.sha256(b"background\0thing\0other")
    for index in range(2):
        image, label = split.example(index)
        one = hashlib.sha256(b"(20, 30, 3) (20, 30)" + image.tobytes() + label.tobytes())
        sha256.update(one.digest())
    assert examine(split).sha256 == sha256.hexdigest()


def test_the_fingerprint_is_another_where_anything_is():
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 9, (4, 6, 5, 1), np.uint8), rng.integers(0, 2, (4, 6, 5))

    def fingerprint(images, labels, names=("ab", "c"), *, last=0):
        def example(index):
            time.sleep(0.02 * (index == last))  # it is ready after the others
            return images[index], labels[index].astype(np.uint8)

        files = (("image", "label"),) * len(images)
        return examine(data.Dataset("noise", "val", names, 1, files, example)).sha256

    brighter, other = images.copy(), labels.copy()
    brighter[3, 5, 4] += 1
    other[0, 0, 0] ^= 1
    found = [
        fingerprint(images, labels),
        fingerprint(brighter, labels),
        fingerprint(images, other),
        fingerprint(images[::-1], labels[::-1]),
        fingerprint(images[:3], labels[:3]),
        fingerprint(images.reshape(4, 5, 6, 1), labels.reshape(4, 5, 6)),
        fingerprint(images, labels, ("a", "bc")),
    ]
    assert len(set(found)) == len(found)
    assert found[0] == fingerprint(images, labels, last=3)
    turned = images.transpose(0, 2, 1, 3), labels.transpose(0, 2, 1)  # not in a row in memory
    assert fingerprint(*turned) == fingerprint(*(np.ascontiguousarray(part) for part in turned))


def test_voc_has_its_21_classes_and_names_the_folder_it_wants(folder):
    splits = voc.load(folder)
    assert len(splits["train"].class_names) == 21
    assert splits["train"].class_names[15] == "person"
    with pytest.raises(data.DataError, match="Pass the folder that holds JPEGImages"):
        data.load("voc", folder / "JPEGImages")
    (folder / "ImageSets/Segmentation/val.txt").write_text("\n")
    with pytest.raises(
        data.DataError,
        match=r"val\.txt: a list has at least one line; it is empty\. Pass the folder",
    ):
        voc.load(folder)


def problem(folder):
    with pytest.raises(data.DataError) as error:
        examine(read(folder)["train"])
    return str(error.value)


def test_a_label_outside_the_classes_is_named_with_its_values(folder):
    label = labels()
    label[0, 0], label[1, 1] = 3, 77
    write_label(folder, "b", label)
    assert problem(folder) == (
        "1 of the 2 examples of things (train) cannot be used:\n"
        f"  {folder}/SegmentationClass/b.png: a label holds the classes 0 to 2 and 255; it holds "
        "3, 77 too. Give these pixels a class, or 255 for void."
    )


def test_a_label_of_colours_is_named_with_its_remedy(folder):
    colours = zoo.pictures.voc_palette()[labels()]
    Image.fromarray(colours).save(folder / "SegmentationClass/a.png")
    assert (
        "SegmentationClass/a.png: a class map holds one number per pixel; this one is stored as "
        "'RGB'. Save the numbers as a palette (P) or 8-bit grey (L) PNG." in problem(folder)
    )


def test_a_label_of_another_size_is_named_with_both(folder):
    write_label(folder, "a", labels((20, 31)))
    text = problem(folder)
    assert "SegmentationClass/a.png: a label has its image's size; it is 20×31 and" in text
    assert "JPEGImages/a.jpg is 20×30 (height × width). Replace one of them." in text


def test_missing_broken_deep_and_turned_files_are_all_named(folder):
    (folder / "SegmentationClass/a.png").unlink()
    jpeg = folder / "JPEGImages/b.jpg"
    jpeg.write_bytes(jpeg.read_bytes()[:200])
    text = problem(folder)
    assert "2 of the 2 examples" in text
    assert "a.png: there is no such file. Add it, or take it off the list." in text
    assert "b.jpg: cannot be read as an image" in text
    turned = Image.new("RGB", (30, 20))
    turned.getexif()[0x0112] = 6
    turned.save(jpeg, exif=turned.getexif())
    assert "b.jpg: an image is stored the way its label is" in problem(folder)
    deep = Image.fromarray(np.zeros((20, 30), np.int32))
    deep.save(jpeg, format="TIFF")
    assert "b.jpg: an image has 8 or 16 bits per channel; this one is stored as 'I', " in problem(
        folder
    )


def test_255_as_the_foreground_is_not_trained_in_silence(folder):
    for name in "ab":
        label = labels()
        write_label(folder, name, np.where(label == 2, 255, 0))
    assert "a.png: 255 is void; this label holds 0, 255 only, and no other has" in problem(folder)


def test_ten_problems_stop_a_training_and_the_command_lists_them_all(folder, capsys):
    names = [f"lost{index:02}" for index in range(13)]
    (folder / "ImageSets/Segmentation/train.txt").write_text("\n".join(names))
    text = problem(folder)
    assert text.count("there is no such file") == 20  # the image and the label of ten
    assert text.endswith("and 3 more: zoo verify things DIR lists all of them")
    assert command.verify(["voc", str(folder)]) == 1
    err = capsys.readouterr().err
    assert err.startswith("zoo verify: 13 of the 13 examples of voc (train) cannot be used:\n  ")
    for name in names:
        assert f"{folder}/JPEGImages/{name}.jpg: there is no such file. Add it" in err
    assert "more" not in err


def test_the_command_shows_what_is_in_a_data_set(tmp_path, capsys):
    shapes.write(tmp_path / "shapes", train=2, val=1)
    splits = shapes.load(tmp_path)
    label = np.concatenate([splits["train"].example(index)[1] for index in range(2)])
    assert command.verify(["shapes", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "train: 2 examples, 96×128 (height × width)"
    for row, value in ((lines[1].partition("  balanced weight ")[0], 0), (lines[6], 255)):
        count = np.sum(label == value)
        assert row.split()[-3:] == [f"{count:,}", "pixels", f"{count / label.size:.2%}"]
    assert lines[1].startswith("  background  ")
    assert lines[6].startswith("  255 (void)  ")
    assert lines[7] == f"  sha256 {examine(splits['train']).sha256}"
    assert lines[8] == "val: 1 example, 96×128 (height × width)"
    for name in ("000000", "000002"):
        (tmp_path / "shapes/JPEGImages" / f"{name}.jpg").write_bytes(b"")
    assert command.verify(["shapes", str(tmp_path)]) == 1
    err = capsys.readouterr().err
    for split, name in (("train", "000000"), ("val", "000002")):  # both, at once
        assert f" of shapes ({split}) cannot be used:\n" in err
        assert f"{name}.jpg: cannot be read as an image" in err
    assert command.verify(["voc", str(tmp_path)]) == 1
    assert (
        "train.txt: there is no such file. Pass the folder that holds JPEGImages"
        in capsys.readouterr().err
    )


def test_the_command_shows_the_range_of_the_sizes(folder, capsys):
    for name, size in (("a", (40, 10)), ("b", (7, 90))):
        Image.new("RGB", size[::-1]).save(folder / "JPEGImages" / f"{name}.jpg")
        write_label(folder, name, np.arange(np.prod(size)).reshape(size) % 2)
    assert command.verify(["voc", str(folder)]) == 0
    out = capsys.readouterr().out
    assert "train: 2 examples, 2 sizes, 7–40×10–90 (height × width)\n" in out
    assert "val: 2 examples, 20×30 (height × width)\n" in out


def test_an_interrupt_ends_in_a_line(folder, capsys, monkeypatch):
    def interrupted(splits, *, shown):
        raise KeyboardInterrupt

    monkeypatch.setattr(verify, "verify", interrupted)
    assert command.verify(["voc", str(folder)]) == 130
    assert capsys.readouterr().err == "zoo verify: stopped\n"


def test_a_folder_that_cannot_be_read_is_an_error(tmp_path, capsys, monkeypatch):
    def forbidden(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(voc, "load", forbidden)
    assert command.verify(["voc", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"zoo verify: {tmp_path}: the folder of voc cannot be used ([Errno 13] Permission denied: "
        f"'{tmp_path}'). Pass a folder that you may read and, for shapes, write.\n"
    )


def test_an_unknown_data_set_is_an_error(tmp_path):
    named = ", ".join(data.NAMES)
    with pytest.raises(data.DataError, match=f"one of {named}; received 'cats'"):
        data.load("cats", tmp_path)


@pytest.mark.parametrize("name", ["folder", "isbi"])
def test_a_folder_that_the_system_refuses_is_named_with_a_remedy(name, tmp_path):
    folder = tmp_path / ("n" * 300)
    with pytest.raises(OSError, match="Pass a folder that you may read and, for") as error:
        data.load(name, folder)
    assert str(error.value).startswith(f"{folder}: the folder of {name} cannot be used ([Errno ")


def test_coins_are_cut_where_no_coin_is():
    whole, splits = coins.labels(coins.photograph()), coins.load(None)
    (train, train_label), (val, val_label) = (splits[name].example(0) for name in splits)
    assert train.shape == (225, 384, 1)
    assert val.shape == (78, 384, 1)
    np.testing.assert_array_equal(
        np.concatenate([train, val])[..., 0], coins.photograph()
    )  # disjoint, and nothing left out
    np.testing.assert_array_equal(np.concatenate([train_label, val_label]), whole)
    assert not train_label[-7:].any()
    assert not val_label[:8].any()
    # Labels made from the photograph alone: about a third is coin, in both parts.
    assert 0.3 < examine(splits["train"]).pixels[1] / train_label.size < 0.4
    assert 0.3 < examine(splits["val"]).pixels[1] / val_label.size < 0.4


def test_shapes_are_a_function_of_the_seed_and_of_nothing_else():
    image, label = shapes.scene(3, 5)
    again, same = shapes.scene(3, 5)
    np.testing.assert_array_equal(image, again)
    np.testing.assert_array_equal(label, same)
    assert not np.array_equal(image, shapes.scene(3, 6)[0])
    assert not np.array_equal(image, shapes.scene(4, 5)[0])
    assert image.shape == (96, 128, 3)


def test_shapes_are_written_in_vocs_layout_with_borders(tmp_path):
    folder = tmp_path / "shapes"
    shapes.write(folder, train=6, val=3)
    splits = shapes.load(tmp_path)
    assert [len(split) for split in splits.values()] == [6, 3]
    assert list(tmp_path.iterdir()) == [folder]  # nothing unfinished is left beside it
    with Image.open(folder / "SegmentationClass/000000.png") as label:
        assert label.mode == "P"
    image, label = splits["val"].example(0)
    drawn, truth = shapes.scene(0, 6)
    np.testing.assert_array_equal(label, truth)
    assert abs(image.astype(int) - drawn).mean() < 8  # a JPEG of it
    assert (examine(splits["train"]).pixels > 0).all()
    # No pixel of an object touches another class: the border is between them.
    void = label == 255
    for axis in (0, 1):
        first = np.delete(label, -1, axis).astype(int)
        second = np.delete(label, 0, axis).astype(int)
        touching = (first != second) & (first != 255) & (second != 255)
        assert not touching.any()
    assert 0 < void.mean() < 0.2


def test_drawing_that_is_interrupted_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(shapes, "scene", interrupted)
    with pytest.raises(KeyboardInterrupt):
        shapes.load(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_two_workers_may_draw_the_scenes_at_once(tmp_path, monkeypatch):
    scene = shapes.scene

    def meanwhile(seed, index):
        if not (tmp_path / "shapes").exists() and index == 0:
            monkeypatch.setattr(shapes, "scene", scene)
            shapes.write(tmp_path / "shapes", train=1, val=1)
        return scene(seed, index)

    monkeypatch.setattr(shapes, "scene", meanwhile)
    shapes.write(tmp_path / "shapes", train=1, val=1)
    assert len(shapes.load(tmp_path)["train"]) == 1
    assert [one.name for one in tmp_path.iterdir()] == ["shapes"]


def test_a_list_that_is_no_text_is_told(folder):
    (folder / "ImageSets/Segmentation/train.txt").write_bytes("café\n".encode("latin1"))
    with pytest.raises(
        data.DataError, match=r"train\.txt: cannot be read as text .* have one name a line\."
    ):
        read(folder)


@pytest.mark.parametrize("name", ["coins", "shapes", "voc"])
def test_it_is_what_is_known_before_it_is_read(folder, name):
    shapes.write(folder / "shapes", train=1, val=1)
    assert_known(name, folder, background=0)
