"""A model with several inputs or heads as one that takes an image and gives the scores of one head.

Tiles, exports and scores are of such a model. The weights are those of the model that it is made
of: it may be trained on.
"""

import keras


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
    # It has one input and one head, and no `output` before it is called.
    sequential = isinstance(model, keras.Sequential)
    heads = None if sequential or not isinstance(model.output, dict) else model.output
    if heads is None and head is not None:
        raise ValueError(
            f"A head is chosen where a model has several; {model.name!r} has one, and received "
            f"{head!r}. Leave the head out."
        )
    if heads is not None and head not in heads:
        raise ValueError(
            f"{model.name!r} has the heads {' and '.join(heads)}, of which one is chosen; received "
            f"{head!r}. Pass head={next(iter(heads))!r}, or --head on the command line."
        )
    if heads is None and (sequential or not isinstance(model.input, dict)):
        return model
    image, answer = _joined(model)
    made = keras.Model(image, answer if heads is None else answer[head], name=model.name)
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
