import json
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.stage.olat import WEIGHTS, LightCells, accumulate, plan_blocks
from src.utils.cli import InputError
from src.utils.image_io import list_images, read_linear, read_mask
from src.utils.sphere import (
    fibonacci_sphere,
    flip_environment,
    resize_environment,
    rotate_environment_y,
    rotation_y,
    voronoi_cells,
)
from tests.shared_data import SHARED
from tests.tiny_stage import ball_normals, ball_olats, relight

HEADS = SHARED / "data" / "heads"


def random_lights(count: int, seed: int) -> np.ndarray:
    lights = np.random.default_rng(seed).normal(size=(count, 3))
    return lights / np.linalg.norm(lights, axis=1, keepdims=True)


def random_environment(seed: int, height: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.3, 3.0, (height, 2 * height, 3)).astype(np.float32)


@pytest.mark.parametrize("weights", WEIGHTS)
@given(st.integers(2, 60), st.integers(0, 10_000), st.integers(1, 40))
@settings(max_examples=25, deadline=None)
def test_solid_angles_sum_to_the_sphere(weights, count, seed, height):
    cells = LightCells(random_lights(count, seed), weights)
    assert abs(cells.solid_angles(height, 2 * height).sum() - 4 * math.pi) < 1e-8


@pytest.mark.parametrize("weights", WEIGHTS)
@given(st.integers(0, 10_000))
@settings(max_examples=15, deadline=None)
def test_uniform_light_gives_the_olats_weighted_by_solid_angle(weights, seed):
    lights = random_lights(20, seed)
    cells = LightCells(lights, weights)
    c = cells.integrate(np.ones((24, 48, 3), np.float32))
    np.testing.assert_allclose(c, np.repeat(cells.solid_angles(24, 48)[:, None], 3, axis=1), rtol=1e-5)
    olats = np.random.default_rng(seed).uniform(0, 1, (20, 4, 5, 3)).astype(np.float32)
    expected = np.einsum("l,lhwc->hwc", cells.solid_angles(24, 48), olats)
    np.testing.assert_allclose(relight(olats, c[None])[0], expected, rtol=1e-5)


@pytest.mark.parametrize("weights", WEIGHTS)
@given(st.integers(0, 10_000), st.floats(0.01, 100), st.floats(0.01, 100))
@settings(max_examples=20, deadline=None)
def test_relighting_is_linear_in_the_environment(weights, seed, a, b):
    cells = LightCells(random_lights(15, seed), weights)
    first, second = random_environment(seed), random_environment(seed + 1)
    olats = np.random.default_rng(seed).uniform(0, 1, (15, 4, 5, 3)).astype(np.float32)
    mixed = relight(olats, cells.integrate(np.float32(a) * first + np.float32(b) * second)[None])[0]
    apart = relight(olats, np.stack([cells.integrate(first), cells.integrate(second)]))
    np.testing.assert_allclose(mixed, a * apart[0] + b * apart[1], rtol=1e-5)


def test_voronoi_coefficients_are_cell_integrals():
    lights = random_lights(12, 3)
    environment = random_environment(5, height=128)
    cells = voronoi_cells(lights, 128, 256)
    theta = np.pi * (np.arange(128) + 0.5) / 128
    weighted = environment * (np.sin(theta) * np.pi / 128 * 2 * np.pi / 256)[:, None, None]
    expected = np.stack([weighted[cells == light].sum(axis=0) for light in range(12)])
    np.testing.assert_allclose(LightCells(lights, "voronoi").integrate(environment), expected, rtol=3e-2)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_the_matrix_is_the_integral(weights):
    cells = LightCells(random_lights(30, 1), weights)
    environment = random_environment(2)
    matrix = cells.matrix(16, 32)
    assert matrix.shape == (30, 512) and matrix.dtype == np.float32
    np.testing.assert_allclose(matrix @ environment.reshape(-1, 3), cells.integrate(environment), rtol=1e-4)


