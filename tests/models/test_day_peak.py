import numpy as np
import pytest
import torch

from src.models.day_peak import day_peak
from src.utils.texel_grid import texel_index

HEIGHT, WIDTH, HOURS = 60, 80, (0.0, 6.0, 12.0)


def peak_of(frames: np.ndarray) -> float:
    texels = torch.from_numpy(frames.astype(np.float32)).reshape(len(HOURS), -1, 3)

    def decode(xy, hour):
        return texels[HOURS.index(hour)][texel_index(xy, HEIGHT, WIDTH)]

    return day_peak(decode, HOURS, HEIGHT, WIDTH, torch.device("cpu"))


@pytest.fixture
def frames():
    rng = np.random.default_rng(3)
    return rng.uniform(0.5, 1.0, (3, HEIGHT, WIDTH, 3)) * np.array([0.01, 4.0, 2.0])[:, None, None, None]


def test_it_is_near_the_largest_value_of_the_brightest_hour(frames):
    assert peak_of(frames) == pytest.approx(np.quantile(frames[1].max(axis=2), 0.995), rel=0.01)
    assert 0.97 * frames.max() < peak_of(frames) <= frames.max()


@pytest.mark.parametrize("hot", [50.0, 1e6])
def test_hot_texels_hardly_count(frames, hot):
    usual = peak_of(frames)
    for k in range(10):
        frames[k % 3, 7 * k % HEIGHT, 7 * k] = hot
    assert peak_of(frames) == pytest.approx(usual, rel=0.02)


def test_invalid_texels_do_not_count(frames):
    usual = peak_of(frames)
    frames[:, 3:] = 0.0
    assert peak_of(frames) == pytest.approx(usual, rel=0.03)


def test_a_black_day_is_shown_as_it_is(frames):
    assert peak_of(0 * frames) == 1.0
