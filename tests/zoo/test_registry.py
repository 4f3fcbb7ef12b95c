"""Names, cards, options, and the `zoo` command."""

import pytest

import zoo
from zoo import registry
from zoo.__main__ import main

NAMES = ["deconvnet", "fcn16s", "fcn32s", "fcn8s", "fcn8s_atonce", "fcn_alexnet", "unet"]


def test_names_and_patterns():
    assert zoo.list_models() == NAMES
    assert zoo.list_models("fcn?s*") == ["fcn8s", "fcn8s_atonce"]
    assert zoo.list_models("x*") == []


@pytest.mark.parametrize("name", NAMES)
def test_the_card_describes_the_builder(name):
    card = zoo.describe(name)
    assert card.name == name
    assert card.classes == card.options["classes"]
    assert card.year == 2015
    assert "arXiv:" in card.paper
    assert card.summary.endswith(".")


def test_an_unknown_name_gets_near_matches():
    with pytest.raises(ValueError, match=r"no model is called 'fcn-8s'. Did you mean 'fcn8s'"):
        zoo.build("fcn-8s")
    with pytest.raises(ValueError, match="The zoo has deconvnet, fcn16s"):
        zoo.describe("resnet")


def test_an_unknown_option_gets_the_options():
    with pytest.raises(TypeError, match=r"unet has no option 'class'.*classes=2, weights=None"):
        zoo.build("unet", **{"class": 3})


@pytest.mark.parametrize("classes", [0, 1, 256, 2.0, True, "21", None])
@pytest.mark.parametrize("name", ["unet", "fcn8s", "fcn_alexnet", "deconvnet"])
def test_wrong_class_counts(name, classes):
    with pytest.raises(ValueError, match=r"a whole number from 2 to 255.*received.*Pass"):
        zoo.build(name, classes=classes)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fcn8s", {"channels": 4}, "channels is 3 for RGB images or 1 for grey ones; received 4"),
        ("fcn8s", {"trunk": "vgg13"}, "trunk is one of vgg16, vgg19; received 'vgg13'"),
        ("fcn8s", {"stages": (4, 4)}, r"widths of the trunk's five stages.*received \(4, 4\)"),
        ("fcn8s", {"head": 0}, "head is a whole number of at least 1; received 0"),
        ("unet", {"border": "same"}, r"'mirror' .any image size. or 'valid'.*received 'same'"),
        ("unet", {"definition": "caffe"}, r"'paper' .Figure 1. or 'release'.*received 'caffe'"),
        ("fcn8s", {"upsampling": "free"}, r"'fixed' .*or 'learned' .*received 'free'. Pass"),
        ("unet", {"depth": 0}, "depth is a whole number of at least 1; received 0"),
        ("unet", {"dropout": 1.0}, "from 0 up to 1; received 1.0"),
    ],
)
def test_wrong_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        zoo.build(name, **options)


def test_every_builder_has_one_card_and_every_card_a_builder():
    names = [card.name for card in registry.CARDS]
    assert len(names) == len(set(names))
    assert sorted(zoo.models.__all__) == sorted(names)
    for name in names:
        assert zoo.describe(name).builder is getattr(zoo.models, name)


def test_the_command_lists_and_shows(capsys):
    assert main(["list", "fcn*s"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == NAMES[1:4]
    assert main(["show", "fcn8s"]) == 0
    shown = capsys.readouterr().out
    assert "parameters       134,362,751" in shown
    assert "trunk='vgg16'" in shown


def test_the_command_says_what_is_wrong(capsys):
    assert main(["show", "fcn9s"]) == 2
    assert "Did you mean 'fcn8s'" in capsys.readouterr().err
    assert main(["list", "vgg*"]) == 2
    assert "no model matches 'vgg*'" in capsys.readouterr().err
