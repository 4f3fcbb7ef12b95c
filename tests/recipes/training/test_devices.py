"""Where a run writes."""

import os

import pytest
import tensorflow as tf

from recipes.training import devices, train
from recipes.training.recipe import Recipe, RunError


def test_a_second_run_is_kept_out_of_a_workdir(tmp_path):
    strategy = tf.distribute.get_strategy()
    with devices.output_folder(tmp_path, strategy):
        with (
            pytest.raises(
                RunError,
                match=rf"process {os.getpid()} on .* writes to {tmp_path}. Wait for it, or end it",
            ),
            devices.output_folder(tmp_path, strategy),
        ):
            pass
        with devices.output_folder(tmp_path / "other", strategy):
            pass
    with devices.output_folder(tmp_path, strategy) as folder:
        assert folder == tmp_path


def test_a_file_called_lock_that_no_run_wrote_is_left_alone(tmp_path):
    file = tmp_path / "lock"
    for content in (b"mine", b"\xff\xfe"):
        file.write_bytes(content)
        with (
            pytest.raises(
                ValueError, match=rf"^{file} is there and is no lock of .* Rename it, or choose"
            ),
            devices.output_folder(tmp_path, tf.distribute.get_strategy()),
        ):
            pass
        assert file.read_bytes() == content
    for content in (b"", b"process 1 on a machine"):
        file.write_bytes(content)
        with devices.output_folder(tmp_path, tf.distribute.get_strategy()):
            assert file.read_text().startswith(f"process {os.getpid()} on ")


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
    with pytest.raises(ValueError, match=rf"such as .*{reason}[\s\S]*Set TF_CONFIG on each worker"):
        devices.choose_strategy("workers", batch_size=2)


@pytest.mark.parametrize(("batch_size", "told"), [(1, True), (4, False)])
def test_one_of_several_gpus_takes_a_batch_that_they_cannot_share(
    batch_size, told, monkeypatch, capsys
):
    chosen = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: ["gpu"] * 4)
    monkeypatch.setattr(tf.distribute, "MirroredStrategy", lambda: chosen.append(4))
    monkeypatch.delenv("TF_CONFIG", raising=False)
    devices.choose_strategy("auto", batch_size=batch_size)
    assert chosen == ([] if told else [4])
    text = "on one of 4 GPUs: they cannot share --batch-size 1"
    assert (text in capsys.readouterr().out) == told


def test_workers_have_the_same_options_and_examples(monkeypatch):
    recipe = Recipe(name="", model="unet", data="coins", steps=1, batch_size=1, learning_rate=1)
    told = []

    def of_two(worker, fingerprint):
        """What `worker` says; the sum is over what both have said."""
        monkeypatch.setattr(train, "worker_of", lambda strategy: (worker, 2))

        def add_up(array, strategy):
            told.append(array)
            return sum(told)

        monkeypatch.setattr(train, "add_up", add_up)
        train._check_workers(recipe, {"train": fingerprint}, None)

    with pytest.raises(ValueError, match="differ from those of worker 0"):
        of_two(0, "a")  # the other has said nothing yet
    of_two(1, "a")
    told.pop()
    with pytest.raises(ValueError, match=r"those of worker 1 differ from those of worker 0\. Give"):
        of_two(1, "b")
