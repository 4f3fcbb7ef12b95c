"""Names, cards, options, and the `zoo` command."""

import re
import tracemalloc

import numpy as np
import pytest

import zoo
from tests.support.toys import ALL_TOYS, CLASSIFIERS
from zoo import registry
from zoo.__main__ import main
from zoo.models.options import checked

LESSON = ["encoder_decoder", "fullres"]
SEGMENTING = [
    *("deconvnet", "fcn16s", "fcn16s_two_heads", "fcn32s", "fcn32s_early_fusion"),
    *("fcn32s_late_fusion", "fcn32s_two_heads", "fcn8s", "fcn8s_atonce", "fcn8s_two_heads"),
    *("fcn_alexnet", "fcn_googlenet", "segnet", "unet", "unet_vgg16"),
    *LESSON,
]
NAMES = sorted([*SEGMENTING, *CLASSIFIERS])
YEARS = {"caffenet_heatmap": 2014, "unet_vgg16": 2018}
YEARS |= dict.fromkeys(("segnet", *LESSON), 2017)


def test_names_and_patterns():
    assert zoo.list_models() == NAMES
    assert zoo.list_models("fcn?s*") == ["fcn8s", "fcn8s_atonce", "fcn8s_two_heads"]
    assert zoo.list_models("x*") == []


@pytest.mark.parametrize("name", NAMES)
def test_the_card_describes_the_builder(name):
    card = zoo.describe(name)
    assert card.name == name
    assert card.classes == card.options["classes"]
    assert card.year == YEARS.get(name, 2015)
    assert card.task == ("classification" if name in CLASSIFIERS else "segmentation")
    assert ("CS231n" if name in LESSON else "arXiv:") in card.paper
    assert card.summary.endswith(".")


def test_an_unknown_name_gets_near_matches():
    with pytest.raises(ValueError, match=r"no model is called 'fcn-8s'. Did you mean 'fcn8s'"):
        zoo.build("fcn-8s")
    with pytest.raises(
        ValueError, match="The zoo has caffenet_heatmap, deconvnet, encoder_decoder, fcn16s"
    ):
        zoo.describe("resnet")


def test_an_unknown_option_gets_the_options():
    with pytest.raises(TypeError, match=r"unet has no option 'class'.*classes=2, weights=None"):
        zoo.build("unet", **{"class": 3})


@pytest.mark.parametrize("classes", [0, 1, 256, 2.0, True, "21", None])
@pytest.mark.parametrize("name", ["unet", "fcn8s", "fcn_alexnet", "deconvnet"])
def test_wrong_class_counts(name, classes):
    with pytest.raises(ValueError, match=r"a whole number from 2 to 255.*received.*Pass"):
        zoo.build(name, classes=classes)


@pytest.mark.parametrize("classes", [0, 1, 1001, 2.0, True, "21", None])
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_wrong_class_counts_of_a_classifier(name, classes):
    message = r"a whole number from 2 to 1000; received .*\. Pass the number .*such as 1000"
    with pytest.raises(ValueError, match=message):
        zoo.build(name, classes=classes)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("fcn8s", {"channels": 0}, "at least 1 and at most 1000; received 0. Pass channels=3"),
        ("unet", {"channels": 2.5}, "channels is a whole number .*; received 2.5"),
        ("fcn8s", {"trunk": "vgg13"}, "'vgg16' .*'vgg19' .*; received 'vgg13'. Pass trunk='vgg16'"),
        ("fcn8s", {"trunk": ["vgg16"]}, r"'vgg19' .*; received \['vgg16'\]"),
        ("fcn8s", {"stages": 5}, r"widths of the trunk's five stages.*received 5"),
        ("deconvnet", {"stages": (4, 4, 4, 4, True)}, r"five stages.*received \(4, 4, 4, 4, True"),
        ("fcn_alexnet", {"stages": (4, 4, 5, 4, 4)}, r"are even.*received \(4, 4, 5.*Pass even"),
        (
            "deconvnet",
            {"mean": 3},
            "mean holds a number .*; received 3 for 3 channels. Pass mean=.1",
        ),
        ("fcn8s", {"mean": (1, 2, float("nan"))}, r"received \(1, 2, nan\) for 3 channels"),
        ("fcn8s", {"mean": (1, 2, 3), "channels": 5}, r"received \(1, 2, 3\) for 5 channels"),
        ("fcn8s", {"channel_order": (0, 1, 1)}, r"once, .*; received \(0, 1, 1\) for channels=3"),
        ("fcn8s", {"channel_order": "bgr"}, r"received 'bgr' .* Pass \(0, 1, 2\)"),
        ("fcn8s", {"stages": (4, 4)}, r"widths of the trunk's five stages.*received \(4, 4\)"),
        (
            "fcn8s_two_heads",
            {"geometric_classes": 1},
            "geometric_classes is a whole number from 2 to 255, .*; received 1. Pass the number of "
            "classes of your labels, such as geometric_classes=21",
        ),
        (
            "fcn32s_late_fusion",
            {"hha_channels": 0},
            "hha_channels is a whole number of at least 1 and at most 1000; received 0. "
            "Pass hha_channels=3",
        ),
        (
            "fcn32s_late_fusion",
            {"hha_mean": (1, 2)},
            r"hha_mean holds a number .*; received \(1, 2\) for 3 channels. Pass hha_mean=\(114.5,",
        ),
        (
            "fcn32s_early_fusion",
            {"mean": (1, 2, 3)},
            r"received \(1, 2, 3\) for 4 channels. Pass mean=\(114.5, 114.5, 114.5, …\)",
        ),
        ("fcn_googlenet", {"final_pooling": "max"}, "'average' .*'none' .*; received 'max'. Pass"),
        ("fcn_googlenet", {"filters": 0}, "filters is a whole number of at least 1; received 0"),
        ("fcn8s", {"fc_filters": 0}, "fc_filters is a whole number of at least 1; received 0"),
        (
            "unet",
            {"border": "zero"},
            r"'mirror' .any image size., 'valid' .*, or 'same' .*received 'zero'. Pass border='mir",
        ),
        (
            "unet",
            {"batch_norm": 1},
            "batch_norm is True or False; received 1. Pass batch_norm=True",
        ),
        ("unet_vgg16", {"stages": (4, 4)}, r"widths of the trunk's five stages.*received \(4, 4\)"),
        ("unet", {"definition": "caffe"}, r"'paper' .Figure 1. or 'release'.*received 'caffe'"),
        ("fcn8s", {"upsampling": "free"}, r"'fixed' .*or 'learned' .*received 'free'. Pass"),
        ("unet", {"depth": 0}, "depth is a whole number of at least 1; received 0"),
        ("unet", {"dropout": 1.0}, "from 0 up to 1; received 1.0"),
        ("unet", {"dropout": float("nan")}, "from 0 up to 1; received nan"),
        ("unet", {"dropout": None}, "from 0 up to 1; received None"),
    ],
)
def test_wrong_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        zoo.build(name, **options)


