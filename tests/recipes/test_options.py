"""A recipe is data: its fields are the command line, and its values are checked."""

import dataclasses
import json
import re
import shlex

import pytest

import zoo
from recipes import data, options, runs, scoring
from recipes.training.recipe import Recipe, difference, read, toy
from tests.support import scene_files

RECIPE = Recipe(
    name="any_unet",
    model="unet",
    data="isbi",
    steps=10,
    batch_size=4,
    crop=32,
    learning_rate=1e-3,
    augment=("flip",),
)


@pytest.fixture(autouse=True)
def any_run(monkeypatch):
    """`zoo train any_unet` has this recipe."""
    find = runs.find
    monkeypatch.setattr(runs, "find", lambda name: RECIPE if name == RECIPE.name else find(name))
    monkeypatch.setattr(runs, "card", lambda name: "The card\nin two lines.")


def parse(words, name=RECIPE.name):
    return options.command(options.parse([name, *words] if name else words))


def recorded(recipe):
    """The recipe as recipe.json gives it back."""
    return json.loads(json.dumps(dataclasses.asdict(recipe)))


def test_every_field_is_an_option_and_its_value_the_default():
    assert parse(["--workdir", "w"]).recipe == RECIPE
    weights = ",".join(["1", *["2.5"] * 20])
    words = (
        '--workdir w --data-dir d --strategy one --model fcn8s --options {"stages":[1,2]} '
        "--data sbd --channels 3 --fold 2/5 --steps 3 --batch-size 2 --crop 16 --no-context "
        "--augment flip,turn --accumulate 5 "
        "--optimizer sgd --learning-rate 0.5 --momentum 0.8 --biases doubled "
        "--weight-decay 0.1 "
        f"--encoder-weights imagenet --loss focal --class-weights {weights} --weight-map "
        "--loss-sampling 0.5 --jit --schedule step --step-size 9 --reduction sum --precision "
        "mixed_bfloat16 --seed 7 --no-deterministic --log-every 1 --save-every 2 "
        "--validate-every 3 --patience 4 --best-by mean_accuracy"
    )
    command = parse(words.split())
    assert (str(command.workdir), str(command.data_dir), command.strategy) == ("w", "d", "one")
    assert command.recipe == Recipe(
        name="any_unet",
        model="fcn8s",
        options={"stages": [1, 2]},
        data="sbd",
        channels=3,
        fold="2/5",
        steps=3,
        batch_size=2,
        crop=16,
        context=False,
        augment=("flip", "turn"),
        accumulate=5,
        optimizer="sgd",
        learning_rate=0.5,
        momentum=0.8,
        biases="doubled",
        weight_decay=0.1,
        encoder_weights="imagenet",
        loss="focal",
        class_weights=(1, *[2.5] * 20),
        weight_map=True,
        loss_sampling=0.5,
        schedule="step",
        step_size=9,
        reduction="sum",
        precision="mixed_bfloat16",
        jit=True,
        seed=7,
        deterministic=False,
        log_every=1,
        save_every=2,
        validate_every=3,
        patience=4,
        best_by="mean_accuracy",
    )
    words = ["--workdir", "w", "--sync-batch-norm"]
    assert parse(words).recipe == dataclasses.replace(RECIPE, sync_batch_norm=True)
    words = ["--workdir", "w", "--recompute"]
    assert parse(words).recipe == dataclasses.replace(RECIPE, recompute=True)
    words = ["--workdir", "w", "--no-fast"]
    assert parse(words).recipe == dataclasses.replace(RECIPE, fast=False)
    # Each field was given another value above: none is missing from the command line.
    for field in dataclasses.fields(Recipe):
        if field.name not in ("name", "sync_batch_norm", "fast", "recompute"):
            assert getattr(command.recipe, field.name) != getattr(RECIPE, field.name), field.name


