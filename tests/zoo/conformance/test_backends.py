"""Keras's other backends give TensorFlow's scores."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.support.toys import (
    ALL,
    ALL_TOYS,
    difference,
    toy_images,
    toy_scores,
    whole_toy,
)

ROOT = pathlib.Path(__file__).parents[3]


@pytest.mark.parametrize("backend", ["jax", "torch"])
def test_another_backend_gives_tensorflows_scores(backend, tmp_path, tolerance):
    if backend == "torch":
        pytest.importorskip("torch", reason="PyTorch comes with the extra `benchmarks`")
    for name in ALL:
        whole_toy(name).save_weights(tmp_path / f"{name}.weights.h5")
        np.save(tmp_path / f"{name}.npy", toy_images(name))
    code = (
        "import json, pathlib, sys\n"
        "import keras, numpy, zoo\n"
        "from zoo.models.plain import plain\n"
        "from zoo.models.without_values import without_values\n"
        "folder, toys = pathlib.Path(sys.argv[1]), json.loads(sys.argv[2])\n"
        "for name, (options, head) in toys.items():\n"
        # The first values are not wanted, and JAX would compile how to draw those of each shape.
        "    with without_values():\n"
        "        model = zoo.build(name, **options)\n"
        "    zoo.weights.load(model, weights=folder / f'{name}.weights.h5')\n"
        "    scores = plain(model, head).predict_on_batch(numpy.load(folder / f'{name}.npy'))\n"
        "    numpy.save(folder / f'{name}.scores.npy', scores)\n"
        "print(keras.backend.backend())\n"
    )
    options = json.dumps(
        {name: (toy.options, next(iter(toy.heads), None)) for name, toy in ALL_TOYS.items()}
    )
    run = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path), options],
        env=os.environ | {"KERAS_BACKEND": backend},
        capture_output=True,
        text=True,
        cwd=ROOT,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout.split()[-1] == backend
    for name in ALL:
        other = np.load(tmp_path / f"{name}.scores.npy")
        assert difference(other, toy_scores(name)) < tolerance.engine, name
