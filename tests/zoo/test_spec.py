"""What a trained model is: written into its file, read from it, bounded and compared."""

import json
import shutil

import h5py
import keras
import numpy as np
import pytest

import zoo
from tests.support.toys import TOYS, build_toy
from zoo import spec as specs
from zoo import workdir
from zoo.class_names import CLASS_NAMES
from zoo.models.options import checked
from zoo.spec import MAX_BYTES, Spec
from zoo.weights import hdf5

COINS = Spec("unet", {"classes": 2, "channels": 1}, ("background", "coin"), 0)


@pytest.fixture
def path(tmp_path):
    """The toy of U-Net, saved with class names."""
    model = build_toy("unet")
    spec = model.spec.replace(class_names=("sky", "sea", "sand", "sun"))
    return zoo.weights.save(model, tmp_path / "net.weights.h5", spec=spec)


@pytest.mark.parametrize("name", sorted(TOYS))
def test_a_built_model_says_what_it_is(name):
    model = zoo.build(name, **TOYS[name].options)
    options = zoo.describe(name).options | TOYS[name].options
    for other in ("name", "weights", "encoder_weights"):
        options.pop(other, None)
    means = {"fcn_googlenet": (123, 117, 104), "segnet": (0, 0, 0)}
    mean = {"mean": means[name]} if name in means else {}  # the others have VOC's
    assert model.spec == Spec(name, checked(options, **mean))
    assert None not in model.spec.options.values()
    assert model.spec.classes == 4
    assert model.spec.channels == 3
    assert model.spec.names == ("class 0", "class 1", "class 2", "class 3")


