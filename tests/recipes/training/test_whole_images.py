"""Batches of whole images, for data sets whose images have one size."""

import dataclasses
import re

import pytest
from PIL import Image

from recipes import data
from recipes.data import pipeline
from recipes.training import train
from recipes.training.recipe import Recipe
from tests.support import scene_files

RECIPE = Recipe(
    name="camvid_unet",
    model="unet",
    options={"filters": 2, "depth": 1},
    data="camvid",
    steps=1,
    batch_size=3,
    augment=("flip",),
    learning_rate=1e-2,
)


def test_a_batch_holds_whole_images(tmp_path):
    scene_files.write(tmp_path, "camvid")
    train_split = data.load("camvid", tmp_path)["train"]
    (batch,) = pipeline.batches(train_split, batch_size=3, first=0, last=1, seed=0, crop=0)
    images, labels = batch
    assert images.shape == (3, *scene_files.SIZE, 3)
    assert labels.shape == (3, *scene_files.SIZE)
    model = train.train(RECIPE, tmp_path / "run", data_dir=tmp_path)
    assert model.count_params() > 0


def test_images_of_other_sizes_make_no_batch(tmp_path):
    scene_files.write(tmp_path, "camvid")
    name = scene_files.CAMVID["train"][0]
    for part in ("train", "trainannot"):
        file = tmp_path / f"{part}/{name}.png"
        Image.open(file).crop((0, 0, 40, 50)).save(file)
    message = (
        "The whole images of a batch have one size; those of --data camvid have 2, among them "
        "50×40 and 64×72 (height × width). Pass --batch-size 1, with --accumulate for more images "
        "in a step, or a size as --crop."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        train.train(RECIPE, tmp_path / "run", data_dir=tmp_path)
    alone = dataclasses.replace(RECIPE, batch_size=1, accumulate=3)
    train.train(alone, tmp_path / "run", data_dir=tmp_path)
