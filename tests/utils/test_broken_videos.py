"""A broken or unfinished video never passes for a whole one, and what cannot be written is refused."""

from __future__ import annotations

import sys
from fractions import Fraction

import av
import numpy as np
import pytest

from src.utils.cli import InputError
from src.utils.video_io import VideoReader, VideoWriter, open_frames
from tests.clips import flat, smooth_clip, write_clip, write_timed


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_impossible_rates(tmp_path, fps):
    with pytest.raises(InputError, match="not a finite rate"):
        VideoWriter(tmp_path / "a.mp4", fps)


def test_an_exception_leaves_the_old_video(tmp_path):
    path = write_clip(tmp_path / "a.mp4", smooth_clip(2))
    before = path.read_bytes()
    with pytest.raises(ZeroDivisionError), VideoWriter(path, 25) as writer:
        writer.write(smooth_clip(1)[0])
        _ = 1 / 0
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.mp4"]


@pytest.mark.parametrize(
    ("frames", "problem"),
    [
        ([], "no frames to write"),
        ([np.zeros((8, 8), np.float32)], "cannot hold frames"),
        ([np.zeros((8, 8, 3), np.float32), np.zeros((8, 6, 3), np.float32)], "frame 1 is 6 x 8, earlier ones 8 x 8"),
        ([np.full((8, 8, 3), np.nan, np.float32)], "frame 0 holds NaN"),
    ],
)
def test_wrong_frames(tmp_path, frames, problem):
    with pytest.raises(InputError, match=problem):
        write_clip(tmp_path / "a.mp4", frames)
    assert not list(tmp_path.iterdir())


def test_only_mp4_is_written(tmp_path):
    with pytest.raises(InputError, match=r"written as \.mp4"):
        VideoWriter(tmp_path / "a.avi", 25)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv", "a.avi"])
def test_a_video_cut_anywhere_is_refused_quietly(tmp_path, capfd, name):
    whole = write_clip(tmp_path / "whole.mp4", smooth_clip(8))
    if name.endswith("avi"):
        whole = write_timed(
            tmp_path / "whole.avi",
            flat(range(0, 240, 30)),
            [t / 25 for t in range(8)],
            codec="ffv1",
            unit=Fraction(1, 25),
        )
    if name.endswith("mkv"):
        with av.open(str(whole)) as source, av.open(str(tmp_path / "whole.mkv"), "w") as copy:
            stream = copy.add_stream_from_template(source.streams.video[0])
            for packet in source.demux(video=0):
                if packet.dts is not None:
                    packet.stream = stream
                    copy.mux(packet)
        whole = tmp_path / "whole.mkv"
    data, path = whole.read_bytes(), tmp_path / name
    assert len(list(VideoReader(whole))) == 8
    for cut in sorted({*range(1, len(data), len(data) // 40), len(data) - 1}):
        path.write_bytes(data[:cut])
        with pytest.raises(InputError, match=name):
            list(VideoReader(path))
    assert capfd.readouterr().err == ""


def test_damaged_frames_are_an_error_not_a_patch(tmp_path):
    noise = np.random.default_rng(0)
    path = write_clip(tmp_path / "a.mp4", [noise.random((64, 64, 3)) for _ in range(8)])
    data = bytearray(path.read_bytes())
    middle = data.index(b"mdat") + (len(data) - data.index(b"mdat")) // 2
    data[middle : middle + 2000] = noise.bytes(2000)
    path.write_bytes(data)
    with pytest.raises(InputError, match="is broken"):
        list(VideoReader(path))


@pytest.mark.parametrize("name", ["a.mp4", "a.m4v", "a.mov", "a.mkv", "a.webm", "a.avi"])
def test_missing_empty_folder_and_fake(tmp_path, name):
    with pytest.raises(InputError, match="no such file"):
        open_frames(tmp_path / name)
    (tmp_path / name).touch()
    with pytest.raises(InputError, match="is empty"):
        open_frames(tmp_path / name)
    (tmp_path / name).write_text("no video\n" * 100)
    with pytest.raises(InputError, match="is broken or not a video"):
        open_frames(tmp_path / name)
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        VideoReader(tmp_path / "folder")
    with pytest.raises(InputError, match="holds no pictures"):
        open_frames(tmp_path / "folder")
    (tmp_path / "a.wmv").write_bytes(b"x")
    with pytest.raises(InputError, match=r"unknown extension '\.wmv'"):
        VideoReader(tmp_path / "a.wmv")


def test_sound_alone_is_no_video(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 48000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with pytest.raises(InputError, match="holds no video"):
        VideoReader(tmp_path / "a.mp4")


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file size limit")
def test_a_disk_that_refuses(tmp_path):
    import resource
    import signal

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4000, limits[1]))
    try:
        with pytest.raises(InputError, match=r"a\.mp4: File too large"):
            write_clip(tmp_path / "a.mp4", [np.random.default_rng(i).random((64, 64, 3)) for i in range(60)])
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert not list(tmp_path.iterdir())
