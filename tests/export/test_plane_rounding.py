import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.export import plane_codec
from src.export.plane_rounding import round_planes

BITS = 8


def noisy_planes(side: int, planes: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(mask, values N x D, smooth but for noise of about a quantisation step)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    mask = rng.random((side, side)) < 0.9
    smooth = [100 + 8 * np.sin(6 * x + d) * np.cos(4 * y - d) + rng.normal(0, 0.5, x.shape) for d in range(planes)]
    return mask, np.stack([plane[mask] for plane in smooth], axis=1)


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 20), st.integers(1, 4), st.integers(0, 2**32 - 1), st.sampled_from([0.0, 0.3, 50.0]))
def test_values_stay_in_their_bounds_and_bits_are_theirs(side: int, planes: int, seed: int, bit_price: float) -> None:
    mask, exact = noisy_planes(side, planes, seed)
    mask[0, 0] = True
    exact = np.resize(exact, (int(mask.sum()), planes)) if exact.size else np.full((int(mask.sum()), planes), 9.0)
    nearest = np.rint(exact).astype(np.uint8)
    tables = plane_codec.residuals(nearest, mask, BITS).tables
    low, high = nearest - 1, nearest + 1
    values, bits = round_planes(exact, low, high, mask, tables, bit_price)
    assert ((low <= values) & (values <= high)).all()
    assert bits >= 0
    if bit_price == 0.0:
        assert np.array_equal(values, nearest)
        assert bits / 8 == pytest.approx(plane_codec.residuals(nearest, mask, BITS).size_bytes, rel=2e-2, abs=0.2)


def test_a_dearer_bit_makes_a_smaller_file_of_more_error() -> None:
    mask, exact = noisy_planes(64, 4, 1)
    nearest = np.rint(exact).astype(np.uint8)
    tables = plane_codec.residuals(nearest, mask, BITS).tables
    sizes, errors = [], []
    for bit_price in (0.0, 0.1, 0.3, 1.0):
        values, _ = round_planes(exact, nearest - 3, nearest + 3, mask, tables, bit_price)
        sizes.append(len(plane_codec.encode(values, mask, BITS)))
        errors.append(float(np.square(values - exact).mean()))
    assert sizes == sorted(sizes, reverse=True)
    assert errors == sorted(errors)
    # At the price that the distortion of a fine quantiser sets, -dD/dR = 2 ln 2 / 12, rounding must pay.
    assert sizes[1] + len(exact) * 4 * (errors[1] - errors[0]) / 0.1 / 8 < sizes[0]
