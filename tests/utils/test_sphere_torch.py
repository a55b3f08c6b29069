import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.utils.sphere import pixel_directions, sample_environment
from src.utils.sphere_torch import double, sample, sampling_grid, wrap


def random_map(height: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).gamma(0.5, 2.0, (height, 2 * height, 3)).astype(np.float32)


def as_tensor(environment: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(environment)).movedim(-1, 0)[None]


def sampled(environment: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """K x 3 radiance along K x 3 directions."""
    grid = sampling_grid(torch.from_numpy(directions).float(), *environment.shape[:2])
    return sample(as_tensor(environment), grid[None, None])[0, :, 0].T.numpy()


@given(st.sampled_from([1, 2, 4, 7, 16]), st.integers(0, 1000), st.floats(0.01, 50))
@settings(max_examples=30, deadline=None)
def test_sampling_agrees_with_numpy_in_random_directions(height, seed, length):
    directions = np.random.default_rng(seed).normal(size=(50, 3)) * length
    environment = random_map(height, seed)
    np.testing.assert_allclose(sampled(environment, directions), sample_environment(environment, directions), atol=1e-3)


def test_sampling_agrees_with_numpy_at_the_seam_and_the_poles():
    angles = np.linspace(-0.02, 0.02, 41)
    seam = np.stack([np.sin(angles), np.full_like(angles, 0.3), -np.cos(angles)], axis=-1)
    around = np.linspace(0.1, 2 * np.pi, 20)
    poles = [
        np.stack([0.01 * np.sin(around), np.full_like(around, sign), 0.01 * np.cos(around)], axis=-1)
        for sign in (-1.0, 1.0)
    ]
    environment = random_map(8)
    for directions in (seam, *poles, pixel_directions(8, 16).reshape(-1, 3)):
        expected = sample_environment(environment, directions)
        np.testing.assert_allclose(sampled(environment, directions), expected, atol=1e-3)


def test_exact_poles_are_finite_and_between_their_pixels():
    environment = random_map(8)
    values = sampled(environment, np.array([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]]))
    for value, row in zip(values, (environment[0], environment[-1]), strict=True):
        assert (row.min(axis=0) <= value).all() and (value <= row.max(axis=0)).all()


def test_pixel_centres_give_the_map_back():
    environment = random_map(6)
    grid = sampling_grid(torch.from_numpy(pixel_directions(6, 12)).float(), 6, 12)
    np.testing.assert_allclose(sample(as_tensor(environment), grid[None])[0].movedim(0, -1), environment, atol=1e-4)


def test_gradients_reach_the_map_and_sum_to_the_number_of_samples():
    sphere = as_tensor(random_map(4)).requires_grad_()
    directions = torch.randn(1, 5, 7, 3, generator=torch.Generator().manual_seed(0))
    sample(sphere, sampling_grid(directions, 4, 8)).sum().backward()
    assert sphere.grad.sum().item() == pytest.approx(3 * 35, rel=1e-5)
    assert sphere.grad.min() >= 0


def test_wrapping_adds_what_lies_beyond_the_border():
    sphere = torch.arange(12.0).view(1, 1, 2, 6)
    wrapped = wrap(sphere)
    assert wrapped.shape == (1, 1, 4, 8)
    assert torch.equal(wrapped[0, 0, 1:-1, 1:-1], sphere[0, 0])
    assert wrapped[0, 0, 1].tolist() == [5, 0, 1, 2, 3, 4, 5, 0]
    assert wrapped[0, 0, 0].tolist() == [2, 3, 4, 5, 0, 1, 2, 3], "half a turn away"
    assert wrapped[0, 0, 3].tolist() == [8, 9, 10, 11, 6, 7, 8, 9]


def test_doubling_keeps_a_constant_and_commutes_with_turning():
    assert torch.equal(double(torch.full((1, 2, 4, 8), 3.0)), torch.full((1, 2, 8, 16), 3.0))
    sphere = as_tensor(random_map(4))
    for columns in range(8):
        assert torch.equal(double(sphere.roll(columns, -1)), double(sphere).roll(2 * columns, -1))


def test_doubling_is_sampling_at_the_new_pixels():
    environment = random_map(5)
    grid = sampling_grid(torch.from_numpy(pixel_directions(10, 20)).float(), 5, 10)
    sphere = as_tensor(environment)
    torch.testing.assert_close(double(sphere), sample(sphere, grid[None]), rtol=1e-4, atol=1e-4)
