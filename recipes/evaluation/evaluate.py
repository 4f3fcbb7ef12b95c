"""Scores everything that is given on one data set."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

import zoo.metrics
from recipes import data, scoring
from recipes.evaluation import baselines, membranes
from recipes.evaluation.predictors import Scored, predictor
from zoo import loading
from zoo import workdir as workdirs
from zoo.inference import Method, Scorer, exported, scorer
from zoo.terminal import tell


class Result(NamedTuple):
    """What was scored, its confusion matrix, and its scores.

    The scores are those of `zoo.metrics.scores`, and those that were asked for. `image_ious` is the
    mean IoU of each image by itself: over the classes that its label or its answer shows, and NaN
    where nothing is labelled.
    """

    scored: Scored
    matrix: np.ndarray
    scores: dict[str, Any]
    image_ious: np.ndarray


def heads(
    paths: Sequence[pathlib.Path], *, checkpoint: str | None = None
) -> tuple[str | None, ...]:
    """The heads that all paths have, the first one first; None alone for nets with one head.

    Raises:
        FileNotFoundError: Nothing is at a path.
        ValueError: The paths have different heads.
    """
    found = {path: heads_of(path, checkpoint) for path in paths}
    if len(set(found.values())) > 1:
        have = "; ".join(f"{path} has {' and '.join(one) or 'one'}" for path, one in found.items())
        raise ValueError(
            f"Nets with the same heads are scored together; {have}. Pass the one to score as "
            "--head."
        )
    return next(iter(found.values()), ()) or (None,)


def heads_of(path: pathlib.Path, checkpoint: str | None = None) -> tuple[str, ...]:
    """The names of the heads of what lies at a path; none for a net whose one head has no name.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: It is no model.
    """
    file = exported.find(path)
    if file is not None:
        spec = exported.stored_spec(file)
    else:
        spec = loading.find(path, checkpoint if _recorded(path) else None).spec
    if spec is None:
        return ()
    return spec.heads or ((spec.head,) if spec.head else ())


def member(path: str, head: str | None) -> Scorer:
    """A further member of an ensemble; of a net whose heads have names this one."""
    return scorer(path, head=head if heads_of(pathlib.Path(path)) else None)


def evaluate(
    paths: Sequence[pathlib.Path],
    *,
    head: str | None = None,
    method: Method = Method(),  # noqa: B008
    others: Sequence[Scorer] = (),
    data_name: str | None = None,
    data_dir: pathlib.Path | None = None,
    split: str = "val",
    boundary: int | None = None,
    membrane: str | None = None,
    with_baselines: bool = False,
    channels: int | None = None,
    checkpoint: str | None = None,
    model: str | None = None,
    options: dict[str, Any] | None = None,
) -> tuple[data.Dataset, dict[str, Result]]:
    """Scores each path on the same split.

    Args:
        paths: As `recipes.evaluation.predictors.predictor` takes them.
        head: Of nets with several heads, the one that is scored.
        method: How an image is answered.
        others: Further members of an ensemble with each path.
        data_name: The data set; that of the workdirs among the paths if None.
        data_dir: Its folder; that of the first workdir's run if None.
        split: "train", "val" or, if the data set has it, "test".
        boundary: Score the Boundary IoU too, within this distance of the contours in pixels.
        membrane: The class that separates cells, to score these, too; of EM images of `isbi` it is
            "membrane".
        with_baselines: Score what the training labels alone tell, too; see `baselines.of`.
        channels: That the images of a folder are read with; those of the workdirs' run if None.
        checkpoint: Of the workdirs, as for `zoo.load`.
        model: As for `zoo.load`, for files that do not say it.
        options: As for `zoo.load`.

    Returns:
        The split, and a result for each path by its text, then those of the baselines by their
        names.

    Raises:
        FileNotFoundError: Nothing is at a path.
        ValueError: There is no data set to score on, or a path does not fit it.
    """
    recorded = {path: _recorded(path) for path in paths}
    for path, recipe in recorded.items():
        if recipe is None and exported.find(path) is None:
            loading.find(path)  # what cannot be loaded is told before anything else
    runs = {path: found for path, found in recorded.items() if found is not None}
    if checkpoint is not None and not runs:
        raise ValueError(
            "--checkpoint is for a workdir; received none. Pass the workdir, or leave "
            "--checkpoint out."
        )
    splits = _splits(runs, data_name, data_dir, channels)
    dataset = _of_head(chosen(splits, split), head, paths)
    predictors = {
        path: predictor(
            path,
            dataset,
            method=method,
            others=others,
            head=head,
            checkpoint=checkpoint,
            model=model,
            options=options,
        )
        for path in paths
    }
    if membrane is None and dataset.name == "isbi" and "membrane" in dataset.class_names:
        membrane = "membrane"
    if membrane is not None:
        membrane = membranes.class_of(membrane, dataset.class_names)
    results = {}
    for path, scored in predictors.items():
        tell(f"{path}: {scored.file}{_step_of(path, scored.file, runs)}")
        results[str(path)] = _result(scored, dataset, boundary, membrane)
    if with_baselines:
        train = _of_head(chosen(splits, "train"), head, paths)
        for name, predict in baselines.of(train).items():
            tell(f"{name}, of the labels of {train.split}")
            results[name] = _result(_baseline(predict, dataset), dataset, boundary, membrane)
    return dataset, results


def _baseline(predict: scoring.Predictor, dataset: data.Dataset) -> Scored:
    """A baseline as something to score, whose probabilities are 0 and 1."""
    each = np.eye(len(dataset.class_names))
    return Scored(None, predict, lambda image: each[predict(image)])


def _result(
    scored: Scored, dataset: data.Dataset, boundary: int | None, membrane: int | None
) -> Result:
    """The scores over a split, of which each image is answered once."""
    classes = len(dataset.class_names)
    counts, cells, answer = np.zeros((2, classes), np.int64), [], np.empty(0)
    image_ious = []

    def predict(image: np.ndarray) -> np.ndarray:
        nonlocal answer
        answer = scored.probabilities(image)
        return answer.argmax(-1)

    def seen(label: np.ndarray, class_map: np.ndarray, matrix: np.ndarray) -> None:
        image_ious.append(scoring.scores(matrix, dataset)["mean_iou"])
        if boundary is not None:
            counts[:] += zoo.metrics.boundary_counts(
                label, class_map, classes=classes, distance=boundary
            )
        if membrane is not None:
            cell = 1 - membrane
            cells.append(membranes.of_image(label, answer[..., cell], cell=cell))

    matrix = scoring.confusion_matrix(
        scored.predict if membrane is None else predict, dataset, seen=seen
    )
    scores = scoring.scores(matrix, dataset)
    if membrane is not None:
        scores |= membranes.scores([one for one in cells if one is not None])
    if boundary is not None:
        absent = map(dataset.class_names.index, scoring.left_out(matrix, dataset))
        scores |= zoo.metrics.boundary_scores(counts, unscored=tuple(absent))
    return Result(scored, matrix, scores, np.array(image_ious))


def chosen(splits: dict[str, data.Dataset], split: str) -> data.Dataset:
    """The split of this name.

    Raises:
        ValueError: The data set has none.
    """
    if split not in splits:
        is_folder = next(iter(splits.values())).name == "folder"
        how = "Write the names of the test images into a test.txt of the folder, or pass"
        raise ValueError(
            f"--split is one of {', '.join(splits)}; received {split}. "
            f"{how if is_folder else 'Pass'} --split val."
        )
    return splits[split]


def _of_head(
    dataset: data.Dataset, head: str | None, paths: Sequence[pathlib.Path]
) -> data.Dataset:
    """The split with the labels of a head.

    Raises:
        ValueError: Neither a path nor the data set has such a head.
    """
    known = {*dataset.other_heads, *(one for path in paths for one in heads_of(path))}
    if head is not None and known and head not in known:
        raise ValueError(
            f"--head is one of {', '.join(sorted(known))}; received {head!r}. Pass one of them."
        )
    if head is not None and not known:
        raise ValueError(
            f"--head is for nets with several; {paths[0]} has one, and so has {dataset.name}. "
            "Leave it out."
        )
    return dataset.other_heads.get(head, dataset)


def _recorded(path: pathlib.Path) -> dict[str, Any] | None:
    return workdirs.read_recipe(path) if path.is_dir() else None


def _step_of(path: pathlib.Path, file: pathlib.Path, runs: dict[pathlib.Path, Any]) -> str:
    """Of which step the weights of a run are, as a text; empty for other files."""
    if path not in runs:
        return ""
    recorded = runs[path]
    entry = {workdirs.WEIGHTS: "weights", workdirs.BEST: "best"}.get(file.name)
    step = (recorded.get(entry) or {}).get("step") if entry else file.name.rpartition("-")[2]
    return f", step {step} of {recorded['recipe'].get('steps')}"


def _splits(
    runs: dict[pathlib.Path, dict[str, Any]],
    name: str | None,
    folder: pathlib.Path | None,
    channels: int | None,
) -> dict[str, data.Dataset]:
    names = sorted({found["recipe"]["data"] for found in runs.values()})
    if name is None and len(names) != 1:
        have = f"the runs have {', '.join(names)}" if names else "files do not name theirs"
        raise ValueError(
            f"Scores are those on one data set; {have}. Pass --data, one of "
            f"{', '.join(data.NAMES)}."
        )
    workdir, recorded = next(iter(runs.items()), (pathlib.Path(), {}))
    inside = recorded.get("data_dir") or workdir / "data"
    recipe = recorded.get("recipe", {})
    if channels is None and name in (None, recipe.get("data")):
        channels = recipe.get("channels")
    name = name or names[0]
    return data.load(
        name, folder or pathlib.Path(inside), channels=channels or 0, fold=_fold(runs, name)
    )


def _fold(runs: dict[pathlib.Path, dict[str, Any]], name: str) -> str:
    """The fold that the runs on a data set hold out; "" for none.

    Raises:
        ValueError: They hold out different ones: each has trained on what another is scored on.
    """
    found = {
        path: one["recipe"].get("fold", "")
        for path, one in runs.items()
        if one["recipe"]["data"] == name
    }
    if len(set(found.values())) > 1:
        have = "; ".join(f"{path} has --fold {fold or 'none'}" for path, fold in found.items())
        raise ValueError(
            f"Runs that hold out the same fold are scored together; {have}. Score each alone."
        )
    fold = next(iter(found.values()), "")
    if fold:
        tell(f"{name}: the split val is fold {fold}, as in training")
    return fold
