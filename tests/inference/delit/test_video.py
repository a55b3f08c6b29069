"""Framing over shots, frames in 8 bits, and which frames are sampled."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from src.inference.crops import Crop, Face, portrait_crop, whole_picture
from src.inference.delit.delighter import Delighter
from src.inference.delit.video import Framing, begins_second, put_back_u8
from src.inference.prediction import Prediction
from src.utils.color import linear_to_srgb, srgb_to_linear
from tests.inference.models import tiny_model

WHOLE = whole_picture(100, 100)
PORTRAIT, SMALL, LIMIT = Face(50, 45, 45), Face(50, 45, 20), Face(50, 45, 34)


def test_framing_is_one_decision_per_shot():
    framing = Framing()
    assert framing(None, True, 100, 100) == (WHOLE, True)
    assert framing(None, False, 100, 100) == (WHOLE, False)
    assert framing(SMALL, False, 100, 100) == (portrait_crop(SMALL), True)  # found at last
    assert framing(LIMIT, False, 100, 100) == (portrait_crop(LIMIT), False)
    assert framing(PORTRAIT, False, 100, 100) == (portrait_crop(PORTRAIT), False)
    assert framing(PORTRAIT, True, 100, 100) == (WHOLE, True)
    assert framing(SMALL, False, 100, 100) == (WHOLE, False)
    assert framing(SMALL, True, 100, 100) == (portrait_crop(SMALL), True)


def test_a_face_that_leaves_the_whole_picture_shown_is_no_change():
    framing = Framing()
    framing(None, True, 100, 100)
    assert framing(PORTRAIT, False, 100, 100) == (WHOLE, False)


@pytest.mark.parametrize("crop", [Crop(0, 0, 50, 40), Crop(-5, 8, 30, 30)])
def test_frames_in_8_bits_are_those_of_pictures(crop):
    rng = np.random.default_rng(0)
    frame = rng.integers(0, 256, (50, 40, 3)).astype(np.uint8)
    gain, mask = rng.normal(0, 0.5, (16, 16, 3)).astype(np.float32), rng.random((16, 16)).astype(np.float32)
    prediction = Prediction(gain, 0.01, mask, np.zeros((2, 4, 3)), None)
    linear = srgb_to_linear(frame.astype(np.float32) / 255)
    expected = linear_to_srgb(Delighter(tiny_model()).put_back(linear, [(crop, prediction)])) * 255
    result = put_back_u8(frame, crop, prediction)
    assert np.abs(result - expected).max() <= 0.6
    untouched = Prediction(gain, 0.01, np.zeros((16, 16), np.float32), np.zeros((2, 4, 3)), None)
    np.testing.assert_array_equal(put_back_u8(frame, crop, untouched), frame)


@pytest.mark.parametrize(("fps", "expected"), [(25, [0, 25, 50]), (12.5, [0, 13, 25, 38, 50]), (0.5, range(60))])
def test_one_frame_of_every_second_is_sampled(fps, expected):
    starts = [index / Fraction(fps) for index in range(60)]
    sampled = [
        i
        for i, (start, before) in enumerate(zip(starts, [None, *starts[:-1]], strict=True))
        if begins_second(start, before)
    ]
    assert sampled == list(expected)


def test_seconds_are_those_of_the_frames_times_pauses_too():
    starts = [Fraction(t, 10) for t in (3, 5, 9, 40, 41, 49, 50)]
    assert [begins_second(b, a) for a, b in pairwise(starts)] == [False, False, True, False, False, True]
