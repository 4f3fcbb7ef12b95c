"""Answers images: class maps in Python, and files in a folder for `zoo predict`."""

import collections
import concurrent.futures
import dataclasses
import os
import pathlib
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from PIL import Image

from zoo import images, pictures
from zoo.inference import heatmaps, inputs, journal
from zoo.inference.inputs import Picture
from zoo.inference.methods import Method
from zoo.inference.scorers import Scorer, class_map
from zoo.spec import Spec

_READERS = 4  # threads that read ahead, and images that are held for that

Say = Callable[[str], None]


def predict(
    model: "Scorer | keras.Model | str | os.PathLike", image: Picture, **options: Any
) -> np.ndarray:
    """The class of each pixel of an image, uint8 `[h, w]`.

    ```python
    class_map = zoo.predict("runs/mine", "photograph.jpg")
    class_map = zoo.predict(model, image, flips="four", crf=True)
    ```

    The pixels are those that the file stores: an EXIF orientation turns nothing.

    Args:
        model: A Keras model, or what `zoo.inference.scorer` takes. To ask about many images, make
            a Scorer of a path once.
        image: A file, an array `[h, w, channels]` or `[h, w]` with values 0-255, or an image of
            Pillow.
        **options: Of `zoo.inference.Method`, such as `tile=512`.

    Raises:
        FileNotFoundError: There is no model at the path.
        ValueError: The model or the image cannot be used, or an option does not suit.
    """
    method = Method(**options)
    answer = method.scorer(model)
    return class_map(method.composed(answer), inputs.read(image, answer.spec))


@dataclasses.dataclass(frozen=True)
class Wanted:
    """What is written of each image beside its class map and its overlay.

    Args:
        scores: The probabilities, `.npy`.
        heatmaps: The numbers of the classes of which heat maps are drawn.
        font: Of the legends, as `zoo.pictures.overlay` takes it.
    """

    scores: bool = False
    heatmaps: tuple[int, ...] = ()
    font: str | None = None

    def names(self, name: str) -> dict[str, str]:
        """The name of each file of an image."""
        named = {"mask": f"{name}-mask.png", "overlay": f"{name}-overlay.png"}
        if self.scores:
            named["probabilities"] = f"{name}-probabilities.npy"
        if self.heatmaps:
            named["heatmaps"] = f"{name}-heatmaps.png"
        return named


def write_answers(
    answer_of: Callable[[pathlib.Path], Scorer],
    paths: Sequence[pathlib.Path],
    folder: pathlib.Path,
    *,
    spec: Spec,
    request: dict[str, Any],
    wanted: Wanted = Wanted(),
    report: Say = lambda line: None,
    warn: Say = lambda line: None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> list[pathlib.Path]:
    """Writes the answers to images into a folder; run again, it goes on where it was.

    Args:
        answer_of: The Scorer of an image file.
        paths: Image files.
        folder: Made if it is not there.
        spec: Of the model.
        request: What is asked of every image, as JSON has it: it must be the same to go on.
        wanted: What is written.
        report: Called with a line on each image that is answered.
        warn: Called with a line on each image that cannot be read, and on what else is odd.
        progress: Called with the count of images that are done, and of all.

    Returns:
        The images without an answer.

    Raises:
        FileExistsError: A file of somebody else is in the place of an answer.
        ValueError: The folder holds answers to another request, or two images have one name.
        OSError: The folder cannot be written to.
    """
    names = inputs.names_of(paths)
    if any(folder.resolve() == path.parent.resolve() for path in paths):
        raise ValueError(
            f"Answers lie in a folder of their own; {folder} holds the images. Choose another "
            "--out."
        )
    without = []
    with journal.opened(folder, request) as kept:
        todo = [path for path in paths if not kept.is_answered(path)]
        if len(todo) < len(paths):
            report(f"{len(paths) - len(todo)} of {len(paths)} images were answered before")
        for path in todo:
            kept.check_free(path, list(wanted.names(names[path]).values()))
        progress(len(paths) - len(todo), len(paths))
        for done, (path, image) in enumerate(_read_ahead(todo, spec), start=1):
            if isinstance(image, Exception):
                without.append(path)
                warn(str(image))
            else:
                report(_write(answer_of(path), path, image, names[path], kept, wanted, warn))
            progress(len(paths) - len(todo) + done, len(paths))
    return without


def _read_ahead(
    paths: Sequence[pathlib.Path], spec: Spec
) -> Iterator[tuple[pathlib.Path, np.ndarray | images.ImageError]]:
    """The images in their order; an image that cannot be read is its error."""

    def read(path: pathlib.Path) -> np.ndarray | images.ImageError:
        try:
            return inputs.read(path, spec)
        except images.ImageError as error:
            return error

    with concurrent.futures.ThreadPoolExecutor(_READERS) as pool:
        waiting = collections.deque()
        for path in paths:
            waiting.append((path, pool.submit(read, path)))
            if len(waiting) > _READERS:
                first, future = waiting.popleft()
                yield first, future.result()
        for first, future in waiting:
            yield first, future.result()


def _write(
    answer: Scorer,
    path: pathlib.Path,
    image: np.ndarray,
    name: str,
    kept: journal.Journal,
    wanted: Wanted,
    warn: Say,
) -> str:
    """Writes the answers to one image; a line on them."""
    began = time.monotonic()
    found = answer(image)
    seconds = time.monotonic() - began
    numbers, turn = found.argmax(-1).astype(np.uint8), images.orientation_of(path)
    shares = inputs.shares(numbers, answer.spec)
    named = wanted.names(name)
    with kept.writing(
        path, list(named.values()), seconds=round(seconds, 3), shares=shares
    ) as files:
        targets = {what: files[file] for what, file in named.items()}
        turned, shown = images.turned(numbers, turn), images.turned(inputs.shown(image), turn)
        palette = pictures.with_colours(pictures.voc_palette(), answer.spec.colours)
        pictures.save_class_map(targets["mask"], turned, palette=palette)
        _overlay(shown, turned, answer.spec, wanted.font, warn).save(targets["overlay"])
        if wanted.scores:
            np.save(targets["probabilities"], images.turned(found, turn))
        if wanted.heatmaps:
            maps = images.turned(found[..., list(wanted.heatmaps)], turn)
            titles = [answer.spec.names[number] for number in wanted.heatmaps]
            heatmaps.sheet(shown, maps, titles).save(targets["heatmaps"])
    told = ", ".join(f"{name} {share:.1%}" for name, share in list(shares.items())[:5])
    return f"{kept.folder / named['mask']}: {told}"


def _overlay(
    image: np.ndarray, numbers: np.ndarray, spec: Spec, font: str | None, warn: Say
) -> Image.Image:
    palette = pictures.with_colours(pictures.bright_palette(), spec.colours)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        drawn = pictures.overlay(
            image, numbers, spec.names, background=spec.background, palette=palette, font=font
        )
    for one in said:
        warn(str(one.message))
    return drawn
