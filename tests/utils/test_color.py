"""The sRGB curve: golden values of IEC 61966-2-1, numpy and torch alike, finite gradients."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from src.utils.color import extended_srgb, linear_to_srgb, luminance, srgb_to_linear

GOLDEN = [
    (0.0, 0.0),
    (0.001, 0.01292),
    (0.0031308, 0.04045),
    (0.01, 0.0998528),
    (0.18, 0.4613561),
    (0.214041, 0.5),
    (0.5, 0.7353570),
    (1.0, 1.0),
]
unit_arrays = hnp.arrays(np.float32, hnp.array_shapes(max_dims=3, max_side=6), elements=st.floats(0, 1, width=32))


@pytest.mark.parametrize(("linear", "srgb"), GOLDEN)
def test_golden_values(linear, srgb):
    assert float(linear_to_srgb(np.float64(linear))) == pytest.approx(srgb, abs=1e-6)
    assert float(srgb_to_linear(np.float64(srgb))) == pytest.approx(linear, abs=1e-6)


def test_8_bit_values_survive_exactly():
    codes = np.arange(256, dtype=np.float32)
    np.testing.assert_array_equal(np.rint(linear_to_srgb(srgb_to_linear(codes / 255)) * 255), codes)


@given(unit_arrays)
def test_round_trip_and_order(values):
    np.testing.assert_allclose(srgb_to_linear(linear_to_srgb(values)), values, atol=1e-6)
    ordered = np.sort(values.ravel())
    assert (np.diff(linear_to_srgb(ordered)) >= -1e-7).all()


@given(hnp.arrays(np.float32, 8, elements=st.floats(-2, 3, width=32)))
def test_numpy_and_torch_agree_and_clamp(values):
    for convert in (linear_to_srgb, srgb_to_linear):
        ours = convert(values)
        assert ours.dtype == np.float32 and ours.min() >= 0 and ours.max() <= 1
        np.testing.assert_allclose(convert(torch.from_numpy(values)).numpy(), ours, atol=1e-6)


@pytest.mark.parametrize("convert", [linear_to_srgb, srgb_to_linear])
def test_gradients_are_finite_and_right(convert):
    values = torch.tensor([-0.5, 0.0, 1e-6, 0.02, 0.3, 0.9, 1.0, 1.5], dtype=torch.float64, requires_grad=True)
    convert(values).sum().backward()
    assert torch.isfinite(values.grad).all()
    step = 1e-6
    inside = values.detach()[2:6]
    slopes = (convert(inside + step / 2) - convert(inside - step / 2)) / step
    torch.testing.assert_close(values.grad[2:6], slopes, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_type_stays(dtype):
    assert linear_to_srgb(np.zeros(3, dtype)).dtype == dtype
    assert srgb_to_linear(np.zeros(3, dtype)).dtype == dtype


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_luminance_is_that_of_rec_709_in_the_pictures_precision(dtype):
    picture = np.random.default_rng(0).random((4, 5, 3)).astype(dtype)
    expected = 0.2126 * picture[..., 0] + 0.7152 * picture[..., 1] + 0.0722 * picture[..., 2]
    assert luminance(picture).dtype == dtype
    np.testing.assert_allclose(luminance(picture), expected, rtol=1e-6)
    planes = torch.from_numpy(picture).permute(2, 0, 1)
    for tensor in (planes, planes[None]):
        found = luminance(tensor)
        assert found.dtype == tensor.dtype and found.shape == tensor.shape[:-3] + tensor.shape[-2:]
        np.testing.assert_allclose(found.reshape(4, 5).numpy(), expected, rtol=1e-6)


def test_the_display_curve_goes_on_below_black_and_above_white():
    linear = torch.linspace(0, 1, 301)
    assert torch.equal(extended_srgb(linear), linear_to_srgb(linear))
    bright = torch.tensor([-0.1, 0.0, 1.0, 4.0, 100.0], requires_grad=True)
    curve = extended_srgb(bright)
    assert curve.tolist() == pytest.approx([-1.292, 0.0, 1.0, 1.824796, 7.132631], rel=1e-6)
    assert (torch.autograd.grad(curve.sum(), bright)[0] > 0).all()
