"""The loop over the steps of a run: trains, scores, writes the tables, saves."""

import contextlib
import dataclasses
import math
import signal
import time
from collections.abc import Callable, Iterator

import numpy as np
import tensorflow as tf

from recipes import scoring
from recipes.data import pipeline
from recipes.training import board, checkpoints, context, patience, records, tables, weights
from recipes.training.checkpoints import NotFiniteError
from recipes.training.devices import add_up, stop_signals
from recipes.training.recipe import Recipe, RunError
from recipes.training.run import Run
from recipes.training.step import make_step
from recipes.training.validation import Scorer, copy_weights, make_scorer, shared_scores
from zoo import progress


def run_steps(run: Run, *, last: int) -> int | None:
    """Trains from the state's step to `last` or the end of its patience, and saves a checkpoint.

    Everything that belongs to a step, its rows in the tables too, is written before its checkpoint:
    a run that is killed in between does the step again.

    Returns:
        The number of the signal that stopped it after a step; else None.

    Raises:
        NotFiniteError: The loss, a gradient or a variable is not finite; nothing of the step was
            saved.
        RunError: A file cannot be written, or the loss scale is below 1.
    """
    first = run.step
    lacks_scores = _lacks_scores(run)
    if not lacks_scores and (first >= last or patience.is_over(run)):
        if first == run.recipe.steps:
            print(f"the training is complete: {first} steps", flush=True)
        return None
    batches = _batches(run, first, last)
    train_step = make_step(run.recipe, run.state, run.strategy, batches.element_spec)
    scorer = make_scorer(run.state.model) if run.recipe.validate_every else None
    with stop_signals() as stop, _output(run, last) as output:
        stopped = over = False
        if lacks_scores:
            stopped = not _validate(run, scorer, output, stop)
            over = not stopped and patience.is_over(run)
        print(
            f"training {run.recipe.name}: step {first} of {last}; the first one takes longer",
            flush=True,
        )
        parts, clock = iter(batches), _Clock(first, float(run.state.seconds))
        while run.step < last and not stopped and not over:
            stopped = _one_step(run, train_step, parts, stop, clock)
            output.show(run.step, _mean_loss(run), clock.rate, _images(run.recipe))
            if not stopped and _scores_are_due(run.recipe, run.step):
                stopped = not _validate(run, scorer, output, stop)
                over = not stopped and patience.is_over(run)
            _log(run, output, clock)
            if stopped or over or run.step % run.recipe.save_every == 0 or run.step == last:
                checkpoints.save(run.state, run.out)
    return (stop or [signal.SIGTERM])[0] if stopped else None


@dataclasses.dataclass(frozen=True)
class _Output:
    """What a run tells and writes on the way."""

    events: board.Board
    show: Callable[[int, float, float, int], None]


@dataclasses.dataclass
class _Clock:
    """The time that training takes, and its rate without the first step, which builds the graph."""

    first: int
    earlier: float  # seconds, before this start
    rate: float = 0.0  # steps per second, 0 while it is unknown
    began: float = dataclasses.field(default_factory=time.monotonic)
    steady: float = 0.0

    def tick(self, step: int) -> float:
        """Notes that a step is done; gives the seconds of the whole run."""
        now = time.monotonic()
        if step == self.first + 1:
            self.steady = now
        else:
            self.rate = (step - self.first - 1) / (now - self.steady)
        return self.earlier + now - self.began


@contextlib.contextmanager
def _output(run: Run, last: int) -> Iterator[_Output]:
    for name in tables.COLUMNS:
        tables.repair(run.out / name, run.step, heads=run.splits["val"].other_heads)
    with (
        board.opened(run.out / "tensorboard") as events,
        progress.training(run.step, last) as show,
    ):
        yield _Output(events, show)


def _batches(run: Run, first: int, last: int) -> tf.distribute.DistributedDataset:
    recipe = run.recipe
    return run.strategy.distribute_datasets_from_function(
        lambda part: pipeline.batches(
            run.splits["train"],
            batch_size=recipe.batch_size,
            first=first * recipe.accumulate,
            last=last * recipe.accumulate,
            seed=recipe.seed,
            crop=recipe.crop,
            augment=recipe.augment,
            context=context.around(recipe, run.state.model),
            loss_sampling=recipe.loss_sampling,
            weight_map=recipe.weight_map,
            workers=part.num_input_pipelines,
            worker=part.input_pipeline_id,
            replicas=part.num_replicas_in_sync,
        )
    )


