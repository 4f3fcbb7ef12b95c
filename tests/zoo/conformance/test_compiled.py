"""A compiled model gives the scores of the eager one."""

import pytest
import tensorflow as tf

from tests.support.toys import ALL, build_toy, difference, scores_of, toy_images


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_compiled_equals_eager(name, jit_compile, tolerance):
    model = build_toy(name)
    images = toy_images(name)
    compiled = tf.function(model, jit_compile=jit_compile)(images)
    assert difference(compiled.numpy(), scores_of(model, images)) < tolerance.engine
