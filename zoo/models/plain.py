"""A model with several inputs or heads as one that takes an image and gives the scores of one head.

Tiles, exports and scores are of such a model. The weights are those of the model that it is made
of: it may be trained on.
"""

import keras


def heads(model: keras.Model) -> tuple[str, ...]:
    """The names of the heads of a model that gives a dict, the first one first; else none."""
    # A Sequential has one, and no `output` before it is called.
    if isinstance(model, keras.Sequential) or not isinstance(model.output, dict):
        return ()
    return tuple(model.output)


def plain(model: keras.Model, head: str | None = None) -> keras.Model:
    """The model with one input and one output; the model itself, if it has no more.

    ```python
    model = zoo.build("fcn8s_two_heads")
    plain(model, "geometric")(image)  # [n, h, w, 3]
    ```

    Args:
        model: Takes `[n, h, w, c]`, or a dict of such with one size; gives `[n, h, w, classes]`, or
            a dict of such. Its Spec goes with it.
        head: The name of the head; None for a model with one head.

    Returns:
        A model whose input is the channels of all inputs, one behind the other.

    Raises:
        ValueError: The model has no such head, or several and none is chosen.
    """
    names = heads(model)
    if not names and head is not None:
        raise ValueError(
            f"A head is chosen where a model has several; {model.name!r} has one, and received "
            f"{head!r}. Leave the head out."
        )
    if names and head not in names:
        raise ValueError(
            f"{model.name!r} has the heads {' and '.join(names)}, of which one is chosen; received "
            f"{head!r}. Pass head={names[0]!r}, or --head on the command line."
        )
    # A Sequential has one input, too.
    has_one_input = isinstance(model, keras.Sequential) or not isinstance(model.input, dict)
    if not names and has_one_input:
        return model
    image, answer = _joined(model)
    made = keras.Model(image, answer[head] if names else answer, name=model.name)
    if hasattr(model, "spec"):
        made.spec = model.spec if head is None else model.spec.of_head(head)
    return made


def _joined(model: keras.Model) -> tuple[keras.KerasTensor, keras.KerasTensor | dict]:
    """One image with the channels of all inputs, and the output for it."""
    if not isinstance(model.input, dict):
        return model.input, model.output
    channels = sum(x.shape[-1] for x in model.input.values())
    image = keras.Input((None, None, channels), dtype="float32", name="image")
    parts, first = {}, 0
    for name, tensor in model.input.items():
        parts[name] = image[..., first : first + tensor.shape[-1]]
        first += tensor.shape[-1]
    # Not the call of the model: here its layers stand in the new graph themselves.
    return image, model.call(parts)
