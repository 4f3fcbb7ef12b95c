"""SIFT Flow in its own layout: numbers become classes, and each bad file is named."""

import numpy as np
import pytest
import scipy.io
from PIL import Image

import zoo.metrics
from recipes import data, scoring
from recipes.data.verify import examine
from recipes.evaluation.table import as_table
from tests.support.data_sets import assert_known

OUTDOOR = "spatial_envelope_256x256_static_8outdoorcategories"
TRAINVAL = ("coast_natu975", "street_urb885", "forest_nat717")
TEST = ("highway_gre37",)


def semantic():
    label = np.zeros((256, 256), np.uint8)
    label[:100], label[100:200], label[200:, :9] = 28, 1, 33  # sky, awning, window
    return label


def geometric():
    label = np.full((256, 256), -1, np.int16)
    label[:100], label[100:200], label[200:, :9] = 1, 2, 3
    return label


@pytest.fixture
def folder(tmp_path):
    for part in ("Images", "SemanticLabels", "GeoLabels"):
        (tmp_path / part / OUTDOOR).mkdir(parents=True)
    # As the lists of the FCN authors: the last line may have no end.
    (tmp_path / "trainval.txt").write_text("\n".join(TRAINVAL) + "\n")
    (tmp_path / "test.txt").write_text("\n".join(TEST))
    for name in TRAINVAL + TEST:
        image(tmp_path, name)
        save(tmp_path, "SemanticLabels", name, semantic())
        save(tmp_path, "GeoLabels", name, geometric().astype(float))
    return tmp_path


def image(folder, name, size=(256, 256)):
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "Images" / OUTDOOR / f"{name}.jpg")


def save(folder, labels, name, label, variable="S"):
    file = folder / labels / OUTDOOR / f"{name}.mat"
    names = np.array([["sky"], ["tree"]], object)
    scipy.io.savemat(file, {variable: label, "names": names}, do_compression=True)
    return file


def problem(folder, name="sift_flow"):
    with pytest.raises(data.DataError) as error:
        examine(data.load(name, folder)["train"])
    return str(error.value)


def test_semantic_numbers_are_one_more_than_the_classes(folder):
    splits = data.load("sift_flow", folder)
    assert {split: len(dataset) for split, dataset in splits.items()} == {"train": 3, "val": 1}
    train = splits["train"]
    assert train.files[1] == tuple(
        str(folder / part / OUTDOOR / f"street_urb885.{ending}")
        for part, ending in (("Images", "jpg"), ("SemanticLabels", "mat"))
    )
    assert len(train.class_names) == 33
    picture, label = train.example(0)
    assert picture.shape == (256, 256, 3)
    assert picture.dtype == label.dtype == np.uint8
    np.testing.assert_array_equal(label, semantic() - np.uint8(1))  # 0 becomes 255
    pixels = dict(zip(train.class_names, examine(train).pixels, strict=True))
    assert {name: n for name, n in pixels.items() if n} == {
        "awning": 3 * 25600,  # 1
        "sky": 3 * 25600,  # 28
        "window": 3 * 56 * 9,  # 33
    }


def test_geometric_numbers_begin_with_minus_one(folder):
    save(folder, "GeoLabels", TRAINVAL[1], np.zeros((256, 256)))  # 0 is no class either
    splits = data.load("sift_flow_geometric", folder)
    train = splits["train"]
    assert train.name == "sift_flow_geometric"
    assert train.class_names == ("sky", "horizontal", "vertical")
    np.testing.assert_array_equal(examine(train).pixels, [2 * 25600, 2 * 25600, 2 * 56 * 9])
    _, label = train.example(0)
    np.testing.assert_array_equal(label, np.where(geometric() < 1, 255, geometric() - 1))
    assert (train.example(1)[1] == 255).all()


def test_each_bad_label_is_named_with_its_reason(folder):
    label = semantic()
    label[0, 0], label[1, 1] = 34, 200
    outside = save(folder, "SemanticLabels", TRAINVAL[0], label)
    missing = folder / "SemanticLabels" / OUTDOOR / f"{TRAINVAL[1]}.mat"
    missing.unlink()
    short = folder / "SemanticLabels" / OUTDOOR / f"{TRAINVAL[2]}.mat"
    short.write_bytes(short.read_bytes()[:-50])
    text = problem(folder)
    assert text.startswith("3 of the 3 examples of sift_flow (train) cannot be used:")
    assert (
        f"{outside}: a label holds the numbers 0 to 33; it holds 34, 200 too. Replace it." in text
    )
    assert f"{missing}: there is no such file. Add it, or take it off the list." in text
    assert f"{short}: cannot be read as a MATLAB file (" in text


def test_each_bad_geometric_label_is_named_with_its_reason(folder):
    for name, label in zip(TRAINVAL, (-2, 4, 0.5), strict=True):
        save(folder, "GeoLabels", name, np.full((256, 256), label, float))
    text = problem(folder, "sift_flow_geometric")
    for name, number in zip(TRAINVAL, ("-2", "4"), strict=False):
        assert (
            f"{folder}/GeoLabels/{OUTDOOR}/{name}.mat: a label holds the numbers -1 to 3; it "
            f"holds {number} too. Replace it." in text
        )
    assert f"{TRAINVAL[2]}.mat: a label is the matrix 'S', of whole numbers; it holds 0.5." in text


