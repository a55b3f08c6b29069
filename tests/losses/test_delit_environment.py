import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.losses import delit_environment as env
from src.utils.sphere import resize_environment, sh_irradiance, sh_project

ERRORS = {
    "log": env.log_error,
    "chroma": env.chroma_error,
    "multiscale": env.multiscale_error,
    "irradiance": env.irradiance_error,
}
SIZES = [(8, 16), (16, 32), (9, 18)]


def environments(height=8, width=16, seed=0, count=2, dtype=torch.float64):
    """Two stacks of random radiance, log-uniform over six decades."""
    generator = torch.Generator().manual_seed(seed)
    levels = torch.rand(2, count, 3, height, width, generator=generator, dtype=torch.float64) * 6 - 3
    return (10**levels).to(dtype)


def image(environment: torch.Tensor) -> np.ndarray:
    return environment.permute(1, 2, 0).numpy()


@pytest.mark.parametrize(("height", "width"), [*SIZES, (128, 256), (7, 5)])
def test_rows_share_the_whole_sphere(height, width):
    grid = env.sphere_grid(height, width, torch.device("cpu"), torch.float64)
    assert grid.rows.shape == (height, 1)
    assert grid.rows.sum().item() == pytest.approx(1, abs=1e-12)
    assert grid.normal_rows.sum().item() == pytest.approx(1, abs=1e-12)
    assert env.sphere_mean(torch.full((2, 3, height, width), 7.0, dtype=torch.float64), grid.rows).item() == (
        pytest.approx(7, abs=1e-12)
    )


def test_a_row_counts_by_its_solid_angle():
    # The cap above 60 degrees of latitude is (1 - sin 60) / 2 of the sphere: the first of six rows.
    wrong = torch.ones(1, 3, 6, 12, dtype=torch.float64)
    wrong[:, :, 0] = (math.e * (1 + env.LOG_GAIN) - 1) / env.LOG_GAIN  # a log error of 1
    error = env.log_error(wrong, torch.ones_like(wrong))
    assert error.item() == pytest.approx((1 - math.sin(math.radians(60))) / 2, abs=1e-12)


@pytest.mark.parametrize(("height", "width"), SIZES)
@pytest.mark.parametrize("factor", [2, 4, 8])
def test_coarser_environments_keep_the_energy_at_any_size(height, width, factor):
    environment, _ = environments(height, width)
    coarse, rows = env.coarsen(environment, factor)
    assert coarse.shape == (2, 3, -(-height // factor), width)
    assert rows.sum().item() == pytest.approx(1, abs=1e-12)
    fine_rows = env.grid_of(environment).rows
    for picture in range(2):
        for colour in range(3):
            at = (slice(picture, picture + 1), slice(colour, colour + 1))
            expected = env.sphere_mean(environment[at], fine_rows).item()
            assert env.sphere_mean(coarse[at], rows).item() == pytest.approx(expected, rel=1e-12)


def test_every_factor_th_column_is_the_resized_environment():
    environment, _ = environments(16, 32)
    for factor in env.POOLINGS:
        coarse, _ = env.coarsen(environment, factor)
        ours = image(coarse[0, :, :, ::factor])
        expected = resize_environment(image(environment[0]), 16 // factor, 32 // factor)
        np.testing.assert_allclose(ours, expected, rtol=1e-5)


def test_irradiance_is_that_of_the_sphere_module():
    environment, _ = environments(16, 32)
    normals = env.pixel_directions(env.NORMAL_ROWS, 32)
    expected = sh_irradiance(sh_project(image(environment[0])), normals) / math.pi
    np.testing.assert_allclose(image(env.irradiance(environment)[0]), expected, rtol=1e-9, atol=1e-9)
    uniform = env.irradiance(torch.ones(1, 3, 64, 128, dtype=torch.float64))
    torch.testing.assert_close(uniform, torch.ones_like(uniform), rtol=1e-3, atol=0)


@pytest.mark.parametrize("name", ERRORS)
@pytest.mark.parametrize(("height", "width"), SIZES)
@settings(max_examples=10, deadline=None)
@given(shift=st.integers(0, 31), seed=st.integers(0, 1000))
def test_turning_both_environments_by_whole_columns_changes_nothing(name, height, width, shift, seed):
    predicted, true = environments(height, width, seed)
    turned = ERRORS[name](predicted.roll(shift, -1), true.roll(shift, -1))
    assert turned.item() == pytest.approx(ERRORS[name](predicted, true).item(), rel=1e-10)


@pytest.mark.parametrize("name", ERRORS)
def test_only_the_truth_has_no_error(name):
    predicted, true = environments()
    assert ERRORS[name](true, true).item() == 0
    assert ERRORS[name](predicted, true).item() > 0.05


def test_what_each_error_looks_at():
    _, true = environments()
    brighter = 2 * true
    assert env.log_error(brighter, true) < math.log(2)
    assert env.log_error(brighter + 100, true + 50).item() == pytest.approx(math.log(2), rel=0.01)
    # Nothing but the grey that is added tells brightness apart.
    assert env.chroma_error(brighter, true) < 0.05
    red = torch.zeros_like(true)
    red[:, 0] = 1e4
    assert env.chroma_error(red.roll(1, 1), red).item() == pytest.approx(2, rel=1e-4)

    # A sun elsewhere: pixel by pixel about as wrong as no sun; by irradiance wrong only where it matters.
    sun, near, none = (torch.full((1, 3, 16, 32), 0.5, dtype=torch.float64) for _ in range(3))
    sun[..., 5, 8] = near[..., 5, 9] = 2e3
    assert env.log_error(near, sun) > env.log_error(none, sun)
    assert env.multiscale_error(near, sun) < env.multiscale_error(none, sun)
    assert env.irradiance_error(near, sun) < 0.2 * env.irradiance_error(none, sun)


@pytest.mark.parametrize("name", ERRORS)
def test_gradients_are_those_of_finite_differences(name):
    predicted, true = environments(count=1)
    assert torch.autograd.gradcheck(lambda x: ERRORS[name](x, true), predicted.requires_grad_(True), rtol=1e-4)


def test_confidence_learns_the_error_and_the_environment_nothing_from_it():
    predicted, true = environments(count=1)
    earned = torch.exp(-env.log_difference(predicted, true).mean(1, keepdim=True))
    assert env.confidence_error(earned, predicted, true).item() == pytest.approx(0, abs=1e-15)
    confidence = torch.full_like(earned, 0.5).requires_grad_(True)
    assert torch.autograd.gradcheck(lambda c: env.confidence_error(c, predicted, true), confidence)
    predicted.requires_grad_(True)
    assert torch.autograd.grad(
        env.confidence_error(confidence, predicted, true), [predicted], allow_unused=True, retain_graph=True
    ) == (None,)
    assert env.confidence_error(torch.ones_like(earned), true, true).item() == 0
