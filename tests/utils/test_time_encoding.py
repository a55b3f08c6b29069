import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.utils.time_encoding import time_features

ROOT_HALF = math.sqrt(0.5)


@pytest.mark.parametrize(
    ("hour", "expected"),
    [
        (0.0, [0, 1, 0, 1, 0, 1]),
        (2.0, [0.5, math.sqrt(3) / 2, math.sqrt(3) / 2, 0.5, 1, 0]),
        (3.0, [ROOT_HALF, ROOT_HALF, 1, 0, ROOT_HALF, -ROOT_HALF]),
        (6.0, [1, 0, 0, -1, -1, 0]),
        (12.0, [0, -1, 0, 1, 0, -1]),
        (18.0, [-1, 0, 0, -1, 1, 0]),
        (5.9, [0.9996573, 0.0261769, 0.0523360, -0.9986295, -0.9969173, -0.0784591]),
    ],
)
def test_golden_values_ordered_sine_cosine_for_each_harmonic(hour, expected):
    features = time_features(torch.tensor([hour]), 3)
    torch.testing.assert_close(features, torch.tensor([expected], dtype=torch.float32), rtol=0, atol=5e-7)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_day_later_is_exactly_the_same(dtype):
    hours = torch.tensor([0.0, 0.5, 6.0, 12.25, 23.75], dtype=dtype)
    for days in (1, 2, 10):
        assert torch.equal(time_features(hours + 24.0 * days, 4), time_features(hours, 4))
    assert torch.equal(time_features(torch.tensor(24.0), 2), torch.tensor([0.0, 1.0, 0.0, 1.0]))


@given(st.floats(0, 48, width=32), st.integers(1, 8))
def test_every_pair_lies_on_the_unit_circle_at_its_angle(hour, harmonics):
    features = time_features(torch.tensor(hour, dtype=torch.float64), harmonics).reshape(harmonics, 2)
    for k, (sine, cosine) in enumerate(features.tolist(), start=1):
        assert sine == pytest.approx(math.sin(2 * math.pi * k * hour / 24), abs=1e-12)
        assert cosine == pytest.approx(math.cos(2 * math.pi * k * hour / 24), abs=1e-12)


def test_any_shape_gains_one_dimension():
    assert time_features(torch.zeros(5, 7), 3).shape == (5, 7, 6)
    assert time_features(torch.tensor(1.0), 1).shape == (2,)
