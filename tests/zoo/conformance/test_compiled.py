"""A compiled model gives the scores of the eager one."""

import pytest
import tensorflow as tf

from tests.support.toys import ALL, build_toy, difference, toy_images, toy_scores


@pytest.mark.parametrize("jit_compile", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_compiled_equals_eager(name, jit_compile, tolerance):
    compiled = tf.function(build_toy(name), jit_compile=jit_compile)(toy_images(name))
    assert difference(compiled.numpy(), toy_scores(name)) < tolerance.engine
