import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.utils.resize import fit_square, reduce_valid, resize_area

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


def overlaps(size: int, reduced: int) -> np.ndarray:
    """reduced x size float64: the length that each texel along an axis shares with each reduced one, in texels."""
    edges = np.arange(reduced + 1) * size / reduced
    first, last = np.arange(size), np.arange(size) + 1
    return np.maximum(0, np.minimum(edges[1:, None], last) - np.maximum(edges[:-1, None], first))


@settings(deadline=None)
@given(st.data())
def test_mip_levels_are_means_over_the_valid_area(data):
    height, width = data.draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    size = data.draw(st.tuples(st.integers(1, height), st.integers(1, width)))
    rng = np.random.default_rng(data.draw(st.integers(0, 1000)))
    mask = rng.random((height, width)) < data.draw(st.sampled_from([0.1, 0.6, 1.0]))
    picture = rng.random((height, width, 3), np.float32) * mask[..., None] * 50
    area = np.einsum("yh,xw,hw->yxhw", overlaps(height, size[0]), overlaps(width, size[1]), mask)
    covered = area.sum(axis=(2, 3))
    covered[covered < 1e-9] = 0  # texels that meet at an edge, but for rounding
    expected = np.einsum("yxhw,hwc->yxc", area, picture) / np.where(covered > 0, covered, 1)[..., None]
    reduced = reduce_valid(picture, mask, *size)
    assert reduced.shape == (*size, 3) and reduced.dtype == np.float32
    np.testing.assert_allclose(reduced[covered > 0.02], expected[covered > 0.02], rtol=2e-4)
    assert not reduced[covered == 0].any()


def test_a_chart_of_one_colour_keeps_it_at_every_level():
    mask = RNG.random((64, 48)) < 0.3
    picture = mask[..., None] * np.array([0.25, 3.0, 0.0], np.float32)
    for size in ((32, 24), (16, 12), (4, 3), (1, 1), (13, 7)):
        reduced = reduce_valid(picture, mask, *size)
        filled = reduced.any(axis=2)
        assert filled.mean() > 0.7
        np.testing.assert_allclose(reduced[filled], np.broadcast_to([0.25, 3.0, 0.0], reduced[filled].shape), rtol=1e-5)


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