@pytest.mark.parametrize("name", sorted(TOYS))
def test_a_saved_file_says_what_it_is_and_keras_reads_it(name, tmp_path):
    model = build_toy(name)
    path = zoo.weights.save(model, tmp_path / "net.weights.h5")
    assert zoo.read_spec(path) == model.spec
    again = zoo.load(path)
    plain = zoo.build(name, **TOYS[name].options)
    plain.load_weights(path)
    for ours, theirs, others in zip(model.weights, again.weights, plain.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(ours, others)
    assert again.spec == model.spec


def test_class_names_go_the_whole_way(path, tmp_path):
    model = zoo.load(path)
    assert model.spec.class_names == ("sky", "sea", "sand", "sun")
    again = zoo.weights.save(model, tmp_path / "again.weights.h5")
    assert zoo.read_spec(again).class_names == model.spec.class_names
    built = zoo.build("unet", **TOYS["unet"].options, weights=path)
    assert built.spec == model.spec


@pytest.mark.parametrize("name", CLASS_NAMES)
def test_the_classes_of_every_data_set_fit(name):
    names = CLASS_NAMES[name]
    spec = Spec("fcn8s", {"classes": len(names)}, names)
    assert specs.from_json(spec.to_json(), where="here") == spec


def test_255_classes_in_any_script_fit():
    names = tuple(f"класс номер {number}" for number in range(255))
    spec = Spec("fcn8s", {"classes": 255}, names, colours=((1, 2, 3),) * 255)
    assert specs.from_json(spec.to_json(), where="here") == spec


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model": "../unet"}, "name is that of its builder; received '../unet'"),
        ({"options": {}}, "options holds classes, from 2 to 1000; received None. Pass the number"),
        ({"options": {"classes": True}}, "received True"),
        ({"options": {"classes": 1001}}, "from 2 to 1000; received 1001"),
        ({"options": {"classes": 2, "x": float("nan")}}, "Options are numbers, texts, lists or"),
        ({"options": {"classes": 2, "x": object()}}, "object has no form in JSON"),
        ({"options": {"classes": 2, "a b": 1}}, "Options have names such as classes"),
        ({"options": dict.fromkeys(map(str, range(65)))}, "at most 64 names"),
        ({"class_names": ("one",)}, "Each of the 2 classes has one name; received 1 names"),
        ({"class_names": ("a\x1b[2J", "b")}, r"one printable line .* received 'a\\x1b\[2J'"),
        ({"class_names": (" ", "b")}, "is not empty; received ' '"),
        ({"class_names": ("a" * 129, "b")}, "at most 128 characters; received 129"),
        ({"background": 2}, "from 0 to 1, or None; received 2"),
        ({"background": True}, "a class number or None; received True"),
        ({"colours": ((0, 0, 256), (0, 0, 0))}, "red, green and blue, 0-255, of each of the 2"),
        ({"colours": ((0, 0, 0),)}, "of each of the 2 classes"),
    ],
)
def test_what_is_no_spec(fields, message):
    valid = {"model": "unet", "options": {"classes": 2}}
    with pytest.raises(ValueError, match=message):
        Spec(**valid | fields)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "Expecting value"),
        ("[]", "it is not of format 1"),
        ('{"model": "unet"}', "it is not of format 1"),
        ('{"format": 2, "model": "unet", "options": {"classes": 2}}', "it is not of format 1"),
        ('{"format": 1, "model": "unet"}', "its fields are not background, class_names, "),
        ('{"format": 1, "model": "unet", "options": {}, "code": ""}', "its fields are not"),
        ('{"format": 1, "model": 3, "options": {"classes": 2}}', "received 3"),
        ('{"format": 1, "model": "unet", "options": 3}', "options maps at most"),
        ("[" * 10_000, "recursion|Expecting value"),
        (" " * (MAX_BYTES + 1), f"it is longer than {MAX_BYTES} bytes"),
    ],
)
def test_a_text_that_is_no_spec(text, message):
    with pytest.raises(ValueError, match=message) as refused:
        specs.from_json(text, where="FILE")
    assert "The description of the model in FILE cannot be used (" in str(refused.value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{}", "it is not of format 1"),
        ("x" * (MAX_BYTES + 1), f"no text of at most {MAX_BYTES} bytes|damaged"),
        (np.zeros(3), "has no segmentation_zoo_spec of one line"),
        ("\x1b[2J", "has no segmentation_zoo_spec of one line"),
    ],
)
def test_a_file_with_another_attribute_is_refused(value, message, path):
    path.with_name("net.weights.h5.sha256").unlink()
    with h5py.File(path, "r+") as file:
        del file.attrs[hdf5.SPEC]
        file.attrs[hdf5.SPEC] = value
    for read in (zoo.read_spec, zoo.load):
        with pytest.raises(ValueError, match=message):
            read(path)
    with pytest.raises(ValueError, match=message):
        zoo.build("unet", **TOYS["unet"].options, weights=path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"filters": 8}, r"FILE was saved with filters=4; received filters=8\. Leave filters out"),
        ({"model": "fcn8s"}, "FILE holds the weights of unet; received model 'fcn8s'"),
        (
            {"class_names": list("abcd")},
            "holds the classes sky, sea, sand, sun; received a, b, c, d",
        ),
        ({"checkpoint": "best"}, "A checkpoint belongs to the workdir of a run; FILE is not a fol"),
        ({"colour": 1}, "unet has no option 'colour'"),
    ],
)
def test_what_contradicts_the_file_is_an_error_that_names_both(given, message, path):
    with pytest.raises((ValueError, TypeError), match=message.replace("FILE", str(path))):
        zoo.load(path, **given)


def test_building_with_other_options_than_the_file_is_an_error(path, tmp_path):
    with pytest.raises(ValueError, match="was saved with filters=4; received filters=5"):
        zoo.build("unet", **TOYS["unet"].options | {"filters": 5}, weights=path)
    # Another mean changes no shape: without the comparison the answers would be wrong in silence.
    path = zoo.weights.save(build_toy("fcn8s"), tmp_path / "fcn.weights.h5")
    options = TOYS["fcn8s"].options | {"mean": (1.0, 2.0, 3.0)}
    with pytest.raises(ValueError, match=r"received mean=\[1\.0, 2\.0, 3\.0\]"):
        zoo.build("fcn8s", **options, weights=path)


