"""A recipe is data: its fields are the command line, and its values are checked."""

import dataclasses
import importlib
import json
import re

import pytest
from recipes.training.command import parse

import zoo
from recipes import __main__ as listing
from recipes.training.recipe import Recipe, RecipeError, difference, read, toy

RECIPE = Recipe(
    name="coins_unet",
    model="unet",
    data="coins",
    steps=10,
    batch_size=4,
    crop=32,
    learning_rate=1e-3,
    augment=("flip",),
)


def recorded(recipe):
    """The recipe as recipe.json gives it back."""
    return json.loads(json.dumps(dataclasses.asdict(recipe)))


def test_every_field_is_an_option_and_its_value_the_default():
    assert parse(RECIPE, "", ["--workdir", "w"]).recipe == RECIPE
    words = (
        '--workdir w --data-dir d --strategy one --model fcn8s --options {"stages":[1,2]} '
        "--data shapes --steps 3 --batch-size 2 --crop 16 --augment flip,turn --accumulate 5 "
        "--optimizer sgd --learning-rate 0.5 --momentum 0.8 --biases doubled --weight-decay 0.1 "
        "--encoder-weights imagenet --loss focal --class-weights 1,2.5 --weight-map "
        "--loss-sampling 0.5 --jit --schedule step --step-size 9 --reduction sum --precision "
        "mixed_bfloat16 --seed 7 --no-deterministic --log-every 1 --save-every 2 --validate-every 3"
    )
    command = parse(RECIPE, "", words.split())
    assert (str(command.workdir), str(command.data_dir), command.strategy) == ("w", "d", "one")
    assert command.recipe == Recipe(
        name="coins_unet",
        model="fcn8s",
        options={"stages": [1, 2]},
        data="shapes",
        steps=3,
        batch_size=2,
        crop=16,
        augment=("flip", "turn"),
        accumulate=5,
        optimizer="sgd",
        learning_rate=0.5,
        momentum=0.8,
        biases="doubled",
        weight_decay=0.1,
        encoder_weights="imagenet",
        loss="focal",
        class_weights=(1, 2.5),
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
    )
    words = ["--workdir", "w", "--sync-batch-norm"]
    assert parse(RECIPE, "", words).recipe == dataclasses.replace(RECIPE, sync_batch_norm=True)
    # Each field was given another value above: none is missing from the command line.
    for field in dataclasses.fields(Recipe):
        if field.name not in ("name", "sync_batch_norm"):
            assert getattr(command.recipe, field.name) != getattr(RECIPE, field.name), field.name


def test_help_shows_the_card_and_each_field(capsys):
    with pytest.raises(SystemExit):
        parse(RECIPE, "The card\nin two lines.", ["--help"])
    out = capsys.readouterr().out
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
            "--augment takes scale, elastic, flip, turn, light, colour; received 'spin'. Pass "
            "--augment scale.",
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
        ({"precision": "float16"}, "--precision takes float32, mixed_bfloat16; received 'float16'"),
        ({"learning_rate": 0.0}, "--learning-rate is above 0; received 0.0"),
        ({"learning_rate": float("nan")}, "--learning-rate is above 0; received nan"),
        ({"seed": 2**32}, "--seed is at most 4294967295; received 4294967296. Pass --seed 42949"),
        ({"momentum": 1.5}, "--momentum is at most 1; received 1.5. Pass --momentum 1."),
        ({"loss_sampling": 0}, "--loss-sampling is above 0 and at most 1; received 0. Pass --loss"),
        ({"class_weights": (1, -1)}, "--class-weights are finite numbers from 0; received 1,-1."),
        ({"loss": "dice", "weight_map": True}, "and no --reduction sum; received one of them."),
        ({"jit": True, "sync_batch_norm": True}, "received both. Leave one out."),
        ({"jit": True}, "received --jit and --deterministic, which is the default. Add --no-det"),
        ({"options": [1]}, "--options takes a JSON object; received [1]"),
        (
            {"crop": 0},
            "--crop 0 takes one in a batch; received --batch-size 4. Pass --batch-size 1, and "
            "several to --accumulate to make one step, or a size to --crop.",
        ),
    ],
)
def test_bad_values_are_errors(change, message):
    with pytest.raises(RecipeError) as error:
        dataclasses.replace(RECIPE, **change)
    assert message in str(error.value)


def test_options_that_are_not_json_are_an_error(capsys):
    with pytest.raises(SystemExit):
        parse(RECIPE, "", ["--workdir", "w", "--options", "depth=3"])
    assert "not JSON: 'depth=3'" in capsys.readouterr().err


def test_a_toy_is_small_and_the_command_line_may_change_it():
    recipe = dataclasses.replace(RECIPE, model="fcn8s", encoder_weights="imagenet", accumulate=9)
    words = ["--workdir", "w", "--toy", "--steps", "3"]
    small = parse(recipe, "", words).recipe
    assert (small.steps, small.accumulate, small.encoder_weights) == (3, 2, "")
    assert zoo.build("fcn8s", classes=2, **small.options).count_params() < 100_000


def test_a_number_of_steps_to_stop_after_is_at_least_one(capsys):
    assert parse(RECIPE, "", ["--workdir", "w", "--limit-steps", "7"]).limit_steps == 7
    with pytest.raises(SystemExit):
        parse(RECIPE, "", ["--workdir", "w", "--limit-steps", "0"])
    assert "a number of steps is at least 1; received '0'" in capsys.readouterr().err


def test_a_recipe_is_read_back_as_it_was_written():
    recipe = dataclasses.replace(RECIPE, class_weights=(1.0, 2.0), options={"filters": 4})
    assert read(recorded(recipe)) == recipe


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
    assert "only a constant learning rate can go on to more steps" in difference(
        dataclasses.replace(cosine, steps=20), recorded(cosine)
    )


def test_recipes_are_listed(capsys):
    listing.main()
    out = capsys.readouterr().out
    assert re.search(
        r"^coins_unet +A small U-Net outlines the coins of one photograph\.$", out, re.M
    )
    assert re.search(r"^shapes_fcn8s +A narrow FCN-8s", out, re.M)
    assert "python -m recipes.runs.coins_unet --workdir runs/coins_unet" in out


@pytest.mark.parametrize("name", listing.recipes())
def test_every_recipe_is_named_after_its_file_and_model(name):
    recipe = importlib.import_module(f"recipes.runs.{name}").RECIPE
    assert recipe.name == name
    assert recipe.model in name
    zoo.build(recipe.model, classes=2, **toy(recipe).options)


def test_the_runs_on_shapes_are_one_benchmark():
    """All models of the zoo, with the same data, steps, seed and optimizer."""
    recipes = [
        importlib.import_module(f"recipes.runs.shapes_{name}").RECIPE for name in zoo.list_models()
    ]
    same = [dataclasses.replace(recipe, name="", model="", options={}) for recipe in recipes]
    assert all(recipe == same[0] for recipe in same)
