"""Every frame is shown when it was shown, whatever the file and its encoder did with the times."""

from __future__ import annotations

from fractions import Fraction
from itertools import accumulate

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.utils.video_io import VideoReader, VideoWriter
from src.utils.video_timeline import Clock
from tests.clips import Sound, flat, heard, shown, write_timed

REGULAR = [Fraction(i, 25) for i in range(25)]
PHONE = [Fraction(t, 1000) for t in accumulate([0, *[33] * 20, *[67] * 10, *[33] * 20])]
PAUSED = [*REGULAR, *(time + 4 for time in REGULAR)]
LONG_PAUSE = [*REGULAR[:5], *(time + 3600 for time in REGULAR[:5])]
UNEVEN = [Fraction(t, 1000) for t in (0, 40, 41, 120, 500, 1500, 1501, 1502, 2000)]


def copied(source, path):
    """``source`` read and written again, with its sound."""
    reader = VideoReader(source)
    with VideoWriter(path, reader.fps, audio_from=source, crf=10) as writer:
        for frame in reader.timed():
            writer.write(*frame)
    return path


def codes(count):
    return [40 + 23 * i % 180 for i in range(count)]


@pytest.mark.parametrize(
    ("name", "codec"), [("a.mp4", "libx264"), ("a.mov", "libx264"), ("a.mkv", "libx265"), ("a.webm", "libvpx-vp9")]
)
@pytest.mark.parametrize("times", [REGULAR, PHONE, PAUSED, UNEVEN], ids=["regular", "phone", "paused", "uneven"])
def test_frames_are_shown_when_they_were(tmp_path, capfd, name, codec, times):
    options = {"x265-params": "log-level=none"} if codec == "libx265" else {}
    wanted = codes(len(times))
    source = write_timed(tmp_path / name, flat(wanted), times, codec=codec, options=options)
    for frame, time, code in zip(VideoReader(source).timed(), times, wanted, strict=True):
        assert abs(frame.start - time) <= Fraction(1, 1000)
        assert frame.picture.mean() == pytest.approx(code, abs=4)
    moments, means = shown(copied(source, tmp_path / "out.mp4"))
    np.testing.assert_allclose(moments, [float(time) for time in times], atol=1e-3)
    source_means = shown(source)[1]
    np.testing.assert_allclose(means, source_means, atol=3)


def test_a_pause_of_an_hour(tmp_path):
    source = write_timed(tmp_path / "a.mkv", flat(codes(10)), LONG_PAUSE, [Sound("pcm_s16le")])
    assert shown(copied(source, tmp_path / "out.mp4"))[0] == pytest.approx([float(t) for t in LONG_PAUSE], abs=1e-3)


@pytest.mark.parametrize("rate", [24, 25, 30, 50, 60, Fraction(24000, 1001), Fraction(30000, 1001), Fraction(25, 2)])
@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
def test_a_constant_rate_stays_exactly_constant(tmp_path, rate, name):
    times = [index / Fraction(rate) for index in range(40)]
    unit = 1 / Fraction(rate) if name == "a.mp4" else Fraction(1, 1000)  # Matroska rounds
    source = write_timed(tmp_path / name, flat(codes(40)), times, rate=rate, unit=unit, last=1 / Fraction(rate))
    reader = VideoReader(source)
    assert reader.fps == rate
    assert [frame.start for frame in reader.timed()] == times
    with av.open(str(copied(source, tmp_path / "out.mp4"))) as container:
        stream = container.streams.video[0]
        assert stream.average_rate == stream.guessed_rate == rate
        assert {packet.duration * packet.time_base for packet in container.demux(stream) if packet.size} == {
            1 / Fraction(rate)
        }


@pytest.mark.parametrize("delay", [Fraction(1, 2), Fraction(3, 2)])
@pytest.mark.parametrize(("name", "codec"), [("a.mp4", "aac"), ("a.mkv", "pcm_s16le"), ("a.mkv", "libopus")])
def test_a_picture_that_starts_after_or_before_the_sound(tmp_path, delay, name, codec):
    for picture, sound in ((delay, 0), (0, delay)):
        times = [time + picture for time in REGULAR]
        source = write_timed(tmp_path / name, flat(codes(25)), times, [Sound(codec, float(sound), 2.0)])
        result = copied(source, tmp_path / "out.mp4")
        assert shown(result)[0] == pytest.approx([float(time) for time in times], abs=1e-3)
        (track,) = heard(result)
        assert (track.begin, track.end) == pytest.approx((float(sound), float(sound) + 2), abs=0.01)


