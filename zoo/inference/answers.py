"""Answers image files, one after the other, into a folder: the loop of `zoo predict`."""

import collections
import concurrent.futures
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np

from zoo import images, videos
from zoo.inference import answer_files, inputs
from zoo.inference.asked import Asked
from zoo.inference.journal import Journal

MAX_NAME = 255  # bytes, of most file systems
_READERS = 4  # threads that read ahead, and images that are held for that


def write_answers(
    asked: Asked,
    paths: Sequence[pathlib.Path],
    kept: Journal,
    *,
    report: Callable[[str], None] = lambda line: None,
    warn: Callable[[str], None] = lambda line: None,
    progress: Callable[[int, int, str], None] = lambda done, total, detail: None,
) -> list[pathlib.Path]:
    """Writes the answers to images into the folder of a journal; goes on where it was.

    Args:
        asked: What is asked.
        paths: Files of images and videos.
        kept: The journal.
        report: Called with a line on each image that is answered.
        warn: Called with a line on each image that cannot be read.
        progress: Called with the count of images that are done, of all, and a text on one that
            takes long.

    Returns:
        The images without an answer, or with a part of one.

    Raises:
        FileExistsError: A file of somebody else is in the place of an answer.
        ValueError: Two images have one name, or lie in the folder of the answers.
        OSError: The folder cannot be written to.
    """
    names = inputs.names_of(paths)
    if any(kept.folder.resolve() == path.parent.resolve() for path in paths):
        raise ValueError(
            f"Answers lie in a folder of their own; {kept.folder} holds the images. Choose another "
            "--out."
        )
    targets = {path: asked.names(path, names[path]) for path in paths}
    without = [path for path, named in targets.items() if _too_long(named)]
    for path in without:
        warn(
            f"{path}: the name of a file has {MAX_NAME} bytes at most; those of its answers have "
            "more. Rename the image."
        )
    todo = [
        path
        for path, named in targets.items()
        if path not in without and not kept.is_answered(path, [*named.values()])
    ]
    before = len(paths) - len(todo) - len(without)
    if before:
        report(f"{before} of {len(paths)} images were answered before")
    for path in todo:
        kept.check_free(path, [*targets[path].values()])
    before += len(without)
    progress(before, len(paths), "")
    for done, (path, image) in enumerate(_read_ahead(todo, asked), start=before):

        def show(text: str, done: int = done) -> None:
            progress(done, len(paths), text)

        try:
            if isinstance(image, ValueError):
                raise image
            write = _writer(asked, path, image)
            line, missing = write(asked, path, image, targets[path], kept, show)
        except (images.ImageError, videos.VideoError) as error:
            line, missing = None, str(error)
        except (ValueError, ImportError) as error:  # it does not suit the method
            line, missing = None, f"{path}: {error}"
        if line:
            report(line)
        if missing:
            without.append(path)
            warn(missing)
        progress(done + 1, len(paths), "")
    return without


def _read_ahead(
    paths: Sequence[pathlib.Path], asked: Asked
) -> Iterator[tuple[pathlib.Path, np.ndarray | ValueError | None]]:
    """The images in their order, or the error of each; None for what is not read at once."""

    def read(path: pathlib.Path) -> np.ndarray | ValueError | None:
        try:
            if videos.is_video(path) or inputs.is_read_by_windows(path):
                return None
            return inputs.read(path, asked.spec, depth=asked.depths.get(path))
        except ValueError as error:  # it cannot be read, or does not suit the model
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


def _too_long(named: dict[str, str]) -> bool:
    return any(len(os.fsencode(name)) > MAX_NAME for name in named.values())


def _writer(asked: Asked, path: pathlib.Path, image: np.ndarray | None) -> Callable[..., Any]:
    if videos.is_video(path):
        return answer_files.write_video
    if isinstance(asked.model, keras.Model):
        return answer_files.write_heatmaps
    return answer_files.write_large if image is None else answer_files.write_image