def _one_step(
    run: Run, train_step: Callable, parts: Iterator, stop: list[int], clock: _Clock
) -> bool:
    """Does a step; returns whether the run has to stop, the same for all workers."""
    loss, broken, stops = 0.0, 0, 0
    accumulate = run.recipe.accumulate
    for part in range(1, accumulate + 1):
        answer = train_step(next(parts), tf.constant(len(stop)), last=part == accumulate)
        loss += answer[0] / accumulate
        broken, stops = broken + answer[1], stops + answer[2]
    loss, step = float(loss), run.step + 1
    if broken:
        raise _end_at(run, step, loss)
    run.state.step.assign(step)
    run.state.seconds.assign(clock.tick(step))
    run.state.losses.assign_add(loss)
    run.state.summed.assign_add(1)
    # Workers learn of a signal with the next batch, so that all stop at the same step.
    return bool(stops) or (run.workers == 1 and bool(stop))


def _end_at(run: Run, step: int, loss: float) -> Exception:
    """Why a run cannot go on from a step."""
    scale = run.state.loss_scale
    if scale is not None and math.isfinite(loss):
        return RunError(
            f"Step {step}: the loss is {loss:g}, and its gradient overflows float16 even at the "
            f"loss scale {float(scale.value) * 2:g}, which was halved down to it step by step. "
            f"Nothing of this step was saved. {checkpoints.intact(run.workdir)} Pass --precision "
            f"mixed_bfloat16 or float32, or a --learning-rate below {run.recipe.learning_rate:g}, "
            "and a new --workdir."
        )
    return NotFiniteError(step, f"the loss is {loss:g}, and it or its gradient is not finite")


def _validate(run: Run, scorer: Scorer, output: _Output, stop: list[int]) -> bool:
    """Scores the held-out split and keeps the best weights; False if a signal came meanwhile."""
    step, held_out = run.step, run.splits["val"]
    copy_weights(scorer.model, run.state.model)
    checkpoints.check_finite(step, scorer.model.variables)
    heads = {"": held_out, **held_out.other_heads}
    try:
        found = {
            head: shared_scores(predict, labels, run.strategy, stopped=lambda: bool(stop))
            for predict, (head, labels) in zip(scorer.predicts, heads.items(), strict=True)
        }
    except MemoryError as error:
        raise RunError(
            f"{error} Or run the same command with --validate-every 0: it goes on from the last "
            "checkpoint and scores nothing."
        ) from error
    if None in found.values():
        return False
    numbers = {name: found[""][name] for name in scoring.SCORES}
    for head in held_out.other_heads:
        values = (found[head][name] for name in scoring.SCORES)
        numbers |= zip(tables.head_scores(head), values, strict=True)
    best_by = run.recipe.best_by
    if run.is_first_worker and numbers[best_by] > records.best_score(run.out, best_by):
        weights.write_best(run, scorer.model, numbers[best_by])
    tables.add_row(run.out / tables.SCORES, {"step": step, **numbers})
    output.events.scalars(step, numbers)
    for predict, (head, labels) in zip(scorer.predicts, heads.items(), strict=True):
        output.events.pictures(step, predict, labels, head=head)
    others = (f", {head} {found[head]['mean_iou']:.4f}" for head in held_out.other_heads)
    print(f"step {step}: held-out mean IoU {numbers['mean_iou']:.4f}{''.join(others)}", flush=True)
    return True


def _log(run: Run, output: _Output, clock: _Clock) -> None:
    """Writes a row of the log if it is due."""
    recipe, state, step = run.recipe, run.state, run.step
    if step % recipe.log_every == 0 or step == recipe.steps:
        mean, seconds = _mean_loss(run), round(float(state.seconds), 3)
        tables.add_row(run.out / tables.LOG, {"step": step, "loss": mean, "seconds": seconds})
        numbers = {"loss": mean, "learning_rate": state.optimizer.learning_rate.numpy()}
        if clock.rate:
            numbers["images_per_second"] = clock.rate * _images(recipe)
        if state.loss_scale is not None:
            numbers["loss_scale"] = float(state.loss_scale.value)
        output.events.scalars(step, numbers)
    if step % recipe.log_every == 0:
        state.losses.assign(0)
        state.summed.assign(0)


def _mean_loss(run: Run) -> float:
    """The mean loss of the steps since the last row of the log."""
    return float(run.state.losses) / int(run.state.summed)


def _images(recipe: Recipe) -> int:
    return recipe.batch_size * recipe.accumulate


def _lacks_scores(run: Run) -> bool:
    """Whether the run was stopped while it scored its step; the same for all workers."""
    if not _scores_are_due(run.recipe, run.step):
        return False
    lacks = run.is_first_worker and not tables.is_scored(run.out, run.step)
    return bool(add_up(np.array([float(lacks)]), run.strategy)[0])


def _scores_are_due(recipe: Recipe, step: int) -> bool:
    return step > 0 and recipe.validate_every > 0 and step % recipe.validate_every == 0
