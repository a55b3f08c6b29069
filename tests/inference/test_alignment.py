"""Tilted heads: shown upright, and the answer turned back to where it belongs."""

import numpy as np
import pytest

from src.inference.alignment import straighten, tilt_back, upright_share
from src.inference.crops import CROP_PER_FACE, Face, is_portrait_crop, portrait_crop
from src.inference.prediction import Prediction
from src.utils.sphere import pixel_directions


def blob(size: int, x: float, y: float, sigma: float) -> np.ndarray:
    rows, columns = np.mgrid[:size, :size]
    return np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2)).astype(np.float32)


def middle_of(plane: np.ndarray) -> tuple[float, float]:
    rows, columns = np.mgrid[: plane.shape[0], : plane.shape[1]]
    return float((columns * plane).sum() / plane.sum()), float((rows * plane).sum() / plane.sum())


@pytest.mark.parametrize("roll", [-40.0, 8.0, 25.0])
def test_what_is_above_a_tilted_head_is_shown_straight_above(roll):
    """In a head that is tilted clockwise the crown lies to the right of the middle."""
    around, size = 200, 100
    inner = around * upright_share(roll)
    reach = 0.3 * inner
    turn = np.radians(roll)
    content = blob(around, 99.5 + reach * np.sin(turn), 99.5 - reach * np.cos(turn), 6)
    x, y = middle_of(straighten(content, roll, size))
    assert (x, y) == pytest.approx((49.5, 49.5 - 0.3 * size), abs=0.5)


@pytest.mark.parametrize("roll", [-30.0, 17.0])
def test_turning_back_undoes_it_and_fades_towards_the_sides(roll):
    around, size = 180, 128
    content = blob(around, 80, 100, 12)
    gain = straighten(content, roll, size)
    said = Prediction(np.repeat(gain[..., None], 3, 2), 0.0, None, np.ones((8, 16, 3), np.float32), None)
    back = tilt_back(said, roll)
    scale = back.log_gain.shape[0] / around
    assert back.log_gain.shape[0] == round(size / upright_share(roll))
    x, y = middle_of(back.log_gain[..., 0])
    assert (x / scale, y / scale) == pytest.approx((80, 100), abs=1)
    middle = back.mask.shape[0] // 2
    assert back.mask[middle, middle] == pytest.approx(1) and back.mask[0, 0] == back.mask[-1, 0] == 0
    assert np.abs(np.diff(back.mask, axis=0)).max() < 0.25


def test_light_from_above_a_tilted_head_comes_from_its_crown():
    """Turned clockwise by 90 degrees the head's up is the picture's right, +X."""
    directions = pixel_directions(32, 64)
    above = (directions[..., 1:] > 0.9)[..., :1] * np.ones(3, np.float32)
    confidence = (directions[..., 1] > 0.9).astype(np.float32)
    said = Prediction(np.zeros((16, 16, 3), np.float32), 0.0, None, above.astype(np.float32), confidence)
    back = tilt_back(said, 90.0)
    from_right = directions[..., 0] > 0.95
    assert back.environment[from_right].min() > 0.9 and back.confidence[from_right].min() > 0.9
    assert back.environment[directions[..., 0] < 0.8].max() < 0.1


def test_crops_of_tilted_faces_are_the_squares_about_them():
    upright, tilted = portrait_crop(Face(100, 80, 50)), portrait_crop(Face(100, 80, 50, roll=90.0))
    assert upright.roll == 0 and upright == portrait_crop(Face(100, 80, 50, roll=2.0))  # hardly tilted: left alone
    assert tilted.height == upright.height == round(50 * CROP_PER_FACE)
    # Below the face, where the neck is, is the picture's left.
    assert tilted.left < upright.left and tilted.top < upright.top
    slanted = portrait_crop(Face(100, 80, 50, roll=45.0))
    assert slanted.height == pytest.approx(np.sqrt(2) * upright.height, abs=1)
    assert is_portrait_crop(Face(55, 50, 45), 110, 110) and not is_portrait_crop(Face(55, 50, 45, roll=20.0), 110, 110)
