import math

import pytest
import torch

from src.models.delit.light_solve import LightSolve

LOBES = 6


def made(ridge: float) -> LightSolve:
    solve = LightSolve()
    with torch.no_grad():
        solve.log_ridge.fill_(math.log(ridge))
    return solve


@pytest.fixture
def scene():
    """Transfer of 24 x 24 pixels, light in three colours, and the shading that it causes."""
    generator = torch.Generator().manual_seed(1)
    transfer = torch.softmax(3.0 * torch.randn(2, LOBES, 24, 24, generator=generator), dim=1)
    light = 0.5 + torch.rand(2, 3, LOBES, generator=generator)
    shading = torch.einsum("nkhw,nck->nchw", transfer, light)
    return transfer, light, shading, torch.ones(2, 1, 24, 24)


def test_light_is_found_from_shading(scene):
    transfer, light, shading, weight = scene
    factors = made(1e-6)(shading, transfer, weight, torch.ones_like(light))
    torch.testing.assert_close(factors, light.log(), atol=1e-3, rtol=0)


def test_expected_light_is_kept_where_it_explains_the_shading(scene):
    transfer, light, shading, weight = scene
    assert made(0.03)(shading, transfer, weight, light).abs().max() < 1e-5


def test_a_direction_that_no_pixel_sees_keeps_its_light(scene):
    transfer, light, shading, weight = scene
    transfer = transfer.clone()
    transfer[:, 2] = 0.0
    factors = made(1e-4)(1.5 * shading, transfer, weight, light)
    assert factors[:, :, 2].abs().max() == 0.0
    assert factors.abs().max() > 0.1


def test_a_large_ridge_trusts_nothing(scene):
    transfer, light, shading, weight = scene
    assert made(1e6)(2.0 * shading, transfer, weight, light).abs().max() < 1e-4


def test_pixels_without_weight_do_not_count(scene):
    transfer, light, shading, weight = scene
    half = weight.clone()
    half[..., :12] = 0.0
    spoilt = shading.clone()
    spoilt[..., :12] = 77.0
    solve = made(0.01)
    expected = solve(shading * half, transfer, half, 0.7 * light)
    torch.testing.assert_close(solve(spoilt, transfer, half, 0.7 * light), expected)
    assert solve(spoilt, transfer, 0.0 * weight, light).abs().max() == 0.0


def test_exposure_does_not_matter(scene):
    transfer, light, shading, weight = scene
    solve = made(0.03)
    once, eightfold = (solve(k * shading, transfer, weight, 0.8 * k * light) for k in (1.0, 8.0))
    torch.testing.assert_close(once, eightfold, atol=1e-4, rtol=0)


def test_every_input_and_the_ridge_get_finite_gradients(scene):
    inputs = [tensor.clone().requires_grad_() for tensor in scene]
    transfer, light, shading, weight = inputs
    solve = LightSolve()
    solve(shading, transfer, weight, 0.9 * light).square().sum().backward()
    for tensor in [*inputs, solve.log_ridge]:
        assert tensor.grad.isfinite().all() and tensor.grad.abs().max() > 0


def test_black_pictures_are_solved_too(scene):
    transfer, light, shading, weight = scene
    assert LightSolve()(0.0 * shading, transfer, weight, 0.0 * light).isfinite().all()
