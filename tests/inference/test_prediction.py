"""How far a prediction is applied, and how bright a person was shown."""

import numpy as np
import pytest

from src.inference.crops import whole_picture
from src.inference.prediction import FLAT_FLOOR, Prediction, apply_gain, change_weights, mean_level, trust_in


def test_noise_is_not_trusted_and_what_shows_something_is():
    rng = np.random.default_rng(0)
    assert trust_in(rng.integers(0, 4, (40, 40, 3), np.uint8)) == 0
    assert trust_in(rng.integers(0, 80, (40, 40, 3), np.uint8)) == 1
    fade = [trust_in(np.full((8, 8, 3), code, np.uint8)) for code in range(40)]
    assert np.diff(fade).min() >= 0 and np.diff(fade).max() < 0.06


def test_what_is_not_trusted_is_not_applied():
    prediction = Prediction(np.zeros((4, 4, 3), np.float32), 0.01, None, np.ones((2, 4, 3)), None, trust=0.25)
    weights = change_weights((8, 8), whole_picture(8, 8), np.ones((8, 8, 3), np.float32), prediction)
    np.testing.assert_array_equal(weights, np.full((8, 8, 1), 0.25, np.float32))


def test_the_level_is_that_of_the_person():
    relit = np.full((8, 8, 3), 0.02, np.float32)
    relit[2:6, 2:6] = 0.5
    mask = np.zeros((8, 8), np.float32)
    mask[2:6, 2:6] = 1
    assert mean_level(relit, 0.01, mask) == pytest.approx(np.log(0.51), abs=1e-5)
    whole = (16 * np.log(0.51) + 48 * np.log(0.03)) / 64
    assert mean_level(relit, 0.01, None) == mean_level(relit, 0.01, 0 * mask) == pytest.approx(whole, abs=1e-5)


def test_black_stays_black_and_what_is_bright_gets_its_gain_floors_and_all():
    relit = np.geomspace(1e-6, 10, 64, dtype=np.float32)[:, None, None].repeat(3, axis=2).reshape(8, 8, 3)
    flat = apply_gain(
        relit, Prediction(np.full((8, 8, 3), np.log(3), np.float32), 0.02, None, np.ones((2, 4, 3)), None)
    )
    assert flat[0, 0, 0] < 1e-5 and np.diff(flat[..., 0].ravel()).min() > 0
    fades_in = relit / (relit + 0.02)
    np.testing.assert_allclose(flat, 3 * relit + (3 * 0.02 - FLAT_FLOOR) * fades_in, rtol=1e-5)
