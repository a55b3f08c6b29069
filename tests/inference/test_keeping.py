"""Where a face is in what the network is shown, and what is kept of it."""

import numpy as np
import pytest

from src.inference.alignment import straighten
from src.inference.crops import Face, portrait_crop
from src.inference.keeping import as_shown, face_weights, keep, paling
from src.inference.prediction import Prediction, apply_gain


@pytest.mark.parametrize("roll", [0.0, 25.0, -40.0])
def test_a_face_is_where_the_network_is_shown_it(roll):
    """A dot painted on the face is looked for in the straightened crop."""
    y, x = np.mgrid[:300, :300]
    face = Face(140.0, 150.0, 60.0, roll)
    picture = np.exp(-((x + 0.5 - face.x) ** 2 + (y + 0.5 - face.y) ** 2) / 20).astype(np.float32)
    crop = portrait_crop(face)
    shown = straighten(np.repeat(crop.cut(picture)[..., None], 3, 2), crop.roll, 128)[..., 0]
    rows, columns = (np.arange(128) + 0.5) @ shown.sum(1), (np.arange(128) + 0.5) @ shown.sum(0)
    there = as_shown(face, crop, 128, 128)
    assert (columns / shown.sum(), rows / shown.sum()) == pytest.approx((there.x, there.y), abs=1.0)
    assert there.side == pytest.approx(128 / 2.2, rel=0.02) and there.roll == 0


def test_only_the_face_counts_unless_the_mask_has_none_of_it():
    mask = np.ones((80, 60), np.float32)
    weights = face_weights(mask, Face(30.0, 30.0, 20.0), 80, 60)
    assert weights[30, 30] == 1 and weights[19, 30] == 1 and weights[30, 22] == 1
    assert weights[15, 30] == 0 and weights[30, 18] == 0 and weights[70].sum() == 0
    assert weights.sum() == pytest.approx(np.pi * 9 * 12, rel=0.03)
    mask[:50] = 0
    np.testing.assert_array_equal(face_weights(mask, Face(30.0, 30.0, 20.0), 80, 60), mask)
    np.testing.assert_array_equal(face_weights(None, None, 4, 5), np.ones((4, 5)))


def test_an_empty_mask_keeps_everything():
    empty = np.zeros((8, 8), np.float32)
    prediction = Prediction(np.ones((8, 8, 3), np.float32), 0.01, empty, np.ones((2, 4, 3)), None)
    kept = keep(prediction, np.full((8, 8, 3), 0.3, np.float32), Face(4.0, 4.0, 4.0))
    assert kept.exposure == 1 and kept.measured is not None and not kept.measured.any()


@pytest.mark.parametrize(("share", "expected"), [(0.3, 0.3), (0.0, 0.0), (-0.3, 0.0), (1.5, 1.0)])
def test_how_much_paler_shadows_become_is_read_off_the_tint(share, expected):
    """Colours are random, so is the light; what else the tint has, a cast and blotches, has no part in it."""
    rng = np.random.default_rng(0)
    colour = rng.normal(0, 0.3, (40, 40, 3))
    colour -= colour.mean(2, keepdims=True)
    level = rng.uniform(-0.9, 0.9, (40, 40, 1))
    level -= level[5:35, 5:35].mean()
    weights = np.zeros((40, 40), np.float32)
    weights[5:35, 5:35] = 1
    blotches = rng.normal(0, 0.02, (40, 40, 3))
    tint = -share * level * colour + [0.1, 0.1, -0.2] + blotches - blotches.mean(2, keepdims=True)
    tint[:5] = 3 * colour[:5]  # of clothes
    found = paling(level + tint, np.exp(colour - 1.0), weights)
    np.testing.assert_allclose(found, -expected * level * colour, atol=0.02)


def test_a_lifted_shadow_is_as_colourful_as_what_was_lit():
    """The network knows the skin's true colour: what was lit and what lay in a shadow come out alike."""
    skin = np.array([0.6, 0.4, 0.3])
    shown = np.empty((32, 32, 3))
    shown[:, :16], shown[:, 16:] = skin, 0.15 * skin**1.5 / np.mean(skin**1.5)
    assert shown[0, 0, 0] / shown[0, 0, 2] == pytest.approx(2.0) and shown[0, -1, 0] / shown[0, -1, 2] > 2.8
    prediction = Prediction(np.log((0.8 * skin + 0.01) / (shown + 0.005)), 0.005, None, np.ones((2, 4, 3)), None)
    kept = apply_gain(shown, keep(prediction, shown, None))
    lit, shadow = kept[16, 4], kept[16, 28]
    assert shadow[0] / shadow[2] == pytest.approx(lit[0] / lit[2], rel=0.05)
    assert 2.0 < lit[0] / lit[2] < 2.5
