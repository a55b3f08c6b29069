"""Two looks at a picture, merged: where each counts, and no step where the nearer one ends."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.inference.looks import centre_of, merged, mirrored, nearer_size, with_floor
from src.inference.prediction import Prediction, predicted_flat_lit
from src.utils.resize import resize_area
from tests.inference.delit.gain_model import textured

SIZE = (64, 48)


def said(gain, mask=None, error=None, light=1.0, size=SIZE):
    """A prediction of even planes, or of those given."""

    def plane(value, *channels):
        return None if value is None else np.broadcast_to(np.float32(value), (*size, *channels)).copy()

    environment = np.full((2, 4, 3), light, np.float32)
    return Prediction(plane(gain, 3), 0.02, plane(mask), environment, None, flat_error=plane(error))


def borders(change):
    """The largest difference of neighbours in a plane, along both axes."""
    return max(np.abs(np.diff(change, axis=axis)).max() for axis in (0, 1))


@pytest.mark.parametrize("mask", [None, 0.0, 1.0])
def test_even_answers_count_alike_everywhere(mask):
    """Both see one colour of light each: their mean holds beyond the centre too, which one of them has not seen."""
    both = merged(said([0.1, 0.2, 0.3], mask), said([0.5, 0.0, 0.3], mask))
    np.testing.assert_allclose(both.log_gain, np.broadcast_to(np.float32([0.3, 0.1, 0.3]), (*SIZE, 3)), atol=1e-5)


def test_the_light_is_the_mean_and_mask_and_error_are_where_both_have_seen():
    both = merged(said(0, mask=0.2, error=0.1, light=1.0), said(0, mask=1.0, error=0.5, light=3.0))
    np.testing.assert_array_equal(both.environment, np.full((2, 4, 3), 2, np.float32))
    np.testing.assert_allclose(both.mask[24:40, 18:30], 0.6, atol=1e-5)
    np.testing.assert_allclose(both.flat_error[24:40, 18:30], 0.3, atol=1e-5)
    for plane, whole in ((both.mask, 0.2), (both.flat_error, 0.1)):
        np.testing.assert_allclose(plane[:6], whole, atol=1e-5)
        assert borders(plane) < 0.16  # of 0.4


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), height=st.integers(20, 70), width=st.integers(20, 70))
def test_there_is_no_step_where_the_nearer_look_ends(seed, height, width):
    """Smooth answers that differ by up to a factor of e stay about as smooth, whatever the picture's size."""
    rng = np.random.default_rng(seed)
    planes = [resize_area(rng.uniform(-1, 1, (3, 3, 3)).astype(np.float32), height, width) for _ in range(2)]
    masks = [resize_area(rng.uniform(0, 1, (3, 3)).astype(np.float32), height, width) for _ in range(2)]
    one, other = (said(*both, size=(height, width)) for both in zip(planes, masks, strict=True))
    both = merged(one, other)
    assert np.isfinite(both.log_gain).all() and both.mask.min() > -1e-6 and both.mask.max() < 1 + 1e-6
    steepest = max(borders(plane) for plane in planes)
    assert borders(both.log_gain - one.log_gain) < 3 * steepest + 0.02
    middle = np.s_[height // 2 - 2 : height // 2 + 2, width // 2 - 2 : width // 2 + 2]
    rows, columns = nearer_size(height, width)
    away = np.zeros((rows, columns, 3), np.float32)  # where the middle of the nearer look is in the picture
    top, left = (rows - height) // 2, (columns - width) // 2
    away[top : top + height, left : left + width] = other.log_gain
    expected = (one.log_gain + resize_area(away, height, width)) / 2
    assert np.abs(both.log_gain[middle] - expected[middle]).max() < 0.05


def test_what_a_picture_shows_is_at_the_same_place_in_both_looks():
    """The gain is the picture itself: seen from nearer it has to come out where it was."""
    y, x = (np.mgrid[0:640, 0:480] + 0.5) / 640
    fine = np.repeat(np.sin(9 * x + 14 * y)[..., None], 3, axis=2).astype(np.float32)
    whole = said(resize_area(fine, *SIZE))
    nearer = said(centre_of(resize_area(fine, *nearer_size(*SIZE)), *SIZE))
    np.testing.assert_allclose(merged(whole, nearer).log_gain, whole.log_gain, atol=0.02)
    shifted = said(np.roll(nearer.log_gain, 1, axis=1))
    assert np.abs(merged(whole, shifted).log_gain - whole.log_gain).max() > 0.03  # a pixel would be seen


def test_the_floor_of_a_gain_does_not_change_what_is_said():
    shown = textured(*SIZE)
    prediction = said(0.3)
    other = with_floor(prediction, shown, 0.5)
    assert other.relit_floor == 0.5 and np.abs(other.log_gain - prediction.log_gain).min() > 0.1
    np.testing.assert_allclose(predicted_flat_lit(shown, other), predicted_flat_lit(shown, prediction), rtol=1e-5)


def test_mirrored_twice_is_the_same():
    rng = np.random.default_rng(1)
    prediction = Prediction(
        *(rng.random((*SIZE, 3)), 0.02, rng.random(SIZE), rng.random((2, 4, 3)), rng.random((2, 4))),
        flat_error=rng.random(SIZE),
    )
    turned = mirrored(prediction)
    np.testing.assert_array_equal(turned.log_gain[:, 0], prediction.log_gain[:, -1])
    again = mirrored(turned)
    for name in ("log_gain", "mask", "environment", "confidence", "flat_error"):
        np.testing.assert_array_equal(getattr(again, name), getattr(prediction, name))
