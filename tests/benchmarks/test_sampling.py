"""The comparison of whole images, patches and loss sampling: each step on as many pixels."""

import dataclasses

import numpy as np
import pytest

from benchmarks import sampling
from recipes.data import pipeline
from recipes.data.sets import shapes
from recipes.training.recipe import toy


@pytest.fixture(scope="module")
def scenes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    shapes.write(folder / "shapes", train=32, val=2)
    return folder


@pytest.mark.parametrize("name", sampling.VARIANTS)
def test_a_step_has_the_loss_of_as_many_pixels(name, scenes):
    """Of the 98,304 the borders of objects are void too; half a cell may be void by its crop."""
    changes = {"loss_sampling": 1.0} | sampling.VARIANTS[name]
    dataset = shapes.load(scenes)["train"]
    batches = pipeline.batches(dataset, first=0, last=4, seed=0, **changes)
    labelled = np.mean([np.count_nonzero(label != 255) for _, label in batches])
    assert labelled == pytest.approx(98_304, rel=0.08)


def test_a_variant_is_timed_and_scored(scenes, tmp_path, monkeypatch):
    small = dataclasses.replace(toy(sampling.RECIPE), name=sampling.RECIPE.name)
    monkeypatch.setattr(sampling, "RECIPE", small)
    changes = {"crop": 32, "batch_size": 2}
    seconds, of_a_step, *scores = sampling.measured(changes, 8, tmp_path / "run", scenes)
    assert float(of_a_step) == pytest.approx(float(seconds) / 8, abs=0.1)
    assert len(scores) == sampling.SCORED
    assert all(0 <= float(score) <= 1 for score in scores)


def test_steps_are_scored_at_even_distances(capsys):
    with pytest.raises(SystemExit):
        sampling.main(["--steps", "10"])
    assert "--steps is a multiple of 4; received 10. Pass 400." in capsys.readouterr().err
