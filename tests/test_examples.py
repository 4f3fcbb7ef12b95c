"""The examples in the documents and docstrings run, and the commands are ones that there are."""

import contextlib
import doctest
import functools
import importlib
import json
import pathlib
import shutil
import socket
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import exports
import zoo
from tests.support import examples, serving_double
from tests.support.examples import ROOT, Example
from tests.support.toys import ALL_TOYS, TOYS, keras_vgg, toy_images
from zoo.__main__ import main
from zoo.inference.scorers import scorer
from zoo.models.plain import plain
from zoo.weights import catalog, imagenet

DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TUTORIALS = [ROOT / f"docs/tutorials/{name}.md" for name in ("own_data", "phone", "large_images")]
"""Each goes on with the files of those before it."""
SMALL = ("--steps", "40", "--validate-every", "20", "--options", '{"filters": 8, "depth": 1}')
"""The training of a tutorial in a few seconds; the last one of an option counts."""
CHINESE = ROOT / "docs/zh/own_data.md"
MODULES = {"exports": exports, "keras": keras, "np": np, "pathlib": pathlib, "tf": tf, "zoo": zoo}

NOT_RUN = {
    "docs/serving.md, block 1": "asks a server",
    "docs/serving.md, block 2": "is SageMaker's",
    "exports.client.connection.connected": "asks a server",
    "exports.exporting.export": "takes long; the tests of exports do it",
    "exports.reading.read_spec": "takes long; the tests of exports do it",
    "exports.runtimes.tensorflow_c.loaded": "takes long; the tests of exports do it",
    "recipes.data.mat.read_array": "reads a file of SBD",
    "zoo.videos.opened": "reads a video",
    "zoo.weights.caffe.read_caffemodel": "reads a file of the authors",
    "zoo.weights.fetching.module": "downloads",
    "zoo.weights.filling.load": "reads a file of the authors",
}
"""What is only held to the names that there are, and why."""

METHODS = tuple(
    f"zoo.inference.{name}"
    for name in ("augmented", "crf", "ensembles", "probabilities", "proposals", "windows")
)


BUILD, LOAD = zoo.build, zoo.load


@functools.cache
def small(name: str, **options: Any) -> keras.Model:
    """`zoo.build` of a net that is small; all else is as asked."""
    return BUILD(name, **{**ALL_TOYS[name].options, "classes": 21, **options})


def load(path: str, **options: Any) -> keras.Model:
    """`zoo.load`, but for the files of the authors, which hold large nets."""
    record = catalog.by_weights(path)
    if record is None:
        return LOAD(path, **options)
    return plain(small(next(iter(record.takers))), options.get("head"))


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> pathlib.Path:
    """The workdirs that examples name, with weights only."""
    folder = tmp_path_factory.mktemp("runs")
    coins, fcn32s = BUILD("unet", classes=2, filters=16, depth=1), small("fcn32s")
    coins.spec = coins.spec.replace(class_names=("background", "coin"), background=0)
    two_heads = BUILD("fcn8s_two_heads", stages=(4, 6, 8, 8, 8), fc_filters=12)
    models = {"coins": coins, "mine": coins, "voc_fcn32s": fcn32s}
    for run, model in {**models, "sift_flow_fcn8s_two_heads": two_heads}.items():
        workdir = folder / run
        workdir.mkdir()
        zoo.weights.save(model, workdir / "model.weights.h5")
        shutil.copy(workdir / "model.weights.h5", workdir / "best.weights.h5")
        named = {"name": run, "model": model.spec.model, "data": "folder"}
        spec = json.loads(model.spec.to_json())
        recipe = {"recipe": named, "spec": spec, "weights": {"step": 1}}
        (workdir / "recipe.json").write_text(json.dumps(recipe))
    return folder


@pytest.fixture
def folder(runs, tmp_path, monkeypatch):
    """The current folder, which holds `runs`. Nets are small, and there is no network."""

    def refuse(*_: Any) -> None:
        raise OSError("an example opened a socket: add it to NOT_RUN")

    stages, head = (TOYS["fcn32s"].options[name] for name in ("stages", "fc_filters"))
    vgg = dict.fromkeys(imagenet.VGG, lambda weights: keras_vgg(stages, head))
    monkeypatch.setattr(imagenet, "VGG", vgg)
    monkeypatch.setattr(imagenet, "SHAPES", {})
    monkeypatch.setattr(zoo, "build", small)
    monkeypatch.setattr(zoo, "load", load)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    shutil.copytree(runs, tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    for name in ("field.tif", "photograph.jpg", "photographs/street.jpg", "scans/cells.tif"):
        pathlib.Path(name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30)).save(name)