def test_sound_before_0_moves_the_picture_not_away_from_it(tmp_path):
    options = {"avoid_negative_ts": "disabled"}
    sound = Sound("pcm_s16le", -0.5, 2.0)
    source = write_timed(tmp_path / "a.mkv", flat(codes(25)), REGULAR, [sound], container_options=options)
    result = copied(source, tmp_path / "out.mp4")
    assert shown(result)[0][0] == pytest.approx(0.5, abs=1e-3)
    (track,) = heard(result)
    assert (track.begin, track.end) == pytest.approx((0, 2), abs=0.01)


def test_a_live_recording_begins_at_0(tmp_path):
    times = [time + 3600 for time in REGULAR]
    source = write_timed(tmp_path / "a.mkv", flat(codes(25)), times, [Sound("libopus", 3600.2)])
    result = copied(source, tmp_path / "out.mp4")
    assert shown(result)[0][0] == pytest.approx(0, abs=1e-3)
    assert heard(result)[0].begin == pytest.approx(0.2, abs=0.01)


def test_frames_that_an_edit_list_leaves_out_are_left_out(tmp_path):
    options = {"avoid_negative_ts": "disabled"}
    times = [time - Fraction(1, 5) for time in REGULAR]  # mp4 tells players to begin at 0
    source = write_timed(tmp_path / "a.mp4", flat(codes(25)), times, container_options=options)
    frames = list(VideoReader(source).timed())
    assert [frame.start for frame in frames] == REGULAR[:20]
    assert [frame.picture.mean() for frame in frames] == pytest.approx(codes(25)[5:], abs=4)


@pytest.mark.parametrize("name", ["a.mp4", "a.mkv"])
@pytest.mark.parametrize("times", [REGULAR, PAUSED, UNEVEN], ids=["regular", "paused", "uneven"])
def test_the_last_frame_is_shown_as_long_as_it_was(tmp_path, name, times):
    source = write_timed(tmp_path / name, flat(codes(len(times))), times, last=Fraction(2))
    assert list(VideoReader(source).timed())[-1].duration == 2
    with av.open(str(copied(source, tmp_path / "out.mp4"))) as container:
        assert container.duration / 1e6 == pytest.approx(float(times[-1] + 2), abs=2e-3)
    assert list(VideoReader(tmp_path / "out.mp4").timed())[-1].duration == pytest.approx(2, abs=0.1)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=24),
    st.integers(0, 3000),
    st.sampled_from([25, 30, 60, Fraction(30000, 1001), Fraction(24000, 1001)]),
)
def test_any_times_survive_writing(tmp_path_factory, steps, begin, rate):
    path = tmp_path_factory.mktemp("clip") / "a.mp4"
    *times, end = (Fraction(t, 100) for t in accumulate([begin // 10, *steps]))
    with VideoWriter(path, rate, preset="veryfast") as writer:
        for frame, time in zip(flat(codes(len(times)), (16, 16)), times, strict=True):
            writer.write(frame, time, end - times[-1])
    frames = list(VideoReader(path).timed())
    tolerance = Fraction(1, 9000)
    assert len(frames) == len(times)
    assert max(abs(frame.start - time) for frame, time in zip(frames, times, strict=True)) <= tolerance
    assert abs(frames[-1].start + frames[-1].duration - end) <= 2 * tolerance


def test_frames_at_one_time_follow_each_other_at_once(tmp_path):
    times = [Fraction(t, 25) for t in (0, 1, 1, 1, 2, 3)]
    with VideoWriter(tmp_path / "a.mp4", 25) as writer:
        for frame, time in zip(flat(codes(6)), times, strict=True):
            writer.write(frame, time)
    moments, _ = shown(tmp_path / "a.mp4")
    assert moments == pytest.approx([float(time) for time in times], abs=5e-4)
    assert sorted(set(moments)) == moments


def test_clocks_never_stand_still():
    clock, step = Clock(), Fraction(1, 25)
    assert clock(Fraction(0), step) == 0
    assert clock(Fraction(0), step) == Fraction(1, 10_000)
    assert clock(Fraction(1, 25), step) == Fraction(1, 25)
    assert clock(None, step) == Fraction(2, 25)  # no time: after the one before
    assert clock(Fraction(5), step) == 5
    assert clock(Fraction(0), step) == 5 + step  # recordings that were appended to each other
    assert clock(Fraction(1), step) == 6 + step


def test_avi_knows_only_the_order_of_decoding(tmp_path):
    source = write_timed(tmp_path / "a.avi", flat(codes(25)), REGULAR, unit=Fraction(1, 25))
    frames = list(VideoReader(source).timed())
    assert [frame.start for frame in frames] == REGULAR
    assert [frame.picture.mean() for frame in frames] == pytest.approx(codes(25), abs=4)
