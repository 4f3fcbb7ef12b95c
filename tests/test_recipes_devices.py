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


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("{}", "received '{}' .no cluster"),
        ("{bad", "received '{bad' .Expecting property name"),
        ('{"cluster": {"worker": ["a:1"]}, "task": {"type": "worker", "index": 3}}', 'index": 3'),
        ('{"cluster": {"worker": "a:1"}}', "must be a list"),
        ('{"cluster": {"ps": ["a:1"]}, "task": {"type": "ps", "index": 0}}', "no task_type|ps"),
    ],
)
def test_what_describes_no_workers_is_told(said, reason, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", said)
    with pytest.raises(
        RecipeError, match=rf"such as .*{reason}[\s\S]*Set TF_CONFIG on each worker"
    ):
        devices.choose_strategy("workers")
