"""What a run writes down beside its weights: recipe.json and log.csv."""

import csv
import dataclasses
import importlib.metadata
import io
import json
import os
import pathlib
import platform
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import tensorflow as tf

import zoo.weights
from recipes.training.recipe import Recipe, RecipeError, difference

WEIGHTS = "model.weights.h5"
LOG = ("step", "loss", "seconds")
SCORES = ("step", "pixel_accuracy", "mean_accuracy", "mean_iou", "frequency_weighted_iou")


def check_workdir(workdir: pathlib.Path, recipe: Recipe) -> None:
    """Sees to it that a folder is free, or belongs to this very run.

    Raises:
        RecipeError: The folder holds another run, or files of the names that a run writes.
    """
    if workdir.exists() and not workdir.is_dir():
        raise RecipeError(f"--workdir is a folder; {workdir} is a file. Pass a new folder.")
    recorded = read_recipe(workdir)
    begun = [
        name
        for name in ("checkpoints", "log.csv", "scores.csv", WEIGHTS)
        if (workdir / name).exists()
    ]
    if recorded is None and begun:
        raise RecipeError(
            f"{workdir} is not the folder of a run: it holds {begun[0]} and no recipe.json. Pass a "
            "new folder as --workdir."
        )
    why = difference(recipe, recorded["recipe"]) if begun else None
    if why:
        raise RecipeError(
            f"{workdir} holds another run: {why}. Pass a new folder as --workdir, or the value "
            "that it was started with."
        )


def read_recipe(workdir: pathlib.Path) -> dict[str, Any] | None:
    """The contents of recipe.json, or None where there is none.

    Raises:
        RecipeError: It is not JSON.
    """
    try:
        return json.loads((workdir / "recipe.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:  # bytes that are no text, or text that is no JSON
        raise RecipeError(
            f"{workdir / 'recipe.json'} is damaged ({error}). Pass a new folder as --workdir."
        ) from error


def write_recipe(
    workdir: pathlib.Path,
    recipe: Recipe,
    data_dir: pathlib.Path | None,
    fingerprints: dict[str, str],
    strategy: tf.distribute.Strategy,
) -> None:
    """Writes recipe.json; each start on another machine or with other versions is added to it.

    Args:
        workdir: Where to.
        recipe: Of the run.
        data_dir: As given on the command line.
        fingerprints: The SHA-256 over each split's examples, by the split's name.
        strategy: On what it runs.

    Raises:
        RecipeError: The run began with other examples.
    """
    recorded = read_recipe(workdir) or {}
    begun = recorded.get("data", fingerprints)
    changed = [split for split in fingerprints if begun.get(split) != fingerprints[split]]
    if changed:
        raise RecipeError(
            f"A run goes on with the examples that it began with; the split "
            f"{' and '.join(changed)} of --data {recipe.data} has changed since {workdir} was "
            "begun. Put the examples back, or pass a new --workdir. (Pixels are compared: another "
            "version of Pillow may decode others.)"
        )
    environments = recorded.get("environments", [])
    now = environment(recipe.deterministic) | {
        "strategy": type(strategy).__name__,
        "replicas": strategy.num_replicas_in_sync,
    }
    if environments and environments[-1] != now:
        changed = [name for name in now if environments[-1].get(name) != now[name]]
        print(f"this run goes on with another {', '.join(changed)}: see recipe.json", flush=True)
    if not environments or environments[-1] != now:
        environments = [*environments, now]
    contents = {
        "recipe": dataclasses.asdict(recipe),
        "data_dir": None if data_dir is None else str(data_dir),
        "data": fingerprints,
        "environments": environments,
        "weights": recorded.get("weights"),
    }
    replace(workdir / "recipe.json", json.dumps(contents, indent=2) + "\n")


def record_weights(workdir: pathlib.Path, *, step: int, minutes: float) -> None:
    """Writes into recipe.json which step the published weights are of, and the time it took."""
    contents = read_recipe(workdir)
    contents["weights"] = {"step": step, "minutes": round(minutes, 2)}
    replace(workdir / "recipe.json", json.dumps(contents, indent=2) + "\n")


def is_published(workdir: pathlib.Path, step: int) -> bool:
    """Whether a run has handed on the weights of a step, and the file is still what it was."""
    weights = (read_recipe(workdir) or {}).get("weights")
    return bool(weights) and weights["step"] == step and zoo.weights.is_whole(workdir / WEIGHTS)


def environment(deterministic: bool) -> dict[str, Any]:
    """What the numbers of a run depend on besides its recipe."""
    packages = ("tensorflow", "keras", "numpy", "pillow")
    return {
        "zoo": zoo.__version__,
        "commit": commit(),
        "python": platform.python_version(),
        **{name: importlib.metadata.version(name) for name in packages},
        "hardware": hardware(),
        "cores": os.cpu_count(),
        "onednn": os.environ.get("TF_ENABLE_ONEDNN_OPTS", "default"),
        "deterministic": deterministic,
    }


def commit() -> str | None:
    """The commit of the code, with a plus sign if files were changed since; None without Git."""
    git = ["git", "-C", str(pathlib.Path(__file__).parent)]
    try:
        head, changed = (
            subprocess.run([*git, *words], capture_output=True, text=True, check=True).stdout
            for words in (["rev-parse", "HEAD"], ["status", "--porcelain", "--untracked-files=no"])
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.strip() + "+" * bool(changed)


def hardware() -> str:
    """The GPUs by name, or the processor with its number of cores."""
    gpus = tf.config.list_physical_devices("GPU")
    if gpus:
        details = tf.config.experimental.get_device_details(gpus[0])
        return f"{len(gpus)} × {details.get('device_name', 'GPU')}"
    name = platform.processor() or platform.machine()
    information = pathlib.Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{os.cpu_count()} cores, {name}"


@contextmanager
def table(file: pathlib.Path, columns: tuple[str, ...], step: int) -> Iterator[csv.DictWriter]:
    """Opens a table to go on after a step: rows of later steps, and a broken one, are taken out.

    Each row is on the disk's queue before the next step.
    """
    kept = []
    if file.exists():
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        rows = csv.DictReader(line for line in lines if line.endswith("\n"))
        kept = [row for row in rows if int(row["step"]) <= step]
    replace_csv(file, columns, kept)
    with open(file, "a", encoding="utf-8", newline="", buffering=1) as stream:
        yield csv.DictWriter(stream, columns, lineterminator="\n")


def replace_csv(file: pathlib.Path, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """Writes a table as CSV beside its place, then renames it."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    replace(file, text.getvalue())


def replace(file: pathlib.Path, text: str) -> None:
    """Writes a text beside its place, then renames it: the old or the new is there, never half."""
    unfinished = file.with_name(f"writing-{secrets.token_hex(4)}-{file.name}")
    try:
        with open(unfinished, "w", encoding="utf-8", newline="") as stream:
            stream.write(text)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(unfinished, file)
    finally:
        unfinished.unlink(missing_ok=True)
