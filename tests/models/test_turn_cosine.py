"""The polynomial cosine beside the exact one."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.models.turn_cosine import SINE_SHIFT, TURNS_PER_RADIAN, cos_turns


def cosine(turns: torch.Tensor) -> torch.Tensor:
    return cos_turns(turns.clone(), torch.empty_like(turns))


@pytest.mark.parametrize("turns, value", [(0.0, 1.0), (0.25, 0.0), (0.5, -1.0), (-0.5, -1.0), (1 / 6, 0.5), (7.0, 1.0)])
def test_values_at_known_angles(turns: float, value: float) -> None:
    assert cosine(torch.tensor([turns])).item() == pytest.approx(value, abs=1.5e-6)


@given(st.integers(-64, 64), st.integers(1, 300))
def test_error_over_whole_turns_is_below_two_millionths(turn: int, count: int) -> None:
    turns = torch.linspace(turn - 0.5, turn + 0.5, count)
    exact = torch.cos(2.0 * math.pi * turns.double())
    assert (cosine(turns).double() - exact).abs().max() < 2e-6


def test_sine_in_radians_by_scale_and_shift() -> None:
    radians = torch.randn(4096) * 4.0
    sine = cosine(radians * TURNS_PER_RADIAN + SINE_SHIFT)
    assert (sine.double() - radians.double().sin()).abs().max() < 4e-6


def test_result_is_in_the_given_tensor() -> None:
    turns, out = torch.rand(8, 5), torch.full((8, 5), 9.0)
    assert cos_turns(turns, out) is out
    assert out.abs().max() <= 1.0 + 1e-6


def test_not_a_number_stays_one() -> None:
    assert cosine(torch.tensor([math.nan, math.inf])).isnan().all()
