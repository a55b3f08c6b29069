import numpy as np
import pytest

from src.utils.resize import fit_square, resize_area

RNG = np.random.default_rng(0)


def test_a_whole_factor_gives_the_means_of_blocks():
    picture = RNG.random((12, 20, 3), np.float32)
    expected = picture.reshape(3, 4, 5, 4, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resize_area(picture, 3, 5), expected, rtol=1e-5)
    np.testing.assert_allclose(resize_area(picture[..., 0], 3, 5), expected[..., 0], rtol=1e-5)


@pytest.mark.parametrize("size", [(5, 9), (24, 40), (6, 40)])
def test_any_size_keeps_the_mean(size):
    picture = RNG.random((12, 20), np.float32)
    resized = resize_area(picture, *size)
    assert resized.shape == size
    # Enlarging repeats the border: the mean is kept but for half a pixel all around.
    assert resized.mean() == pytest.approx(picture.mean(), rel=1e-5 if size == (5, 9) else 0.06)


def test_its_own_size_is_no_copy():
    picture = RNG.random((12, 20, 3), np.float32)
    assert resize_area(picture, 12, 20) is picture


def test_enlarging_a_ramp_is_linear():
    ramp = np.broadcast_to(np.arange(8, dtype=np.float32), (4, 8))
    enlarged = resize_area(ramp, 8, 16)
    np.testing.assert_allclose(enlarged[0, 1:-1], (np.arange(1, 15) + 0.5) / 2 - 0.5, rtol=1e-6)


@pytest.mark.parametrize("shape", [(10, 30), (30, 10)])
def test_squares_follow_the_mask(shape):
    picture = np.arange(shape[0] * shape[1], dtype=np.float32).reshape(shape)
    for place in range(0, 30, 3):
        mask = np.zeros(shape, np.float32)
        longer = int(shape[0] < shape[1])
        np.moveaxis(mask, longer, 0)[place] = 1
        first = min(max(place - 5, 0), 20)
        expected = np.moveaxis(np.moveaxis(picture, longer, 0)[first : first + 10], 0, longer)
        np.testing.assert_array_equal(fit_square(picture, 10, mask), expected)