def test_help_shows_the_card_and_each_field():
    assert options.parse(["any_unet", "--help"]).help
    out = options.help_text("any_unet")
    assert "The card\nin two lines." in out
    assert "--batch-size SIZE" in out
    assert "images of one batch, over all replicas (default: 4)" in out
    for field in dataclasses.fields(Recipe):
        assert field.name == "name" or field.metadata["help"].split()[0] in out


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": 0}, "--steps is at least 1; received 0. Pass --steps 1."),
        ({"batch_size": -2}, "--batch-size is at least 1; received -2. Pass --batch-size 1."),
        (
            {"augment": ("flip", "spin")},
            "--augment takes scale, shift, rotate, elastic, flip, turn, light, colour; received "
            "'spin'. Pass one of these.",
        ),
        (
            {"augment": ("flip", "color", "ligth")},
            "received 'color'. Pass --augment flip,colour,light.",
        ),
        (
            {"schedule": "linear"},
            "--schedule takes constant, cosine, polynomial, step; received 'linear'",
        ),
        ({"schedule": "step"}, "received --schedule step --step-size 0. Pass both, or neither."),
        ({"step_size": 5}, "received --schedule constant --step-size 5. Pass both, or neither."),
        ({"weight_decay": 0.1}, "received --weight-decay 0.1. Pass --optimizer adamw."),
        ({"biases": "doubled"}, "--biases doubled is a rule of sgd; received --optimizer adam."),
        ({"accumulate": 0}, "--accumulate is at least 1; received 0. Pass --accumulate 1."),
        (
            {"precision": "float16"},
            "--precision takes float32, mixed_bfloat16, mixed_float16; received 'float16'",
        ),
        ({"learning_rate": 0.0}, "--learning-rate is above 0; received 0.0"),
        ({"learning_rate": float("nan")}, "--learning-rate is above 0; received nan"),
        ({"seed": 2**32}, "--seed is at most 4294967295; received 4294967296. Pass --seed 42949"),
        ({"momentum": 1.5}, "--momentum is at most 1; received 1.5. Pass --momentum 1."),
        ({"loss_sampling": 0}, "--loss-sampling is above 0 and at most 1; received 0. Pass --loss"),
        (
            {"class_weights": "balance"},
            "--class-weights are numbers, or balanced; received 'balance'. Pass --class-weights ba",
        ),
        ({"fold": "6/5"}, "and K is 1 to N; received '6/5'. Pass --fold 5/5."),
        ({"class_weights": (1, -1)}, "--class-weights are finite numbers from 0; received 1,-1."),
        ({"loss": "dice", "weight_map": True}, "and no --reduction sum; received one of them."),
        ({"jit": True, "sync_batch_norm": True}, "received both. Leave one out."),
        ({"jit": True, "recompute": True}, "received --jit and --recompute. Leave one out."),
        ({"jit": True}, "received --jit and --deterministic, which is the default. Add --no-det"),
        ({"patience": 2}, "--validate-every makes them; received --patience 2 --validate-every 0."),
        ({"best_by": "iou"}, "--best-by takes pixel_accuracy, mean_accuracy, mean_iou, frequency_"),
        ({"options": [1]}, "--options takes a JSON object; received [1]"),
        (
            {"crop": 0},
            "--crop 0 needs batches of one image; received --batch-size 4. Pass --batch-size 1, "
            "with --accumulate for more images in a step, or a size as --crop.",
        ),
        (
            {"crop": 0, "data": "camvid", "augment": ("flip", "scale")},
            "The whole images of a batch have one size, and --augment scale changes it; received "
            "--crop 0 --batch-size 4. Leave scale out of --augment, or pass a size as --crop.",
        ),
    ],
)
def test_bad_values_are_errors_whose_remedy_works(change, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        dataclasses.replace(RECIPE, **change)
    advised = r"(?:Pass|Add) (--[a-z-]+(?: (?:'.*?'|\S+?))?)(?=\.$|\. |, | to )"
    for words in re.findall(advised, str(error.value))[:1]:
        given = options.parse(["any_unet", "--workdir", "w", *shlex.split(words)])
        names = {field.name for field in dataclasses.fields(Recipe)} - {"name"}
        better = {name: value for name, value in vars(given).items() if name in names}
        dataclasses.replace(RECIPE, **change | better)


def test_options_that_are_not_json_are_an_error(capsys):
    with pytest.raises(SystemExit):
        parse(["--workdir", "w", "--options", "depth=3"])
    assert "takes a JSON object; received 'depth=3'. Pass, for example" in capsys.readouterr().err


def test_a_toy_is_small_and_the_command_line_may_change_it(monkeypatch):
    recipe = dataclasses.replace(RECIPE, model="fcn8s", encoder_weights="x", accumulate=9)
    monkeypatch.setattr(runs, "find", lambda name: recipe)
    small = parse(["--workdir", "w", "--toy", "--steps", "3"]).recipe
    assert (small.steps, small.accumulate, small.encoder_weights) == (3, 2, "")
    assert zoo.build("fcn8s", classes=2, **small.options).count_params() < 100_000


def test_a_number_of_steps_to_stop_after_is_at_least_one(capsys):
    assert parse(["--workdir", "w", "--limit-steps", "7"]).limit_steps == 7
    with pytest.raises(SystemExit):
        parse(["--workdir", "w", "--limit-steps", "0"])
    assert "takes a whole number from 1; received '0'" in capsys.readouterr().err


def test_epochs_become_steps(tmp_path, capsys):
    scene_files.write(tmp_path, "camvid")  # three training images
    words = ["--workdir", "w", "--data", "camvid", "--data-dir", str(tmp_path), "--batch-size", "2"]
    assert parse([*words, "--epochs", "4"]).recipe.steps == 8
    assert "4 epochs of 3 examples, 2 images a step: 8 steps\n" in capsys.readouterr().out
    assert parse([*words, "--epochs", "1", "--accumulate", "2"]).recipe.steps == 1
    assert parse([*words, "--epochs", "5", "--batch-size", "1"]).recipe.steps == 15
    folded = parse([*words, "--epochs", "7", "--batch-size", "1", "--fold", "1/2"]).recipe
    assert folded.steps == 7 * len(data.load("camvid", tmp_path, fold="1/2")["train"])
    with pytest.raises(ValueError, match=r"received --steps 3 and --epochs 4\. Leave one out\."):
        parse([*words, "--epochs", "4", "--steps", "3"])
    with pytest.raises(ValueError, match=r"new/data/train\.txt: there is no such file"):
        parse(["--workdir", str(tmp_path / "new"), "--data", "camvid", "--epochs", "4"])
    with pytest.raises(SystemExit):
        parse([*words, "--epochs", "0"])
    assert "takes a whole number from 1; received '0'" in capsys.readouterr().err


def test_the_best_weights_may_be_chosen_by_each_score():
    (field,) = (field for field in dataclasses.fields(Recipe) if field.name == "best_by")
    assert field.metadata["choices"] == scoring.SCORES


def test_a_recipe_is_read_back_as_it_was_written():
    recipe = dataclasses.replace(RECIPE, class_weights=(1.0, 2.0), options={"filters": 4})
    assert read(recorded(recipe)) == recipe
    balanced = dataclasses.replace(RECIPE, class_weights="balanced")
    assert read(recorded(balanced)) == balanced
    assert "with --class-weights 1.0,2.0, and this command has --class-weights balanced" in (
        difference(balanced, recorded(dataclasses.replace(RECIPE, class_weights=(1.0, 2.0))))
    )


def test_class_weights_are_numbers_or_balanced(capsys):
    words = ["--workdir", "w", "--class-weights"]
    assert parse([*words, "1,2.5"]).recipe.class_weights == (1.0, 2.5)
    assert parse([*words, "balanced"]).recipe.class_weights == "balanced"
    with pytest.raises(SystemExit):
        parse([*words, "balance"])
    assert (
        "takes numbers separated by commas, or balanced; received 'balance'. Pass, for example, 1,"
        in capsys.readouterr().err
    )


def test_a_run_goes_on_with_its_own_recipe_only():
    assert difference(RECIPE, recorded(RECIPE)) is None
    assert (
        difference(dataclasses.replace(RECIPE, save_every=1, log_every=9), recorded(RECIPE)) is None
    )
    other = dataclasses.replace(RECIPE, augment=("flip", "light"))
    assert difference(other, recorded(RECIPE)) == (
        "it was started with --augment flip, and this command has --augment flip,light"
    )
    other = dataclasses.replace(RECIPE, options={"depth": 2})
    assert "with --options '{}', and this command has --options '{\"depth\": 2}'" in difference(
        other, recorded(RECIPE)
    )


def test_only_a_constant_rate_goes_on_to_more_steps():
    more, fewer = (dataclasses.replace(RECIPE, steps=steps) for steps in (20, 5))
    assert difference(more, recorded(RECIPE)) is None
    assert "--steps 10, and this command has --steps 5" in difference(fewer, recorded(RECIPE))
    cosine = dataclasses.replace(RECIPE, schedule="cosine")
    assert "only a constant learning rate allows more steps" in difference(
        dataclasses.replace(cosine, steps=20), recorded(cosine)
    )


def test_a_default_can_be_typed_as_it_is_shown(monkeypatch):
    recipe = dataclasses.replace(RECIPE, class_weights=(1, 2), encoder_weights="x", model="unet")
    monkeypatch.setattr(runs, "find", lambda name: recipe)
    words = ["--workdir", "w", "--class-weights", "none", "--augment", "none"]
    changed = parse([*words, "--encoder-weights", "none"]).recipe
    assert (changed.class_weights, changed.augment, changed.encoder_weights) == ((), (), "")
    out = " ".join(options.help_text("any_unet").split())
    assert "separated by commas (default: 1,2)" in out
    monkeypatch.setattr(runs, "find", lambda name: changed)
    out = " ".join(options.help_text("any_unet").split())
    for text in ("a net on the same trunk", "random changes, separated by commas", "in the loss,"):
        assert "(default: none)" in out.partition(text)[2][:40]


def test_a_run_of_an_earlier_version_is_resumed_as_it_was():
    """It read images as they are stored, mirrored crops, and knew no fast forms."""
    later = ("channels", "fold", "context", "fast", "recompute", "patience", "best_by")
    earlier = {name: value for name, value in recorded(RECIPE).items() if name not in later}
    assert read(earlier) == dataclasses.replace(RECIPE, context=False, fast=False)
    assert difference(read(earlier), earlier) is None
    other = dataclasses.replace(RECIPE, data="folder", channels=3)
    assert "--channels 0, and this command has --channels 3" in difference(
        other, earlier | {"data": "folder"}
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data": "cats"}, "--data takes camvid, coins, folder, isbi, "),
        ({"data": "coins", "weight_map": True}, "the labels of --data coins hold classes only. P"),
        (
            {"class_weights": (1, 2, 3)},
            "Each of the 2 classes of --data isbi has a weight; received 3 --class-weights. Give "
            "one for each, in the order that zoo verify isbi DIR shows, or balanced.",
        ),
        (
            {"options": {"channels": 3}},
            "The channels follow from --data isbi; received them in --options too. Leave them out.",
        ),
        ({"options": {"border": "valid"}}, "'mirror' takes the same weights."),
        (
            {"encoder_weights": "imagenet"},
            "--encoder-weights imagenet is for images with 3 channels; those of --data isbi have "
            "1. Pass --encoder-weights none.",
        ),
    ],
)
def test_what_is_known_of_the_data_is_checked_before_they_are_read(changes, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        dataclasses.replace(RECIPE, **changes)


def test_of_a_folder_nothing_is_known_before_it_is_read():
    recipe = dataclasses.replace(
        RECIPE, data="folder", class_weights=(1, 2, 3), encoder_weights="imagenet"
    )
    assert recipe.class_weights == (1, 2, 3)


def begun(workdir, recipe, **recorded):
    """What a run leaves that was stopped."""
    (workdir / "checkpoints").mkdir(parents=True)
    (workdir / "checkpoints/ckpt-3.index").touch()
    contents = {"recipe": dataclasses.asdict(recipe), **recorded}
    (workdir / "recipe.json").write_text(json.dumps(contents))
    return ["--workdir", str(workdir)]


def test_a_workdir_is_enough_to_resume(tmp_path):
    recipe = dataclasses.replace(toy(RECIPE), seed=5)
    words = begun(tmp_path / "run", recipe, data_dir="/data/isbi")
    for name in (None, "any_unet"):
        command = parse(words, name)
        assert (command.recipe, str(command.data_dir)) == (recipe, "/data/isbi")
    command = parse([*words, "--save-every", "7", "--data-dir", "moved", "--toy"], None)
    assert command.recipe == dataclasses.replace(recipe, save_every=7)
    assert str(command.data_dir) == "moved"
    # What changes the run is refused where the two are compared.
    assert difference(parse([*words, "--seed", "6"], None).recipe, recorded(recipe)) == (
        "it was started with --seed 5, and this command has --seed 6"
    )


def test_another_run_is_not_resumed(tmp_path):
    words = begun(tmp_path / "run", RECIPE)
    with pytest.raises(
        ValueError, match=r"holds the run any_unet; received the name coins_unet\. L"
    ):
        parse(words, "coins_unet")
    with pytest.raises(ValueError, match=r"holds a run that was started without --toy\. Leave --t"):
        parse([*words, "--toy"], None)
    with pytest.raises(ValueError, match=r"zoo train --workdir resumes a run; .*/new holds none."):
        parse(["--workdir", str(tmp_path / "new")], None)
    contents = {"recipe": {"name": "any_unet", "model": "unet", "data": "coins", "colour": 3}}
    (tmp_path / "run/recipe.json").write_text(json.dumps(contents))
    with pytest.raises(ValueError, match=r"written by another version .*differ in .*colour"):
        parse(words, None)


@pytest.mark.parametrize(
    "entry",
    [
        {"steps": "5"},
        {"seed": True},
        {"learning_rate": None},
        {"jit": 1},
        {"biases": []},
        {"augment": "flip"},
        {"class_weights": [1, "2"]},
        {"options": [3]},
    ],
)
def test_a_recorded_value_of_another_type_is_damage(tmp_path, entry):
    words = begun(tmp_path / "run", RECIPE)
    contents = {"recipe": dataclasses.asdict(RECIPE) | entry}
    (tmp_path / "run/recipe.json").write_text(json.dumps(contents))
    ((name, value),) = entry.items()
    message = f"recipe in recipe.json is damaged ({name} is {value!r}). Pass a new folder as --work"
    with pytest.raises(ValueError, match=re.escape(message)):
        parse(words, None)


def test_a_run_that_never_began_can_be_changed(tmp_path):
    words = begun(tmp_path / "run", dataclasses.replace(RECIPE, seed=3))
    (tmp_path / "run/checkpoints/ckpt-3.index").unlink()
    assert parse(words).recipe == RECIPE
    assert parse(words, None).recipe.seed == 3


@pytest.mark.parametrize(
    ("words", "name"), [(["coins_unet"], "coins_unet"), (["--steps", "5"], "NAME")]
)
def test_a_run_has_a_folder(words, name, capsys):
    with pytest.raises(SystemExit):
        options.parse(words)
    assert capsys.readouterr().err == (
        f"zoo train: a run has a folder: zoo train {name} --workdir runs/{name}\n"
        "Run zoo train --help for its options.\n"
    )
