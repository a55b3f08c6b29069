"""The terms of the flat-lit picture: alike, alike up to scale and bias, in pattern and in edges."""

import math
from dataclasses import replace

import pytest
import torch

from src.losses import delit_loss
from src.losses.delit_loss import DelitLoss, DelitLossOptions, aligned
from src.losses.delit_loss_check import sample_tensors
from src.utils.hdr_codec import make_codec
from tests.losses.delit_loss.terms import (
    make,
)


def test_golden_values_of_the_flat_terms():
    output, batch = sample_tensors(make_codec("log"), size=4)
    mask = torch.zeros(2, 1, 4, 4)
    mask[0, :, :2] = 1
    batch = replace(batch, flat_lit=torch.full((2, 3, 4, 4), 0.5), mask=mask)
    flat = torch.zeros(2, 3, 4, 4)
    flat[0, 0] = 0.5
    terms = make(lambda_physical=0)(output._replace(flat_lit=flat, mask=torch.full((2, 1, 4, 4), 0.25)), batch)
    # sRGB of 0.5 is 0.735357; inside the mask two colours of three are off by it.
    assert terms["flat_l1"].item() == pytest.approx(0.735357 * 2 / 3, abs=1e-5)
    # A quarter of the pixels is inside: -(log(1/4) + 3 log(3/4)) / 4.
    assert terms["mask"].item() == pytest.approx(0.562335, abs=1e-5)
    unmasked = make(lambda_physical=0, use_mask=False)(output._replace(flat_lit=flat), batch)
    assert unmasked["flat_l1"].item() == pytest.approx(0.735357 * 5 / 6, abs=1e-5)


@pytest.mark.parametrize(("scale", "bias"), [(1.0, 0.0), (0.25, 0.7), (3.0, -0.4)])
def test_aligning_undoes_any_scale_and_bias_of_each_picture_and_colour(scale, bias):
    _, batch = sample_tensors(make_codec("log"), size=32)
    true, mask = 8 * batch.flat_lit, batch.mask
    factor = scale * torch.tensor([1.0, 0.5, 2.0, 1.5, 1.0, 0.8]).view(2, 3, 1, 1)
    again = aligned(factor * true + bias, true, mask)
    inside = (mask > 0).expand_as(true)
    assert inside.float().mean() > 0.3
    torch.testing.assert_close(again[inside], true[inside], rtol=0, atol=0.02)


def test_aligning_looks_at_nothing_outside_the_mask():
    _, batch = sample_tensors(make_codec("log"), size=32)
    true, mask = batch.flat_lit, batch.mask
    outside = 1 - mask
    predicted = true.flip(-1)
    expected = aligned(predicted, true, mask) * mask
    assert torch.equal(aligned(predicted + 100 * outside, true + 50 * outside, mask) * mask, expected)
    assert not torch.allclose(expected, predicted * mask, atol=0.05)


def test_aligning_a_picture_without_pattern_gives_the_mean():
    _, batch = sample_tensors(make_codec("log"), size=32)
    true, mask = batch.flat_lit, batch.mask
    mean = (true * mask).sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True)
    torch.testing.assert_close(aligned(torch.full_like(true, 0.3), true, mask), mean.expand_as(true))


def test_patterns_are_judged_by_their_own_error():
    """An error of 0.1 in two of four pixels: MSE 0.005."""
    difference = torch.zeros(2, 3, 2, 4)
    difference[0, :, 0, :2] = 0.1
    difference[:, :, :, 2:] = 7.0
    mask = torch.zeros(2, 1, 2, 4)
    mask[..., :2] = 1
    assert float(delit_loss.pattern_error(difference, mask)) == pytest.approx(0.5 * math.log(6) / 2, rel=1e-5)


def test_edges_cost_more_than_what_changes_slowly():
    ramp = torch.linspace(-0.1, 0.1, 16).expand(1, 3, 16, 16)
    step = 0.1 * torch.sign(ramp)
    whole = torch.ones(1, 1, 16, 16)
    errors = [float(delit_loss.edge_error(picture, whole)) for picture in (ramp, step, step.mT, 0 * step + 3)]
    assert errors[3] == 0 and errors[1] == pytest.approx(errors[2])
    # One step of 0.2 in rows of 15, 7 and 3 slopes; a ramp has the same sum, less what its ends are averaged to.
    assert errors[1] == pytest.approx(0.2 * (1 / 15 + 1 / 7 + 1 / 3) / 3, rel=1e-5)
    assert errors[0] < errors[1]
    noise = torch.randn(1, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mask = torch.rand(1, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(lambda picture: delit_loss.edge_error(picture, mask), noise)
    beyond = torch.where(torch.arange(16) < 8, 1.0, 0.0).expand(1, 1, 16, 16)
    assert float(delit_loss.edge_error(step, beyond)) == pytest.approx(0, abs=1e-7)


def test_free_exposure_asks_for_flat_lit_up_to_one_factor_of_brightness():
    output, batch = sample_tensors(make_codec("log"))
    loss = DelitLoss(DelitLossOptions(flat_exposure="free"), make_codec("log"))
    terms = loss(output, batch)
    brighter = loss(output._replace(flat_lit=output.flat_lit * torch.tensor([2.0, 0.3]).view(2, 1, 1, 1)), batch)
    for name in ("flat_l1", "flat_aligned"):
        torch.testing.assert_close(brighter[name], terms[name], rtol=1e-4, atol=1e-6)
    factors = [math.log(1.3), math.log(1.3 * 2.0), math.log(1.3 * 0.3)]
    assert float(terms["flat_brightness"]) == pytest.approx(factors[0], abs=0.01)
    assert float(brighter["flat_brightness"]) == pytest.approx((factors[1] - factors[2]) / 2, abs=0.01)
    # The sample is 1.3 times its truth, which only the free one forgives; another colour neither does.
    strict = DelitLoss(DelitLossOptions(), make_codec("log"))(output, batch)
    assert "flat_brightness" not in strict and terms["flat_l1"] < 1e-5 and strict["flat_l1"] > 0.01
    tinted = output._replace(flat_lit=output.flat_lit * torch.tensor([1.2, 1.0, 0.8]).view(3, 1, 1))
    assert loss(tinted, batch)["flat_l1"] > 0.01
    with pytest.raises(ValueError, match="flat_exposure"):
        DelitLoss(DelitLossOptions(flat_exposure="none"), make_codec("log"))
