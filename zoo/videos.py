"""Videos: read frame by frame, and written with the classes drawn over each frame.

It needs the extra `video`, whose package brings ffmpeg; `zoo.ffmpeg` says what it may open.
"""

import contextlib
import dataclasses
import fractions
import os
import pathlib
import subprocess
from collections.abc import Callable, Iterator
from typing import IO

import numpy as np

from zoo import ffmpeg, files, images, pictures
from zoo.ffmpeg import VideoError
from zoo.spec import Spec

VIDEO_ENDINGS = (".mp4", ".mov", ".avi", ".mkv", ".webm")


@dataclasses.dataclass(frozen=True)
class Video:
    """What the header of a video says, and its frames.

    Args:
        path: The file.
        size: Height and width of a frame, turned as players turn it.
        rate: Frames a second. A video whose rate varies is read at a constant one.
        count: How many frames there should be, from the duration; None if the header does not say.
            AVIs that are cut off say fewer.
        frames: uint8 `[h, w, 3]` RGB, one after the other, each read when it is asked for.
    """

    path: pathlib.Path
    size: tuple[int, int]
    rate: fractions.Fraction
    count: int | None
    frames: Iterator[np.ndarray]


@dataclasses.dataclass(frozen=True)
class Written:
    """How many frames were written, and what is missing: a sentence, or None."""

    frames: int
    missing: str | None


def is_video(path: str | os.PathLike) -> bool:
    """Whether a name has the ending of a video."""
    return os.fspath(path).lower().endswith(VIDEO_ENDINGS)


@contextlib.contextmanager
def opened(path: str | os.PathLike) -> Iterator[Video]:
    """Opens a video, whose frames can be read inside the `with` block.

    ```python
    with zoo.videos.opened("street.mp4") as video:
        sizes = [frame.shape for frame in video.frames]
    ```

    Raises:
        FileNotFoundError: There is no such file.
        VideoError: It is no video, or its header is damaged.
        ImportError: The extra is not installed.
    """
    path = pathlib.Path(path)
    ffmpeg.check_container(path)
    size, rate, count = ffmpeg.header(path)
    program = [*ffmpeg.reader(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
    with subprocess.Popen(program, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        try:
            yield Video(path, size, rate, count, _frames(process.stdout, size))
        finally:
            process.kill()


def overlay_video(
    source: str | os.PathLike,
    target: str | os.PathLike,
    class_map_of: Callable[[np.ndarray], np.ndarray],
    spec: Spec,
    *,
    font: str | os.PathLike | None = None,
    progress: Callable[[int, int | None], None] = lambda done, total: None,
) -> Written:
    """Writes a video with the classes drawn over each frame: H.264 in an MP4.

    It has as many frames as the source, at its rate and size, and its first sound track. A legend
    of all classes lies below, the same in every frame; white fills sides up to an even length.

    Args:
        source: A video.
        target: Ends in `.mp4`. An existing file is replaced once the new one is complete.
        class_map_of: From an image `[h, w, channels]` to its class map `[h, w]`.
        spec: The channels, and the names and colours of the classes.
        font: Of the legend, as `zoo.pictures.overlay` takes it.
        progress: Called with the count of frames that are written, and of all.

    Returns:
        The number of frames. A video that ends in the middle has those that can be read, and
        `missing` says how many of how many.

    Raises:
        ValueError: `target` has another ending.
        VideoError: As `opened`, or no frame can be read.
        ImageError: A model takes other channels than RGB or grey.
        OSError: The video cannot be written.
    """
    target = pathlib.Path(target)
    if target.suffix.lower() != ".mp4":
        raise ValueError(
            f"An overlay video is an MP4; received {target.name!r}. Name it "
            f"{target.with_suffix('.mp4').name}."
        )
    palette = pictures.with_colours(pictures.bright_palette(), spec.colours)
    done = 0
    with opened(source) as video, contextlib.ExitStack() as stack:
        write = None
        for frame in video.frames:
            image = images.with_channels(frame, spec.channels, str(source))
            drawn = pictures.overlay(
                frame,
                class_map_of(image),
                spec.names,
                background=spec.background,
                palette=palette,
                font=font,
                legend=range(len(spec.names)),
                smallest=1,
            )
            sheet = np.asarray(drawn)
            ends = [(0, side % 2) for side in sheet.shape[:2]]
            sheet = np.pad(sheet, [*ends, (0, 0)], constant_values=255)
            if write is None:
                unfinished = stack.enter_context(files.replacing(target))
                write = stack.enter_context(
                    ffmpeg.writing(unfinished, video.path, rate=video.rate, size=sheet.shape[:2])
                )
            write(sheet)
            done += 1
            progress(done, video.count)
        if not done:
            raise VideoError(
                f"{source}: no frame of this video can be read: it ends behind its header, or is "
                "damaged. Replace it."
            )
    return Written(done, _missing(video, done))


def _missing(video: Video, done: int) -> str | None:
    # Containers round their duration, and a sound track may be a little longer.
    if video.count is None or done >= video.count - max(2, video.count // 50):
        return None
    return (
        f"{video.path}: {done:,} of {video.count:,} frames can be read: the file ends in the "
        "middle, or is damaged there. Copy it again."
    )


def _frames(stream: IO[bytes], size: tuple[int, int]) -> Iterator[np.ndarray]:
    height, width = size
    while len(pixels := stream.read(height * width * 3)) == height * width * 3:
        yield np.frombuffer(pixels, np.uint8).reshape(height, width, 3)
