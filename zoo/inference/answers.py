"""Writes the answers to image files into a folder, for `zoo predict`."""

import collections
import concurrent.futures
import dataclasses
import pathlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from PIL import Image

from zoo import files, images, pictures, videos
from zoo.inference import heatmaps, inputs
from zoo.inference.journal import Journal
from zoo.inference.large import predict_large
from zoo.inference.methods import Method
from zoo.inference.scorers import CLASSES, Scorer, class_map
from zoo.spec import Spec

_READERS = 4  # threads that read ahead, and images that are held for that
_TOLD = 5  # classes in a line on an image

Show = Callable[[str], None]


@dataclasses.dataclass(frozen=True)
class Asked:
    """What answers, and what is written of each image.

    Args:
        model: The Scorer of the model; of a classifier the model itself.
        others: Further members of an ensemble.
        method: How an image is answered.
        boxes: Of each image by its name, instead of EdgeBoxes.
        scores: Write the probabilities, too.
        heatmaps: The classes of which heat maps are drawn, as `zoo.inference.heatmaps` takes them.
        font: Of the legends, as `zoo.pictures.overlay` takes it.
    """

    model: Scorer | keras.Model
    others: Sequence[Scorer] = ()
    method: Method = Method()  # noqa: RUF009
    boxes: dict[str, np.ndarray] = dataclasses.field(default_factory=dict)
    scores: bool = False
    heatmaps: Sequence[str] = ()
    font: str | None = None

    @property
    def spec(self) -> Spec:
        """Of the model."""
        return self.model.spec

    def check(self) -> None:
        """Raises ValueError if what is wanted is not what the model gives."""
        if self.heatmaps:
            heatmaps.find(self.heatmaps, self.spec.names)
        if isinstance(self.model, keras.Model):
            if not self.heatmaps or self.scores or self.others or self.method != Method():
                raise ValueError(
                    f"{self.spec.model} is a classifier: of its options --heatmaps CLASS … is "
                    "needed, and no other taken. Pass --heatmaps, such as --heatmaps tabby."
                )
        elif self.composed_of(None).gives == CLASSES and (self.scores or self.heatmaps):
            raise ValueError(
                "--scores and --heatmaps are of probabilities; an exported file of this format "
                "gives classes alone. Give the weights file, the workdir or a SavedModel."
            )

    def names(self, path: pathlib.Path, name: str) -> dict[str, str]:
        """The files of an image by what they hold."""
        if videos.is_video(path):
            return {"overlay": f"{name}-overlay.mp4"}
        named = {"heatmaps": f"{name}-heatmaps.png"} if self.heatmaps else {}
        if isinstance(self.model, keras.Model):
            return named
        if self.scores:
            named["probabilities"] = f"{name}-probabilities.npy"
        ending = ".tif" if inputs.has_georeference(path) else ".png"
        return {"mask": f"{name}-mask{ending}", "overlay": f"{name}-overlay.png"} | named

    def composed_of(self, boxes: np.ndarray | None) -> Scorer:
        """The Scorer of an image that has these proposals; None for EdgeBoxes."""
        return self.method.composed(self.model, self.others, boxes=boxes)


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
    todo = [path for path in paths if not kept.is_answered(path)]
    before = len(paths) - len(todo)
    if before:
        report(f"{before} of {len(paths)} images were answered before")
    targets = {path: asked.names(path, names[path]) for path in todo}
    for path, named in targets.items():
        kept.check_free(path, list(named.values()))
    without = []
    progress(before, len(paths), "")
    for done, (path, image) in enumerate(_read_ahead(todo, asked.spec), start=before):

        def show(text: str, done: int = done) -> None:
            progress(done, len(paths), text)

        try:
            if isinstance(image, images.ImageError):
                raise image
            write = _writer(asked, path, image)
            line, missing = write(asked, path, image, targets[path], kept, show)
        except images.ImageError as error:
            line, missing = None, str(error)
        if line:
            report(line)
        if missing:
            without.append(path)
            warn(missing)
        progress(done + 1, len(paths), "")
    return without


def _read_ahead(
    paths: Sequence[pathlib.Path], spec: Spec
) -> Iterator[tuple[pathlib.Path, np.ndarray | images.ImageError | None]]:
    """The images in their order, or the error of each; None for what is not read at once."""

    def read(path: pathlib.Path) -> np.ndarray | images.ImageError | None:
        try:
            if videos.is_video(path) or inputs.has_georeference(path) or inputs.is_large(path):
                return None
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


def _writer(asked: Asked, path: pathlib.Path, image: np.ndarray | None) -> Callable[..., Any]:
    if videos.is_video(path):
        return _write_video
    if isinstance(asked.model, keras.Model):
        return _write_heatmaps
    return _write_large if image is None else _write_image


