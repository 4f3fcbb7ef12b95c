"""Heat maps: the probabilities of classes by their names, a coarse grid scaled to the image."""

import numpy as np
import pytest
from PIL import Image

import zoo
from tests.support.toys import build_toy, scores_of, toy_images
from zoo.class_names import CLASS_NAMES
from zoo.inference import scorers
from zoo.inference.heatmaps import find, heatmaps, sheet

NAMES = ("tabby, tabby cat", "tiger cat", "Persian cat", "dog")


@pytest.fixture
def classifier():
    model = build_toy("vgg16_heatmap")
    kernel, bias = model.get_layer("fc8").get_weights()
    model.get_layer("fc8").set_weights([kernel / 50, bias / 50])  # nearly even probabilities
    model.spec = model.spec.replace(class_names=NAMES)
    return model


def softmax(scores: np.ndarray) -> np.ndarray:
    shares = np.exp(scores.astype(float))
    return shares / shares.sum(-1, keepdims=True)


def at(grid: np.ndarray, row: float, column: float) -> float:
    """A grid's value between its cells, by the definition: the weighted mean of the four around."""
    row, column = (
        min(max(place, 0), last - 1) for place, last in zip((row, column), grid.shape, strict=True)
    )
    total = 0.0
    for i in range(grid.shape[0]):
        for j in range(grid.shape[1]):
            total += max(0, 1 - abs(row - i)) * max(0, 1 - abs(column - j)) * grid[i, j]
    return total


@pytest.mark.parametrize("size", [(300, 390), (224, 260), (90, 290), (1, 1)])
def test_a_grid_is_scaled_between_the_middles_of_its_windows(size, classifier):
    image = toy_images("vgg16_heatmap", 1, size)
    maps = heatmaps(classifier, image[0], ["tiger cat", "tabby"])
    assert maps.shape == (*size, 2)
    assert maps.dtype == np.float32
    grid = softmax(scores_of(classifier, image)[0])
    rng = np.random.default_rng(0)
    for place, number in enumerate((1, 0)):
        for y, x in [(0, 0), (size[0] - 1, size[1] - 1)] + [tuple(rng.integers(0, size))] * 9:
            # The first window ends at pixel 223, so that its middle is 111.5; the next is 32 on.
            expected = at(grid[..., number], (y - 111.5) / 32, (x - 111.5) / 32)
            assert maps[y, x, place] == pytest.approx(expected, rel=1e-4)
    if size == (300, 390):
        assert np.ptp(maps[..., 0]) > 0.01


def test_caffenets_windows_have_another_middle():
    model = build_toy("caffenet_heatmap")
    kernel, bias = model.get_layer("fc8").get_weights()
    model.get_layer("fc8").set_weights([kernel / 50, bias / 50])
    image = toy_images("caffenet_heatmap", 1)
    grid = softmax(scores_of(model, image)[0])
    found = heatmaps(model, image[0], ["class 2"])[..., 0]
    assert found[113, 113 + 64] == pytest.approx(grid[0, 2, 2], rel=1e-4)
    assert found[113, 113 + 16] == pytest.approx(grid[0, :2, 2].mean(), rel=1e-4)


def test_of_a_net_for_class_maps_they_are_its_probabilities():
    model = build_toy("unet")
    image = toy_images("unet", 1)
    expected = softmax(scores_of(model, image)[0])
    for source in (model, scorers.scorer(model), scorers.scorer(model, scores=True)):
        maps = heatmaps(source, image[0], ["class 3", "class 0"])
        np.testing.assert_allclose(maps, expected[..., [3, 0]], atol=1e-5)


def test_the_papers_tabby_cat_is_asked_for_by_one_word():
    names = CLASS_NAMES["imagenet"]
    assert names[find(["tabby"], names)[0]] == "tabby, tabby cat"
    assert names[find(["Tabby Cat"], names)[0]] == "tabby, tabby cat"
    assert names[find(["tiger"], names)[0]] == "tiger, Panthera tigris"
    assert names[find(["crane (machine)"], names)[0]] == "crane (machine)"
    assert find(["chihuahua", "goldfish"], names) == [151, 1]
    assert find(names, names) == list(range(1000))


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("panda", r"'panda' is in 'lesser panda, .*' and|'panda' is in 'lesser panda, red panda"),
        ("crane", r"'crane' is in 'crane \(bird\)', 'crane \(machine\)'\. Pass one of them whole"),
        ("terrier", r"'terrier' is in '.*' and \d+ more\. Pass one of them whole"),
        ("tabbi", r"no class is called 'tabbi'\. Did you mean 'tabby, tabby cat'"),
        ("xqzw", r"no class is called 'xqzw'\. There are 'tench, .* …\. Pass one of the names"),
        ("", r"no class is called ''\. There are 'tench"),
    ],
)
def test_a_class_that_is_unknown_or_several(asked, message):
    rule = "A class is asked for by its name, or by a word that it alone has; "
    with pytest.raises(ValueError, match=rule + message):
        find(["tench", asked], CLASS_NAMES["imagenet"])


@pytest.mark.parametrize("classes", [[], "dog"])
def test_classes_are_a_list(classes, classifier):
    with pytest.raises(ValueError, match=r"of a list of classes; received .* Pass \['dog'\]"):
        heatmaps(classifier, toy_images("unet", 1)[0], classes)


def test_an_image_of_other_channels_is_refused(classifier):
    with pytest.raises(ValueError, match=r"the 3 channels .*received \[9, 9, 1\]\. .*channels=3\)"):
        heatmaps(classifier, np.zeros((9, 9, 1)), ["dog"])


def test_a_sheet_shows_each_class_where_it_is():
    image = np.full((60, 90, 3), 128, np.uint8)
    maps = np.zeros((60, 90, 2), np.float32)
    maps[:, :45, 0] = 0.3
    drawn = sheet(image, maps, ["left, sinister", "nowhere"])
    assert isinstance(drawn, Image.Image)
    pixels = np.asarray(drawn).astype(int)
    row = pixels[100]  # through the three pictures
    thirds = [row[14 + 294 * n : 14 + 294 * n + 280] for n in range(3)]
    assert (thirds[0] == 128).all()
    assert thirds[1][:130].mean() > thirds[1][150:].mean() + 20
    assert np.ptp(thirds[2], axis=0).max() == 0
    np.testing.assert_array_equal(thirds[2][0], thirds[1][-1])  # one scale for all


@pytest.mark.parametrize("size", [(1, 1), (3, 700), (900, 4), (500, 500)])
@pytest.mark.parametrize("channels", [1, 3, 5])
def test_a_sheet_of_any_image(size, channels):
    image = np.zeros((*size, channels), np.uint8)
    name = "дракон " * 9 + "x" * 90
    drawn = sheet(image, np.stack([np.ones(size), np.zeros(size)], -1), [name, "b"])
    assert max(drawn.size) < 1200


def test_a_spec_without_names_has_numbers(classifier):
    classifier.spec = zoo.Spec("vgg16_heatmap", classifier.spec.options)
    assert heatmaps(classifier, toy_images("unet", 1)[0], ["class 1"]).shape == (33, 50, 1)
