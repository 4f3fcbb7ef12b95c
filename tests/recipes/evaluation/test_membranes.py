"""Scores of cells that membranes separate, against a double that looks at every pair of pixels."""

import json
import sys

import numpy as np
import pytest
from PIL import Image
from skimage import metrics

import zoo
from recipes import command
from recipes.evaluation import membranes


def double(truth, segments):
    """The share of pairs that both hold for one cell, as an F-score, by the definition."""
    pixels = [place for place in np.ndindex(truth.shape) if truth[place]]
    both = in_truth = in_answer = 0
    for one in pixels:
        for other in pixels:
            same_truth = truth[one] == truth[other]
            # A pixel of membrane is a cell of its own.
            same_answer = one == other or (segments[one] == segments[other] > 0)
            both += same_truth and same_answer
            in_truth += same_truth
            in_answer += same_answer
    precision, recall = both / in_answer, both / in_truth
    return 2 * precision * recall / (precision + recall)


def cells(*rows):
    """Numbers of cells from text: a digit is a cell, and . is membrane."""
    return np.array([[0 if x == "." else int(x) for x in row] for row in rows])


TRUTH = cells("111.222", "111.222", "111.222", ".......", "3333333")


@pytest.mark.parametrize(
    ("segments", "expected"),
    [
        (TRUTH, 1.0),
        (9 - TRUTH * (TRUTH > 0) - 9 * (TRUTH == 0), 1.0),  # other numbers
        # 9 + 9 pixels of 1 and 2 in one cell: 18² pairs, of which 2 · 9² are true; 7² beside them.
        (np.where(TRUTH == 2, 1, TRUTH), 2 * (162 + 49) / (162 + 49 + 324 + 49)),
        # Cell 3 is cut into 3 and 3 pixels by one of membrane.
        (
            cells("111.222", "111.222", "111.222", ".......", "333.444"),
            2 * (162 + 19) / (162 + 49 + 162 + 19),
        ),
        (0 * TRUTH, 2 * 25 / (162 + 49 + 25)),  # membrane alone
        (0 * TRUTH + 1, 2 * (162 + 49) / (162 + 49 + 625)),  # one cell alone
    ],
)
def test_known_answers(segments, expected):
    assert membranes.v_rand(TRUTH, segments) == pytest.approx(expected)
    assert double(TRUTH, segments) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
def test_any_labels_have_the_score_of_the_definition(seed):
    rng = np.random.default_rng(seed)
    truth, segments = rng.integers(0, 4, (2, 7, 8))
    assert membranes.v_rand(truth, segments) == pytest.approx(double(truth, segments))


def test_thinned_cells_grow_until_one_line_parts_them():
    thick = np.ones((9, 21), bool)
    thick[:, 7:14] = False
    thick[4] = False  # and across
    found = membranes.thinned(thick)
    assert len(np.unique(found)) == 5
    np.testing.assert_array_equal(np.flatnonzero(found[0] == 0), [10])
    np.testing.assert_array_equal(np.flatnonzero(found[:, 0] == 0), [4])
    assert not membranes.thinned(np.zeros((3, 3), bool)).any()


def of_image(label, probability):
    return membranes.of_image(np.asarray(label), np.asarray(probability), cell=1)


def columns(*membrane, size=(9, 21)):
    """A label of which these columns are membrane."""
    label = np.ones(size, np.uint8)
    label[:, list(membrane)] = 0
    return label


def test_the_width_of_membranes_matters_unless_they_are_thinned():
    label, thick = columns(10), columns(8, 9, 10, 11, 12)
    found = membranes.scores([of_image(label, thick.astype(float))])
    assert found["v_rand_thin"] == 1
    assert found["v_rand"] == pytest.approx(
        double((label > 0) * (1 + (np.arange(21) > 10)), (thick > 0) * (1 + (np.arange(21) > 10)))
    )
    assert found["v_rand"] < 1


def test_the_threshold_is_the_best_one_and_the_same_for_all_images():
    label = columns(10)
    faint = np.where(label == 1, 1.0, 0.75)  # parts the cells above 0.75 only
    firm = np.where(label == 1, 0.55, 0.0)  # has no cell above 0.55
    one, two = of_image(label, faint), of_image(label, firm)
    assert (membranes.scores([one])["v_rand_thin"], membranes.scores([two])["v_rand_thin"]) == (
        1,
        1,
    )
    assert membranes.scores([one])["v_rand"] == 1
    both = membranes.scores([one, two])
    merged = double((label > 0) * (1 + (np.arange(21) > 10)), np.ones((9, 21), int))
    assert both["v_rand_thin"] == both["v_rand"] == pytest.approx((1 + merged) / 2)


