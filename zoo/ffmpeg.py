"""Runs ffmpeg on videos that may come from strangers.

Only regular files are opened, only in the containers MP4, MOV, AVI, MKV and WebM, known by their
content, and only by the protocol of files: what a file says cannot make ffmpeg open an address.
"""

import contextlib
import errno
import fractions
import os
import pathlib
import re
import stat
import subprocess
import tempfile
from collections.abc import Callable, Iterator

import numpy as np

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


def check_container(path: pathlib.Path) -> None:
    """Looks at the first bytes of a file before ffmpeg does.

    Raises:
        FileNotFoundError: There is no such file.
        VideoError: It is no video.
    """
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


def reader(path: pathlib.Path) -> list[str]:
    """The beginning of a command that reads a file; its path cannot be taken for an address."""
    program = [_ffmpeg(), "-nostdin", "-hide_banner", *_INPUT, "-max_pixels", str(MAX_PIXELS)]
    return [*program, "-i", os.path.abspath(path), "-map", "0:v:0", "-fps_mode", "cfr"]


def header(path: pathlib.Path) -> tuple[tuple[int, int], fractions.Fraction, int | None]:
    """The size, rate and count of frames, from the first frame in a format that names them.

    Raises:
        VideoError: There is no first frame.
        ImportError: The extra is not installed.
    """
    program = [*reader(path), "-frames:v", "1", "-strict", "-1", "-pix_fmt", "yuv444p"]
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


@contextlib.contextmanager
def writing(
    target: pathlib.Path,
    source: pathlib.Path,
    *,
    rate: fractions.Fraction,
    size: tuple[int, int],
) -> Iterator[Callable[[np.ndarray], None]]:
    """Writes an MP4 with the first sound track of `source`.

    Yields:
        A function that writes a frame, uint8 `[h, w, 3]` of the even `size`. After the block all
        are written.

    Raises:
        OSError: They cannot be written.
    """
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{size[1]}x{size[0]}"]
    program = [_ffmpeg(), "-nostdin", "-hide_banner", "-v", "error", *raw]
    program += ["-r", str(rate), "-i", "pipe:0"]
    program += [*_INPUT, "-i", os.path.abspath(source), "-map", "0:v:0", "-map", "1:a:0?"]
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
            f"{source}: its overlay cannot be written as H.264 ({reason[-300:]}). Convert the "
            "video to MP4, and run the same command again."
        )
