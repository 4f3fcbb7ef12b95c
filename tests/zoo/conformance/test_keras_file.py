"""A `.keras` file holds the whole model."""

import pathlib
import subprocess
import sys

import numpy as np

from tests.support.toys import ALL, build_toy, difference, toy_images, toy_scores

ROOT = pathlib.Path(__file__).parents[3]


def test_the_keras_file_opens_in_a_fresh_process(tmp_path, tolerance):
    for name in ALL:
        build_toy(name).save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.npy", toy_images(name))
    code = (
        "import pathlib, sys\n"
        "import keras, numpy\n"
        "import zoo\n"
        "for path in pathlib.Path(sys.argv[1]).glob('*.keras'):\n"
        "    model = keras.saving.load_model(path)\n"
        "    scores = model(numpy.load(path.with_suffix('.npy')))\n"
        "    numpy.save(path.with_suffix('.scores.npy'), keras.ops.convert_to_numpy(scores))\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, cwd=ROOT)
    for name in ALL:
        loaded = np.load(tmp_path / f"{name}.scores.npy")
        assert difference(loaded, toy_scores(name)) < tolerance.same, name