def given(place: str) -> dict[str, Any]:
    """What the text around an example speaks of, by the name that it has there."""
    image = tf.constant(toy_images("unet", 1, (188, 188)))
    pooled, switches = zoo.layers.MaxPoolingWithArgmax()(image)
    names = MODULES | {
        "image": image,
        "images": toy_images("unet"),
        "labels": np.zeros((2, *TOYS["unet"].size), "uint8"),
        "pooled": pooled,
        "switches": switches,
        "pool1": image,
        "role": "of SageMaker",
        "score_fr": image[:, :16, :16],
        "upscore8": tf.zeros((1, 260, 260, 3)),
        "folder": pathlib.Path(),
        "out": pathlib.Path(),
        "picture": Image.new("RGB", (3, 2)),
        "optimizer": "sgd",
        "loss": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    }
    if place.startswith("zoo.metrics"):
        names["model"] = BUILD("unet", **TOYS["unet"].options | {"classes": 21})
    if place.startswith(METHODS):
        answer = scorer(small("unet"))
        names |= dict.fromkeys(("answer", "deconvnet", "fcn8s"), answer)
        names["image"] = toy_images("unet", 1, (60, 80))[0]
    if place.startswith(("zoo.inference.activations", "zoo.inference.heatmaps")):
        names |= {"image": np.zeros((303, 384, 3), "uint8"), "model": LOAD("runs/coins")}
    if place.startswith("zoo.inference.scorers"):
        names |= {"image": np.zeros((30, 40, 3), "uint8"), "model": LOAD("runs/coins")}
    if place.startswith("zoo.inference.predicting"):
        names |= {"image": np.zeros((30, 40, 3), "uint8"), "model": small("unet")}
    if place.startswith(("zoo.anatomy", "zoo.drawing")):
        names["model"] = small("fcn8s")
    if place.startswith(("zoo.inference.tiles", "zoo.inference.strips", "zoo.inference.large")):
        answer = importlib.import_module("zoo.inference.scorers").of_model(small("unet"))
        names |= {"answer": answer, "image": toy_images("unet")[0]}
        names["counting"] = importlib.import_module("zoo.progress").counting
        names["whole"] = np.zeros(TOYS["unet"].size, "uint8")
    if place.startswith("zoo.weights.saving"):
        names["model"] = small("unet")
    if place.startswith(("zoo.pictures", "zoo.class_names")):
        class_map = np.eye(6, dtype="uint8")
        names |= {"class_map": class_map, "image": np.zeros((6, 6, 3), "uint8")}
        names["scores"] = np.eye(2)[class_map][None]
    return names


def blocks() -> list[Example]:
    return [
        Example(f"{module}.{name}", code)
        for module, name, text in examples.docstrings()
        for code in examples.fenced(text, "python")
    ]


def prompts() -> list[Example]:
    found = examples.docstrings()
    return [Example(f"{module}.{name}", text) for module, name, text in found if ">>> " in text]


def names_of(place: str) -> dict[str, Any]:
    """The names of an example: those of its module, and what is given."""
    module = place
    while module and not (ROOT / module.replace(".", "/")).with_suffix(".py").exists():
        if (ROOT / module.replace(".", "/") / "__init__.py").exists():
            break
        module = module.rpartition(".")[0]
    return given(place) | (vars(importlib.import_module(module)) if module else {})


def check_answers(code: str, names: dict[str, Any]) -> None:
    for value, said in examples.answers(code, names):
        assert value == said, f"the example says {said!r}"


@pytest.mark.filterwarnings("ignore:encoder_weights left")  # as README says
@pytest.mark.parametrize(
    "path",
    [path for path in DOCUMENTS if path not in (*TUTORIALS, CHINESE)],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_the_python_of_a_document_runs(path, folder):
    """Its blocks one after the other, as its readers run them."""
    names = given("")
    for example in examples.of_document(path):
        if example.place in NOT_RUN:
            assert not examples.mistakes(example.code, names), example.place
        else:
            check_answers(example.code, names)


@pytest.mark.filterwarnings("ignore:encoder_weights left")  # as README says
@pytest.mark.parametrize("example", blocks(), ids=lambda example: example.place)
def test_the_block_of_a_docstring_runs(example, folder):
    if example.place.startswith("zoo.inference.crf"):
        pytest.importorskip("pydensecrf")
    names = names_of(example.place)
    if example.place in NOT_RUN:
        assert not examples.mistakes(example.code, names)
    else:
        check_answers(example.code, names)


@pytest.mark.parametrize("example", prompts(), ids=lambda example: example.place)
def test_the_prompts_of_a_docstring_answer_what_they_say(example, folder):
    parser, names = doctest.DocTestParser(), names_of(example.place)
    if example.place in NOT_RUN:
        code = "".join(prompt.source for prompt in parser.get_examples(example.code))
        assert not examples.mistakes(code, names)
        return
    test, lines = parser.get_doctest(example.code, names, example.place, None, None), []
    doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(test, out=lines.append)
    assert not lines, "".join(lines)


def test_nothing_is_left_out_that_is_not_there():
    there = {example.place for path in DOCUMENTS for example in examples.of_document(path)}
    there |= {example.place for example in [*blocks(), *prompts()]}
    assert set(NOT_RUN) <= there


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_commands_of_a_document_are_understood(path):
    refused = {
        " ".join(words): why
        for words in examples.commands(path.read_text(encoding="utf-8"))
        if (why := examples.refusal(words))
    }
    assert not refused


def test_the_tutorials_run_from_the_first_line_to_the_last(tmp_path, monkeypatch):
    """As their readers run them, but that training is a toy's, and a stand-in is the server."""
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    for path in TUTORIALS:
        for language, code in examples.steps(path):
            if language == "python":
                check_answers(code, names)
                continue
            for words in examples.lines_of(code):
                run_command(words)
    assert np.asarray(Image.open("masks/photograph-mask.png")).shape == (303, 384)


def run_command(words: list[str]) -> None:
    if words[0] == "docker":
        return
    assert words[0] == "zoo", f"a tutorial has a command that is not run: {words}"
    more = list(SMALL) if words[1] == "train" else []
    with contextlib.ExitStack() as stack:
        if words[1] == "ask":
            place = pathlib.Path("served", "unet", "1")
            model = stack.enter_context(serving_double.served(place, "unet"))
            more = ["--url", stack.enter_context(serving_double.rest(model))]
        assert main([*words[1:], *more]) == 0, words


def test_the_tutorial_in_chinese_has_the_code_of_the_one_in_english():
    assert examples.steps(CHINESE) == examples.steps(TUTORIALS[0])