@pytest.mark.parametrize(
    ("channels", "mean", "order"), [(3, [3.5, 2, 1], [2, 1, 0]), (1, [6.5 / 3], [0])]
)
def test_a_spec_of_the_first_version_is_read(channels, mean, order, tmp_path):
    """Its nets reversed every RGB image, and its `mean_bgr` held blue, green and red."""
    options = TOYS["fcn32s"].options | {"channels": channels, "mean_bgr": [1, 2, 3.5]}
    stored = {"format": 1, "model": "fcn32s", "options": options}
    spec = zoo.spec.from_dict(stored, where="old.weights.h5")
    assert "mean_bgr" not in spec.options
    # The width of fc6 and fc7 had another name.
    before = {"head" if name == "fc_filters" else name: spec.options[name] for name in spec.options}
    assert "head" in before
    assert (
        zoo.spec.from_dict({"format": 1, "model": "fcn32s", "options": before}, where="x") == spec
    )
    model = zoo.build("fcn32s", **spec.options)
    assert (model.spec.options["mean"], model.spec.options["channel_order"]) == (mean, order)
    recipe = {"name": "any", "model": "fcn32s", "data": "any", "options": {"mean_bgr": [1, 2, 3.5]}}
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": recipe, "spec": stored}))
    today = workdir.read_recipe(tmp_path)["recipe"]["options"]
    assert today == {"mean": mean, "channel_order": order}
    recipe["options"] = {"mean_bgr": 5}
    (tmp_path / "recipe.json").write_text(json.dumps({"recipe": recipe}))
    with pytest.raises(ValueError, match=r"recipe\.json is damaged \('int' object is not"):
        workdir.read_recipe(tmp_path)


def test_options_that_change_no_weight_may_differ(path):
    assert zoo.load(path, border="valid").spec.options["border"] == "valid"
    assert zoo.load(path, dropout=0.25).spec.options["dropout"] == 0.25


