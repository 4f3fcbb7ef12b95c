"""The benchmark of the exports asks every form for the same, and writes only what passed."""

import contextlib
import json
import re
import xml.etree.ElementTree as ElementTree

import keras
import numpy as np
import pytest

from benchmarks import answers, contestants, exports, plot, random_nets
from exports.formats.saved_model import save
from exports.graph.signatures import signatures
from exports.runtimes import process
from tests.support.toys import TOYS, build_toy, toy_images

IMAGES = toy_images("unet", 2).astype(np.uint8)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(random_nets.NARROW, "unet", TOYS["unet"].options)
        return contestants.write(build_toy("unet"), folder, images=IMAGES)


def test_every_contestant_gives_the_classes_of_the_model(files):
    expected = np.asarray(build_toy("unet")(IMAGES.astype("float32"))).argmax(-1)
    assert len(np.unique(expected)) == 4
    with contextlib.ExitStack() as stack:
        asks = {
            name: stack.enter_context(contestants.loaded(name, files))
            for name in contestants.CONTESTANTS
            if name not in contestants.SIGNATURES
        }
        served = stack.enter_context(process.loaded(files.served))  # one process for all four
        asks |= {name: contestants.answered_by(name, served) for name in contestants.SIGNATURES}
        assert set(asks) == set(contestants.CONTESTANTS)
        for name, ask in asks.items():
            class_map, seconds, peak = ask(IMAGES)
            same = np.mean(class_map == expected)
            assert same > (0.7 if name == "TFLite int8" else 0.9999), name
            assert 0 < seconds < 60
            assert peak > 20e6


def test_several_classes_win_in_a_model_that_is_timed():
    for name in ("fcn8s", "unet"):
        image = toy_images(name, 1)
        with pytest.MonkeyPatch.context() as patched:
            patched.setitem(random_nets.NARROW, name, TOYS[name].options)
            model = random_nets.build(name, full=False, image=image)
        classes = np.asarray(model(image)).argmax(-1)
        assert len(np.unique(classes)) > 1


@pytest.fixture
def stand_ins(monkeypatch):
    """Contestants that answer at once; what they say can be changed."""
    said = {name: (np.zeros((1, 100, 100), np.uint8), 2.0, 5e6) for name in contestants.CONTESTANTS}
    asked = []

    class Loaded:
        def __init__(self, name, files):
            self.name = name

        def __enter__(self):
            def ask(images):
                asked.append(self.name)
                return said[self.name]

            return ask

        def __exit__(self, *error):
            pass

    monkeypatch.setattr(contestants, "loaded", Loaded)
    return said, asked


def test_all_have_turns_in_random_order_after_one_that_does_not_count(stand_ins, files):
    said, asked = stand_ins
    said["serving_default"] = said["serving_default"][0], 3.0, 7e6
    result = exports.measured(files, IMAGES[:1], 6)
    count = len(contestants.CONTESTANTS)
    assert asked[:count] == list(contestants.CONTESTANTS)
    turns = [tuple(asked[start : start + count]) for start in range(count, 8 * count, count)]
    assert {tuple(sorted(turn)) for turn in turns} == {tuple(sorted(contestants.CONTESTANTS))}
    assert len(set(turns)) > 1
    pair = ["bare graph", "serving_default", "serving_default", "bare graph"]
    assert asked[8 * count :] == pair * 7
    assert (result.ratio, result.seconds["scores"], result.peak["serving_default"]) == (1.5, 2, 7e6)


def test_what_does_not_fit_into_the_memory_takes_turns_alone(stand_ins, files, monkeypatch, capsys):
    monkeypatch.setattr(exports, "available", lambda: int(5e6 * len(contestants.CONTESTANTS)))
    exports.measured(files, IMAGES[:1], 3)
    alone = [name for name in contestants.CONTESTANTS for _ in range(4)]
    assert stand_ins[1][len(contestants.CONTESTANTS) :][: len(alone)] == alone
    assert "They do not fit into the memory together" in capsys.readouterr().err


def test_other_classes_are_not_timed(stand_ins, files):
    said, asked = stand_ins
    wrong = np.zeros((1, 100, 100), np.uint8)
    wrong[0, :11, 0] = 1
    said["mask_png"] = wrong, 2.0, 5e6
    text = "unet, mask_png: 99.890% of the pixels have the class of Keras"
    with pytest.raises(exports.DifferenceError, match=re.escape(text)):
        exports.measured(files, IMAGES[:1], 3)
    assert len(asked) == contestants.CONTESTANTS.index("mask_png") + 1
    wrong[0, 0, 0] = 0  # 0.1 % are ties
    assert exports.measured(files, IMAGES[:1], 3).ratio == 1


def result(ratio: float) -> exports.Result:
    seconds = dict.fromkeys(contestants.CONTESTANTS, 0.1234)
    return exports.Result("unet", 4, seconds, dict.fromkeys(seconds, 56_700_000), ratio)


SIZES = answers.Sizes("9 × 9 pixels, 2 classes", 99, 10_000, [("mask_png", 1234, 5678)])


@pytest.fixture
def main(monkeypatch, tmp_path):
    """The program without what takes long; the results and the bytes are given."""
    document = tmp_path / "docs" / "exports.md"
    document.parent.mkdir()
    document.write_text("before")
    monkeypatch.setattr(exports, "DOCUMENT", document)
    monkeypatch.setattr(exports, "PLOT", document.with_suffix(".svg"))
    monkeypatch.setattr(exports, "SIZE", (9, 12))
    monkeypatch.setattr(exports, "NARROW", {"unet": TOYS["unet"].options})
    monkeypatch.setattr(random_nets, "build", lambda *_, **__: None)
    monkeypatch.setattr(contestants, "write", lambda *_, **__: None)
    monkeypatch.setattr(exports, "swept", lambda *_: "<svg/>")

    def run(*arguments: str, ratio: float = 1.05, sizes=SIZES) -> tuple[int, str]:
        monkeypatch.setattr(exports, "measured", lambda *_: result(ratio))
        monkeypatch.setattr(answers, "of_demonstration", lambda workdir: sizes)
        return exports.main(list(arguments)), document.read_text()

    return run


