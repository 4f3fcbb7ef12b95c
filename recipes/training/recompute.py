"""Computes features again in the backward pass, instead of keeping them until then.

A net is cut where a layer changes the resolution. Of a part only what later parts take is kept;
when its gradient is due, the part is computed once more, from the same numbers: dropout draws the
same mask, and moving averages are updated once. The last part is computed once, as its gradient is
due at once.
"""

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from zoo.anatomy import KINDS
from zoo.calls import calls


def recomputed(model: keras.Model) -> Callable[..., Any]:
    """A function that computes what `model(image, training=True)` does, with the same gradients."""
    *parts, last = [_part(nodes, later) for nodes, later in _cut(model)]

    def forward(image: Any, *, training: bool) -> Any:
        made = dict(zip(map(id, keras.tree.flatten(model.input)), [image], strict=True))
        for part, inputs, outputs in parts:
            answers = _computed_twice(part, [made[x] for x in inputs], training=training)
            made |= zip(outputs, answers, strict=True)
        part, inputs, outputs = last
        answers = keras.tree.flatten(part([made[x] for x in inputs], training=training))
        made |= zip(outputs, answers, strict=True)
        return keras.tree.map_structure(lambda x: made[id(x)], model.output)

    return forward


def _cut(model: keras.Model) -> list[tuple[list, list]]:
    """The calls of layers of each part, and the tensors that are taken after it."""
    parts = [[]]
    for node in calls(model):
        if isinstance(node.operation, keras.layers.InputLayer):
            continue
        parts[-1].append(node)
        if _changes_resolution(node.operation):
            parts.append([])
    parts = [part for part in parts if part]
    needed, found = keras.tree.flatten(model.output), []
    for part in reversed(parts):
        found.insert(0, (part, needed))
        needed = [*needed, *(x for node in part for x in node.input_tensors)]
    return found


def _changes_resolution(layer: Any) -> bool:
    strides = getattr(layer, "strides", 1)
    is_strided = max(strides) > 1 if isinstance(strides, tuple) else strides > 1
    return is_strided or isinstance(layer, KINDS["pooling"] + KINDS["unpooling"])


def _part(nodes: list, later: list) -> tuple[keras.Model, list, list]:
    """A part as a model of the same layers, and the places of its inputs and outputs."""
    made = {id(x): x for node in nodes for x in node.outputs}
    taken = {id(x): x for node in nodes for x in node.input_tensors if id(x) not in made}
    given = {id(x): x for x in later if id(x) in made}
    return keras.Model([*taken.values()], [*given.values()]), [*taken], [*given]


def _computed_twice(part: keras.Model, inputs: list[tf.Tensor], *, training: bool) -> list:
    """What a part answers; its gradient computes it again."""
    learned, others = part.trainable_variables, part.non_trainable_variables
    first, end = len(inputs), len(inputs) + len(learned)

    def compute(numbers: tuple) -> tuple[list, list]:
        outputs, changed = part.stateless_call(
            *(numbers[first:end], numbers[end:], list(numbers[:first])), training=training
        )
        return keras.tree.flatten(outputs), changed

    @tf.custom_gradient
    def forward(*numbers: tf.Tensor) -> tuple[list, Callable]:
        outputs, changed = compute(numbers)

        def backward(*upstream: tf.Tensor) -> list:
            # Not before: what is computed again would be kept from then on.
            with tf.control_dependencies(upstream), tf.GradientTape() as tape:
                again = tuple(tf.identity(x) for x in numbers)
                floats = [x for x in again if x.dtype.is_floating]
                tape.watch(floats)
                answers, _ = compute(again)
            places = [i for i, x in enumerate(answers) if x.dtype.is_floating]
            found = tape.gradient(
                [answers[i] for i in places],
                floats,
                output_gradients=[upstream[i] for i in places],
                unconnected_gradients="zero",
            )
            gradients = iter(found)
            return [next(gradients) if x.dtype.is_floating else None for x in again]

        return [*outputs, *changed], backward

    values = [tf.convert_to_tensor(variable.value) for variable in learned + others]
    answers = keras.tree.flatten(forward(*inputs, *values))
    for variable, value in zip(others, answers[len(part.outputs) :], strict=True):
        variable.assign(value)
    return answers[: len(part.outputs)]
