"""A trained model from one path: a weights file, the workdir of a run, or an authors' file."""

import dataclasses
import os
import pathlib
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from zoo import registry, workdir
from zoo import spec as specs
from zoo.class_names import named
from zoo.spec import Spec
from zoo.weights import ENDINGS, catalog, fetching
from zoo.weights.checksums import is_whole

if TYPE_CHECKING:
    import keras

NEWEST, BEST = "newest", "best"

_REMEDY = (
    "Name the model that was trained and its options: zoo.load({name!r}, model=…, …), or --model "
    "and --options on the command line."
)


@dataclasses.dataclass(frozen=True)
class Found:
    """What lies at a path: weights files or checkpoints, the first choice first, and their Spec.

    `spec` is None for a file that does not say what it holds.
    """

    files: tuple[pathlib.Path, ...]
    spec: Spec | None
    are_checkpoints: bool = False


def read_spec(path: str | os.PathLike) -> Spec:
    """Reads the Spec of the model at a path, without building the model.

    ```python
    zoo.read_spec("runs/coins").class_names  # ("background", "coin")
    ```

    Args:
        path: As `load` takes it.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: It is not a trained model, is damaged, or does not say what it is.
    """
    found = find(path)
    if found.spec is None:
        raise _unknown(found.files[0])
    return found.spec


def load(
    path: str | os.PathLike,
    *,
    model: str | None = None,
    checkpoint: str | int | None = None,
    class_names: str | Sequence[str] | None = None,
    head: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **options: Any,
) -> "keras.Model":
    """Builds the model at a path and fills it with the weights.

    ```python
    model = zoo.load("runs/coins/model.weights.h5")
    model = zoo.load("runs/coins", checkpoint="best")
    model = zoo.load("fcn8s-heavy-pascal.caffemodel")
    model.spec.class_names
    ```

    Args:
        path: A weights file that the zoo wrote; the workdir of a run, finished or stopped; or one
            of the files that `zoo.weights.catalog` lists, by its path or, once `zoo fetch` has it,
            by its name.
        model: Name in the zoo, for a file that does not say it.
        checkpoint: Which weights of a workdir: "newest" (the default), "best" by the mean IoU on
            the held-out split, or the step of a checkpoint.
        class_names: For a file that does not say them: a name for each class, or the name of a data
            set in `zoo.class_names.CLASS_NAMES`.
        head: Of a net with several heads, the name of the only one that the model shall have; see
            `zoo.models.plain`.
        progress: Called after each array with the count of numbers filled in so far, and the total.
        **options: The builder's, for a file that does not say them. `name` and `dropout`
            may differ from the file's, and `border` may be "mirror" for "valid" and back.

    Returns:
        A `keras.Model` whose attribute `spec` holds the class names too.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: It is not a trained model, is damaged, does not say what it is and neither do
            `model` and `options`, or contradicts them.
    """
    found = find(path, checkpoint)
    spec = specify(found, model=model, class_names=class_names, options=options, where=str(path))
    built, _ = build_found(found, spec, progress=progress, **options)
    if head is None:
        return built
    from zoo.models.plain import plain

    return plain(built, head)


def build_found(
    found: Found,
    spec: Spec,
    *,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **options: Any,
) -> tuple["keras.Model", pathlib.Path]:
    """Builds the model of a Spec and fills it; also gives the file that was read.

    Args:
        found: What `find` gave.
        spec: What `specify` gave.
        progress: As of `load`.
        **options: As of `load`.
    """
    built = registry.build(spec.model, **{**spec.options, **options})
    if found.are_checkpoints:
        file = _fill_from_first(built, found.files)
    else:
        from zoo.weights.filling import load as fill

        (file,) = found.files
        fill(built, weights=file, progress=progress, remedy=_REMEDY)
    built.spec = spec.replace(options=built.spec.options)
    return built, file


def specify(
    found: Found,
    *,
    model: str | None,
    class_names: str | Sequence[str] | None,
    options: Mapping[str, Any],
    where: str,
) -> Spec:
    """What the model is: what its file says, and what is given for a file that does not say it.

    Of a file without a Spec the options that are not given are missing in it, but `classes`.

    Args:
        found: What lies at the path.
        model: As of `load`, and so `class_names` and `options`.
        class_names: See above.
        options: See above.
        where: The path, for messages.

    Raises:
        ValueError: The file does not say it and neither does the caller, or they differ.
    """
    if filled := sorted({"weights", "encoder_weights"} & set(options)):
        raise ValueError(
            f"{where} sets every weight; received {filled[0]} too. Leave {filled[0]} out."
        )
    if found.spec is not None:
        specs.check_agrees(found.spec, model, options, where=where)
        spec = found.spec
    elif model is None:
        raise _unknown(found.files[0])
    else:
        classes = registry.describe(model).classes
        spec = specs.of_options(model, {"classes": classes, **options})
    if class_names is None:
        return spec
    names, background = named(class_names)
    if spec.class_names not in (None, names):
        raise ValueError(
            f"{where} holds the classes {', '.join(spec.class_names)}; received "
            f"{', '.join(names)}. Leave the class names out, or give another file."
        )
    return spec if spec.class_names else spec.replace(class_names=names, background=background)


