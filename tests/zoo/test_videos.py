"""Videos: their frames, rate and sound, and what is no video or half a one."""

import errno
import fractions
import re
import socket
import subprocess
import sys

import numpy as np
import pytest

from zoo import videos
from zoo.pictures import bright_palette, overlay
from zoo.spec import Spec

imageio_ffmpeg = pytest.importorskip("imageio_ffmpeg", reason="the extra video is not installed")

SPEC = Spec("unet", {"classes": 3, "channels": 3}, ("background", "one", "two"), 0)
FRAMES = 20
RATE = fractions.Fraction(30000, 1001)


def made(target, *options, size="161x91", sound=False, seconds="0.667"):
    """A video of a test picture, from ffmpeg itself."""
    inputs = ["-f", "lavfi", "-i", f"testsrc=size={size}:rate=30000/1001"]
    inputs += ["-f", "lavfi", "-i", "sine"] if sound else []
    program = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", *inputs]
    pixels = "yuv420p" if target.suffix == ".webm" else "yuv444p"  # for odd sides
    subprocess.run([*program, "-t", seconds, "-pix_fmt", pixels, *options, target], check=True)
    return target


def thirds(image):
    """Class 0, 1 and 2 from left to right."""
    class_map = np.zeros(image.shape[:2], np.uint8)
    class_map[:, image.shape[1] // 3 :] = 1
    class_map[:, 2 * image.shape[1] // 3 :] = 2
    return class_map


def frames_of(path):
    with videos.opened(path) as video:
        return list(video.frames)


@pytest.mark.parametrize("ending", videos.VIDEO_ENDINGS)
def test_the_header_and_every_frame_of_each_container_are_read(ending, tmp_path):
    codecs = ["-c:v", "libvpx"] if ending == ".webm" else []
    path = made(tmp_path / f"a{ending}", *codecs)
    assert videos.is_video(path)
    with videos.opened(path) as video:
        assert (video.size, video.rate, video.count) == ((91, 161), RATE, FRAMES)
        frames = list(video.frames)
    assert len(frames) == FRAMES
    assert frames[0].shape == (91, 161, 3)
    assert frames[0].dtype == np.uint8
    assert np.abs(frames[0].astype(int) - frames[-1]).mean() > 0.1  # it moves


def test_frames_are_read_when_they_are_asked_for(tmp_path):
    with videos.opened(made(tmp_path / "a.mp4", seconds="20")) as video:
        assert next(video.frames).shape == (91, 161, 3)


@pytest.mark.parametrize("size", ["161x91", "64x48"])
def test_an_overlay_has_the_rate_the_frames_and_one_legend(size, tmp_path):
    source, seen, told = made(tmp_path / "a.mkv", size=size), [], []

    def class_map_of(image):
        seen.append(image)
        return thirds(image) if len(seen) > 1 else np.zeros(image.shape[:2], np.uint8)

    target = tmp_path / "out.mp4"
    written = videos.overlay_video(
        source, target, class_map_of, SPEC, progress=lambda *count: told.append(count)
    )
    assert written == videos.Written(FRAMES, None)
    assert told == [(done + 1, FRAMES) for done in range(FRAMES)]
    with videos.opened(target) as video:
        assert (video.rate, video.count) == (RATE, FRAMES)
        assert video.size[0] % 2 == video.size[1] % 2 == 0
        frames = list(video.frames)
    assert len(frames) == FRAMES
    height, width = seen[0].shape[:2]
    for index in (0, 7):
        expected = np.asarray(
            overlay(
                seen[index],
                np.zeros_like(thirds(seen[0])) if not index else thirds(seen[0]),
                SPEC.names,
                legend=range(3),
                smallest=1,
            )
        )
        off = np.abs(frames[index][: expected.shape[0], : expected.shape[1]] - expected.astype(int))
        assert off.mean() < 6  # half of the colours, and what H.264 loses
        legend = frames[index][height:]
        assert np.abs(legend.astype(int) - frames[0][height:]).mean() < 1.5  # it stays as it is
    assert np.abs(frames[7][:height, :width] - frames[0][:height, :width].astype(int)).mean() > 10


def test_every_player_knows_the_overlay_and_its_sound(tmp_path):
    source, target = made(tmp_path / "a.mkv", sound=True), tmp_path / "out.mp4"
    videos.overlay_video(source, target, thirds, SPEC)
    run = subprocess.run(
        [imageio_ffmpeg.get_ffmpeg_exe(), "-i", target], capture_output=True, text=True
    )
    assert re.search(r"Video: h264 .*yuv420p\(tv, bt709", run.stderr)
    assert "Audio: aac" in run.stderr
    content = target.read_bytes()
    assert content.index(b"moov") < content.index(b"mdat")  # it plays while it is loaded


def test_a_grey_model_gets_grey_frames(tmp_path):
    seen = []

    def class_map_of(image):
        seen.append(image.shape)
        return thirds(image)

    grey = SPEC.replace(options={"classes": 3, "channels": 1})
    videos.overlay_video(made(tmp_path / "a.mp4"), tmp_path / "b.mp4", class_map_of, grey)
    assert set(seen) == {(91, 161, 1)}
    many = SPEC.replace(options={"classes": 3, "channels": 5})
    with pytest.raises(ValueError, match="channels of its model, here 5; this one has 3"):
        videos.overlay_video(tmp_path / "a.mp4", tmp_path / "c.mp4", thirds, many)
    assert not (tmp_path / "c.mp4").exists()


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.webm", "a.avi"])
def test_of_a_video_that_ends_in_the_middle_what_is_there_is_answered(name, tmp_path):
    options = {"a.mp4": ["-movflags", "+faststart"], "a.webm": ["-c:v", "libvpx"]}.get(name, [])
    path = made(tmp_path / name, *options, seconds="2")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) * 6 // 10])
    written = videos.overlay_video(path, tmp_path / "out.mp4", thirds, SPEC)
    assert 10 < written.frames < 50
    total = r"\d\d" if name == "a.avi" else "60"
    text = rf"{path}: {written.frames} of {total} frames can be read: the file ends in the middle"
    assert re.match(text, written.missing)
    assert written.missing.endswith("Copy it again.")
    assert len(frames_of(tmp_path / "out.mp4")) == written.frames


def test_a_damaged_header_is_told_with_the_remedy(tmp_path):
    path = made(tmp_path / "a.mp4")
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])  # the index of this one is at its end
    text = f"{path}: cannot be read as a video (its index is missing: it was cut off). Replace it"
    with pytest.raises(videos.VideoError, match=re.escape(text)):
        frames_of(path)
    path.write_bytes(content[:60] + bytes(len(content)))
    with pytest.raises(videos.VideoError, match=r"cannot be read as a video .* convert it to MP4"):
        frames_of(path)
    assert videos.is_video("A.MP4")
    assert not videos.is_video("a.png")


