"""Videos: colours, rates, sound and rotation survive."""

from __future__ import annotations

import struct
import tracemalloc
from fractions import Fraction
from itertools import islice
from pathlib import Path

import av
import numpy as np
import pytest

from src.utils import image_io
from src.utils.cli import InputError
from src.utils.video_container import read_video_comment
from src.utils.video_io import FrameFolder, VideoReader, VideoWriter, open_frames
from tests.clips import smooth_clip, write_clip
from tests.shared_data import SHARED

CLIPS = SHARED / "data" / "portraits"
DECODES_EXACTLY = int(av.__version__.split(".")[0]) >= 18  # before, PyAV cannot ask swscale for it
needs_clips = pytest.mark.skipif(not CLIPS.exists(), reason="the shared data is not here")


def write_with_sound(path: Path, codec: str, seconds: float = 2.0, rate: int = 48000) -> Path:
    with av.open(str(path), "w") as container:
        picture_stream = container.add_stream("libx264", rate=10)
        picture_stream.width = picture_stream.height = 32
        sound_stream = container.add_stream(codec, rate=rate, layout="mono")
        for index in range(int(seconds * 10)):
            frame = av.VideoFrame.from_ndarray(np.full((32, 32, 3), index, np.uint8), format="rgb24")
            container.mux(picture_stream.encode(frame))
        tone = np.sin(np.arange(int(seconds * rate)) * 2 * np.pi * 440 / rate)
        sound = av.AudioFrame.from_ndarray((tone * 20000).astype(np.int16)[None], format="s16", layout="mono")
        sound.sample_rate, sound.pts = rate, 0
        resampler = av.AudioResampler(sound_stream.format, "mono", rate, frame_size=sound_stream.frame_size or None)
        for piece in (*resampler.resample(sound), *resampler.resample(None)):
            container.mux(sound_stream.encode(piece))
        container.mux(picture_stream.encode(None))
        container.mux(sound_stream.encode(None))
    return path


def psnr_db(truth: np.ndarray, other: np.ndarray) -> float:
    return float(-10 * np.log10(np.mean((truth.astype(np.float64) - other) ** 2)))


def test_a_smooth_clip_survives(tmp_path):
    frames = smooth_clip()
    reader = VideoReader(write_clip(tmp_path / "été.mp4", frames))
    assert (reader.fps, reader.frame_count, reader.size) == (25, 12, (64, 96))
    for truth, decoded in zip(frames, reader, strict=True):
        assert decoded.dtype == np.uint8
        assert psnr_db(truth, decoded / 255) > (40 if DECODES_EXACTLY else 38)
    assert len(list(reader)) == 12  # a second iteration starts again


@pytest.mark.parametrize("rgb", [(255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255), (0, 0, 0), (200, 150, 120)])
def test_colours_are_bt709_limited(tmp_path, rgb):
    path = write_clip(tmp_path / "a.mp4", [np.full((32, 48, 3), rgb, np.uint8)] * 3)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        context = stream.codec_context
        assert (context.color_primaries, context.color_trc, context.colorspace, context.color_range) == (1, 1, 1, 1)
        assert context.pix_fmt == "yuv420p"
        ycc = [int(np.frombuffer(plane, np.uint8)[0]) for plane in next(container.decode(stream)).planes]
    red, green, blue = np.array(rgb) / 255
    luma = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    expected = [16 + 219 * luma, 128 + 224 * (blue - luma) / 1.8556, 128 + 224 * (red - luma) / 1.5748]
    np.testing.assert_allclose(ycc, expected, atol=1.5)
    for frame in VideoReader(path):
        assert np.abs(frame.astype(int) - rgb).max() <= 3


def test_decoding_does_not_darken(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (40, 3), dtype=np.uint8)
    frames = [np.broadcast_to(colour, (16, 16, 3)) for colour in colours]
    decoded = np.stack(list(VideoReader(write_clip(tmp_path / "a.mp4", frames, crf=1))))
    bias = (decoded.astype(float) - np.stack(frames)).mean()
    assert abs(bias) < (0.3 if DECODES_EXACTLY else 2.0)


