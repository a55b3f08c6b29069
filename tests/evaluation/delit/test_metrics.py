"""Figures whose value is known in closed form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.stage.olat import LightCells
from src.evaluation.delit.metrics import (
    align_colours,
    angles_deg,
    calibration,
    coefficient_error,
    environment_metrics,
    flat_lit_metrics,
    light_domain_error,
    oracle_coefficients,
)
from src.evaluation.delit.spheres import SPHERE_SIZE, SPHERES, peak_direction, render_spheres
from src.utils.sphere import direction_to_pixel, fibonacci_sphere, pixel_directions, rotate_environment_y, rotation_y
from tests.tiny_stage import ball_normals, ball_olats, relight

FIGURES = [f"{sphere}_{name}" for sphere in SPHERES for name in ("angular_deg", "si_rmse", "normalised_rmse")]


def planes(*environments: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.stack(environments)).permute(0, 3, 1, 2).float()


def sphere_picture(pixels: np.ndarray) -> np.ndarray:
    """The pixels of :func:`render_spheres` in their places, zero around the disc."""
    picture = np.zeros((SPHERE_SIZE, SPHERE_SIZE, pixels.shape[1]))
    # Wholly on the sphere are pixels whose farthest corner, a quarter of a subpixel inside, is.
    edge = 2 * (np.abs(np.arange(SPHERE_SIZE) + 0.5 - SPHERE_SIZE / 2) + 3 / 8) / SPHERE_SIZE
    picture[edge**2 + edge[:, None] ** 2 < 1] = pixels
    return picture


def point_light(direction, height=32, radiance=500.0, ambient=0.2) -> np.ndarray:
    environment = np.full((height, 2 * height, 3), ambient, np.float32)
    row, column = (int(np.rint(x)) for x in direction_to_pixel(np.array(direction, float), height, 2 * height))
    environment[row, column] = radiance
    return environment


@given(seed=st.integers(0, 1000), scale=st.floats(0.05, 4), bias=st.floats(-1, 1))
@settings(max_examples=20, deadline=None)
def test_alignment_undoes_any_scale_and_bias_within_the_mask(seed, scale, bias):
    generator = torch.Generator().manual_seed(seed)
    truth = torch.rand(2, 3, 7, 9, generator=generator)
    mask = (torch.rand(2, 1, 7, 9, generator=generator) > 0.4).float()
    per_channel = torch.tensor([1.0, 0.5, 2.0]).view(1, 3, 1, 1)
    prediction = torch.where(mask > 0, truth * scale * per_channel + bias * per_channel, torch.tensor(77.0))
    aligned = align_colours(prediction, truth, mask)
    assert torch.allclose(aligned * mask, truth * mask, atol=2e-5)


def test_alignment_of_a_constant_gives_the_mean_and_of_nothing_changes_nothing():
    truth = torch.rand(1, 3, 5, 5)
    constant = torch.full_like(truth, 0.3)
    everywhere, nowhere = torch.ones(1, 1, 5, 5), torch.zeros(1, 1, 5, 5)
    expected = truth.mean((2, 3), keepdim=True).expand_as(truth)
    assert torch.allclose(align_colours(constant, truth, everywhere), expected, atol=1e-6)
    assert torch.equal(align_colours(constant, truth, nowhere), constant)


def test_flat_lit_figures_of_known_errors():
    torch.manual_seed(0)
    truth = 0.2 + 0.5 * torch.rand(3, 3, 24, 24)
    mask = torch.zeros(3, 1, 24, 24)
    mask[:2, :, 4:20, 4:20] = 1
    prediction = truth.clone()
    prediction[0] += 0.1
    prediction[1] = truth[1] + 0.02 * torch.randn(3, 24, 24)
    prediction[:, :, :4] = 5.0  # outside the mask
    figures = flat_lit_metrics(prediction, truth, mask, lambda t, p: (t - p).abs().mean((1, 2, 3)))
    assert figures["linear_psnr_db"][0] == pytest.approx(20, abs=1e-4)
    assert figures["linear_psnr_db_aligned"][0] > 100
    assert figures["linear_psnr_db"][1] == pytest.approx(-20 * np.log10(0.02), abs=0.3)
    for name in ("srgb_psnr_db", "linear_psnr_db"):
        assert figures[f"{name}_aligned"][1] >= figures[name][1]
    assert figures["srgb_ssim"][1] > 0.95
    assert 0 < figures["lpips"][1] < 0.1
    assert all(torch.isnan(values[2]) for values in figures.values())
    assert {*figures} == {
        f"{domain}_{name}{suffix}"
        for domain in ("srgb", "linear")
        for name in ("psnr_db", "ssim")
        for suffix in ("", "_aligned")
    } | {"lpips", "lpips_aligned"}


def test_display_figures_ignore_what_no_display_shows():
    truth = torch.full((1, 3, 16, 16), 1.0)
    figures = flat_lit_metrics(torch.full_like(truth, 3.0), truth, torch.ones(1, 1, 16, 16))
    assert figures["srgb_psnr_db"] > 100
    assert figures["linear_psnr_db"] == pytest.approx(-20 * np.log10(2))


def test_a_white_environment_makes_white_spheres():
    rendered = render_spheres(np.ones((16, 32, 3), np.float32))
    for sphere in SPHERES:
        assert np.allclose(rendered[sphere], 1, atol=1e-5)
    assert sphere_picture(rendered["mirror"]).shape == (32, 32, 3)


def test_the_diffuse_sphere_is_lamberts_and_the_mirror_shows_what_is_behind_the_camera():
    environment = point_light([1, 0, 0], ambient=0.0)
    rendered = {name: sphere_picture(pixels)[..., 0] for name, pixels in render_spheres(environment).items()}
    x, y = np.meshgrid(2 * (np.arange(32) + 0.5) / 32 - 1, 1 - 2 * (np.arange(32) + 0.5) / 32)
    normals = np.stack([x, y, np.sqrt((1 - x**2 - y**2).clip(0, None))], axis=-1)
    cosine = normals @ peak_direction(environment)
    inside = (np.hypot(x, y) < 0.95) & (cosine > 0.1)
    ratio = rendered["diffuse"][inside] / cosine[inside]
    assert ratio.std() < 0.01 * ratio.mean()
    assert rendered["diffuse"][cosine < -0.1].max() == 0
    # The highlight lies where the normal halves the angle between the light and the camera.
    assert x[0][rendered["matte"][16].argmax()] == pytest.approx(np.sqrt(0.5), abs=0.1)
    behind = point_light([0, 0, 1], ambient=0.0)
    mirror = sphere_picture(render_spheres(behind)["mirror"])[..., 0]
    assert mirror[14:18, 14:18].sum() == pytest.approx(mirror.sum(), rel=1e-6)
    above = sphere_picture(render_spheres(point_light([0, 1, 0.2]))["mirror"])[..., 0]
    assert np.unravel_index(above.argmax(), above.shape)[0] < 12


@pytest.mark.parametrize("size", [(16, 32), (32, 64), (80, 160)])
def test_equal_environments_have_no_error_and_brighter_ones_none_but_in_light(size):
    truth = np.random.default_rng(0).gamma(0.4, 2.0, (*size, 3)).astype(np.float32)
    same, scaled = (environment_metrics(planes(p), planes(truth)) for p in (truth, 3 * truth))
    for name in (*FIGURES, "peak_angle_deg"):
        assert float(same[name]) == pytest.approx(0, abs=2e-5)
        assert float(scaled[name]) == pytest.approx(0, abs=2e-4)
    cells = LightCells(fibonacci_sphere(40))
    light = light_domain_error(planes(truth, 3 * truth), planes(truth, truth), cells)
    assert light["c_l_relative_l2"].tolist() == pytest.approx([0, 2], abs=1e-5)
    assert light["c_l_log_rmse"].tolist() == pytest.approx([0, np.log(3)], abs=1e-3)


def test_colour_against_white_is_the_angle_between_the_two():
    shape = (16, 32, 3)
    white, red = np.ones(shape, np.float32), np.ones(shape, np.float32) * np.float32([1, 0, 0])
    figures = environment_metrics(planes(red, red), planes(white, np.zeros(shape, np.float32)))
    for sphere in SPHERES:
        assert float(figures[f"{sphere}_angular_deg"][0]) == pytest.approx(
            np.rad2deg(np.arccos(1 / np.sqrt(3))), abs=1e-4
        )
        assert float(figures[f"{sphere}_angular_deg"][1]) == 90
        # The best grey of red has error (2/3, 1/3, 1/3): of white by red, two channels stay wrong.
        assert float(figures[f"{sphere}_si_rmse"][0]) == pytest.approx(np.sqrt(2), abs=1e-4)


def test_figures_do_not_depend_on_the_exposure_of_the_set():
    rng = np.random.default_rng(1)
    a, b = (rng.gamma(0.4, 2.0, (16, 32, 3)).astype(np.float32) for _ in range(2))
    first, second = environment_metrics(planes(a), planes(b)), environment_metrics(planes(50 * a), planes(50 * b))
    for name in FIGURES:
        assert float(first[name]) == pytest.approx(float(second[name]), rel=1e-4)
    assert float(first["mirror_si_rmse"]) > float(first["matte_si_rmse"]) > float(first["diffuse_si_rmse"]) > 0


def test_turning_an_environment_is_seen_by_all_but_a_uniform_one():
    rng = np.random.default_rng(2)
    environment = rng.gamma(0.4, 2.0, (64, 128, 3)).astype(np.float32)
    turned = np.roll(environment, 32, axis=1)
    figures = environment_metrics(planes(turned), planes(environment))
    assert float(figures["mirror_angular_deg"]) > 5
    # A quarter turn about the vertical carries the diffuse sphere's rim at the left to its middle.
    lit = np.zeros((64, 128, 3), np.float32)
    lit[:, 24:40] = 1.0  # about +X
    side = sphere_picture(render_spheres(lit)["diffuse"])[..., 0]
    front = sphere_picture(render_spheres(np.roll(lit, 32, axis=1))["diffuse"])[..., 0]
    assert side[16].argmax() >= 29 and 14 <= front[16].argmax() <= 17
    assert front[16].max() == pytest.approx(side[16].max(), rel=0.05)  # the rim is no pixel's centre
    stripes = np.repeat(rng.random((64, 1, 3)).astype(np.float32), 128, axis=1)
    same = environment_metrics(planes(np.roll(stripes, 5, axis=1)), planes(stripes))
    assert all(float(same[name]) == pytest.approx(0, abs=1e-6) for name in FIGURES)


@given(seed=st.integers(0, 500))
@settings(max_examples=25, deadline=None)
def test_the_peak_is_the_light_that_was_put_there(seed):
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=3)
    environment = point_light(direction, height=48)
    row, column = (int(np.rint(x)) for x in direction_to_pixel(direction, 48, 96))
    pixel = pixel_directions(48, 96)[row, column % 96]
    assert angles_deg(peak_direction(environment), pixel) < 0.7  # the uniform rest pulls a little
    degrees = 360 * int(rng.integers(1, 96)) / 96
    turned = peak_direction(rotate_environment_y(environment, degrees))
    assert angles_deg(turned, rotation_y(degrees) @ peak_direction(environment)) < 0.2


def test_one_hot_pixel_is_no_peak_beside_a_window():
    environment = point_light([1, 0.1, 0], height=64, radiance=30.0)
    window = np.arccos(pixel_directions(64, 128) @ np.array([0, 0, 1.0])) < np.deg2rad(8)
    environment[window] = 10.0
    assert angles_deg(peak_direction(environment), np.array([0, 0, 1.0])) < 1


def test_least_squares_recover_the_light_of_noise_free_pictures():
    rng = np.random.default_rng(3)
    lights = fibonacci_sphere(20)
    olats = ball_olats(lights, height=40, width=40) + 0.02 * rng.random((20, 40, 40, 3)).astype(np.float32)
    mask = ball_normals(40, 40)[1]
    truth = rng.gamma(0.5, 1.0, (20, 3)).astype(np.float32)
    truth[3] = 0
    relit = relight(olats, truth[None])[0]
    relit[mask < 0.5] = 99.0
    found = oracle_coefficients(relit, olats, mask)
    assert coefficient_error(found, truth)["c_l_relative_l2"] < 1e-3
    assert (found >= 0).all()

    noisy = (relit * (1 + 0.05 * rng.normal(size=relit.shape))).astype(np.float32)
    plain = coefficient_error(oracle_coefficients(noisy, olats, mask), truth)
    drawn = coefficient_error(oracle_coefficients(noisy, olats, mask, truth, strength=0.1), truth)
    assert 0 < drawn["c_l_relative_l2"] < plain["c_l_relative_l2"]
    assert not oracle_coefficients(np.zeros_like(relit), olats, mask).any()


def test_lights_that_are_black_have_no_relative_error():
    assert np.isnan(coefficient_error(np.ones((4, 3)), np.zeros((4, 3)))["c_l_relative_l2"])


def test_calibration_sorts_the_found_error_by_the_expected_one():
    """Left half off by a factor of e^0.3 and expected so, right half by its inverse and expected to be right."""
    truth = 50 * (1 + torch.rand(2, 3, 4, 8))
    sign = torch.where(torch.arange(8) < 4, 1.0, -1.0)
    prediction = truth * torch.exp(0.3 * sign) * torch.tensor([1.0, 7.0]).view(2, 1, 1, 1)
    expected = torch.where(torch.arange(8) < 4, 0.3, 0.01).expand(2, 1, 4, 8)
    mask = torch.ones(2, 1, 4, 8)
    mask[1, ..., 4:] = 0
    figures = calibration(expected, prediction, truth, mask)
    torch.testing.assert_close(figures["flat_error_found"], torch.tensor([0.3, 0.0]).double(), rtol=0, atol=1e-3)
    torch.testing.assert_close(figures["flat_error_expected"], torch.tensor([0.155, 0.3]).double(), rtol=0, atol=1e-6)
    assert figures["flat_error_found_3"][0] == pytest.approx(0.3, abs=1e-3)
    assert figures["flat_error_found_0"][0] == pytest.approx(0.3, abs=1e-3)
    assert figures["flat_error_found_0"][1].isnan() and figures["flat_error_found_4"].isnan().all()