def find(path: str | os.PathLike, checkpoint: str | int | None = None) -> Found:
    """Looks for the weights at a path; builds nothing.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: It is not a trained model, or is damaged.
    """
    path = pathlib.Path(path)
    if path.is_dir():
        return _in_workdir(path, NEWEST if checkpoint is None else str(checkpoint))
    if checkpoint is not None:
        raise ValueError(
            f"A checkpoint belongs to the workdir of a run; {path} is not a folder. Leave the "
            "checkpoint out, or give the workdir."
        )
    file = path if path.exists() else fetching.cached(path)
    if file is None:
        record = catalog.by_weights(str(path))
        hint = f" Run zoo fetch {record.file}." if record else ""
        if str(path) in registry.list_models():
            hint = f" {path} is a model without weights: train it, or see zoo weights {path}."
        raise FileNotFoundError(
            f"A trained model is a weights file or the workdir of a run; there is none at {path}."
            f"{hint or ' Check the path.'}"
        )
    if not file.name.endswith(ENDINGS):
        raise ValueError(
            f"A trained model is the workdir of a run or a file that ends in {', '.join(ENDINGS)}; "
            f"received {file}. Give such a file."
        )
    record = catalog.by_weights(file.name)
    if record is not None:
        return Found((file,), catalog.spec_of(record))
    from zoo.weights.hdf5 import stored_spec  # h5py is needed from here on, Keras is not

    return Found((file,), stored_spec(file))


def _in_workdir(folder: pathlib.Path, checkpoint: str) -> Found:
    recorded = workdir.read_recipe(folder)
    if recorded is None:
        kind = "an exported model" if (folder / "export.json").exists() else "another folder"
        raise ValueError(
            f"A folder is loaded if it is the workdir of a run, with a recipe.json; {folder} is "
            f"{kind}. Give the workdir or the weights file."
        )
    spec = _spec_of(folder, recorded)
    steps = workdir.steps(folder)
    if checkpoint == BEST:
        return Found((_best(folder),), spec)
    if checkpoint == NEWEST:
        weights = workdir.newest_weights(folder)
        if weights is not None and is_whole(weights):
            return Found((weights,), spec)
        chosen = steps
    else:
        chosen = [step for step in steps if str(step) == checkpoint]
    if not steps and checkpoint == NEWEST:
        best = ' Load checkpoint="best".' if (folder / workdir.BEST).exists() else ""
        raise ValueError(
            f"{folder} holds no newest weights and no checkpoint.{best or ' Train it first.'}"
        )
    if not chosen:
        there = ", ".join(map(str, steps)) or "none yet"
        raise ValueError(
            f"checkpoint is newest, best, or the step of a checkpoint; received {checkpoint}. "
            f"{folder} holds {there}. Choose one of them."
        )
    files = tuple(folder / workdir.CHECKPOINTS / f"ckpt-{step}" for step in chosen)
    return Found(files, spec, are_checkpoints=True)


def _spec_of(folder: pathlib.Path, recorded: dict[str, Any]) -> Spec | None:
    """The Spec in recipe.json, or in a weights file if recipe.json has none."""
    from zoo.weights.hdf5 import stored_spec

    if recorded.get("spec") is not None:
        return specs.from_dict(recorded["spec"], where=str(folder / workdir.RECIPE))
    files = (folder / workdir.WEIGHTS, folder / workdir.BEST)
    return next(filter(None, map(stored_spec, files)), None)


def _best(folder: pathlib.Path) -> pathlib.Path:
    file = folder / workdir.BEST
    if not file.exists():
        raise ValueError(
            f"{folder} holds no best weights: {workdir.BEST} is written when the held-out split is "
            "scored. Train with --validate-every, or load the newest weights."
        )
    return file


def _fill_from_first(model: "keras.Model", files: tuple[pathlib.Path, ...]) -> pathlib.Path:
    """Fills a model from the first checkpoint that can be read; which one that was."""
    from zoo.weights import checkpoint

    for file in files[:-1]:
        try:
            checkpoint.fill(model, file)
            return file
        except checkpoint.DamagedError as error:
            warnings.warn(f"{error} The one before is loaded.", stacklevel=3)
    checkpoint.fill(model, files[-1])
    return files[-1]


def _unknown(file: pathlib.Path) -> ValueError:
    return ValueError(
        f"{file} does not say which model its weights are of. Name it: "
        f'zoo.load({str(file)!r}, model="unet", …) with the options it was built with, or --model '
        "and --options on the command line. zoo.build(…, weights=…) reads it too."
    )
