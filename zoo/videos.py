"""Videos: read frame by frame, and written with the classes drawn over each frame.

It needs the extra `video`, whose package brings ffmpeg. Only regular files are opened, only in the
containers of `VIDEO_ENDINGS`, known by their content; a file cannot make ffmpeg open another one.
"""

import contextlib
import dataclasses
import errno
import fractions
import os
import pathlib
import re
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from typing import IO

import numpy as np

from zoo import files, images, pictures
from zoo.spec import Spec

VIDEO_ENDINGS = (".mp4", ".mov", ".avi", ".mkv", ".webm")
MAX_PIXELS = 2**25  # of a frame: 8K has 33 million

_PATIENCE = 60  # seconds for the first frame
_MP4_PARTS = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
_DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm"
_INPUT = ["-protocol_whitelist", "file", "-format_whitelist", _DEMUXERS]
# H.264 with a quarter of the colours is what every player knows; HD players expect BT.709.
_H264 = [
    *("-c:v", "libx264", "-crf", "20", "-pix_fmt", "yuv420p"),
    *("-vf", "scale=out_color_matrix=bt709:out_range=tv", "-colorspace", "bt709"),
    *("-movflags", "+faststart"),
]


class VideoError(ValueError):
    """A file cannot be used as a video; the message says why and what to do."""


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
        first = next(video.frames)
    ```

    Raises:
        FileNotFoundError: There is no such file.
        VideoError: It is no video, or its header is damaged.
        ImportError: The extra is not installed.
    """
    path = pathlib.Path(path)
    _check_container(path)
    size, rate, count = _header(path)
    program = [*_reader(path), "-f", "rawvideo", "-pix_fmt", "rgb24", "-"]
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
                write = stack.enter_context(_writing(unfinished, video, sheet.shape[:2]))
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


def _check_container(path: pathlib.Path) -> None:
    if not stat.S_ISREG(os.stat(path).st_mode):  # a pipe would be waited for
        raise VideoError(f"{path}: a video is a file; this is none. Replace it.")
    with path.open("rb") as stream:
        head = stream.read(12)
    is_mp4, is_matroska = head[4:8] in _MP4_PARTS, head.startswith(b"\x1a\x45\xdf\xa3")
    if not is_mp4 and not is_matroska and not re.match(rb"RIFF.{4}AVI ", head, re.DOTALL):
        raise VideoError(
            f"{path}: a video is an MP4, MOV, AVI, MKV or WebM file; this is none, whatever its "
            "name says, or damaged. Convert or replace it."
        )


def _ffmpeg() -> str:
    try:
        import imageio_ffmpeg

        return imageio_ffmpeg.get_ffmpeg_exe()
    except (ImportError, RuntimeError) as error:
        raise ImportError(
            "Videos are read and written with ffmpeg, which is not installed. Install it: pip "
            'install "segmentation-zoo[video]".'
        ) from error


def _reader(path: pathlib.Path) -> list[str]:
    """The beginning of a command that reads a file; its path cannot be taken for an address."""
    program = [_ffmpeg(), "-nostdin", "-hide_banner", *_INPUT, "-max_pixels", str(MAX_PIXELS)]
    return [*program, "-i", os.path.abspath(path), "-map", "0:v:0", "-fps_mode", "cfr"]


def _header(path: pathlib.Path) -> tuple[tuple[int, int], fractions.Fraction, int | None]:
    """The size, rate and count of frames, from the first frame in a format that names them."""
    program = [*_reader(path), "-frames:v", "1", "-strict", "-1", "-pix_fmt", "yuv444p"]
    try:
        run = subprocess.run(
            [*program, "-f", "yuv4mpegpipe", "-"], capture_output=True, timeout=_PATIENCE
        )
    except subprocess.TimeoutExpired as error:
        raise VideoError(
            f"{path}: this video has no first frame after {_PATIENCE} seconds. Replace it."
        ) from error
    said = run.stderr.decode(errors="replace")
    found = re.match(rb"YUV4MPEG2 W(\d+) H(\d+) F(\d+):(\d+) ", run.stdout)
    if not found:
        why = (said.strip().splitlines() or ["ffmpeg says nothing"])[-1][:200]
        if "moov atom not found" in said:
            why = "its index is missing: it was cut off"
        raise VideoError(
            f"{path}: cannot be read as a video ({why}). Replace it, or convert it to MP4."
        )
    width, height, over, under = map(int, found.groups())
    rate = fractions.Fraction(over, under)
    length = re.search(r"Duration: (\d+):(\d+):(\d+\.\d+)", said)
    hours, minutes, seconds = map(fractions.Fraction, length.groups()) if length else (0, 0, 0)
    return (height, width), rate, round((hours * 60 + minutes) * 60 * rate + seconds * rate) or None


def _frames(stream: IO[bytes], size: tuple[int, int]) -> Iterator[np.ndarray]:
    height, width = size
    while len(pixels := stream.read(height * width * 3)) == height * width * 3:
        yield np.frombuffer(pixels, np.uint8).reshape(height, width, 3)


@contextlib.contextmanager
def _writing(
    target: pathlib.Path, video: Video, size: tuple[int, int]
) -> Iterator[Callable[[np.ndarray], None]]:
    """A function that writes a frame of this height and width; after the block all are written."""
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[1]}x{size[0]}"]
    program = [_ffmpeg(), "-nostdin", "-hide_banner", "-v", "error", *raw]
    program += ["-r", str(video.rate), "-i", "pipe:0"]
    program += [*_INPUT, "-i", os.path.abspath(video.path), "-map", "0:v:0", "-map", "1:a:0?"]
    program += [*_H264, "-c:a", "aac", "-y", os.path.abspath(target)]
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(program, stdin=subprocess.PIPE, stderr=said)
        try:
            with contextlib.suppress(BrokenPipeError):  # what it said is the reason
                yield lambda frame: process.stdin.write(np.ascontiguousarray(frame).data)
                process.stdin.close()
            failed = process.wait()
        finally:
            process.kill()
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.wait()
        said.seek(0)
        reason = said.read().decode(errors="replace").strip()
    if failed:
        if "No space left" in reason:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(target))
        raise OSError(
            f"{video.path}: its overlay cannot be written as H.264 ({reason[-300:]}). Convert the "
            "video to MP4, and run the same command again."
        )
