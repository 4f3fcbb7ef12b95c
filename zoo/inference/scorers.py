"""What answers for each class at each pixel of an image: a model, a file, and what is made of them.

Inference composes one type. `scorer` makes a `Scorer` of a model, of a trained model's path or of
an exported file; tiles, flips, proposals, ensembles and a CRF are functions from Scorers to one.
"""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

import zoo.loading
from zoo import registry
from zoo.fast_copy import faster, on_processor
from zoo.inference import memory
from zoo.inference.reach import reach
from zoo.models.plain import plain
from zoo.spec import Spec

PROBABILITIES, SCORES, CLASSES = "probabilities", "scores", "classes"
"""What a Scorer gives: numbers from 0 to 1 that add up to 1, the scores of the last layer before
its softmax, or 1 for the class and 0 for all others, where a file answers with classes alone."""


@dataclasses.dataclass(frozen=True)
class Scorer:
    """Answers an image `[h, w, channels]`, 0-255, with float32 `[h, w, classes]`.

    ```python
    answer = zoo.inference.scorer("runs/coins")
    answer(image).argmax(-1)  # the class map [h, w]
    answer.spec.class_names  # ("background", "coin")
    ```

    Args:
        answer: From images of one size `[n, h, w, channels]`, of any numeric type, to float32
            `[n, h, w, classes]`.
        spec: What the classes and channels are. Its `options` may lack those of a builder.
        margin: How many pixels around it an answer depends on, at most.
        stride: Tiles begin at multiples of it, so that pooling meets the same pixels.
        gives: `PROBABILITIES`, `SCORES` or `CLASSES`.
        max_pixels: The most pixels of an image that it takes; None for any number.
        bytes_per_pixel: The memory that an answer takes, beside the weights; None if unknown.
    """

    answer: Callable[[np.ndarray], np.ndarray]
    spec: Spec
    margin: int
    stride: int
    gives: str = PROBABILITIES
    max_pixels: int | None = None
    bytes_per_pixel: float | None = None

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """The answer to one image.

        Raises:
            ValueError: It is not one image with the model's channels.
        """
        if image.ndim != 3 or image.shape[-1] != self.spec.channels or not image.size:
            raise ValueError(
                f"An image of this model is [h, w, {self.spec.channels}]; received "
                f"{list(image.shape)}. Pass one image with these channels, not a batch."
            )
        return self.answer(image[np.newaxis])[0]


def scorer(
    source: "Scorer | keras.Model | str | os.PathLike",
    *,
    scores: bool = False,
    head: str | None = None,
    **options: Any,
) -> Scorer:
    """Makes a Scorer of anything that answers for the classes of an image.

    ```python
    answer = zoo.inference.scorer("runs/coins", checkpoint="best")
    answer = zoo.inference.scorer(model)
    ```

    Args:
        source: A Keras model; what `zoo.load` takes; a SavedModel, TFLite, ONNX or OpenVINO file
            that `zoo export` wrote, its folder, or a folder of versions such as `served/unet`, of
            which the newest counts; or a Scorer, which is given back.
        scores: Give the scores of the last layer, before the softmax. Files cannot.
        head: Of a net with several heads, the name of the one that answers. A net with several
            images takes them as one, their channels one behind the other.
        **options: Of `zoo.load`, such as `checkpoint` and `model`.

    Raises:
        FileNotFoundError: Nothing is there.
        ValueError: It is no model, is damaged, or does not say what its classes are.
        ImportError: The runtime of a file is not installed; the message says how to.
    """
    if isinstance(source, Scorer):
        check_head(source.spec, head, "the Scorer")
        return source
    if isinstance(source, keras.Model):
        # A model that is asked again has its graph already. Keras would track an attribute.
        made = source.__dict__.setdefault("_scorers", {})
        if (scores, head) not in made:
            made[scores, head] = of_model(_with_head(source, head), scores=scores)
        return made[scores, head]
    path = pathlib.Path(source)
    from zoo.inference import exported

    if (file := exported.find(path)) is not None:
        given = [name for name in options if name != "class_names" and options[name] is not None]
        if given:
            raise ValueError(
                f"An exported file says itself what it is; received {given[0]} for {path}. Leave "
                f"{given[0]} out, or give the workdir that it was exported from."
            )
        if scores:
            raise ValueError(
                f"An exported file gives no scores before the softmax; received {path}. Give the "
                "weights file or the workdir that it was exported from."
            )
        return exported.of_file(file, class_names=options.get("class_names"), head=head)
    found = zoo.loading.find(path, options.pop("checkpoint", None))
    model, _ = trained(found, where=str(path), head=head, **options)
    return of_model(model, scores=scores)


def check_head(spec: Spec, head: str | None, where: str) -> None:
    """Checks that what answers with one head is asked for no other.

    Raises:
        ValueError: It is; the message names both.
    """
    if head not in (None, spec.head):
        has = f"answers with the head {spec.head}" if spec.head else "has one head without a name"
        raise ValueError(
            f"A head is chosen where there are several; {where} {has}, and received {head!r}. "
            "Leave the head out."
        )


def _with_head(model: keras.Model, head: str | None) -> keras.Model:
    """The model with one input and the output of one head."""
    spec = getattr(model, "spec", None)
    if spec is not None and spec.head and not spec.heads:  # it has been chosen
        check_head(spec, head, repr(model.name))
        head = None
    return plain(model, head)


