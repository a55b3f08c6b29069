"""Frames are shown as players show them: turned, mirrored, in the display's colours, beside all of their sound."""

from __future__ import annotations

import struct
from fractions import Fraction

import av
import numpy as np
import pytest

from src.utils.video_io import VideoReader, VideoWriter
from src.utils.video_transfer import to_srgb
from tests.clips import Sound, flat, heard, write_timed

SIDE = 48
TURNS = {  # a, b, c, d of x' = a x + c y, y' = b x + d y
    (1, 0, 0, 1): lambda p: p,
    (-1, 0, 0, 1): lambda p: p[:, ::-1],
    (1, 0, 0, -1): lambda p: p[::-1],
    (-1, 0, 0, -1): lambda p: p[::-1, ::-1],
    (0, 1, 1, 0): lambda p: p.swapaxes(0, 1),
    (0, 1, -1, 0): lambda p: np.rot90(p, -1),
    (0, -1, 1, 0): lambda p: np.rot90(p, 1),
    (0, -1, -1, 0): lambda p: np.rot90(p, 2).swapaxes(0, 1),
}


@pytest.mark.parametrize("matrix", TURNS, ids=str)
def test_all_eight_display_matrices_and_the_shape_of_pixels(tmp_path, matrix):
    corner = np.full((SIDE, 64, 3), 40, np.uint8)
    corner[:12, :32] = 220
    source = write_timed(tmp_path / "a.mp4", [corner] * 2, [0, 0.04], sample_aspect_ratio=Fraction(4, 3))
    upright = next(iter(VideoReader(source)))
    data = bytearray(source.read_bytes())
    a, b, c, d = (value << 16 for value in matrix)
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    source.write_bytes(data)
    reader = VideoReader(source)
    np.testing.assert_array_equal(next(iter(reader)), TURNS[matrix](upright))
    assert reader.sample_aspect_ratio == (Fraction(4, 3) if matrix[0] else Fraction(3, 4))
    with VideoWriter(tmp_path / "b.mp4", 25, sample_aspect_ratio=reader.sample_aspect_ratio) as writer:
        writer.write(next(iter(reader)))
    assert VideoReader(tmp_path / "b.mp4").sample_aspect_ratio == reader.sample_aspect_ratio


@pytest.mark.parametrize(("transfer", "white"), [(16, 0.5807), (18, 0.75)])  # ITU-R BT.2408, table 1
def test_diffuse_white_is_display_white(transfer, white):
    codes = np.full((2, 2, 3), round(white * 65535), np.uint16)
    assert np.abs(to_srgb(codes, transfer, 9).astype(int) - 255).max() <= 1


@pytest.mark.parametrize(("transfer", "gamma"), [(4, 2.2), (5, 2.8), (8, 1.0)])
def test_plain_powers(transfer, gamma):
    codes = np.full((1, 1, 3), 0.6)
    light = codes**gamma
    expected = 255 * (1.055 * light ** (1 / 2.4) - 0.055)
    assert to_srgb(np.rint(codes * 65535).astype(np.uint16), transfer, 1) == pytest.approx(expected, abs=0.51)


def test_display_p3_red_is_clipped_and_its_white_stays():
    codes = np.array([[[65535, 0, 0], [65535] * 3, [32768] * 3]], np.uint16)
    assert to_srgb(codes, 1, 12).tolist() == [[[255, 0, 0], [255] * 3, [128] * 3]]


def test_all_sound_tracks_are_kept_in_order_with_their_languages(tmp_path):
    sounds = [Sound("pcm_s16le", 0.0, 2.0, 440, "eng"), Sound("ac3", 0.5, 1.0, 880, "fre"), Sound("aac", 0, 3.0, 660)]
    source = write_timed(tmp_path / "a.mkv", flat(range(25)), [t / 25 for t in range(25)], sounds)
    with VideoWriter(tmp_path / "b.mp4", 25, audio_from=source) as writer:
        for frame in VideoReader(source).timed():
            writer.write(*frame)
    tracks = heard(tmp_path / "b.mp4")
    assert [(track.codec, track.language) for track in tracks] == [("aac", "eng"), ("aac", "fre"), ("aac", "eng")]
    for track, sound in zip(tracks, sounds, strict=True):
        times = (sound.start, sound.start + sound.seconds)
        assert (track.begin, track.end) == pytest.approx(times, abs=0.03)
        assert track.hertz == pytest.approx(sound.hertz, rel=0.03)  # Matroska rounds times


def test_transparency_is_said(tmp_path):
    picture = av.VideoFrame.from_ndarray(np.full((32, 32, 4), 90, np.uint8), format="rgba")
    frame = picture.reformat(format="yuva420p")
    source = write_timed(tmp_path / "a.mkv", [frame], [0], codec="ffv1", pix_fmt="yuva420p")
    with pytest.warns(UserWarning, match="its transparency is left out"):
        VideoReader(source)
