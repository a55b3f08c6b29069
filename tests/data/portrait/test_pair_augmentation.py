"""Varied pairs are what a varied world would give: flipped, brighter, cut, photographed."""

import functools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.data.portrait.pair_augmentation import augment, camera_noise, crop, flip, jpeg, light_gain, scale_light
from src.data.portrait.pair_batch import PairPictures
from src.data.stage.olat import LightCells
from src.utils.sphere import fibonacci_sphere
from tests.tiny_stage import ball_normals, ball_olats, relight


@functools.cache
def ball_sample(seed: int = 0, size: int = 24) -> tuple[PairPictures, np.ndarray]:
    """A pair made by relighting, and the lights it was made with."""
    lights = fibonacci_sphere(40)
    environment = np.random.default_rng(seed).gamma(0.4, 2, (16, 32, 3)).astype(np.float32)
    cells = LightCells(lights)
    olats = ball_olats(lights, height=size, width=size)
    flat = np.repeat(cells.solid_angles()[:, None], 3, axis=1).astype(np.float32)
    relit, flat_lit = relight(olats, np.stack([cells.integrate(environment), flat]))
    return PairPictures(relit, flat_lit, ball_normals(size, size)[1], environment), lights


def render(environment: np.ndarray, lights: np.ndarray, size: int = 24) -> np.ndarray:
    return relight(ball_olats(lights, height=size, width=size), LightCells(lights).integrate(environment)[None])[0]


@pytest.mark.parametrize("seed", range(3))
def test_a_flipped_pair_is_what_rendering_the_flipped_world_gives(seed):
    sample, lights = ball_sample(seed)
    flipped = flip(sample)
    # The ball is its own mirror image; mirrored lamps under the flipped environment must give the flipped picture.
    again = render(flipped.environment, lights * [-1, 1, 1])
    np.testing.assert_allclose(again, flipped.relit, rtol=2e-3, atol=1e-4)
    unflipped = render(sample.environment, lights * [-1, 1, 1])
    assert np.abs(unflipped - flipped.relit).max() > 0.05  # forgetting the environment would be seen


def test_scaled_light_is_what_rendering_under_it_gives():
    sample, lights = ball_sample(1)
    gain = light_gain(np.random.default_rng(3))
    scaled = scale_light(sample, gain)
    np.testing.assert_allclose(render(scaled.environment, lights), scaled.relit, rtol=1e-4)
    np.testing.assert_array_equal(scaled.flat_lit, sample.flat_lit)


@given(st.floats(0.5, 1), st.floats(0, 1), st.floats(0, 1))
@settings(max_examples=20, deadline=None)
def test_crops_move_all_pictures_alike(scale, row, column):
    sample, _ = ball_sample()
    ramp = np.repeat(sample.mask[..., None], 3, axis=2)
    out = crop(PairPictures(ramp, ramp, sample.mask, sample.environment), scale, row, column)
    assert out.relit.shape == ramp.shape and out.mask.shape == sample.mask.shape
    np.testing.assert_allclose(out.relit[..., 0], out.mask, atol=1e-6)
    np.testing.assert_array_equal(out.environment, sample.environment)


def test_camera_noise_has_the_variance_of_photons():
    flat = np.full((200, 200, 3), 0.5, np.float32)
    noisy = camera_noise(flat, np.random.default_rng(0), photons=1000)
    assert noisy.mean() == pytest.approx(0.5, rel=1e-3)
    assert noisy.std() / 0.5 == pytest.approx(np.sqrt(1004) / 1000, rel=0.02)


def test_jpeg_stays_close_and_keeps_highlights():
    sample, _ = ball_sample(size=64)
    picture = sample.relit.copy()
    picture[30, 30] = 50
    out = jpeg(picture, 90)
    assert out[30, 30, 0] == 50 and 0 < np.abs(out - picture).mean() < 0.02 * picture[picture < 50].max()


@given(st.integers(0, 10_000))
@settings(max_examples=20, deadline=None)
def test_augmented_pairs_stay_pairs(seed):
    """Averaged over the picture, noise and JPEG aside, relit stays flat-lit times the light that the map sends."""
    sample, _ = ball_sample(2)
    out = augment(sample, np.random.default_rng(seed))
    gain = out.environment.sum(axis=(0, 1)) / sample.environment.sum(axis=(0, 1))
    inside = out.mask > 0.99
    before = sample.relit[sample.mask > 0.99].mean(axis=0)
    assert (np.abs(out.relit[inside].mean(axis=0) / before / gain - 1) < 0.35).all()
