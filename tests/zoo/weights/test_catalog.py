"""The published files: what the records say, and what `zoo weights` tells to do with them."""

import ast
import re
import shlex
import socket
import types

import pytest

import zoo
from tests.support.toys import ALL_TOYS
from zoo.__main__ import main
from zoo.class_names import CLASS_NAMES
from zoo.commands import explain
from zoo.registry import UNPUBLISHED
from zoo.weights import catalog, fetching
from zoo.weights.catalog import RECORDS, records

FILES = {record.file: record for record in RECORDS}
TAKEN = [
    pytest.param(record, model, id=f"{record.file}-{model}")
    for record in RECORDS
    for model in record.takers
]


def test_every_model_has_a_record_and_every_file_one():
    assert len(FILES) == len(RECORDS)
    for name in zoo.list_models():
        published = zoo.describe(name).weights_licence != UNPUBLISHED
        assert any(record.model == name for record in records(name)) == published, name
    assert records() == RECORDS
    assert records("fcn-8s") == ()


@pytest.mark.parametrize("record", RECORDS, ids=FILES)
def test_a_record_is_complete(record):
    assert record.address.endswith(f"/{record.file}")
    assert record.address.startswith(("http://", "https://"))
    assert record.weights.endswith(".caffemodel")
    assert record.licence
    for score in record.scores:
        assert score.on
        assert score.source
        assert all(0 < percent < 100 for percent in score.percent.values())
    if record.hash:
        length = {"sha1": 40, "sha256": 64}[record.hash.algorithm]
        assert re.fullmatch(f"[0-9a-f]{{{length}}}", record.hash.digest)
        assert record.hash.source


@pytest.mark.parametrize("record", RECORDS, ids=FILES)
def test_the_classes_have_names(record):
    if record.data in catalog.UNNAMED:
        assert record.data not in CLASS_NAMES
    else:
        assert record.classes == len(CLASS_NAMES[record.data])


@pytest.mark.parametrize("record", [x for x in RECORDS if x.model], ids=lambda x: x.file)
def test_the_options_build_the_classes(record):
    toy = {k: v for k, v in ALL_TOYS[record.model].options.items() if "classes" not in k}
    model = zoo.build(record.model, **toy | record.options)
    answers = model.output if isinstance(model.output, dict) else {None: model.output}
    assert next(iter(answers.values())).shape[-1] == record.classes
    for head, data in record.other_data.items():
        assert answers[head].shape[-1] == len(CLASS_NAMES[data])
    assert set(record.other_data) == set(list(answers)[1:])


def test_what_the_authors_say():
    def mean_iou(file):
        return [score.percent["mean_iou"] for score in FILES[f"{file}.caffemodel"].scores]

    assert mean_iou("fcn-alexnet-pascal") == [48.0]
    assert mean_iou("fcn32s-heavy-pascal") == [63.6, 63.6261]
    assert mean_iou("fcn16s-heavy-pascal") == [65.0, 65.0050]
    assert mean_iou("fcn8s-heavy-pascal") == [65.5, 67.2, 65.5126]
    assert mean_iou("fcn8s-atonce-pascal") == [65.4, 65.3998]
    assert mean_iou("fcn-8s-pascal") == [62.7]
    # What a second party measured is what the authors print, rounded.
    for record in RECORDS:
        measured = [x.percent["mean_iou"] for x in record.scores if "converted" in x.source]
        for percent in measured:
            assert record.scores[0].percent["mean_iou"] == pytest.approx(percent, abs=0.05)


def test_the_only_sha256_is_a_third_partys():
    strong = [record.hash for record in RECORDS if record.hash and record.hash.algorithm != "sha1"]
    assert [known.source for known in strong] == ["a third party's list, unverified"]


