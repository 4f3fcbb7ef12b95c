"""Photographs, weights, and `zoo predict` on them."""

import numpy as np
import pytest
from PIL import Image

import zoo
from tests.support import specs
from tests.support.toys import build_toy, toy_images
from zoo.inference import command


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    model = build_toy("unet")
    model.spec = specs.UNET
    return zoo.weights.save(model, tmp_path_factory.mktemp("unet") / "unet.weights.h5")


@pytest.fixture
def photographs(tmp_path):
    folder = tmp_path / "photographs"
    folder.mkdir()
    for index, image in enumerate(toy_images("unet", 3).astype(np.uint8)):
        Image.fromarray(image).save(folder / f"{index}.png")
    return folder


@pytest.fixture
def ask(weights, photographs, tmp_path, capsys):
    """`ask(...)`: runs `zoo predict` on the photographs; its status and what it printed."""

    def ask(*words, model=weights, images=photographs, status=0):
        given = [model, images, "--out", tmp_path / "answers", *words]
        found, said = command.predict([str(word) for word in given]), capsys.readouterr()
        assert found == status, said.err
        return said.out + said.err

    return ask