def trained(
    found: zoo.loading.Found,
    *,
    where: str,
    model: str | None = None,
    class_names: str | Sequence[str] | None = None,
    head: str | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    **options: Any,
) -> tuple[keras.Model, pathlib.Path]:
    """The model that `zoo.loading.find` found, for answers of the size of the image.

    On a processor without a GPU it is the copy of `zoo.faster`.

    Args:
        found: What lies at a path.
        where: The path, for messages.
        model: As of `zoo.load`, and so all that follow.
        class_names: See above.
        head: See above.
        progress: See above.
        **options: See above.

    Returns:
        The model, with one input and one head, and the file that was read.

    Raises:
        ValueError: As `zoo.load`.
    """
    spec = zoo.loading.specify(
        found, model=model, class_names=class_names, options=options, where=where
    )
    if spec.options.get("border") == "valid":  # "mirror" takes the same weights
        options["border"] = "mirror"
    built, file = zoo.loading.build_found(found, spec, progress=progress, **options)
    built = plain(built, head)
    return faster(built) if on_processor() else built, file


def of_model(model: keras.Model, *, scores: bool = False) -> Scorer:
    """The Scorer of a Keras model that takes `[n, h, w, channels]` and gives scores of that size.

    Args:
        model: It may be trained on: its weights are used as they are at each call.
        scores: As of `scorer`.

    Raises:
        ValueError: It gives something else, or a smaller answer than its image.
    """
    spec = _spec_of(model)
    graph = model
    if isinstance(model, keras.Sequential):  # it does not list its operations
        graph = keras.Model(model.inputs, model.outputs)
    margin, stride = reach(graph)
    last = getattr(model.layers[-1], "activation", None)
    ends_in_softmax = isinstance(model.layers[-1], keras.layers.Softmax)
    ends_in_softmax |= last is keras.activations.softmax
    if scores and ends_in_softmax:
        raise ValueError(
            f"The last layer of {model.name!r} is a softmax: the model gives no scores before it. "
            "Ask for its probabilities (scores=False)."
        )

    def answer(images):
        found = keras.ops.cast(model(images, training=False), "float32")
        return found if scores or ends_in_softmax else keras.ops.softmax(found)

    if keras.backend.backend() == "tensorflow":
        answer = _compiled(answer, spec.channels)

    def answered(images: np.ndarray) -> np.ndarray:
        found = keras.ops.convert_to_numpy(answer(np.asarray(images, np.float32)))
        if found.shape[:3] != images.shape[:3]:
            raise ValueError(
                f"A model answers each pixel of its image; {model.name!r} gives {found.shape[1]} × "
                f"{found.shape[2]} for one of {images.shape[1]} × {images.shape[2]}. Pass a model "
                "whose output has the size of its input."
            )
        return found

    return Scorer(
        answered,
        spec,
        margin,
        stride,
        SCORES if scores else PROBABILITIES,
        bytes_per_pixel=memory.bytes_per_pixel(graph),
    )


def _compiled(answer: Callable, channels: int) -> Callable:
    """One graph for every size; a lack of memory is a MemoryError."""
    import tensorflow as tf

    graph = tf.function(
        answer, input_signature=[tf.TensorSpec((None, None, None, channels), tf.float32)]
    )

    def compiled(images: np.ndarray) -> tf.Tensor:
        with lack_of_memory(images.shape):
            return graph(images)

    return compiled


@contextlib.contextmanager
def lack_of_memory(shape: Sequence[int]) -> Iterator[None]:
    """Makes a MemoryError of TensorFlow's, for images of this shape `[n, h, w, channels]`."""
    import tensorflow as tf

    try:
        yield
    except tf.errors.ResourceExhaustedError as error:
        count, height, width, _ = shape
        raise MemoryError(
            f"The memory does not suffice to answer {count} × {height} × {width} pixels at once "
            f"({str(error).splitlines()[0][:200]}). Answer in smaller tiles (tile=, or --tile), or "
            "set CUDA_VISIBLE_DEVICES=-1, which takes the memory of the host and not of a GPU."
        ) from error


def _spec_of(model: keras.Model) -> Spec:
    spec = getattr(model, "spec", None)
    if spec is not None and registry.is_classifier(spec.model):
        raise ValueError(
            f"A Scorer answers for each pixel of an image; {model.name!r} is a classifier, which "
            "answers for the cells of a coarse grid. Make heat maps with it: "
            'zoo.inference.heatmaps.heatmaps(model, image, ["tabby"]), or --heatmaps tabby.'
        )
    takes, gives = model.input_shape, model.output_shape
    fits = all(isinstance(shape, tuple) and len(shape) == 4 for shape in (takes, gives))
    if not fits or None in (takes[-1], gives[-1]):
        raise ValueError(
            "A model answers images [n, h, w, channels] with scores [n, h, w, classes]; "
            f"{model.name!r} takes {takes} and gives {gives}. Pass a model of the zoo, or one that "
            "does."
        )
    if not 2 <= gives[-1] <= 255:
        raise ValueError(
            f"A class map has 2 to 255 classes; {model.name!r} gives {gives[-1]}. Pass one that "
            "gives so many; instead of one score with a sigmoid, two."
        )
    if spec is None:
        return Spec("model", {"classes": gives[-1], "channels": takes[-1]})
    if spec.options.get("border") == "valid":
        raise ValueError(
            "An answer has the size of its image; this U-Net with border='valid' gives a smaller "
            "one. Build it with border='mirror', which takes the same weights."
        )
    return spec


def class_map(answer: Scorer, image: np.ndarray) -> np.ndarray:
    """The best class of each pixel of an image `[h, w, channels]`, uint8 `[h, w]`."""
    return answer(image).argmax(-1).astype(np.uint8)
