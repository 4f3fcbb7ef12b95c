"""The loop over the steps of a run, and what is told and written on the way."""

import pathlib
import shlex
import signal
import sys
import time
from collections.abc import Callable, Iterator

import keras
import tensorflow as tf

from recipes import data, scoring
from recipes.data import pipeline
from recipes.training import board, checkpoints, records
from recipes.training.checkpoints import NotFiniteError
from recipes.training.devices import stop_signals, worker_of
from recipes.training.recipe import Recipe
from recipes.training.step import make_step
from recipes.training.validation import follow, shared_scores
from zoo import progress


def run_steps(
    recipe: Recipe,
    state: checkpoints.State,
    splits: dict[str, data.Dataset],
    strategy: tf.distribute.Strategy,
    out: pathlib.Path,
    *,
    last: int,
) -> None:
    """Trains from the state's step to `last`, and saves.

    Everything that a step brings, its rows in the tables too, comes before its checkpoint: what a
    killed run has lost it does again.

    Raises:
        NotFiniteError: The loss, a gradient or a variable; nothing of it was saved.
        SystemExit: SIGINT or SIGTERM came, and all was saved: 130 or 143.
    """
    first = int(state.step)

    def scores_are_due(step: int) -> bool:
        return step > 0 and recipe.validate_every > 0 and step % recipe.validate_every == 0

    # A run that was stopped while it scored has saved the step without its scores.
    left_over = scores_are_due(first) and int(state.scored) < first
    if first >= last and not left_over:
        if first == recipe.steps:
            print(f"the training is complete: {first} steps", flush=True)
        return
    batches = strategy.distribute_datasets_from_function(
        lambda context: pipeline.batches(
            splits["train"],
            batch_size=recipe.batch_size,
            first=first * recipe.accumulate,
            last=last * recipe.accumulate,
            seed=recipe.seed,
            crop=recipe.crop,
            augment=recipe.augment,
            loss_sampling=recipe.loss_sampling,
            weight_map=recipe.weight_map,
            workers=context.num_input_pipelines,
            worker=context.input_pipeline_id,
            replicas=context.num_replicas_in_sync,
        )
    )
    train_step = make_step(recipe, state, strategy, batches.element_spec)
    scorer = keras.models.clone_model(state.model) if recipe.validate_every else None
    predict = scoring.of_model(scorer) if scorer else None
    folder, began, earlier = out / "checkpoints", time.monotonic(), float(state.seconds)
    images = recipe.batch_size * recipe.accumulate
    alone = worker_of(strategy)[1] == 1
    with (
        stop_signals() as stop,
        records.table(out / "log.csv", records.LOG, first) as log,
        records.table(out / "scores.csv", records.SCORES, first) as scored,
        board.opened(out / "tensorboard") as events,
        progress.training(first, last) as show,
    ):

        def validate(step: int) -> bool:
            """Scores the held-out split; False if a signal came before it was done."""
            follow(scorer, state.model)
            scores = shared_scores(predict, splits["val"], strategy, stopped=lambda: bool(stop))
            if scores is None:
                return False
            state.scored.assign(step)
            numbers = {name: scores[name] for name in records.SCORES[1:]}
            scored.writerow({"step": step, **numbers})
            events.scalars(step, numbers)
            events.pictures(step, predict, splits["val"])
            print(f"step {step}: held-out mean IU {scores['mean_iou']:.4f}", flush=True)
            return True

        stopped = left_over and not validate(first)
        if left_over and not stopped:
            checkpoints.save(state, folder)
        parts = iter(batches)
        print(
            f"training {recipe.name}: step {first} of {last}; the first one takes longer",
            flush=True,
        )
        for step in range(first + 1, last + 1):
            if stopped:
                break
            loss, broken, stopped = _one_step(train_step, parts, recipe.accumulate, stop)
            # One worker need not ask the others, which a signal reaches with the next batch.
            stopped = stopped or (alone and bool(stop))
            if broken:
                raise NotFiniteError(
                    step, f"the loss is {loss:g}, and it or its gradient is not finite"
                )
            now = time.monotonic()
            state.step.assign(step)
            state.seconds.assign(earlier + now - began)
            state.losses.assign_add(loss)
            mean = float(state.losses) / (step % recipe.log_every or recipe.log_every)
            if step == first + 1:
                steady = now  # the step before this moment built the graph: it tells no rate
            rate = (step - first - 1) / (now - steady) if step > first + 1 else 0.0
            show(step, mean, rate, images)
            if not stopped and scores_are_due(step):
                stopped = not validate(step)
            if step % recipe.log_every == 0 or step == recipe.steps:
                seconds = round(float(state.seconds), 1)
                log.writerow({"step": step, "loss": mean, "seconds": seconds})
                numbers = {"loss": mean, "learning_rate": state.optimizer.learning_rate.numpy()}
                if rate:
                    numbers["images_per_second"] = rate * images
                events.scalars(step, numbers)
            if step % recipe.log_every == 0:
                state.losses.assign(0)
            if stopped or step % recipe.save_every == 0 or step == last:
                checkpoints.save(state, folder)
    if stopped:
        print(
            f"stopped and saved at step {int(state.step)} of {recipe.steps}. Go on with:\n"
            f"  {shlex.join(sys.orig_argv)}",
            flush=True,
        )
        raise SystemExit(128 + (stop or [signal.SIGTERM])[0])


def _one_step(
    train_step: Callable, parts: Iterator, accumulate: int, stop: list[int]
) -> tuple[float, bool, bool]:
    """The mean loss of the batches of a step; whether a number was not finite; whether to stop.

    The last two are the same for all workers.
    """
    loss, broken, stopped = 0.0, 0, 0
    for part in range(1, accumulate + 1):
        answer = train_step(next(parts), tf.constant(len(stop)), last=part == accumulate)
        loss += answer[0] / accumulate
        broken, stopped = broken + answer[1], stopped + answer[2]
    return float(loss), bool(broken), bool(stopped)
