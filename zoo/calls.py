"""The calls of layers that a model is made of."""

import keras


def calls(model: keras.Model) -> list:
    """Every call of a layer or operation of a functional model, in the order of computation.

    A layer that a model calls twice is here twice; and a layer that several models share has one
    `input` only, which may be that of another model.

    Returns:
        Keras's nodes: `operation`, and the lists of tensors `input_tensors` and `outputs`.
    """
    # Keras runs a model through this dictionary; it has no public name for it.
    depths = model._nodes_by_depth
    return [call for depth in sorted(depths, reverse=True) for call in depths[depth]]
