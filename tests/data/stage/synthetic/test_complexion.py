"""Colours of synthetic people against what was measured on real ones."""

from __future__ import annotations

import numpy as np
import pytest
from skimage.color import rgb2lab

from src.data.stage.synthetic.complexion import MONK_TONES, sample_complexion
from src.utils.color import linear_to_srgb

PEOPLE = 120


def lab_of_skin(tone: int) -> np.ndarray:
    """CIELAB (D65) of many people's skin, PEOPLE x 3."""
    skin = np.array([sample_complexion(np.random.default_rng(seed), tone).skin for seed in range(PEOPLE)])
    return rgb2lab(linear_to_srgb(skin)[:, None]).reshape(-1, 3)


def test_light_skin_is_as_red_as_measured_faces_and_as_varied():
    # Xiao et al. 2017, foreheads and cheeks of four peoples: a* 10.5 to 11.8 on average, 2.1 to 3.1 within each.
    # An albedo has no gloss, which takes a tenth of the colour when a face is seen.
    redness = np.array([lab_of_skin(tone)[:, 1] for tone in range(4)])
    assert 10.5 <= redness.mean() <= 13.0
    assert 2.0 <= redness.std(axis=1).mean() <= 3.2


def test_brown_skin_is_redder_and_yellower_than_light_skin():
    # de Rigal et al. 2010: about a* 14 and b* 19 at L* 44 to 48.
    light, brown = lab_of_skin(1).mean(axis=0), lab_of_skin(6).mean(axis=0)
    assert brown[1] > light[1] + 2
    assert brown[2] > light[2] + 3


@pytest.mark.parametrize("tone", range(len(MONK_TONES)))
def test_skin_reflects_most_red_and_least_blue(tone):
    skin = np.array([sample_complexion(np.random.default_rng(seed), tone).skin for seed in range(PEOPLE)])
    assert (skin > 0).all() and (skin < 1).all()
    assert (np.diff(np.median(skin, axis=0)) < 0).all()