@pytest.mark.parametrize("weights", WEIGHTS)
@given(st.integers(0, 31))
@settings(max_examples=12, deadline=None)
def test_turning_environment_and_lights_together_changes_nothing(weights, columns):
    degrees = columns * 360 / 32
    lights = random_lights(18, 4)
    environment = random_environment(9)
    before = LightCells(lights, weights).integrate(environment)
    turned = rotate_environment_y(environment, degrees)
    after = LightCells(lights @ rotation_y(degrees).T, weights).integrate(turned)
    # A direction between two equally near lights may go to the other: an effect of the sampling's step.
    assert np.abs(after - before).sum() < 0.02 * before.sum()
    assert after.sum() == pytest.approx(before.sum(), rel=1e-5)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_flipping_picture_lights_and_environment_together_changes_nothing(weights):
    lights = random_lights(40, 6)
    environment = random_environment(7)
    mirrored = lights * [-1, 1, 1]
    picture = relight(ball_olats(lights), LightCells(lights, weights).integrate(environment)[None])[0]
    c = LightCells(mirrored, weights).integrate(flip_environment(environment))
    flipped = relight(ball_olats(mirrored), c[None])
    np.testing.assert_allclose(flipped[0][:, ::-1], picture, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("weights", WEIGHTS)
def test_many_lights_approach_the_exact_irradiance(weights):
    lights = fibonacci_sphere(2000)
    environment = resize_environment(random_environment(3), 64, 128)
    picture = relight(ball_olats(lights, (1, 1, 1)), LightCells(lights, weights).integrate(environment)[None])[0]
    normals, mask = ball_normals()
    # The exact integral, from the definition.
    theta, phi = np.pi * (np.arange(64) + 0.5) / 64, 2 * np.pi * (np.arange(128) + 0.5) / 128
    directions = np.stack(
        [
            np.outer(np.sin(theta), np.sin(phi)),
            np.outer(np.cos(theta), np.ones(128)),
            -np.outer(np.sin(theta), np.cos(phi)),
        ],
        axis=-1,
    )
    weight = np.sin(theta)[:, None] * np.pi / 64 * 2 * np.pi / 128
    cosine = np.einsum("hwk,vuk->hwvu", normals, directions).clip(0, None)
    exact = np.einsum("hwvu,vu,vuc->hwc", cosine, weight, environment) / np.pi
    np.testing.assert_allclose(picture[mask > 0], exact[mask > 0], rtol=0.02)


def test_smooth_weights_move_a_sun_continuously():
    """Between two lights the light does not jump from one to the other."""
    cells = LightCells(fibonacci_sphere(96), "smooth")
    previous = None
    for column in range(0, 256):
        environment = np.zeros((128, 256, 3), np.float32)
        environment[50, column] = 1000
        c = cells.integrate(environment)[:, 0]
        if previous is not None:
            assert np.abs(c - previous).sum() < 0.7 * c.sum()  # from cell to cell it would be 2
        previous = c


def test_streaming_over_lights_gives_what_one_product_gives():
    rng = np.random.default_rng(0)
    olats = rng.uniform(0, 1, (3, 37, 9001)).astype(np.float32)
    coefficients = rng.uniform(0, 1, (3, 5, 37)).astype(np.float32)
    whole = np.zeros((3, 5, 9001), np.float32)
    accumulate(whole, coefficients, olats)
    np.testing.assert_allclose(whole, np.einsum("cel,clp->cep", coefficients, olats), rtol=1e-5)
    streamed = np.full_like(whole, np.nan)
    for start in range(0, 37, 8):
        part = slice(start, start + 8)
        accumulate(streamed, coefficients[:, :, part], olats[:, part], fresh=start == 0)
    np.testing.assert_allclose(streamed, whole, rtol=1e-5)


@given(st.integers(16, 2160), st.integers(1, 500), st.integers(2, 400), st.floats(0.05, 16))
@settings(deadline=None)
def test_blocks_fit_the_memory_that_was_given(height, environments, lights, memory_gb):
    width = height // 2
    try:
        blocks = plan_blocks(height, width, environments, lights, memory_gb)
    except InputError:
        assert 8 * 12 * height * width > memory_gb * 1024**3
        return
    assert 1 <= blocks.environments <= environments and 1 <= blocks.lights <= lights
    assert (blocks.environments + blocks.lights) * 12 * height * width <= memory_gb * 1024**3


@pytest.mark.skipif(not HEADS.is_dir(), reason="needs the rendered heads beside the repository")
@pytest.mark.parametrize("weights", WEIGHTS)
def test_relit_heads_agree_with_a_path_tracer(weights):
    olats = np.stack([read_linear(path) for path in list_images(HEADS / "olat" / "ID001")])
    lights = np.array(json.loads((HEADS / "olat" / "lights.json").read_text())["directions"])
    cells = LightCells(lights, weights)
    subject = HEADS / "data_root" / "subjects" / "ID001"
    inside = read_mask(subject / "mask.png") > 0.99
    for name, wanted_db in (("env_004", 40.0), ("env_001", 36.0)):
        environment = read_linear(HEADS / "data_root" / "env_maps" / f"{name}.hdr")
        picture = relight(olats, cells.integrate(environment)[None])[0]
        reference = read_linear(subject / "relit" / f"{name}.exr")
        error = (picture.clip(0, 4) - reference.clip(0, 4))[inside]
        assert 10 * math.log10(16 / np.mean(error**2)) >= wanted_db