def test_playlists_addresses_and_pipes_are_not_opened(tmp_path):
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.2)
        address = f"http://127.0.0.1:{server.getsockname()[1]}/a.mp4"
        playlist = f"#EXTM3U\n#EXTINF:1,\n{address}\n"
        # What begins as an MP4 and goes on as a playlist is none either.
        for content in (playlist.encode(), b"\0\0\0\x0cftyp" + playlist.encode()):
            path = tmp_path / "list.mp4"
            path.write_bytes(content)
            with pytest.raises(videos.VideoError):
                frames_of(path)
        with pytest.raises(FileNotFoundError):
            frames_of(address)
        with pytest.raises(TimeoutError):
            server.accept()
    with pytest.raises(videos.VideoError, match="a video is a file; this is none"):
        frames_of(tmp_path)
    # A name is a name, whatever it looks like.
    odd = made(tmp_path / "a.mp4").rename(tmp_path / "concat:a|-i %d.mp4")
    assert len(frames_of(odd)) == FRAMES


def test_a_failure_leaves_the_older_file(tmp_path):
    source, target = made(tmp_path / "a.mp4"), tmp_path / "out.mp4"
    target.write_text("older")

    def failing(image):
        raise ValueError("no answer")

    with pytest.raises(ValueError, match="no answer"):
        videos.overlay_video(source, target, failing, SPEC)
    calls = []

    def stopped(image):
        calls.append(image)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return thirds(image)

    with pytest.raises(KeyboardInterrupt):
        videos.overlay_video(source, target, stopped, SPEC)
    assert target.read_text() == "older"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.mp4", "out.mp4"]
    with pytest.raises(ValueError, match=r"received 'out.avi'. Name it out.mp4."):
        videos.overlay_video(source, tmp_path / "out.avi", thirds, SPEC)


@pytest.mark.parametrize(
    ("said", "code", "text"),
    [
        ("av_interleaved_write_frame(): No space left on device", errno.ENOSPC, "No space left"),
        ("Unknown encoder 'libx264'", None, "cannot be written as H.264 (Unknown encoder"),
    ],
)
def test_an_encoder_that_fails_is_told(said, code, text, tmp_path, monkeypatch):
    source, target = made(tmp_path / "a.mp4"), tmp_path / "out.mp4"
    program = tmp_path / "ffmpeg"
    real = imageio_ffmpeg.get_ffmpeg_exe()
    program.write_text(
        f'#!/bin/sh\ncase "$*" in *libx264*) echo "{said}" >&2; exit 1;; esac\nexec {real} "$@"\n'
    )
    program.chmod(0o755)
    monkeypatch.setattr(imageio_ffmpeg, "get_ffmpeg_exe", lambda: str(program))
    with pytest.raises(OSError, match=re.escape(text)) as failed:
        videos.overlay_video(source, target, thirds, SPEC)
    assert failed.value.errno == code
    assert not isinstance(failed.value, BrokenPipeError)
    assert not target.exists()


def test_without_the_extra_it_is_named(tmp_path, monkeypatch):
    path = made(tmp_path / "a.mp4")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    with pytest.raises(ImportError, match=re.escape('pip install "segmentation-zoo[video]".')):
        frames_of(path)


def test_the_colours_are_those_of_the_palette(tmp_path):
    source, target = made(tmp_path / "a.mp4", size="320x180"), tmp_path / "out.mp4"
    videos.overlay_video(source, target, thirds, SPEC)
    frame = frames_of(target)[0]
    legend = frame[180:].reshape(-1, 3).astype(int)
    for number in (1, 2):
        distance = np.abs(legend - bright_palette()[number]).max(-1)
        assert (distance < 12).sum() > 20
