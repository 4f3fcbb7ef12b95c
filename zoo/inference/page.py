"""A page in the browser on which a model is tried: an image in, its classes drawn over it out.

It needs the extra `demo`, Gradio. Nothing on it comes from the network, and nothing is sent there.
"""

import dataclasses
import os
import pathlib
import time
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from zoo import images, pictures
from zoo.inference import inputs
from zoo.inference.methods import AUTO, WHOLE, Method
from zoo.inference.predicting import class_maps
from zoo.inference.scorers import Scorer
from zoo.spec import Spec

if TYPE_CHECKING:
    import gradio

MAX_PIXELS = 2**24
"""Of an image on the page."""

MAX_WAITING = 16  # images that are not answered yet, behind which nobody may queue
MAX_PEOPLE = 32  # whose last answer is kept, at up to 10 MB each
LONGEST_SHOWN = 1600  # pixels on the longer side of what is drawn

_NAMED = 30  # classes that are named below the title
_TILES = [("as the memory allows", AUTO), ("none", WHOLE)]
_TILES += [(f"{side} × {side} pixels", side) for side in (256, 512, 1024, 2048)]
_FLIPS = [("none", "none"), ("mirror image", "horizontal"), ("all four", "four")]


@dataclasses.dataclass(frozen=True)
class Answer:
    """What is known of an image: it, and its class map, both as they are shown.

    Args:
        image: uint8 `[h, w, 3]` or `[h, w, 1]`, `LONGEST_SHOWN` pixels at most on a side.
        class_map: uint8 `[h, w]`.
        shares: Of all pixels, for each class that occurs, by its number, the largest first.
        told: A line on the image.
    """

    image: np.ndarray
    class_map: np.ndarray
    shares: dict[int, float]
    told: str


def answer(model: Scorer, file: str | os.PathLike, method: Method) -> Answer:
    """Answers an image file, turned as viewers turn it.

    Raises:
        ImageError: It cannot be read, or has more than `MAX_PIXELS`.
        ValueError: The method does not suit the model.
        ImportError: The method needs an extra that is not installed.
    """
    file = pathlib.Path(file)
    image = inputs.read(file, model.spec)
    height, width = image.shape[:2]
    if height * width > MAX_PIXELS:
        raise images.ImageError(
            f"{file}: an image on this page has {MAX_PIXELS:,} pixels at most; this one has "
            f"{height:,} × {width:,}. Scale it down, or answer it with zoo predict."
        )
    began = time.monotonic()
    class_map = class_maps(model, method)(image)
    seconds = time.monotonic() - began
    shares = inputs.shares_by_number(class_map)
    turn = images.orientation_of(file)
    told = f"{height} × {width} pixels, answered in {seconds:.1f} seconds"
    background = model.spec.background
    if background in shares:
        told += f"; {shares[background]:.1%} {_plain(model.spec.names[background])}"
    return Answer(
        _small(images.turned(inputs.shown(image), turn), Image.Resampling.BILINEAR),
        _small(images.turned(class_map, turn)[..., np.newaxis], Image.Resampling.NEAREST)[..., 0],
        shares,
        told,
    )


def draw(found: Answer, spec: Spec, shown: Collection[int], opacity: float) -> Image.Image:
    """The classes over the image; those that are not `shown` look as the background does."""
    palette = pictures.with_colours(pictures.bright_palette(), spec.colours)
    return pictures.overlay(
        found.image,
        found.class_map,
        spec.names,
        background=spec.background,
        opacity=opacity,
        palette=palette,
        hidden=[number for number in found.shares if number not in shown],
    )