def _write_image(
    asked: Asked,
    path: pathlib.Path,
    image: np.ndarray,
    named: dict[str, str],
    kept: Journal,
    show: Show,
) -> tuple[str, None]:
    """Writes the files of an image; gives a line on it."""
    began = time.monotonic()
    found = asked.composed_of(asked.boxes.get(path.stem))(image)
    numbers, turn = found.argmax(-1).astype(np.uint8), images.orientation_of(path)
    shares = inputs.shares(numbers, asked.spec)
    turned, shown = images.turned(numbers, turn), images.turned(inputs.shown(image), turn)
    targets = {what: kept.folder / name for what, name in named.items()}
    kept.announce(
        path, [*named.values()], seconds=round(time.monotonic() - began, 3), shares=shares
    )
    if asked.scores:
        with files.replacing(targets["probabilities"]) as unfinished:
            np.save(unfinished, images.turned(found, turn))
    if asked.heatmaps:
        numbers_of = heatmaps.find(asked.heatmaps, asked.spec.names)
        _save_heatmaps(asked, shown, images.turned(found[..., numbers_of], turn), targets)
    pictures.save_class_map(targets["mask"], turned, palette=_palette(asked.spec))
    _save(_overlay(shown, turned, asked), targets["overlay"])
    return _line(targets["mask"], shares), None


def _write_large(
    asked: Asked,
    path: pathlib.Path,
    image: None,
    named: dict[str, str],
    kept: Journal,
    show: Show,
) -> tuple[str, None]:
    """Writes the class map of an image strip by strip, and a smaller overlay."""
    if asked.scores or asked.heatmaps:
        raise images.ImageError(
            f"{path}: --scores and --heatmaps are of images that are answered at once; this one is "
            "answered strip by strip. Leave them out, or cut it into smaller images."
        )
    answer = asked.method.of_a_tile(asked.model, asked.others)
    began, names = time.monotonic(), [*named.values()]
    kept.announce(path, names)
    found = predict_large(
        answer,
        path,
        kept.folder / named["mask"],
        palette=_palette(asked.spec),
        side=asked.method.side_of(answer),
        overlap=asked.method.overlap,
        show=lambda done, total: show(f"{path.name}: {done / total:.1%}"),
    )
    shares = inputs.shares(found.class_map, asked.spec)
    kept.announce(path, names, seconds=round(time.monotonic() - began, 3), shares=shares)
    shown = _overlay(inputs.shown(found.image), found.class_map, asked)
    _save(shown, kept.folder / named["overlay"])
    return _line(found.path, shares), None


def _write_video(
    asked: Asked,
    path: pathlib.Path,
    image: None,
    named: dict[str, str],
    kept: Journal,
    show: Show,
) -> tuple[str, str | None]:
    """Writes a video with the classes drawn over each frame."""
    if isinstance(asked.model, keras.Model) or asked.scores or asked.heatmaps or asked.boxes:
        raise images.ImageError(
            f"{path}: of a video an overlay is written. Leave out --scores, --heatmaps and "
            "--boxes, and give a model that answers each pixel."
        )
    target, answer = kept.folder / named["overlay"], asked.composed_of(asked.boxes.get(path.stem))
    kept.announce(path, [*named.values()])
    written = videos.overlay_video(
        path,
        target,
        lambda frame: class_map(answer, frame),
        asked.spec,
        font=asked.font,
        progress=lambda done, total: show(f"{path.name}: frame {done} of {total or '?'}"),
    )
    return f"{target}: {written.frames} frames", written.missing


def _write_heatmaps(
    asked: Asked,
    path: pathlib.Path,
    image: np.ndarray | None,
    named: dict[str, str],
    kept: Journal,
    show: Show,
) -> tuple[str, None]:
    """Writes the heat maps of a classifier."""
    image = inputs.read(path, asked.spec) if image is None else image
    maps = heatmaps.heatmaps(asked.model, image, asked.heatmaps)
    turn, named_maps = images.orientation_of(path), _names_of_maps(asked)
    most = dict(zip(named_maps, maps.max((0, 1)).tolist(), strict=True))
    kept.announce(path, [*named.values()], most=most)
    shown = images.turned(inputs.shown(image), turn)
    targets = {what: kept.folder / name for what, name in named.items()}
    _save_heatmaps(asked, shown, images.turned(maps, turn), targets)
    said = ", ".join(f"{name.partition(',')[0]} {share:.1%}" for name, share in most.items())
    return f"{targets['heatmaps']}: at most {said}", None


def _names_of_maps(asked: Asked) -> list[str]:
    return [asked.spec.names[one] for one in heatmaps.find(asked.heatmaps, asked.spec.names)]


def _save_heatmaps(
    asked: Asked, image: np.ndarray, maps: np.ndarray, targets: dict[str, pathlib.Path]
) -> None:
    sheet = heatmaps.sheet(image, maps, _names_of_maps(asked), font=asked.font)
    _save(sheet, targets["heatmaps"])


def _line(target: pathlib.Path, shares: dict[str, float]) -> str:
    told = [f"{name} {share:.1%}" for name, share in list(shares.items())[:_TOLD]]
    more = len(shares) - len(told)
    return f"{target}: {', '.join(told)}" + (f" and {more} more" if more else "")


def _palette(spec: Spec) -> np.ndarray:
    return pictures.with_colours(pictures.voc_palette(), spec.colours)


def _overlay(image: np.ndarray, numbers: np.ndarray, asked: Asked) -> Image.Image:
    return pictures.overlay(
        image,
        numbers,
        asked.spec.names,
        background=asked.spec.background,
        palette=pictures.with_colours(pictures.bright_palette(), asked.spec.colours),
        font=asked.font,
    )


def _save(picture: Image.Image, target: pathlib.Path) -> None:
    with files.replacing(target) as unfinished:
        picture.save(unfinished)