@pytest.mark.parametrize("file", [x.file for x in RECORDS if "postech" in x.address])
def test_deconvnets_licence_is_said(file, capsys):
    assert main(["weights", file]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "licence research use only, by individuals; commercial use and redistribution" in said
    assert "do not pass the file on, converted or not" in said


def commands(said: str) -> list[str]:
    """What `use` tells to run, line by line."""
    return [x.strip() for x in said.splitlines() if x.startswith("    ") and x[4] != " "]


@pytest.mark.parametrize(("record", "model"), TAKEN)
def test_the_commands_are_those_of_the_zoo(record, model, monkeypatch, tmp_path, capsys):
    fetched, used = [], []

    def fetch(name, *, unverified, progress):
        fetched.append((name, unverified))
        return tmp_path / name

    monkeypatch.setattr(fetching, "fetch", fetch)
    fake = types.SimpleNamespace(
        build=lambda name, **options: used.append((name, options)),
        load=lambda path: used.append((path, {})),
    )
    for line in commands(explain(record, model)):
        if line.startswith("zoo fetch"):
            assert main(shlex.split(line)[1:]) == 0
        else:
            eval(compile(ast.parse(line, mode="eval"), "line", "eval"), {"zoo": fake})
    assert fetched == [(record.file, record.hash is None)]
    assert f"licence: {record.licence}\n" in capsys.readouterr().out
    if model == record.model:
        assert used == [(record.weights, {})]
    else:
        assert used == [(model, {"encoder_weights": record.weights})]


@pytest.mark.parametrize("record", [x for x in RECORDS if x.model], ids=lambda x: x.file)
def test_the_spec_is_that_of_the_record(record):
    spec = catalog.spec_of(record)
    assert (spec.model, spec.classes) == (record.model, record.classes)
    assert record.options.items() <= spec.options.items()
    assert set(spec.options) == set(zoo.describe(record.model).options) - {
        *("name", "weights", "encoder_weights")
    }
    assert spec.class_names == CLASS_NAMES.get(record.data)
    assert spec.background == (0 if record.data in ("voc", "pascal_context") else None)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("nyud-fcn32s-color-heavy", {"classes": 40, "mean": [92.318, 97.203, 116.190]}),
        (
            "nyud-fcn32s-hha-heavy",
            {"classes": 40, "mean": [132.431, 94.076, 118.477], "channel_order": [0, 1, 2]},
        ),
        ("siftflow-fcn16s-heavy", {"classes": 33, "mean": [108.353, 115.294, 114.578]}),
        (
            "nyud-fcn32s-color-hha-heavy",
            {
                "classes": 40,
                "mean": [92.318, 97.203, 116.190],
                "hha_mean": [132.431, 94.076, 118.477],
            },
        ),
    ],
)
def test_what_an_image_is_is_in_the_options(file, expected):
    """The authors' data layers, in the order of the image: RGB, and HHA as stored."""
    assert FILES[f"{file}.caffemodel"].options == expected


def test_the_list_fits_a_terminal(capsys, monkeypatch):
    def refuse(*_):
        raise OSError("the list opened a socket")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    assert main(["weights"]) == 0
    said = capsys.readouterr().out
    assert all(len(line) <= 100 for line in said.splitlines())
    for record in RECORDS:
        (line,) = [line for line in said.splitlines() if line.startswith(f"{record.file} ")]
        assert record.data in line
        assert (record.model or ("encoder" if record.encoder_of else "none")) in line.split()
    assert re.search(r"^fcn8s-heavy-pascal\S* +fcn8s +voc +65.5 unrestricted use$", said, re.M)


@pytest.mark.parametrize("name", zoo.list_models())
def test_one_models_files(name, capsys):
    assert main(["weights", name]) == 0
    said = capsys.readouterr().out
    shown = [line for line in said.splitlines() if line in FILES]
    assert shown == [record.file for record in records(name)]
    for record in records(name):
        assert f"  address   {record.address}\n" in said
        assert not record.hash or f"{record.hash.algorithm} {record.hash.digest}\n" in said
    uses = [line for line in commands(said) if line.startswith("zoo.")]
    assert len(uses) == len(shown)
    assert shown or f"No weights of {name} were published" in said
    assert all(line.startswith((f'zoo.build("{name}", ', 'zoo.load("')) for line in uses)
    # An address is never broken, nor a line of Python.
    unbroken = ("://", "zoo.build(")
    lines = [x for x in said.splitlines() if not any(part in x for part in unbroken)]
    assert all(len(line) <= 100 for line in lines)


def test_one_file_of_no_model(capsys):
    assert main(["weights", "bayesian_segnet_camvid.caffemodel"]) == 0
    said = capsys.readouterr().out
    assert "use       no model of the zoo takes it" in said
    assert not commands(said)
    assert main(["weights", "siftflow-fcn8s-heavy.caffemodel"]) == 0
    assert commands(capsys.readouterr().out) == [
        "zoo fetch siftflow-fcn8s-heavy.caffemodel --unverified",
        'zoo.load("siftflow-fcn8s-heavy.caffemodel")',
    ]


def test_an_unknown_model_gets_near_matches(capsys):
    assert main(["weights", "fcn-8s"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert (
        "zoo weights: A model is built by its name in the zoo; no model is called 'fcn-8s'."
        in said.err
    )
    assert "Did you mean 'fcn8s'" in said.err
