"""Whose brightness and weak cast the result has: the picture's own, by its face, or the model's."""

import numpy as np
import pytest
import torch

from src.inference.crops import Face
from src.inference.delit.delighter import Delighter
from tests.inference.delit.gain_model import GainModel, constant, textured


def mean_luminance(picture, mask=1.0):
    weights = np.broadcast_to(mask, picture.shape[:2])
    return float((picture @ [0.2126, 0.7152, 0.0722] * weights).sum() / weights.sum())


@pytest.mark.parametrize("flat_size", [64, 128])
def test_brightness_is_kept_within_the_mask_and_shading_is_not(flat_size):
    """The network makes the person three times as bright, more so at the bottom."""
    relit = textured(180, 140)
    model = GainModel(lambda y, x: 2 + 2 * y + 0 * x)
    kept = Delighter(model, flat_size, crops=False, keep_exposure=True)(relit)
    predicted = Delighter(model, flat_size, crops=False)(relit)
    assert predicted.prediction.exposure is None and kept.prediction.exposure == pytest.approx(1 / 3, rel=0.05)
    assert mean_luminance(kept.flat_lit) == pytest.approx(mean_luminance(relit), rel=0.01)
    np.testing.assert_allclose(kept.flat_lit, kept.prediction.exposure * predicted.flat_lit, rtol=0.02)
    assert "brightness kept, x 0.3" in kept.note


class TintedModel(GainModel):
    """0.4 times the picture, redder and less blue by a factor, under light that is red."""

    def __init__(self, cast):
        super().__init__(constant(0.4))
        self.cast = torch.tensor([cast, 1.0, 1 / cast]).view(3, 1, 1)

    def forward(self, relit):
        output = super().forward(relit)
        return output._replace(flat_lit=output.flat_lit * self.cast)

    def environment(self, output):
        return super().environment(output) + self.cast


@pytest.mark.parametrize("keeps", [True, False])
@pytest.mark.parametrize("flat_size", [64, 128])
def test_a_black_and_white_photograph_stays_so_and_a_tinted_one_does_not(keeps, flat_size):
    relit = textured(180, 140)
    grey = relit.mean(axis=2, keepdims=True).repeat(3, axis=2)
    delighter = Delighter(TintedModel(2.0), flat_size, crops=False, keep_exposure=keeps)
    flat_lit, prediction = delighter(grey)[:2]
    np.testing.assert_allclose(flat_lit, flat_lit[..., :1].repeat(3, axis=2), rtol=1e-5)
    np.testing.assert_allclose(prediction.environment, 0.2126 * 2 + 0.7152 + 0.0722 / 2, rtol=1e-3)
    noisy = grey + np.float32(0.004) * relit  # a scanner's, or JPEG's
    red, _, blue = (delighter(noisy).flat_lit / noisy).mean((0, 1))
    assert red / blue == pytest.approx(1, rel=0.01)
    sepia = delighter(grey * np.array([1.2, 1.0, 0.8], np.float32))
    assert sepia.prediction.environment[..., 0].mean() == pytest.approx(2, rel=1e-3)


@pytest.mark.parametrize(("cast", "left"), [(1.1, 1.0), (2.0, 2.0 / 1.25)])
def test_a_weak_cast_is_the_pictures_own_and_a_strong_one_is_taken_away_but_for_that(cast, left):
    relit = textured(64, 64)
    kept = Delighter(TintedModel(cast), crops=False, keep_exposure=True)(relit).flat_lit
    red, green, blue = (kept / relit).mean((0, 1))
    assert (red / green, green / blue) == pytest.approx((left, left), rel=0.02)
    assert mean_luminance(kept) == pytest.approx(mean_luminance(relit), rel=0.01)
    predicted = Delighter(TintedModel(cast), crops=False)(relit).flat_lit
    assert (predicted / relit).mean((0, 1))[0] == pytest.approx(0.4 * cast, rel=0.02)


@pytest.mark.parametrize("roll", [0.0, 30.0])
def test_the_faces_brightness_is_kept_and_not_that_of_the_clothes(roll):
    """The network makes the upper part four times as bright and what is below as dark: they are not averaged."""
    relit = textured(240, 240)
    model = GainModel(lambda y, x: torch.where(y < 0.75, 4.0, 0.25) + 0 * x, mask=1.0)
    face = Face(120.0, 110.0, 60.0, roll)
    result = Delighter(model, faces=lambda _: [face], keep_exposure=True, looks_twice=False)(relit)
    assert result.prediction.exposure == pytest.approx(0.25, rel=0.05)
    near = np.s_[90:130, 100:140]
    assert mean_luminance(result.flat_lit[near]) == pytest.approx(mean_luminance(relit[near]), rel=0.02)


def test_without_a_face_all_of_the_persons_brightness_is_kept():
    relit = textured(240, 240)
    model = GainModel(lambda y, x: torch.where(y < 0.75, 4.0, 0.25) + 0 * x)
    kept = Delighter(model, faces=lambda _: [], keep_exposure=True)(relit)
    assert mean_luminance(kept.flat_lit) == pytest.approx(mean_luminance(relit), rel=0.01)


def test_brightness_outside_the_mask_has_no_part_in_it():
    class HalfMask(GainModel):
        def forward(self, relit):
            mask = torch.zeros(len(relit), 1, *relit.shape[-2:])
            mask[..., : relit.shape[-1] // 2] = 1
            return super().forward(relit)._replace(mask=mask)

    relit = textured(64, 64)
    relit[:, 32:] *= 20
    model = HalfMask(lambda y, x: 0.5 + 3 * y + 0 * x)
    result = Delighter(model, crops=False, keep_exposure=True, looks_twice=False)(relit)
    assert mean_luminance(result.flat_lit[:, :32]) == pytest.approx(mean_luminance(relit[:, :32]), rel=1e-3)
    np.testing.assert_array_equal(result.flat_lit[:, 32:], relit[:, 32:])


@pytest.mark.parametrize("scale", [0.01, 1.0, 100.0])
def test_brightness_is_kept_at_any_exposure_and_black_stays_black(scale):
    class UnitModel(GainModel):
        def forward(self, relit):
            return super().forward(relit / relit.mean().clamp_min(1e-6))

    delighter = Delighter(UnitModel(constant(0.4)), crops=False, keep_exposure=True)
    relit = scale * textured(80, 80)
    assert mean_luminance(delighter(relit).flat_lit) == pytest.approx(mean_luminance(relit), rel=0.01)
    assert delighter(np.zeros((64, 64, 3), np.float32)).prediction.exposure == 1