def test_what_passed_is_written(main, capsys):
    code, document = main()
    assert code == 0
    assert f"| unet | 4 |{' 123 |' * len(contestants.CONTESTANTS)} 1.050 |" in document
    assert f"| unet | 4 |{' 57 |' * len(contestants.CONTESTANTS)}" in document
    assert "| mask_png | 1,234 | 5,678 |" in document
    assert "9 × 9 pixels, 2 classes" in document
    assert exports.PLOT.read_text() == "<svg/>"
    assert "| mask_png | 1,234 | 5,678 |" in capsys.readouterr().out


def test_what_is_slower_or_larger_is_not_written(main, capsys):
    assert main(ratio=1.051) == (1, "before")
    said = capsys.readouterr().err
    assert "serving_default takes too long compared with the bare graph: unet, 4: 1.051" in said
    assert main(sizes=answers.Sizes("", 101, 10_000, [])) == (1, "before")
    assert "The PNG has 101 bytes, the probabilities 10000." in capsys.readouterr().err
    assert not exports.PLOT.exists()


def test_a_part_is_only_printed(main, capsys):
    assert main("--models", "unet") == (0, "before")
    assert main("--full") == (0, "before")
    assert "| unet | 4 | 123 |" in capsys.readouterr().out


def test_a_median_of_few_is_refused(main, capsys):
    with pytest.raises(SystemExit):
        main("--repeats", "2")
    assert "the median needs 3 turns or more; received --repeats 2" in capsys.readouterr().err


def test_without_the_demonstration_it_says_what_to_run(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(exports, "DOCUMENT", tmp_path / "exports.md")
    assert exports.main(["--demonstration", str(tmp_path)]) == 1
    text = f"holds no export of it. Run python -m recipes.demonstration --workdir {tmp_path}"
    assert text in capsys.readouterr().err


def test_the_bytes_of_the_demonstrations_answers(tmp_path):
    keras.utils.set_random_seed(2)
    image = keras.Input((None, None, 1), name="image")
    scores = keras.layers.Conv2D(2, 3, padding="same")(image)
    (tmp_path / "served" / "unet" / "10").mkdir(parents=True)
    (tmp_path / "served" / "unet" / "9").mkdir()
    model = keras.Model(image, scores, name="unet")
    save(model, signatures(model), tmp_path / "served" / "unet" / "10")
    sizes = answers.of_demonstration(tmp_path)
    assert sizes.photograph == "303 × 384 pixels, 2 classes"
    assert sizes.probabilities == 303 * 384 * 2 * 4
    grpc = {name: in_grpc for name, in_grpc, _ in sizes.rows}
    rest = {name: in_rest for name, _, in_rest in sizes.rows}
    assert sizes.png < grpc["mask_png"] < sizes.png + 100
    assert rest["mask_png"] > sizes.png * 4 // 3
    assert 303 * 384 < grpc["serving_default"] < 303 * 384 + 100
    assert rest["serving_default"] > 2 * 303 * 384
    assert sizes.probabilities < grpc["scores"] < sizes.probabilities + 100
    assert rest["scores"] > sizes.probabilities


def test_the_bytes_of_json_have_the_digits_that_a_number_needs():
    outputs = {"x": np.array([[0.1, 1 / 3]], np.float32)}
    text = json.dumps({"predictions": [[0.1, 0.33333334]]}, separators=(",", ":"))
    assert answers.rest_bytes(outputs) == len(text)


def test_the_plot_is_a_picture_of_its_points():
    lines = {"a": [(1, 10), (4, 40), (16, 90)], "b & c": [(1, 20), (4, 20)]}
    panels = {"left|x": lines, "right|x": lines}
    drawn = plot.svg(panels, y_label="milliseconds")
    assert plot.svg(panels, y_label="milliseconds") == drawn
    root = ElementTree.fromstring(drawn)
    space = "{http://www.w3.org/2000/svg}"
    texts = {text.text for text in root.iter(f"{space}text")}
    assert {"left", "right", "x", "milliseconds", "a", "b & c", "1", "4", "16"} <= texts
    paths = [path.get("d") for path in root.iter(f"{space}path") if path.get("clip-path")]
    points = [re.findall(r"[ML] (\S+) (\S+)", path) for path in paths]
    rising = [[float(y) for _, y in line] for line in points if len(line) == 3]
    assert len(rising) == 2  # one in each panel; y grows downwards
    assert all(first > second > third for first, second, third in rising)


def test_the_document_has_every_model_within_the_ratio():
    text = exports.DOCUMENT.read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\w+) \| (\d+) \|.* (\d\.\d{3}) \|$", text, re.MULTILINE)
    assert [(name, int(batch)) for name, batch, _ in rows] == [
        (name, batch) for name in random_nets.NARROW for batch in exports.BATCHES
    ]
    assert all(float(ratio) <= exports.MOST_RATIO for *_, ratio in rows)
    assert exports.PLOT.name in text
    assert exports.PLOT.stat().st_size < 200_000
    assert ElementTree.parse(exports.PLOT).getroot().tag.endswith("svg")