def test_weights_of_one_border_are_not_those_of_padding_with_zeros(path, tmp_path):
    """The shapes fit, the answers do not: neither way goes unasked."""
    with pytest.raises(ValueError, match=r"with border='mirror'; received border='same'. Leave b"):
        zoo.load(path, border="same")
    same = zoo.weights.save(
        zoo.build("unet", **TOYS["unet"].options, border="same"), tmp_path / "same.weights.h5"
    )
    with pytest.raises(ValueError, match=r"with border='same'; received border='mirror'. Leave b"):
        zoo.load(same, border="mirror")
    assert zoo.load(same).spec.options["border"] == "same"
    # As a start for training they do.
    started = zoo.build("unet", **TOYS["unet"].options, border="same", encoder_weights=path)
    for one, other in zip(started.weights, zoo.load(path).weights, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_file_of_keras_says_nothing_and_can_be_told(path, tmp_path):
    old = tmp_path / "old.weights.h5"
    build_toy("unet").save_weights(old)
    for read in (zoo.read_spec, zoo.load):
        with pytest.raises(
            ValueError, match=r"old\.weights\.h5 does not say which model its weights"
        ):
            read(old)
    options = TOYS["unet"].options
    told = zoo.load(old, model="unet", class_names=["a", "b", "background", "d"], **options)
    assert told.spec.background == 2
    assert told.spec.class_names == ("a", "b", "background", "d")
    assert told.spec.options["filters"] == 4
    built = zoo.build("unet", **options, weights=old)
    for ours, theirs in zip(told.weights, built.weights, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none at .*/none\.weights\.h5\. Check the p"):
        zoo.load(tmp_path / "none.weights.h5")
    with pytest.raises(FileNotFoundError, match=r"Run zoo fetch fcn8s-heavy-pascal\.caf"):
        zoo.read_spec("fcn8s-heavy-pascal.caffemodel")


def test_a_folder_that_is_no_workdir(tmp_path):
    with pytest.raises(ValueError, match=r"with a recipe\.json; .* is another folder"):
        zoo.load(tmp_path)
    (tmp_path / "export.json").write_text("{}")
    with pytest.raises(ValueError, match=r"is an exported model\. Give the workdir or the weights"):
        zoo.load(tmp_path)


def test_weights_that_are_not_finite_are_not_saved(tmp_path):
    model = build_toy("unet")
    model.layers[-2].bias.assign([np.nan, 0, 0, 0])
    with pytest.raises(ValueError, match=r"score/bias holds NaN\. Train"):
        zoo.weights.save(model, tmp_path / "net.weights.h5")
    assert not list(tmp_path.iterdir())


def test_a_model_of_another_source_is_saved_without(tmp_path):
    image = keras.Input((None, None, 3))
    model = keras.Model(image, keras.layers.Conv2D(2, 1)(image))
    path = zoo.weights.save(model, tmp_path / "other.weights.h5")
    assert hdf5.spec_text(path) is None


def test_json_holds_every_field():
    assert json.loads(COINS.to_json()) == {
        "format": 1,
        "model": "unet",
        "options": {"classes": 2, "channels": 1},
        "class_names": ["background", "coin"],
        "background": 0,
        "colours": None,
    }


def test_a_model_may_have_a_name_of_its_own(path, tmp_path):
    for model in (
        zoo.load(path, name="left"),
        zoo.build("unet", **TOYS["unet"].options, name="left", weights=path),
    ):
        assert model.name == "left"
        assert model.spec == zoo.read_spec(path)
        again = zoo.load(zoo.weights.save(model, tmp_path / "left.weights.h5"))
        assert again.name == "unet"
        # As Keras saves it, too.
        model.save_weights(tmp_path / "keras.weights.h5")
        zoo.build("unet", **TOYS["unet"].options, weights=tmp_path / "keras.weights.h5")


def test_filling_a_built_model_with_another_ones_file_is_an_error(path, tmp_path):
    with pytest.raises(ValueError, match="was saved with filters=4; received filters=5"):
        zoo.weights.load(zoo.build("unet", **TOYS["unet"].options | {"filters": 5}), weights=path)
    # The shapes of these two are the same, and their answers are not.
    other = zoo.weights.save(build_toy("fcn8s"), tmp_path / "fcn.weights.h5")
    with pytest.raises(ValueError, match="holds the weights of fcn8s; received model 'fcn8s_ato"):
        zoo.build("fcn8s_atonce", **TOYS["fcn8s"].options, weights=other)


@pytest.mark.parametrize("option", ["weights", "encoder_weights", "name"])
def test_a_spec_names_no_file_to_read(option):
    with pytest.raises(ValueError, match=f"{option} is not one of them"):
        Spec("fcn8s", {"classes": 2, option: "imagenet"})


@pytest.mark.parametrize("option", ["weights", "encoder_weights"])
def test_a_trained_model_takes_no_other_weights(option, path):
    with pytest.raises(ValueError, match=rf"sets every weight; received {option} too\. Leave"):
        zoo.load(path, **{option: path})


@pytest.mark.parametrize("names", ["ab", {"a": 1, "b": 2}, ["same", "same"]])
def test_class_names_are_a_list_of_different_names(names):
    with pytest.raises(ValueError, match=r"class_names is a list|Each class has a name of its own"):
        Spec("unet", {"classes": 2}, names)


def test_names_that_are_too_long_together_are_refused_at_once():
    names = [f"{number} " + "ы" * 95 for number in range(255)]
    with pytest.raises(ValueError, match=r"at most 32768 bytes; this one has \d+\. Shorten the cl"):
        Spec("unet", {"classes": 255}, names)


def test_filling_a_model_gives_it_the_class_names_of_the_file(path):
    model = build_toy("unet")
    model.spec = model.spec.replace(class_names=list("abcd"), background=1)
    zoo.weights.load(model, weights=path)
    assert model.spec == zoo.read_spec(path)


@pytest.mark.parametrize("name", ["a\x1b b", "a" * 65, "", "a/b"])
def test_a_name_that_no_file_could_have_is_refused(name):
    with pytest.raises(ValueError, match="name holds at most 64 letters, digits, and"):
        zoo.build("unet", filters=2, depth=1, name=name)


def test_a_model_named_as_another_is_loaded_by_what_it_is(tmp_path):
    model = zoo.build("fcn8s_atonce", **TOYS["fcn8s_atonce"].options, name="fcn8s")
    again = zoo.load(zoo.weights.save(model, tmp_path / "net.weights.h5"))
    assert again.name == "fcn8s_atonce"
    # A file without a Spec, into a model with a name of its own.
    plain = zoo.build("fcn8s_atonce", **TOYS["fcn8s_atonce"].options)
    plain.save_weights(tmp_path / "k.weights.h5")
    with pytest.raises(ValueError, match="they were saved from fcn8s_atonce") as error:
        zoo.load(tmp_path / "k.weights.h5", model="fcn8s", name="mine", **TOYS["fcn8s"].options)
    # What it advises is an option of every caller.
    assert "encoder_weights" not in str(error.value)
    assert "or --model and --options on the command line." in str(error.value)
    assert zoo.load(tmp_path / "k.weights.h5", model="fcn8s_atonce", **TOYS["fcn8s"].options)


def test_a_file_that_asks_for_all_memory_is_refused(tmp_path):
    spec = Spec("deconvnet", {"classes": 4, "stages": [4, 4, 4, 4, 10**7], "fc_filters": 9})
    path = zoo.weights.save(build_toy("unet"), tmp_path / "net.weights.h5", spec=spec)
    with pytest.raises(ValueError, match=r"at most 1,073,741,824 parameters.*4, 10000000\)"):
        zoo.load(path)


def test_a_disk_without_room_is_noticed_before_writing(path, monkeypatch, tmp_path):
    before = path.read_bytes()
    usage = shutil.disk_usage(tmp_path)._replace(free=40_000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="bytes are needed and 40,000 are free"):
        zoo.weights.save(build_toy("unet"), path)
    assert path.read_bytes() == before
    assert zoo.weights.is_whole(path)


# Nets with several heads.

GEOMETRIC = ("sky", "horizontal", "vertical")
TWO = Spec(
    "fcn8s_two_heads",
    {"classes": 2, "geometric_classes": 3},
    ("land", "sea"),
    head="semantic",
    other_heads={"geometric": specs.Labels(GEOMETRIC, background=0)},
)


def test_each_head_has_a_spec_of_its_own():
    assert TWO.heads == ("semantic", "geometric")
    assert TWO.classes == 2
    semantic, geometric = TWO.of_head("semantic"), TWO.of_head("geometric")
    assert semantic == TWO.replace(other_heads={})
    assert (semantic.heads, semantic.head, semantic.names) == ((), "semantic", ("land", "sea"))
    assert (geometric.head, geometric.classes, geometric.names) == ("geometric", 3, GEOMETRIC)
    assert (geometric.background, semantic.background) == (0, None)
    assert geometric.options == TWO.options


def test_heads_go_into_a_file_and_come_back():
    assert specs.from_dict(json.loads(TWO.to_json()), where="here") == TWO
    plain = Spec("unet", {"classes": 2})
    assert not {"head", "other_heads"} & set(plain.to_dict())  # as earlier versions wrote it


def test_the_channels_of_a_net_of_several_inputs_are_those_of_all():
    assert Spec("x", {"classes": 2, "channels": 3, "hha_channels": 3}).channels == 6
    assert Spec("x", {"classes": 2, "channels": 4}).channels == 4


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"head": None}, "other_heads maps the heads after the first, .* received head=None"),
        ({"other_heads": ["geometric"]}, r"other_heads maps .* received .*\['geometric'\]"),
        ({"other_heads": {"semantic": specs.Labels()}}, "name of its own; received 'semantic' twi"),
        ({"other_heads": {"a b": specs.Labels()}}, "has a name such as semantic; received a b"),
        ({"other_heads": {"depth": specs.Labels()}}, "received no depth_classes."),
        (
            {"other_heads": {"geometric": specs.Labels(("a", "b"))}},
            "Each of the 3 classes has one name; received 2 names",
        ),
        (
            {"other_heads": {"geometric": {"names": ("a", "b", "c")}}},
            "The labels of a head are class_names, background and colours; received .* for geom",
        ),
        ({"other_heads": {"geometric": specs.Labels(background=3)}}, "from 0 to 2, or None; rec"),
    ],
)
def test_wrong_heads(fields, message):
    with pytest.raises(ValueError, match=message):
        TWO.replace(**fields)


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (TWO, "fcn8s_two_heads has the heads semantic, geometric, and received 'both'. Pass one"),
        (COINS, "unet has one head, and received 'both'. Leave the head out."),
    ],
)
def test_a_spec_of_a_head_that_is_not_there(spec, message):
    with pytest.raises(ValueError, match=message):
        spec.of_head("both")