def page(model: Scorer, *, title: str) -> "gradio.Blocks":
    """The page of a model, which `launch` of Gradio serves.

    Args:
        model: What answers.
        title: Of the page.

    Raises:
        ImportError: Gradio is not installed; the message says how to.
    """
    gr = _gradio()

    def answered(file: str | None, tile: int | str, flips: str, crf: bool) -> tuple[Any, ...]:
        if file is None:
            raise gr.Error(
                "There is no image yet. Drop one into the field above.", print_exception=False
            )
        try:
            found = answer(model, file, Method(tile=tile, flips=flips, crf=crf))
        except (ValueError, ImportError, MemoryError) as error:
            words = str(error).replace(str(file), pathlib.Path(file).name)
            raise gr.Error(words, duration=None, print_exception=False) from error
        drawn_ones = [number for number in found.shares if number != model.spec.background]
        labels = [(f"{model.spec.names[n]}  {found.shares[n]:.1%}", n) for n in drawn_ones]
        choices = gr.CheckboxGroup(choices=labels, value=drawn_ones, visible=bool(labels))
        return found, choices, found.told

    def drawn(found: Answer | None, shown: list[int], opacity: float) -> Image.Image | None:
        return None if found is None else draw(found, model.spec, shown, opacity)

    def emptied() -> tuple[Any, ...]:
        return None, gr.CheckboxGroup(choices=[], value=[], visible=False), "", None

    with gr.Blocks(title=title, analytics_enabled=False) as made:
        names = model.spec.names[:_NAMED]
        more = len(model.spec.names) - len(names)
        others = f" and {more} more" if more else ""
        gr.Markdown(f"# {_plain(title)}\n{_plain(', '.join(names))}{others}")
        last = gr.State(time_to_live=3600)
        with gr.Row():
            with gr.Column(scale=1, min_width=280):
                file = gr.File(
                    label="Image", file_types=list(images.ENDINGS), height=140, type="filepath"
                )
                tile = gr.Dropdown(_TILES, value=AUTO, label="Tiles of a large image")
                flips = gr.Radio(_FLIPS, value="none", label="Average over mirror images")
                crf = gr.Checkbox(label="Refine with a CRF")
                again = gr.Button("Answer", variant="primary")
            with gr.Column(scale=2, min_width=320):
                picture = gr.Image(
                    show_label=False, interactive=False, format="png", buttons=["download"]
                )
                told = gr.Markdown()
                shown = gr.CheckboxGroup(label="Classes that are drawn", visible=False)
                opacity = gr.Slider(0, 1, 0.45, step=0.05, label="Opacity")

        of_answer = {"inputs": [file, tile, flips, crf], "outputs": [last, shown, told]}
        of_nothing = {"outputs": [last, shown, told, picture]}
        of_picture = {"inputs": [last, shown, opacity], "outputs": picture}
        private = {"api_visibility": "private"}
        uploaded = file.upload(emptied, **of_nothing, **private)  # no old answer beside an error
        for event in (uploaded.then, again.click):
            event(answered, **of_answer, **private).success(drawn, **of_picture, **private)
        for event in (shown.input, opacity.release):
            event(drawn, **of_picture, **private)
        file.clear(emptied, **of_nothing, **private)
    return made.queue(max_size=MAX_WAITING, default_concurrency_limit=1, api_open=False)


def _gradio() -> Any:
    try:
        import gradio
    except ImportError as error:
        raise ImportError(
            "The page is made with Gradio, which is not installed. Install it: pip install "
            '"segmentation-zoo[demo]".'
        ) from error
    return gradio


def _small(pixels: np.ndarray, how: Image.Resampling) -> np.ndarray:
    """Pixels `[h, w, channels]`, scaled down to what is shown."""
    height, width = pixels.shape[:2]
    factor = LONGEST_SHOWN / max(height, width)
    if factor >= 1:
        return pixels
    size = max(1, round(width * factor)), max(1, round(height * factor))
    bands = [Image.fromarray(band).resize(size, how) for band in np.moveaxis(pixels, -1, 0)]
    return np.stack([np.asarray(band) for band in bands], axis=-1)


def _plain(text: str) -> str:
    """A text whose letters mean nothing to Markdown."""
    return "".join(f"&#{ord(x)};" if not x.isalnum() and x != " " else x for x in text)
