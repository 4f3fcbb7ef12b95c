"""The check of SavedModels: all signatures, in all loaders that are installed."""

import contextlib
import functools
import pathlib
from collections.abc import Callable, Iterator, Mapping

import keras
import numpy as np
import tensorflow as tf

from exports.check import questions, reference
from exports.check.agreement import (
    MAX_TIES,
    Finding,
    MismatchError,
    NotChecked,
    WarmedUp,
)
from exports.check.reference import Reference
from exports.graph import (
    CLASS_NAMES,
    SCORES,
)
from exports.graph.classes import classes_of
from exports.graph.limits import Limits
from exports.graph.ports import Ports, ports_of
from exports.runtimes import Ask, UnableError, openvino, process, tensorflow_c_api
from exports.runtimes import tensorflow as python
from exports.serving import warmup
from zoo.models.plain import plain
from zoo.spec import Spec


@contextlib.contextmanager
def _compiled(directory: pathlib.Path) -> Iterator[Ask]:
    """TensorFlow's C++ loader, in a process without TensorFlow's Python."""
    with process.loaded(directory) as ask:
        yield lambda signature, inputs: ask(signature, inputs).outputs


LOADERS = {"Python": python.loaded, "C++": _compiled, "OpenVINO": openvino.loaded}


def check_saved_model(
    model: keras.Model,
    directory: pathlib.Path,
    *,
    spec: Spec | None = None,
    limits: Limits | None = None,
    images: np.ndarray | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Finding]:
    """Compares a SavedModel with the model: all signatures in TensorFlow's Python and C++ loaders.

    The C++ loader is asked the warm-up requests, too, and OpenVINO about `serving_default` if it is
    installed.

    Args:
        model: The model that was exported.
        directory: The SavedModel.
        spec: What it was exported with.
        limits: Of a request; the defaults of an export if None.
        images: uint8 `[n, h, w, channels]`; two textures if None.
        report: Called with a line on each finding: what agrees, and what was not checked.

    Raises:
        MismatchError: An answer is not the model's.
        exports.runtimes.StatusError: TensorFlow refuses the files, or a request.
        ValueError: The images do not fit the model or the limits; its scores are not finite; it
            sees one class.
    """
    ports = ports_of(model)
    limits = limits or Limits(ports.channels)
    images, size = _within(images, limits), limits.fit(*reference.ANY_SIZE)
    asked = {head: reference.of_model(plain(model, head), images, size) for head in ports.heads}
    return _reported(_findings(directory, asked, spec, limits, ports), report)


def check_loaders(
    directory: pathlib.Path,
    *,
    spec: Spec | None,
    limits: Limits,
    ports: Ports,
    images: np.ndarray | None = None,
    report: Callable[[str], None] = lambda line: None,
) -> list[Finding]:
    """Compares the loaders of a SavedModel with each other.

    The reference is the signature `scores` in TensorFlow's Python loader. Whether it gives the
    answers of the model that was exported is not checked.

    Args and errors: as `check_saved_model`.
    """
    with LOADERS["Python"](directory) as ask:

        def scores_of(head: str | None, images: np.ndarray) -> np.ndarray:
            images = np.rint(images).astype(np.uint8)
            answer = ask(ports.name_of(SCORES, head), ports.split(images))
            # The softmax of the logarithms gives the probabilities again.
            return np.log(np.maximum(answer["probabilities"], np.finfo(np.float32).tiny))

        images, size = _within(images, limits), limits.fit(*reference.ANY_SIZE)
        asked = {
            head: reference.of_scores(
                functools.partial(scores_of, head), str(directory), limits.channels, images, size
            )
            for head in ports.heads
        }
        return _reported(_findings(directory, asked, spec, limits, ports), report)


def _within(images: np.ndarray | None, limits: Limits) -> np.ndarray | None:
    if images is not None and np.prod(images.shape[1:3]) > limits.max_pixels:
        raise ValueError(
            "A version is checked with images that it takes, of at most "
            f"{limits.max_pixels} pixels; received images {list(images.shape)}. Pass smaller ones, "
            "or export with a higher max_pixels."
        )
    return images


def _reported(findings: Iterator[Finding], report: Callable[[str], None]) -> list[Finding]:
    found = []
    for finding in findings:
        report(str(finding))
        found.append(finding)
    return found


def _findings(
    directory: pathlib.Path,
    asked: Mapping[str | None, Reference],
    spec: Spec | None,
    limits: Limits,
    ports: Ports,
) -> Iterator[Finding]:
    """Of each loader; `asked` is the reference of each head, all with the same images."""
    images, max_batch = next(iter(asked.values())).images, limits.max_batch
    for image in ports.split(images).values():
        for one in image:
            limits.check_file(tf.io.encode_png(one).numpy())
    scores = {head: one.in_batches(max_batch) for head, one in asked.items()}
    for loader in ("Python", "C++"):
        with LOADERS[loader](directory) as ask:
            batches = questions.in_batches(ask, max_batch)
            yield from questions.ask_default(batches, loader, images, scores, ports)
            for head, one in asked.items():
                yield from questions.ask_head(batches, loader, one, scores[head], ports, head)
                classes = classes_of(spec, scores[head].shape[-1], head)
                yield questions.ask_names(ask, loader, classes, ports.name_of(CLASS_NAMES, head))
            if len(ports.heads) > 1:
                questions.ask_heads(ask, loader, ports)
            if loader == "C++" and (directory / warmup.WARM_UP).exists():
                yield _warmed_up(directory, ask)
    if not tensorflow_c_api.can_forbid_xla():
        yield NotChecked(
            "C++",
            "whether a server refuses the graph because XLA has to compile a part of it; the "
            "library of this TensorFlow has no such switch. Install TensorFlow as pip has it.",
        )
    try:
        with LOADERS["OpenVINO"](directory) as ask:
            batches = questions.in_batches(ask, max_batch)
            yield from questions.ask_default(batches, "OpenVINO", images, scores, ports)
    except (ImportError, UnableError) as error:
        yield NotChecked("OpenVINO", str(error))
    except MismatchError:
        unsettled = max(one.unsettled() for one in asked.values())
        if unsettled <= MAX_TIES:
            raise
        yield NotChecked(
            "OpenVINO",
            f"rounding alone changes {unsettled:.2%} of the classes of these images, so that "
            "another engine gives others. Check with images of your data.",
        )


def _warmed_up(directory: pathlib.Path, ask: Ask) -> WarmedUp:
    try:
        return WarmedUp("C++", warmup.replay(directory, ask))
    except (RuntimeError, KeyError, ValueError) as error:
        raise MismatchError(
            f"C++: a server does not load a version whose warm-up requests fail: {error}. Export "
            "again."
        ) from error
