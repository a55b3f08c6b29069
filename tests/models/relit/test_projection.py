"""Environments through lobes and blurs, against plain sums over the sphere."""

import numpy as np
import pytest
import torch

from src.models.relit.projection import LightProjection
from src.utils.sphere import fibonacci_sphere, pixel_directions, pixel_solid_angles, rotate_environment_y


def planes(environment: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(environment.transpose(2, 0, 1).copy())[None, None]


def mean_through(environment: np.ndarray, direction: np.ndarray, sharpness: float) -> np.ndarray:
    height, width = environment.shape[:2]
    weight = np.exp(sharpness * (pixel_directions(height, width) @ direction - 1)) * pixel_solid_angles(height, width)
    return (weight[..., None] * environment).sum((0, 1)) / weight.sum()


@pytest.fixture
def environment():
    return np.random.default_rng(0).gamma(0.5, 2.0, (12, 24, 3)).astype(np.float32)


def test_light_is_the_mean_radiance_through_lobes(environment):
    light = LightProjection(12, 24, (5.0, 60.0))(planes(environment))
    for lobe in (0, 17, 47):
        np.testing.assert_allclose(
            light.wide[0, 0, :, lobe], mean_through(environment, fibonacci_sphere(48)[lobe], 15.0), rtol=1e-4
        )
    directions = pixel_directions(12, 24)
    for blurred, sharpness in zip(light.blurred, (5.0, 60.0), strict=True):
        for v, u in ((0, 0), (4, 23), (11, 7)):
            expected = mean_through(environment, directions[v, u], sharpness)
            np.testing.assert_allclose(blurred[0, 0, :, v, u], expected, rtol=1e-3)


def test_turned_light_is_turned_by_whole_columns(environment):
    projection = LightProjection(12, 24, (40.0,))
    plain, turned = (
        projection(planes(e)).blurred[0] for e in (environment, rotate_environment_y(environment, -30.0).copy())
    )
    np.testing.assert_allclose(turned, plain.roll(2, dims=-1), atol=1e-5)


def test_uniform_light_is_one_everywhere():
    light = LightProjection(8, 16, (10.0, 160.0))(torch.ones(2, 3, 3, 8, 16))
    for part in (light.wide, *light.blurred):
        np.testing.assert_allclose(part, 1, atol=1e-5)