def test_images_and_sizes_and_empty_files(folder):
    (folder / "Images" / OUTDOOR / f"{TRAINVAL[0]}.jpg").write_bytes(b"")
    image(folder, TRAINVAL[1], (256, 255))
    save(folder, "SemanticLabels", TRAINVAL[2], semantic(), variable="labels")
    text = problem(folder)
    assert f"{TRAINVAL[0]}.jpg: cannot be read as an image" in text
    assert f"{TRAINVAL[1]}.mat: a label has its image's size; it is 256×256 and" in text
    assert f"{TRAINVAL[2]}.mat: a label is the matrix 'S', of whole numbers; it holds" in text
    (folder / "SemanticLabels" / OUTDOOR / f"{TRAINVAL[1]}.mat").write_bytes(b"")
    assert f"{TRAINVAL[1]}.mat: cannot be read as a MATLAB file (it is empty)" in problem(folder)


def test_a_missing_list_is_named_with_the_folder_it_wants(folder):
    with pytest.raises(data.DataError) as error:
        data.load("sift_flow", folder / "Images")
    assert str(error.value) == (
        f"{folder}/Images/trainval.txt: there is no such file. Pass the folder that holds Images, "
        "SemanticLabels, GeoLabels, trainval.txt and test.txt as the data folder."
    )
    (folder / "test.txt").write_text("\n")
    with pytest.raises(
        data.DataError, match=r"test\.txt: a list has at least one line; it is empty"
    ):
        data.load("sift_flow_geometric", folder)
    (folder / "test.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(data.DataError, match=r"test\.txt: cannot be read as text"):
        data.load("sift_flow", folder)


@pytest.mark.parametrize("name", ["sift_flow", "sift_flow_geometric"])
def test_it_is_what_is_known_before_it_is_read(folder, name):
    assert_known(name, folder, background=None)


def test_a_class_that_no_test_image_shows_is_left_out_of_the_mean_though_it_is_predicted(folder):
    splits = data.load("sift_flow", folder)
    names = splits["val"].class_names
    assert [names[number] for number in splits["val"].unscored] == ["cow", "desert", "moon"]
    assert splits["train"].unscored == ()
    cow, moon, sky = (names.index(name) for name in ("cow", "moon", "sky"))

    def predict(image):
        """All is right, but for some cow where there is awning, and moon where there is sky."""
        truth = splits["val"].example(0)[1]
        class_map = np.where(truth == 255, 0, truth)
        class_map[150, :8], class_map[50, :4] = cow, moon
        return class_map

    found = scoring.measure(predict, splits["val"])
    awning, seen = 25600, 25600
    expected = [(awning - 8) / awning, (seen - 4) / seen, 1.0]  # awning, sky, window
    assert found["mean_iou"] == pytest.approx(np.mean(expected))
    assert np.isnan(found["iou_per_class"][[cow, moon]]).all()
    assert found["iou_per_class"][sky] == pytest.approx((seen - 4) / seen)
    matrix = scoring.confusion_matrix(predict, splits["val"])
    assert scoring.left_out(matrix, splits["val"]) == ("cow", "desert", "moon")
    by_the_authors_script = zoo.metrics.scores(matrix)
    assert by_the_authors_script["mean_iou"] == pytest.approx(np.sum(expected) / 5)
    for name in ("pixel_accuracy", "mean_accuracy", "frequency_weighted_iou"):
        assert found[name] == by_the_authors_script[name]
    table = as_table({"net": found}, names, left_out=scoring.left_out(matrix, splits["val"]))
    assert table.endswith(
        "\nmean_iou leaves out cow, desert, moon: no label of the split shows them"
    )


def test_a_test_image_that_shows_a_cow_counts_it(folder):
    splits = data.load("sift_flow", folder)
    cow = splits["val"].class_names.index("cow")
    label = semantic()
    label[200:, 9:] = cow + 1
    save(folder, "SemanticLabels", TEST[0], label)
    matrix = scoring.confusion_matrix(lambda image: np.zeros((256, 256), np.uint8), splits["val"])
    assert scoring.left_out(matrix, splits["val"]) == ("desert", "moon")
    assert scoring.scores(matrix, splits["val"])["iou_per_class"][cow] == 0


def test_the_geometric_labels_are_those_of_another_head(folder):
    splits, alone = (data.load(name, folder) for name in ("sift_flow", "sift_flow_geometric"))
    for split, dataset in splits.items():
        assert list(dataset.other_heads) == ["geometric"]
        other = dataset.other_heads["geometric"]
        assert (other.name, other.files) == ("sift_flow_geometric", alone[split].files)
        assert [image for image, _ in other.files] == [image for image, _ in dataset.files]
        np.testing.assert_array_equal(other.example(0)[1], alone[split].example(0)[1])
        assert dataset.with_heads(()).other_heads == {}
