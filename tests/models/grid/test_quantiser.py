import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from src.models.grid.quantiser import Quantiser


@pytest.mark.parametrize("bits", [4, 6, 8])
def test_every_code_comes_back_and_none_is_zero(bits: int) -> None:
    quantiser, codes = Quantiser(bits), torch.arange(2**bits, dtype=torch.uint8)
    values = quantiser.to_value(codes)
    assert quantiser.levels == 2**bits - 1
    assert (values[0], values[-1]) == (-1, 1) and (values != 0).all()
    np.testing.assert_allclose(values, np.linspace(-1, 1, 2**bits), atol=1e-7)
    assert torch.equal(quantiser.to_code(values), codes)
    np.testing.assert_allclose(quantiser.in_steps(values.diff()), 1.0, rtol=1e-4)


@given(st.sampled_from([4, 6, 8]), st.lists(st.floats(-3, 3, width=32), min_size=1))
def test_a_value_is_at_most_half_a_step_from_its_code(bits: int, given_values: list[float]) -> None:
    quantiser, values = Quantiser(bits), torch.tensor(given_values)
    back = quantiser.to_value(quantiser.to_code(values))
    assert (back - values.clamp(-1, 1)).abs().max() <= quantiser.step / 2 + 1e-6
