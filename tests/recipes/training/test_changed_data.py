"""Examples that change while a run reads them: the file is named, and nothing is trained on it."""

import os
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from recipes import command, data
from recipes.data import DataError, windows
from recipes.data.verify import verify
from recipes.training import checkpoints

WORDS = (
    *("--toy", "--steps", "40", "--save-every", "2", "--log-every", "2", "--validate-every", "0"),
    *("--batch-size", "2", "--crop", "32", "--options", '{"filters": 2, "depth": 1}'),
)


def label(*values):
    return np.random.default_rng(0).choice(np.array(values, np.uint8), (32, 32))


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "photographs"
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    rng = np.random.default_rng(1)
    for number in range(5):
        Image.fromarray(rng.integers(0, 255, (32, 32, 3), np.uint8)).save(
            folder / f"images/p{number}.png"
        )
        Image.fromarray(label(0, 1, 2, 255)).save(folder / f"masks/p{number}.png")
    (folder / "classes.txt").write_text("ground\ncat\nfox\n")
    (folder / "val.txt").write_text("p4\n")
    return folder


def train(folder, change, monkeypatch, *words):
    """Trains; `change` is called when the first checkpoint after a step is there."""
    save, calls = checkpoints.save, []

    def save_and_change(state, out):
        save(state, out)
        if int(state.step) == 2:
            calls.append(change())

    monkeypatch.setattr(checkpoints, "save", save_and_change)
    workdir = folder.parent / "run"
    command_line = ["folder_unet", "--workdir", str(workdir), "--data-dir", str(folder)]
    status = command.train([*command_line, *WORDS, *words])
    assert calls
    return status


def verified(folder):
    return verify(data.load("folder", folder))["train"].dataset


def write(folder, *values, size=32):
    Image.fromarray(label(*values)[:size]).save(folder / "masks/p1.png")


CHANGES = {
    "another size": (lambda folder: write(folder, 0, 1, 2, size=30), "it is 30×32 and"),
    "all void": (lambda folder: write(folder, 255), ""),
    "classes swapped": (lambda folder: write(folder, 2, 1, 0, 255), ""),
    "a value that is no class": (lambda folder: write(folder, 0, 1, 7), "it holds 7 too."),
    "cut off": (
        lambda folder: os.truncate(folder / "masks/p1.png", 90),
        "p1.png: cannot be read as an image",
    ),
    "missing": (lambda folder: (folder / "masks/p1.png").unlink(), "there is no"),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_a_label_that_changes_is_named(kind, folder):
    change, reason = CHANGES[kind]
    train = verified(folder)
    change(folder)
    for index in (0, 2, 3):
        train.example(index)
    with pytest.raises(DataError) as error:
        train.example(1)
    assert f"{folder}/masks/p1.png" in str(error.value)
    assert reason in str(error.value)
    if not reason:
        assert str(error.value) == (
            f"{folder}/masks/p1.png: the examples of a run stay as they were when it was started; "
            "this has changed since. Restore it and run the same command again, or start a new run."
        )


def test_an_image_that_changes_with_its_old_time_is_named(folder):
    train, image = verified(folder), folder / "images/p2.png"
    with Image.open(image) as stored:
        other = np.asarray(stored) ^ 1
    times = os.stat(image)
    Image.fromarray(other).save(image)
    os.utime(image, ns=(times.st_atime_ns, times.st_mtime_ns))
    with pytest.raises(DataError, match=r"images/p2\.png: the examples of a run stay"):
        train.example(2)


def test_objects_that_change_are_named(folder):
    (folder / "instances").mkdir()
    for number in range(5):
        Image.fromarray(label(0, 1)).save(folder / f"instances/p{number}.png")
    train = verified(folder)
    Image.fromarray(label(0, 2)).save(folder / "instances/p3.png")
    with pytest.raises(DataError, match=r"instances/p3\.png: the examples of a run stay"):
        train.instances(3)


def test_a_window_of_an_image_that_changes_is_named(folder):
    source = data.load("folder", folder)["train"]
    boxes = {f"p{number}": np.array([[2, 2, 20, 20, 1, 1]], np.int32) for number in range(4)}
    cut = windows.dataset("windows", source, boxes, one_object=False)
    cut = verify({"train": cut})["train"].dataset
    cut.example(1)
    write(folder, 1, 0)
    cut.example(0)
    with pytest.raises(DataError, match=r"masks/p1\.png: the examples of a run stay"):
        cut.example(1)


def test_a_copy_of_the_same_is_no_change(folder):
    train = verified(folder)
    for _ in range(2):
        for file in (folder / "masks").iterdir():
            shutil.copy(file, folder / "other.png")
            os.replace(folder / "other.png", file)
        for index in range(4):
            train.example(index)


def test_a_value_that_is_no_class_ends_a_run_with_the_name_of_its_file(folder, monkeypatch, capsys):
    assert train(folder, lambda: write(folder, 0, 1, 7), monkeypatch) == 2
    err = capsys.readouterr().err
    assert "Traceback" not in err
    assert f"zoo train: {folder}/masks/p1.png: the examples of a run stay as they were" in err
    assert (
        f"  {folder}/masks/p1.png: a label holds the classes 0 to 2 and 255; it holds 7 too" in err
    )


def test_the_remedy_works(folder, monkeypatch, capsys):
    """The examples restored, the same command goes on."""
    kept = folder.parent / "kept.png"
    shutil.copy(folder / "masks/p1.png", kept)
    assert train(folder, lambda: write(folder, 0), monkeypatch) == 2
    words = ["--workdir", str(folder.parent / "run")]
    assert command.train(words) == 2  # not restored
    assert "the split train of --data folder has changed" in capsys.readouterr().err
    shutil.copy(kept, folder / "masks/p1.png")
    assert command.train([*words, "--limit-steps", "4"]) == 0


def test_an_example_that_changes_is_told_without_a_trace(folder):
    code = """if True:
        import sys
        from recipes import command
        from zoo import quiet
        quiet.import_tensorflow()
        from recipes.training import checkpoints
        save, file = checkpoints.save, sys.argv.pop(1)
        def save_and_change(state, out):
            save(state, out)
            if int(state.step) == 2:
                open(file, "w").close()
        checkpoints.save = save_and_change
        sys.exit(command.train(sys.argv[1:]))
    """
    words = ("folder_unet", "--workdir", folder.parent / "run", "--data-dir", folder, *WORDS)
    changed = folder / "masks/p1.png"
    root = pathlib.Path(__file__).parents[3]
    environment = {name: os.environ[name] for name in os.environ if name != "TF_CPP_MIN_LOG_LEVEL"}
    run = subprocess.run(
        [sys.executable, "-c", code, changed, *words],
        env=environment,
        cwd=root,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 2
    assert run.stderr == (
        f"zoo train: {changed}: cannot be read as an image (it is empty). Replace it.\n"
    )
