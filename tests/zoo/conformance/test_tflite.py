"""A TFLite file gives the class map of the model."""

import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter

from tests.support.toys import NAMES, toy_images, toy_scores


@pytest.mark.parametrize("name", NAMES)
def test_the_tflite_file_gives_the_class_map(name, exported_toy):
    runner = Interpreter(str(exported_toy(name, "tflite"))).get_signature_runner()
    class_map = runner(image=toy_images(name)[:1].astype("uint8"))["class_map"]
    assert class_map.dtype == np.int32
    # Another order of sums may turn a tie, and nothing else.
    scores = toy_scores(name)[:1]
    chosen = np.take_along_axis(scores, class_map[..., None].astype(int), -1)[..., 0]
    assert (scores.max(-1) - chosen).max() < 1e-4 * np.abs(scores).max()
    assert (class_map == scores.argmax(-1)).mean() > 0.999
