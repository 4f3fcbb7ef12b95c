"""A small training run that may meet one fault: `python -m tests.faults.child NET --workdir …`.

It is `zoo train` with a recipe of this file. FAULT in the environment, ACTION@POINT or several of
them with semicolons between, makes it send itself the signal ACTION, or do what else it names, once
it is at that point of the training; a line says so just before. Only names are replaced that the
training looks up when it uses them: its code knows nothing of this.

    first step      in step 1, between the two batches whose mean gradient it takes
    mid-epoch       in step 5, likewise; an epoch has 3 steps
    epoch boundary  after step 6 and its checkpoint, before step 7
    validation      after the first of the images that are scored at step 8
    save            of step 8, when its files are written and wait to be renamed

The files model.weights.h5 and best.weights.h5 have three points each, named "FILE, HOW":

    not written     before the file is begun; the checkpoint of a stop is there
    without sha256  the file is in its place, its .sha256 is not
    without record  both are in their places, recipe.json says nothing of them
"""

import dataclasses
import functools
import os
import pathlib
import shutil
import signal
import sys
import time
from collections.abc import Callable

import tensorflow as tf
from tensorflow.python.ops import gen_io_ops

from recipes import command, runs
from recipes.training import loop, losses, records, weights
from recipes.training.recipe import Recipe

STEPS = 12
_SHARED = {
    "steps": STEPS,
    "batch_size": 2,
    "accumulate": 2,
    "schedule": "cosine",
    "log_every": 3,
    "save_every": 2,
    "validate_every": 4,
}
_VGG = {"stages": [4, 8, 16, 16, 16], "fc_filters": 16}
# Dropout in FCN and U-Net, batch normalization in DeconvNet; an optimizer for each.
RECIPES = {
    "fcn8s": Recipe(
        model="fcn8s",
        options=_VGG,
        data="shapes",
        crop=64,
        augment=("scale", "flip", "colour"),
        loss_sampling=0.75,
        optimizer="sgd",
        learning_rate=1e-3,
        biases="doubled",
        weight_decay=5e-4,
        **_SHARED,
    ),
    "deconvnet": Recipe(
        model="deconvnet",
        options=_VGG,
        data="shapes",
        crop=64,
        augment=("flip", "light"),
        optimizer="adam",
        learning_rate=1e-3,
        **_SHARED,
    ),
    "unet": Recipe(
        model="unet",
        options={"filters": 4, "depth": 2},
        data="isbi",
        crop=48,
        augment=("elastic", "flip", "turn", "light"),
        weight_map=True,
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=1e-4,
        **_SHARED,
    ),
}
# The steps that were done when the point is reached, and the batches of the next one.
STEP_POINTS = {"first step": (0, 1), "mid-epoch": (4, 1), "epoch boundary": (6, 0)}
_SCORED_AND_SAVED = 8
# The steps that are done at each point.
DONE = {point: done for point, (done, _) in STEP_POINTS.items()}
DONE |= dict.fromkeys(("validation", "save"), _SCORED_AND_SAVED)
POINTS = tuple(DONE)
HOW = ("not written", "without sha256", "without record")


def main() -> int:
    net, *words = sys.argv[1:]
    if "mirrored" in words:
        tf.config.set_logical_device_configuration(
            tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2
        )
    for fault in filter(None, os.environ.get("FAULT", "").split(";")):
        action, _, point = fault.partition("@")
        if action == "NAN":
            poison(once=point == "once")
        else:
            arrange(point, functools.partial(strike, action))
    runs.find = lambda name: dataclasses.replace(RECIPES[name], name=name)
    return command.train([net, *words])


def strike(action: str) -> None:
    print(f"FAULT {action} {time.time()}", flush=True)
    if action == "FULL":
        fill_disk(pathlib.Path(sys.argv[sys.argv.index("--workdir") + 1]))
    else:
        os.kill(os.getpid(), getattr(signal, action))


def arrange(point: str, act: Callable[[], None]) -> None:
    """Has something done at a point of the training, the first time that it is reached."""
    if point == "validation":
        at_validation(act)
    elif point == "save":
        at_save(act)
    elif point.startswith(("model.", "best.")):
        at_weights(*point.split(", "), act)
    else:
        at_step(*STEP_POINTS[point], act)


def at_step(done: int, batches: int, act: Callable[[], None]) -> None:
    make_step = loop.make_step

    def make(recipe, state, *arguments):
        step, parts = make_step(recipe, state, *arguments), 0

        def watched(*batch, last):
            nonlocal parts
            if int(state.step) == done and parts == batches:
                act()
            answer = step(*batch, last=last)
            parts = 0 if last else parts + 1
            return answer

        return watched

    loop.make_step = make


def at_validation(act: Callable[[], None]) -> None:
    shared_scores, make_step, states = loop.shared_scores, loop.make_step, []

    def make(recipe, state, *arguments):
        states.append(state)
        return make_step(recipe, state, *arguments)

    def watched(predict, *arguments, stopped):
        images = []

        def predict_then_act(image):
            class_map = predict(image)
            images.append(image)
            if int(states[-1].step) == _SCORED_AND_SAVED and len(images) == 1:
                act()
            return class_map

        return shared_scores(predict_then_act, *arguments, stopped=stopped)

    loop.make_step, loop.shared_scores = make, watched


def at_save(act: Callable[[], None]) -> None:
    merge = gen_io_ops.merge_v2_checkpoints

    def watched(prefixes, destination, **options):
        if destination.numpy().decode().endswith(f"ckpt-{_SCORED_AND_SAVED}"):
            act()
        return merge(prefixes, destination, **options)

    gen_io_ops.merge_v2_checkpoints = watched


def at_weights(name: str, how: str, act: Callable[[], None]) -> None:
    write, replace, update = weights._write, os.replace, records.update

    def watched_write(run, model, file):
        if how == "not written" and file == name:
            act()
        write(run, model, file)

    def watched_replace(source, target):
        if how == "without sha256" and pathlib.Path(target).name == f"{name}.sha256":
            act()
        replace(source, target)

    def watched_update(workdir, **entries):
        if how == "without record" and ("best" if "best" in name else "weights") in entries:
            act()
        update(workdir, **entries)

    weights._write, os.replace, records.update = watched_write, watched_replace, watched_update


def poison(*, once: bool) -> None:
    """Makes the gradients of step 7 NaN, at the first attempt or at every one; the loss is fine."""
    factor, strikes = None, []
    summed_loss, make_step = losses.summed_loss, loop.make_step

    @tf.custom_gradient
    def same(loss):
        return tf.identity(loss), lambda gradient: gradient * factor

    def make(recipe, state, *arguments):
        nonlocal factor
        if factor is None:  # not before the workers have come together
            factor = tf.Variable(1.0, trainable=False)
        step = make_step(recipe, state, *arguments)

        def watched(*batch, last):
            now = int(state.step) == 6 and last and not (once and strikes)
            if now:
                strikes.append(now)
                print(f"FAULT NAN {time.time()}", flush=True)
            factor.assign(float("nan") if now else 1.0)
            return step(*batch, last=last)

        return watched

    losses.summed_loss = lambda *arguments: same(summed_loss(*arguments))
    loop.make_step = make


def fill_disk(workdir: pathlib.Path) -> None:
    """Leaves a page free, so that what follows begins to write and cannot end."""
    free = shutil.disk_usage(workdir).free
    with open(workdir.parents[1] / "filler", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, free - 4096)


if __name__ == "__main__":
    sys.exit(main())
