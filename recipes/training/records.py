"""What a run writes beside its weights: recipe.json, log.csv and scores.csv."""

import contextlib
import csv
import dataclasses
import importlib.metadata
import io
import json
import math
import os
import pathlib
import platform
import subprocess
import tomllib
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

import zoo
from recipes import scoring
from recipes.training.recipe import Recipe, difference
from zoo import files
from zoo import workdir as workdirs
from zoo.spec import Spec

LOG, SCORES = "log.csv", "scores.csv"
COLUMNS = {LOG: ("step", "loss", "seconds"), SCORES: ("step", *scoring.SCORES)}


def check_workdir(workdir: pathlib.Path, recipe: Recipe) -> None:
    """Makes sure that a folder is free, or holds this very run.

    Raises:
        ValueError: It holds another run, files with the names that a run writes, weights without
            a checkpoint, or a damaged recipe.json; or it is a file.
    """
    if workdir.exists() and not workdir.is_dir():
        raise ValueError(f"--workdir is a folder; {workdir} is a file. Pass a new folder.")
    recorded = workdirs.read_recipe(workdir)
    written = (workdirs.CHECKPOINTS, LOG, SCORES, workdirs.WEIGHTS, workdirs.BEST)
    begun = [name for name in written if (workdir / name).exists()]
    if recorded is None and begun:
        raise ValueError(
            f"{workdir} is not the folder of a run: it holds {begun[0]} and no recipe.json. Pass a "
            "new folder as --workdir."
        )
    if recorded is None:
        return
    recorded_steps = [recorded[name]["step"] for name in ("weights", "best") if recorded.get(name)]
    why = difference(recipe, recorded["recipe"]) if begun or recorded_steps else None
    if why:
        raise ValueError(
            f"{workdir} holds another run: {why}. Pass a new folder as --workdir, or the value "
            "that it was started with."
        )
    if not workdirs.steps(workdir):
        _check_nothing_is_lost(workdir, max([*recorded_steps, _last_step(workdir)]))


def _check_nothing_is_lost(workdir: pathlib.Path, step: int) -> None:
    """Makes sure that no training from step 0 replaces the results of an earlier one."""
    newest, best = ((workdir / name).exists() for name in (workdirs.WEIGHTS, workdirs.BEST))
    if newest or best:
        how = "zoo.load" if newest else 'zoo.load(…, checkpoint="best")'
        raise ValueError(
            f"{workdir} holds the weights of step {step} and no checkpoint to resume from. Load "
            f"them with {how}, or pass a new folder as --workdir."
        )
    if step:
        raise ValueError(
            f"{workdir} holds the record of a run up to step {step} and no checkpoint to resume "
            "from. Pass a new folder as --workdir."
        )


def _last_step(workdir: pathlib.Path) -> int:
    """The last step in log.csv and scores.csv; 0 if there is none."""
    found = [row.get("step") or "" for name in (LOG, SCORES) for row in _rows(workdir / name)]
    return max((int(step) for step in found if step.isdecimal()), default=0)


def write_recipe(
    workdir: pathlib.Path,
    recipe: Recipe,
    spec: Spec,
    *,
    data_dir: pathlib.Path | None,
    fingerprints: dict[str, str],
    strategy: tf.distribute.Strategy,
) -> None:
    """Writes recipe.json; adds an environment if the run is resumed in another one.

    Args:
        workdir: The folder of the run.
        recipe: Of the run.
        spec: What the model is.
        data_dir: The folder of the data set; None for the one in the workdir.
        fingerprints: The SHA-256 over each split's examples, by the split's name.
        strategy: The devices of this start.

    Raises:
        ValueError: The run was started with other examples.
    """
    recorded = workdirs.read_recipe(workdir) or {}
    begun = recorded.get("data", fingerprints)
    changed = [split for split in fingerprints if begun.get(split) != fingerprints[split]]
    if changed:
        raise ValueError(
            f"A run is resumed with the examples that it was started with; the split "
            f"{' and '.join(changed)} of --data {recipe.data} has changed since {workdir} was "
            "started. Restore the examples, or pass a new --workdir. (Pixels are compared: another "
            "version of Pillow may decode others.)"
        )
    environments = recorded.get("environments", [])
    now = environment(recipe.deterministic) | {
        "strategy": type(strategy).__name__,
        "replicas": strategy.num_replicas_in_sync,
    }
    if environments and environments[-1] != now:
        changed = [name for name in now if environments[-1].get(name) != now[name]]
        print(f"the run is resumed with another {', '.join(changed)}: see recipe.json", flush=True)
    if not environments or environments[-1] != now:
        environments = [*environments, now]
    contents = {
        "recipe": dataclasses.asdict(recipe),
        "spec": spec.to_dict(),
        "data_dir": None if data_dir is None else str(data_dir.absolute()),
        "data": fingerprints,
        "environments": environments,
        "weights": recorded.get("weights"),
        "best": recorded.get("best"),
    }
    _write_json(workdir, contents)


def update(workdir: pathlib.Path, **entries: Any) -> None:
    """Replaces entries of recipe.json."""
    _write_json(workdir, {**(workdirs.read_recipe(workdir) or {}), **entries})


def _write_json(workdir: pathlib.Path, contents: dict[str, Any]) -> None:
    files.write_text(workdir / workdirs.RECIPE, json.dumps(contents, indent=2) + "\n")


def environment(deterministic: bool) -> dict[str, Any]:
    """What the numbers of a run depend on besides its recipe and its data."""
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


def checkout() -> pathlib.Path | None:
    """The folder of the project's clone that this file lies in; None for an installed package."""
    root = pathlib.Path(__file__).parents[2]
    try:
        project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    except (OSError, ValueError, KeyError):
        return None
    return root if project.get("name") == "segmentation-zoo" else None


def commit() -> str | None:
    """The commit of the clone, with a plus sign if files were changed since.

    None for an installed package and without Git.
    """
    root = checkout()
    if root is None or not (root / ".git").exists():  # a repository around it is another project
        return None
    git = ["git", "-C", str(root)]
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


@contextlib.contextmanager
def table(file: pathlib.Path, step: int) -> Iterator[csv.DictWriter]:
    """Opens a table to add rows after a step; removes rows of later steps, and a partial one.

    Each row is handed to the system at once.
    """
    replace_csv(file, COLUMNS[file.name], [row for row in _rows(file) if int(row["step"]) <= step])
    with open(file, "a", encoding="utf-8", newline="", buffering=1) as stream:
        yield csv.DictWriter(stream, COLUMNS[file.name], lineterminator="\n")


def best_score(file: pathlib.Path) -> float:
    """The highest mean IoU in scores.csv; −1 if there is none."""
    found = (float(row["mean_iou"]) for row in _rows(file))
    return max((score for score in found if not math.isnan(score)), default=-1.0)


def _rows(file: pathlib.Path) -> list[dict[str, str]]:
    """The rows of a table without the last one if it was not written to its end."""
    if not file.exists():
        return []
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    return list(csv.DictReader(line for line in lines if line.endswith("\n")))


def replace_csv(file: pathlib.Path, columns: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
    """Writes a table as CSV in the place of an older one."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    files.write_text(file, text.getvalue())
