from pathlib import Path

import numpy as np
import pytest

from src.data.lightmap.coverage import Coverage
from src.data.lightmap.day_reader import DayReader, load_frames
from src.utils.cli import InputError

HEIGHT, WIDTH, HOURS = 40, 50, (0.0, 6.0, 12.0, 18.0)


class Day:
    """A lightmap in memory: radiance between 0.1 and 1 everywhere."""

    height, width, hours, is_radiance = HEIGHT, WIDTH, HOURS, True
    files = tuple(Path(f"lm_{round(hour * 100):04d}.exr") for hour in HOURS)

    def __init__(self, mask=None):
        rng = np.random.default_rng(1)
        self.frames = rng.uniform(0.1, 1.0, (len(HOURS), HEIGHT, WIDTH, 3)).astype(np.float32)
        self.mask = np.ones((HEIGHT, WIDTH), bool) if mask is None else mask

    def read_coverage(self):
        return Coverage(self.mask, "from mask.png")

    def read_frame(self, t):
        return self.frames[t].copy()


def remarks(day):
    lines: list[str] = []
    frames, _, _ = load_frames(day, lines)
    return frames, lines


def test_ordinary_frames_come_as_they_are():
    day = Day()
    frames, lines = remarks(day)
    assert np.array_equal(frames, day.frames)
    assert lines == [f"{HEIGHT * WIDTH} of {HEIGHT * WIDTH} texels valid, from mask.png"]


@pytest.mark.parametrize("hot", [50.0, 500.0, 5000.0, 1e20, 3e38])
def test_a_hot_texel_is_dimmed_and_named_and_no_other_changes(hot):
    day = Day()
    before = day.frames.copy()
    day.frames[2, 5, 7] = [hot, hot / 2, 0]
    frames, lines = remarks(day)
    others = np.ones((HEIGHT, WIDTH), bool)
    others[5, 7] = False
    assert np.array_equal(frames[:, others], before[:, others])
    peak = before[2][others].max()
    assert frames[2, 5, 7] == pytest.approx([peak, peak / 2, 0], rel=1e-5)
    assert np.array_equal(np.delete(frames[:, 5, 7], 2, 0), np.delete(before[:, 5, 7], 2, 0))
    assert len(lines) == 2
    assert (
        lines[1].startswith("warning: 1 hot texel in 1 frame, the hottest")
        and "texel (7, 5) of lm_1200.exr" in lines[1]
    )


def test_several_hot_texels_of_any_heights():
    day = Day()
    places = [(0, 3, 4, 40.0), (0, 30, 4, 9000.0), (1, 1, 1, 77.0), (0, 39, 49, 1e12)]
    for t, y, x, hot in places:
        day.frames[t, y, x] = hot
    frames, lines = remarks(day)
    assert frames.max() <= 1.0
    assert "4 hot texels in 2 frames, the hottest 1e+12 at texel (49, 39) of lm_0000.exr" in lines[1]


def test_whole_charts_of_what_is_no_light():
    day = Day()
    day.frames[1, 10:15, 10:20] = 1e20
    frames, lines = remarks(day)
    assert frames.max() <= 1.0 and "50 hot texels in 1 frame" in lines[1]


@pytest.mark.parametrize("factor", [3.0, 9.0])
def test_bright_texels_are_no_hot_ones(factor):
    day = Day()
    day.frames[1, 5, 5] = factor
    frames, lines = remarks(day)
    assert np.array_equal(frames, day.frames) and len(lines) == 1


def test_a_lamp_chart_is_no_firefly():
    day = Day()
    day.height, day.width = 400, 500
    day.mask = np.ones((400, 500), bool)
    day.frames = np.random.default_rng(0).uniform(0.01, 0.1, (4, 400, 500, 3)).astype(np.float32)
    day.frames[:, 100:106, 200:206] = 5.0
    frames, lines = remarks(day)
    assert np.array_equal(frames, day.frames) and len(lines) == 1


def test_black_and_uniform_frames_and_a_single_lit_texel_stay():
    day = Day()
    day.frames[0], day.frames[1] = 0.0, 0.25
    day.frames[2] = 0.0
    day.frames[2, 4, 4] = 3.0
    frames, lines = remarks(day)
    assert np.array_equal(frames, day.frames) and len(lines) == 1


def test_one_valid_texel():
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[7, 8] = True
    day = Day(mask)
    day.frames[1, 7, 8] = 900.0
    frames, _ = remarks(day)
    assert frames[1, 7, 8].tolist() == [900.0] * 3


def test_negative_values_become_0_and_are_counted():
    day = Day()
    day.frames[1, 3, 4, 1], day.frames[3, 8, 9] = -0.5, [-0.25, 0.5, -1e-6]
    expected = np.maximum(day.frames, 0)
    frames, lines = remarks(day)
    assert np.array_equal(frames, expected)
    assert lines[1:] == [
        "3 values in 2 frames are negative, the lowest -0.5 at texel (4, 3) of lm_0600.exr: taken as 0"
    ]


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_matters_at_valid_texels_alone(value):
    mask = np.ones((HEIGHT, WIDTH), bool)
    mask[6:9] = False
    day = Day(mask)
    day.frames[2, 7, 3] = value
    frames, lines = remarks(day)
    assert (frames[:, ~mask] == 0).all() and len(lines) == 1
    day.frames[1, 9, 3, 2] = day.frames[1, 10, 4, 0] = value
    with pytest.raises(InputError, match=r"^lm_0600.exr: holds NaN or infinite values at 2 valid texels, .* \(3, 9\)"):
        DayReader(day).valid_texels(1)


def test_a_frame_that_is_beyond_all_light_is_refused():
    day = Day()
    day.frames[1] *= 1e18
    with pytest.raises(InputError, match=r"lm_0600.exr: radiance 1e\+18 at texel .* beyond all light"):
        load_frames(day)


def test_display_values_are_left_alone():
    day = Day()
    day.is_radiance = False
    day.frames[0, 1, 1] = 50.0
    assert np.array_equal(remarks(day)[0], day.frames)