def test_the_library_scores_the_class_map():
    label, answer = columns(10), columns(10)
    answer[4, 10] = 1  # a gap that merges both cells
    truth = (label > 0) * (1 + (np.arange(21) > 10))
    found = membranes.scores([of_image(label, answer * 0.8)])
    merged = (answer > 0).astype(int)
    assert found["adapted_rand_error"] == metrics.adapted_rand_error(truth, merged)[0]
    assert found["variation_of_information"] == pytest.approx(1)  # which of two halves: one bit
    perfect = membranes.scores([of_image(label, label.astype(float))])
    assert perfect == dict(
        v_rand_thin=1, v_rand=1, adapted_rand_error=0, variation_of_information=0
    )


def test_void_and_images_without_cells_do_not_count():
    label = columns(10)
    label[:3] = 255
    assert membranes.scores([of_image(label, columns(10).astype(float))])["v_rand"] == 1
    assert of_image(columns() * 0, columns().astype(float)) is None
    assert np.isnan([*membranes.scores([]).values()]).all()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    file = tmp_path_factory.mktemp("weights") / "model.weights.h5"
    return zoo.weights.save(zoo.build("unet", classes=2, channels=1, filters=2, depth=1), file)


@pytest.fixture
def words(weights, tmp_path):
    """`zoo evaluate` of a net on a folder of two classes, whose labels are columns."""
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    (tmp_path / "classes.txt").write_text("wall\nroom\n")
    for number in range(3):
        image = np.random.default_rng(number).integers(0, 255, (16, 20), np.uint8)
        Image.fromarray(image).save(tmp_path / f"images/n{number}.png")
        label = columns(6, 13, size=image.shape)
        Image.fromarray(label).save(tmp_path / f"masks/n{number}.png")
    (tmp_path / "val.txt").write_text("n1\nn2\n")
    return [str(weights), "--data", "folder", "--data-dir", str(tmp_path)]


def test_a_folder_of_two_classes_is_scored_by_the_name_of_its_membrane(
    words, weights, tmp_path, capsys
):
    assert command.evaluate([*words, "--membrane", "wall", "--json"]) == 0
    (scores,) = json.loads(capsys.readouterr().out)["scores"].values()
    answer = zoo.inference.scorer(weights)
    images = []
    for number in (1, 2):
        image = np.asarray(Image.open(tmp_path / f"images/n{number}.png"))[..., np.newaxis]
        label = np.asarray(Image.open(tmp_path / f"masks/n{number}.png"))
        images.append(of_image(label, answer(image)[..., 1]))
    expected = membranes.scores(images)
    assert 0 < expected["v_rand"] < 1
    assert {name: scores[name] for name in expected} == pytest.approx(expected, abs=1e-6)
    assert command.evaluate([*words, "--membrane", "wall"]) == 0
    out = capsys.readouterr().out
    assert ["v_rand_thin", f"{scores['v_rand_thin']:.4f}"] in [x.split() for x in out.splitlines()]
    plain = [*words, "--json"]
    assert command.evaluate(plain) == 0
    (without,) = json.loads(capsys.readouterr().out)["scores"].values()
    assert without == {name: value for name, value in scores.items() if name not in expected}


def test_a_membrane_is_one_of_two_classes(words, tmp_path, capsys):
    assert command.evaluate([*words, "--membrane", "walls"]) == 2
    message = "--membrane is one of wall, room; received 'walls'. Pass one of them.\n"
    assert capsys.readouterr().err.endswith(message)
    with pytest.raises(ValueError, match=r"the data set has 3: a, b, c\. Leave it out\."):
        membranes.class_of("a", ("a", "b", "c"))


def test_without_scikit_image_it_says_how_to_install_it(words, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "skimage", None)
    assert command.evaluate([*words, "--membrane", "wall"]) == 2
    err = capsys.readouterr().err
    assert 'need scikit-image, which is not installed. Install it: pip install "segm' in err