def test_untagged_small_video_is_bt601(tmp_path):
    with av.open(str(tmp_path / "a.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=25)
        stream.width = stream.height = 32
        frame = av.VideoFrame(32, 32, "yuv420p")
        for plane, value in zip(frame.planes, (81, 90, 240), strict=True):  # BT.601's red
            plane.update(bytes([value]) * plane.buffer_size)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    assert np.abs(next(iter(VideoReader(tmp_path / "a.mp4"))).astype(int) - (255, 0, 0)).max() <= 3


def test_the_index_comes_first_and_nothing_else_is_left(tmp_path):
    data = write_clip(tmp_path / "a.mp4", smooth_clip(3)).read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]


def test_odd_sizes_grow_by_a_copy_of_the_edge(tmp_path):
    frame = smooth_clip(1, 33, 47)[0]
    reader = VideoReader(write_clip(tmp_path / "a.mp4", [frame]))
    assert reader.size == (34, 48)
    decoded = next(iter(reader)) / 255
    np.testing.assert_allclose(decoded[33, :47], frame[32], atol=0.05)
    np.testing.assert_allclose(decoded[:33, 47], frame[:, 46], atol=0.05)


@pytest.mark.parametrize(
    ("fps", "expected"),
    [(29.97, Fraction(30000, 1001)), (23.976, Fraction(24000, 1001)), (12.5, Fraction(25, 2)), (30, 30), (1, 1)],
)
def test_rates(tmp_path, fps, expected):
    assert VideoReader(write_clip(tmp_path / "a.mp4", smooth_clip(4), fps)).fps == expected


@pytest.mark.parametrize(("matrix", "k"), [((0, 1, -1, 0), -1), ((0, -1, 1, 0), 1), ((-1, 0, 0, -1), 2)])
def test_rotation_is_applied(tmp_path, matrix, k):
    path = write_clip(tmp_path / "a.mp4", smooth_clip(2))
    upright = next(iter(VideoReader(path)))
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40  # version 0: 40 bytes before the matrix; 16.16 but for the last column, 2.30
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, at, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    path.write_bytes(data)
    reader = VideoReader(path)
    np.testing.assert_array_equal(next(iter(reader)), np.rot90(upright, k))
    assert reader.size == np.rot90(upright, k).shape[:2]


@pytest.mark.parametrize(
    ("source_name", "codec", "written"),
    [("s.mp4", "aac", "aac"), ("s.mkv", "pcm_s16le", "aac"), ("s.webm", "libopus", "opus")],
)
def test_sound_is_kept_to_its_own_end(tmp_path, source_name, codec, written):
    if source_name.endswith("webm"):
        source = write_with_sound(tmp_path / "s.mkv", codec).rename(tmp_path / source_name)
    else:
        source = write_with_sound(tmp_path / source_name, codec)
    path = write_clip(tmp_path / "a.mp4", smooth_clip(10), 10, audio_from=source)
    with av.open(str(path)) as container:
        track = container.streams.audio[0]
        assert track.codec_context.name == written
        frames = list(container.decode(track))
    sound = np.concatenate([frame.to_ndarray()[0].astype(np.float64) for frame in frames])
    rate = frames[0].sample_rate
    assert len(sound) / rate == pytest.approx(2.0, abs=0.06)
    assert np.argmax(np.abs(np.fft.rfft(sound))) * rate / len(sound) == pytest.approx(440, abs=3)
    assert len(list(VideoReader(path))) == 10


def test_a_source_without_sound_is_no_error(tmp_path):
    silent = write_clip(tmp_path / "s.mp4", smooth_clip(2))
    with av.open(str(write_clip(tmp_path / "a.mp4", smooth_clip(2), audio_from=silent))) as container:
        assert not container.streams.audio


def test_reading_streams(tmp_path):
    path = write_clip(tmp_path / "a.mp4", [np.zeros((180, 320, 3), np.uint8)] * 120, preset="ultrafast")
    tracemalloc.start()
    assert sum(1 for _ in VideoReader(path)) == 120
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 12 * 180 * 320 * 3


def test_a_folder_of_frames_is_a_video(tmp_path):
    frames = smooth_clip(11)
    for index, frame in enumerate(frames):
        image_io.write_display(tmp_path / "f" / f"frame_{index}.png", frame)
    folder = open_frames(tmp_path / "f", folder_fps=24)
    assert isinstance(folder, FrameFolder)
    assert (folder.fps, folder.frame_count, folder.size) == (24, 11, (64, 96))
    for truth, read in zip(frames, folder, strict=True):
        np.testing.assert_allclose(read / 255, truth, atol=0.5001 / 255)
    image_io.write_display(tmp_path / "f" / "frame_99.png", frames[0][:10])
    with pytest.raises(InputError, match=r"frame_99\.png: is 96 x 10, frame_0\.png is 96 x 64"):
        list(open_frames(tmp_path / "f"))


@needs_clips
@pytest.mark.parametrize(
    ("name", "fps", "size", "count"),
    [("clip_asl_thanks_640x480", 30, (480, 640), 51), ("clip_headpose_male_480x270", 12.5, (270, 480), 62)],
)
def test_real_clips(tmp_path, name, fps, size, count):
    reader = VideoReader(CLIPS / f"{name}.mp4")
    assert (reader.fps, reader.size, reader.frame_count) == (Fraction(fps), size, count)
    frames = list(islice(reader, 8))
    copy = write_clip(tmp_path / "a.mp4", frames, reader.fps)
    for truth, decoded in zip(frames, VideoReader(copy), strict=True):
        assert psnr_db(truth / 255, decoded / 255) > 38


def test_a_comment_comes_back_from_a_video(tmp_path):
    for name, comment in (("a.mp4", '{"source": "12ab"}'), ("b.mp4", None)):
        with VideoWriter(tmp_path / name, 25, comment=comment) as video:
            video.write(np.zeros((16, 16, 3), np.uint8))
        assert read_video_comment(tmp_path / name) == comment
    (tmp_path / "c.mp4").write_bytes(b"nothing")
    with pytest.raises(InputError, match="cannot be opened as a video"):
        read_video_comment(tmp_path / "c.mp4")
