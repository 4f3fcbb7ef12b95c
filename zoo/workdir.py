"""The folder of a training run: the names of its files, and the weights that it offers.

checkpoints/ckpt-STEP.*      TensorFlow checkpoints of the newest steps
checkpoints/steps.json       the steps of those that the run wrote; others in the folder are not its
model.weights.h5             the weights of the last step, or of the step at which it stopped
best.weights.h5              the weights with the best score on the held-out split
recipe.json                  the recipe, the Spec, the steps of both weights files
"""

import json
import pathlib
import re
from typing import Any

from zoo.spec import of_today

RECIPE = "recipe.json"
CHECKPOINTS = "checkpoints"
STEPS = "steps.json"
WEIGHTS = "model.weights.h5"
BEST = "best.weights.h5"

MAX_RECIPE = 1 << 20
"""The largest recipe.json that is read, in bytes."""


def read_recipe(workdir: pathlib.Path) -> dict[str, Any] | None:
    """The contents of recipe.json; None where there is none.

    Model options of version 0.1 are translated into those of today.

    Raises:
        ValueError: It is not a JSON object of a run.
    """
    file = workdir / RECIPE
    try:
        check_regular(file)
        with open(file, "rb") as stream:
            text = stream.read(MAX_RECIPE + 1)
        if len(text) > MAX_RECIPE:
            raise ValueError(f"it has more than {MAX_RECIPE} bytes")
        content = json.loads(text.decode("utf-8-sig"))
        _check(content)
        recipe, made = content["recipe"], (content.get("spec") or {}).get("options")
        if "options" in recipe:
            channels = made.get("channels", 3) if isinstance(made, dict) else 3
            recipe["options"] = of_today(recipe["options"], channels=channels)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, TypeError, RecursionError) as error:
        weights = [workdir / name for name in (WEIGHTS, BEST) if (workdir / name).is_file()]
        known = f"Load {weights[0]}, which tells its model itself, or train" if weights else "Train"
        raise ValueError(f"{file} is damaged ({error}). {known} in a new --workdir.") from error
    return content


def check_regular(file: pathlib.Path) -> None:
    """Raises ValueError if there is something else than a file: a pipe would be waited for."""
    if file.exists() and not file.is_file():
        raise ValueError(f"{file} is no file")


def _check(content: Any) -> None:
    """Checks the types of the entries of recipe.json; those that are missing were not written.

    Raises:
        ValueError: One is of another type, or the recipe is missing; its name is told.
    """
    if not isinstance(content, dict) or not isinstance(content.get("recipe"), dict):
        raise ValueError("it is not a JSON object with a recipe")
    for name in ("name", "model", "data"):
        if not isinstance(content["recipe"].get(name), str):
            raise ValueError(f"{name} of its recipe is not a text")
    for name in ("weights", "best"):
        kept = content.get(name)
        # bool is an int of Python, and no step.
        if kept is not None and (not isinstance(kept, dict) or type(kept.get("step")) is not int):
            raise ValueError(f"{name} is not an object with a step")
        if kept is not None and type(kept.get("memory_gb", 0)) not in (int, float):
            raise ValueError(f"memory_gb of {name} is not a number")
    class_weights = content.get("class_weights")
    if class_weights is not None and (
        not isinstance(class_weights, list) or not all(type(x) is float for x in class_weights)
    ):
        raise ValueError("class_weights is not a list of numbers")
    hashes = content.get("data", {})
    if not isinstance(hashes, dict) or not all(isinstance(x, str) for x in hashes.values()):
        raise ValueError("data is not an object of texts")
    environments = content.get("environments", [])
    if not isinstance(environments, list) or not all(isinstance(x, dict) for x in environments):
        raise ValueError("environments is not a list of objects")
    if not isinstance(content.get("data_dir"), str | None):
        raise ValueError("data_dir is not a text")
    if not isinstance(content.get("spec"), dict | None):
        raise ValueError("spec is not an object")


def steps(workdir: pathlib.Path) -> list[int]:
    """The steps of the run's own checkpoints in a workdir, newest first.

    Raises:
        ValueError: Their list is damaged.
    """
    names = (
        re.fullmatch(r"ckpt-(\d+)\.index", file.name)
        for file in (workdir / CHECKPOINTS).glob("ckpt-*.index")
    )
    found = {int(name[1]) for name in names if name}
    own = written_steps(workdir)
    return sorted(found if own is None else found & own, reverse=True)


def written_steps(workdir: pathlib.Path) -> set[int] | None:
    """The steps of the checkpoints that the run wrote and did not delete; None without their list.

    Raises:
        ValueError: The list is damaged.
    """
    file = workdir / CHECKPOINTS / STEPS
    try:
        check_regular(file)
        content = json.loads(file.read_bytes())
        if isinstance(content, list) and all(type(step) is int for step in content):
            return set(content)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (ValueError, RecursionError):
        pass
    raise ValueError(
        f"{file} is damaged: it lists the steps of the checkpoints beside it. Delete it: then "
        "every ckpt-STEP file there is taken for one of this run."
    )


def newest_weights(workdir: pathlib.Path) -> pathlib.Path | None:
    """The file of the newest weights; None if there is none, or a checkpoint is newer.

    Whether the file is whole is not checked.

    Raises:
        ValueError: recipe.json is not that of a run.
    """
    recorded = (read_recipe(workdir) or {}).get("weights") or {}
    file = workdir / WEIGHTS
    is_newest = recorded.get("step", -1) >= max(steps(workdir), default=-1)
    return file if is_newest and file.exists() else None
