"""Where a run writes."""

import os

import pytest
import tensorflow as tf

from recipes import devices
from recipes.recipe import RecipeError


def test_a_second_run_is_kept_out_of_a_workdir(tmp_path):
    strategy = tf.distribute.get_strategy()
    with devices.output_folder(tmp_path, strategy):
        with (
            pytest.raises(
                RecipeError,
                match=rf"process {os.getpid()} on .* writes to {tmp_path}. Wait for it, or end it",
            ),
            devices.output_folder(tmp_path, strategy),
        ):
            pass
        with devices.output_folder(tmp_path / "other", strategy):
            pass
    with devices.output_folder(tmp_path, strategy) as folder:
        assert folder == tmp_path