def test_numbers_of_numpy_and_lists_are_options():
    """What comes out of an array, a configuration or a Spec."""
    model = zoo.build(
        "deconvnet",
        classes=np.int64(3),
        channels=np.uint8(4),
        stages=np.array([2, 2, 2, 2, 2]),
        fc_filters=np.array(2),
        mean=np.float32([1, 2, 3, 4.5]),
        channel_order=[3, 2, 1, 0],
    )
    options = model.spec.options
    assert (options["classes"], options["stages"], options["fc_filters"]) == (3, [2] * 5, 2)
    assert (options["mean"], options["channel_order"]) == ([1, 2, 3, 4.5], [3, 2, 1, 0])
    assert zoo.build("unet", filters=np.int16(2), dropout=np.float32(0.5)).spec.channels == 3


@pytest.mark.parametrize(
    ("name", "options", "named"),
    [
        ("fcn32s", {"stages": (64, 128, 256, 512, 10**6)}, "stages=(64, 128, 256, 512, 1000000)"),
        ("fcn_alexnet", {"fc_filters": 60_000}, "fc_filters=60000"),
        ("deconvnet", {"fc_filters": 10**30}, "up to more than can be counted"),
        ("unet", {"filters": 10**5}, "filters=100000, depth=4"),
        ("unet", {"depth": 10**12}, "filters=64, depth=1000000000000"),
        ("fcn_googlenet", {"filters": 1000}, "channels=3, filters=1000"),
        ("fcn32s_late_fusion", {"fc_filters": 30_000}, "fc_filters=30000"),
    ],
)
def test_a_model_that_asks_for_all_memory_is_refused_before_it_is_built(name, options, named):
    tracemalloc.start()
    try:
        with pytest.raises(
            ValueError, match=r"at most 1,073,741,824 parameters.*Pass smaller"
        ) as e:
            zoo.build(name, **options)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()
    assert named in str(e.value)


@pytest.mark.parametrize("name", NAMES)
def test_the_bound_on_the_parameters_is_near_their_count(name):
    card = zoo.describe(name)
    at_most = card.builder.parameters_at_most
    bound = at_most(checked(card.options, most_classes=card.classes))
    assert card.parameters <= bound < 3 * card.parameters
    toy = zoo.build(name, **ALL_TOYS[name].options, channels=7)
    assert toy.count_params() <= 1.2 * at_most(toy.spec.options)


def test_every_builder_has_one_card_and_every_card_a_builder():
    names = [card.name for card in registry.CARDS]
    assert len(names) == len(set(names))
    assert sorted(zoo.models.__all__) == sorted(names)
    for name in names:
        assert zoo.describe(name).builder is getattr(zoo.models, name)


def test_the_command_lists_and_shows(capsys):
    assert main(["list", "fcn*[0-9]s"]) == 0
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == ["fcn16s", "fcn32s", "fcn8s"]
    assert main(["show", "fcn8s"]) == 0
    shown = capsys.readouterr().out
    assert "parameters       134,362,751" in shown
    assert "trunk='vgg16'" in shown
    assert not re.search("^(heads|inputs|last channel|takes)", shown, re.M)  # it has one of each
    assert main(["show", "fcn8s_two_heads"]) == 0
    assert "heads            semantic, geometric\n" in capsys.readouterr().out
    assert main(["show", "fcn32s_late_fusion"]) == 0
    assert "inputs           color, hha\n" in capsys.readouterr().out
    assert main(["show", "fcn32s_early_fusion"]) == 0
    assert "last channel     the natural logarithm of the depth" in capsys.readouterr().out


def test_the_command_says_what_is_wrong(capsys):
    assert main(["show", "fcn9s"]) == 2
    assert "Did you mean 'fcn8s'" in capsys.readouterr().err
    assert main(["list", "res*"]) == 2
    assert "no model matches 'res*'" in capsys.readouterr().err
