"""What can be scored, by its path: a trained model or an exported file."""

import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

import zoo
import zoo.loading
from recipes import scoring
from recipes.data import Dataset
from zoo import workdir
from zoo.inference import Method, Scorer, exported
from zoo.inference.predicting import class_maps
from zoo.inference.probabilities import probabilities
from zoo.inference.scorers import trained
from zoo.terminal import tell


class Scored(NamedTuple):
    """Something to score: the file that is read, None for no file, and how it answers.

    `probabilities` answers a whole image, `[h, w, classes]`.
    """

    file: pathlib.Path | None
    predict: scoring.Predictor
    probabilities: Scorer


def predictor(
    path: pathlib.Path,
    dataset: Dataset,
    *,
    method: Method,
    others: Sequence[Scorer] = (),
    head: str | None = None,
    checkpoint: str | None = None,
    model: str | None = None,
    options: dict[str, Any] | None = None,
) -> Scored:
    """Loads what lies at a path.

    Args:
        path: An exported file or its folder, or what `zoo.load` takes.
        dataset: The split that it is scored on.
        method: How an image is answered.
        others: Further members of an ensemble.
        head: Of a net with several heads, the one that is scored.
        checkpoint: As for `zoo.load`, if the path is a workdir.
        model: As for `zoo.load`, if the file does not say it.
        options: As for `zoo.load`; its classes and channels follow from the data set.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: It cannot be read, or is made for other channels or classes than the data set.
        ImportError: The runtime of a file, or an extra, is not installed.
    """
    file = exported.find(path)
    if file is not None:
        spec = exported.stored_spec(file)
        named = spec is not None and spec.head is not None
        answer = exported.of_file(
            file, class_names=dataset.class_names, head=head if named else None
        )
        file = path
    else:
        loaded, file = _trained(path, dataset, head, checkpoint, model, dict(options or {}))
        answer = method.scorer(loaded)
    check_made_for(dataset, path, answer)
    if answer.spec.class_names not in (None, dataset.class_names):
        tell(f"{path} has other class names than {dataset.name}, which the table has")
    whole = probabilities(method.composed(answer, others))
    return Scored(file, class_maps(answer, method, others), whole)


def _trained(
    path: pathlib.Path,
    dataset: Dataset,
    head: str | None,
    checkpoint: str | None,
    model: str | None,
    options: dict[str, Any],
) -> tuple[keras.Model, pathlib.Path]:
    """The model at what `zoo.load` takes, and the file that was read."""
    inside = checkpoint if (path / workdir.RECIPE).exists() else None
    found = zoo.loading.find(path, inside)
    if found.spec is None and model is not None:
        card = zoo.describe(model)
        classes = f"{head}_classes" if head in card.heads[1:] else "classes"
        channels = {} if card.inputs else {"channels": dataset.channels}
        options = {classes: len(dataset.class_names), **channels, **options}
    if found.spec is not None and not found.spec.heads:
        head = None  # it answers for one head only, whose classes are compared with the data set's
    return trained(found, where=str(path), model=model, head=head, **options)


def check_made_for(dataset: Dataset, what: pathlib.Path, answer: Scorer) -> None:
    """Compares the channels and the classes with those of the data set.

    Raises:
        ValueError: They differ; the message names both.
    """
    made_for = {"channels": answer.spec.channels, "classes": answer.spec.classes}
    needed = {"channels": dataset.channels, "classes": len(dataset.class_names)}
    for name, number in made_for.items():
        if number != needed[name]:
            how = "; or score it alone, and read its images with --channels"
            raise ValueError(
                f"{what} is made for {name}={number}; {dataset.name} has {name}={needed[name]}. "
                "Pass the data set that it was trained on as --data, and its folder as --data-dir"
                f"{f'{how} {number}' if (dataset.name, name) == ('folder', 'channels') else ''}."
            )
