"""Pictures through the network and back to full resolution: gains, detail, tiles, masks, faces."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from src.inference.crops import Crop, Face
from src.inference.delit.delighter import Delighter
from src.inference.prediction import apply_gain
from src.models.delit_model import Delit
from src.utils.resize import resize_area
from tests.inference.models import tiny_model


class GainModel(nn.Module):
    """A model whose flat-lit is a known function of place and picture."""

    def __init__(self, gain, image_size=64, mask=None, flat_error=None):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.config = SimpleNamespace(image_size=image_size)
        self.gain, self.mask, self.flat_error = gain, mask, flat_error
        self.sizes = []

    def forward(self, relit):
        self.sizes.append(tuple(relit.shape))
        height, width = relit.shape[-2:]
        gain = self.gain((torch.arange(height) + 0.5)[:, None] / height, (torch.arange(width) + 0.5) / width)
        mask = None if self.mask is None else torch.full((len(relit), 1, height, width), self.mask)
        code = torch.zeros(len(relit), 4, 2, 4)
        error = None if self.flat_error is None else torch.full((len(relit), 1, height, width), self.flat_error)
        return Delit(relit * gain, code, torch.ones(len(relit), 1, 1, 1), None, mask, flat_error=error)

    def environment(self, output):
        return output.environment_code[:, :3]


def constant(value):
    return lambda y, x: torch.full((y.shape[0], x.shape[0]), value)


def textured(height, width, low=0.2):
    """Bright enough that the gain's floors matter little; fine detail everywhere."""
    rng = np.random.default_rng(0)
    return (low + rng.random((height, width, 3))).astype(np.float32)


def test_at_the_networks_own_size_the_result_is_the_networks():
    model = tiny_model("simplified")
    relit = textured(64, 64)
    result = Delighter(model, crops=False, mirrors=False)(relit)
    expected = model(torch.from_numpy(relit).permute(2, 0, 1)[None])
    np.testing.assert_allclose(result.flat_lit, expected.flat_lit[0].permute(1, 2, 0), atol=1e-5)
    environment = model.environment(expected)[0].permute(1, 2, 0)
    np.testing.assert_allclose(result.prediction.environment, environment, rtol=1e-4)


@pytest.mark.parametrize("size", [(200, 300), (333, 128), (20, 24)])
def test_detail_of_the_full_picture_is_kept(size):
    """A smooth gain is applied to pixels that the network never saw."""
    relit = textured(*size)
    model = GainModel(lambda y, x: 0.5 + y + 0 * x)
    result = Delighter(model, crops=False)(relit)
    assert result.flat_lit.shape == relit.shape and max(model.sizes[0][2:]) == 64
    expected = relit * (0.5 + (np.arange(size[0]) + 0.5) / size[0])[:, None, None]
    assert np.abs(result.flat_lit / expected - 1).mean() < 0.02


def test_twice_the_light_gives_the_same_gain_again():
    relit = textured(100, 100)
    delighter = Delighter(GainModel(constant(0.7)), crops=False)
    gains = [delighter(scale * relit).prediction for scale in (0.5, 50.0)]
    assert gains[1].relit_floor == pytest.approx(100 * gains[0].relit_floor, rel=1e-4)


def test_tiles_leave_no_seam():
    relit = textured(256, 192)
    model = GainModel(constant(0.7))
    coarse = Delighter(model, crops=False)(relit).flat_lit
    smooth = np.full((256, 192, 3), 0.5, np.float32)
    fine = Delighter(model, flat_size=256, crops=False)
    assert np.abs(fine(smooth).flat_lit - 0.7 * smooth).max() < 1e-3
    assert {size[2:] for size in model.sizes[-2:]} == {(64, 64)}
    # The floors make the gain of a textured picture depend on it a little: no tile may make more of that.
    exact = 0.7 * relit
    assert np.abs(fine(relit).flat_lit - exact).mean() < np.abs(coarse - exact).mean() + 1e-3


def test_tiles_add_detail_that_the_coarse_gain_cannot_hold():
    """Flat-lit that is 1 everywhere: the gain is the picture's inverse, finer than the network's own size."""

    class OneModel(GainModel):
        def forward(self, relit):
            return super().forward(relit)._replace(flat_lit=torch.ones_like(relit))

    relit = resize_area(textured(128, 128, low=2.0), 256, 256)
    model = OneModel(constant(1.0))
    coarse = np.abs(Delighter(model, crops=False)(relit).flat_lit - 1).mean()
    fine = np.abs(Delighter(model, flat_size=256, crops=False)(relit).flat_lit - 1).mean()
    assert fine < 0.2 * coarse


def test_pictures_of_several_sizes_go_through_in_batches_and_stay_in_order():
    model = tiny_model()
    delighter = Delighter(model, crops=False)
    inputs = [delighter.network_input(textured(*size) * k) for k, size in enumerate([(64, 64), (50, 80), (64, 64)], 1)]
    together = delighter.predict(inputs)
    for alone, prediction in zip(inputs, together, strict=True):
        (expected,) = delighter.predict([alone])
        np.testing.assert_allclose(prediction.log_gain, expected.log_gain, atol=1e-4)
        np.testing.assert_allclose(prediction.environment, expected.environment, rtol=1e-3)
        assert prediction.relit_floor == pytest.approx(expected.relit_floor)


def test_outside_of_the_mask_the_picture_is_untouched():
    relit = textured(90, 70)
    np.testing.assert_array_equal(Delighter(GainModel(constant(0.3), mask=0.0), crops=False)(relit).flat_lit, relit)
    half = Delighter(GainModel(constant(0.3), mask=0.5), crops=False)(relit).flat_lit
    full = Delighter(GainModel(constant(0.3)), crops=False)(relit).flat_lit
    np.testing.assert_allclose(half, (relit + full) / 2, atol=1e-6)


def test_a_face_is_cropped_and_put_back():
    relit = textured(240, 320)
    model = GainModel(constant(0.5))
    result = Delighter(model, faces=lambda picture: [Face(150.0, 90.0, 50.0)], mirrors=False)(relit)
    assert model.sizes == [(1, 3, 64, 64)] and result.crop == Crop(41, 95, 110, 110)
    inside, outside = np.s_[60:130, 120:180], np.ones((240, 320), bool)
    outside[41:151, 95:205] = False
    np.testing.assert_array_equal(result.flat_lit[outside], relit[outside])
    assert np.abs(result.flat_lit[inside] / (0.5 * relit[inside]) - 1).mean() < 0.02


def test_several_faces_are_each_delit_and_overlaps_are_not_delit_twice():
    faces = [Face(150.0, 90.0, 50.0), Face(200.0, 95.0, 45.0), Face(40.0, 200.0, 20.0)]
    relit = textured(240, 320)
    model = GainModel(constant(0.5))
    result = Delighter(model, faces=lambda picture: faces, mirrors=False)(relit)
    assert len(result.parts) == 3 and model.sizes == [(3, 3, 64, 64)] and "3 faces found" in result.note
    for rows, columns in (((60, 130), (120, 150)), ((80, 120), (170, 190)), ((190, 210), (30, 50))):
        inside = np.s_[rows[0] : rows[1], columns[0] : columns[1]]
        assert np.abs(result.flat_lit[inside] / (0.5 * relit[inside]) - 1).mean() < 0.02
    np.testing.assert_array_equal(result.flat_lit[:, 290:], relit[:, 290:])
    change = (result.flat_lit / relit).mean(axis=2)
    assert change.min() > 0.4 and np.abs(np.diff(change[90])).max() < 0.15  # no seam between the two


def test_a_tilted_face_is_shown_upright_and_its_gain_goes_back_to_where_it_is():
    """The network darkens the upper half of what it sees: of a head turned by 90 degrees, the picture's right."""
    upper = GainModel(lambda y, x: torch.where(y < 0.5, 0.5, 1.0) + 0 * x)
    relit = textured(200, 200)
    result = Delighter(upper, faces=lambda picture: [Face(100.0, 100.0, 50.0, roll=90.0)])(relit)
    assert "turned by 90 degrees" in result.note
    change = result.flat_lit / relit
    assert np.abs(change[80:120, 115:130] - 0.5).mean() < 0.05 and np.abs(change[80:120, 55:75] - 1).mean() < 0.02
    np.testing.assert_array_equal(result.flat_lit[:, 180:], relit[:, 180:])


class HalfMasks:
    def of(self, picture):
        mask = np.zeros(picture.shape[:2], np.float32)
        mask[:, 100:] = 1
        return mask


@pytest.mark.parametrize("faces", [[], [Face(100.0, 90.0, 60.0)], [Face(100.0, 90.0, 60.0, roll=30.0)]])
def test_a_given_mask_takes_the_place_of_the_models(faces):
    relit = textured(200, 200)
    delighter = Delighter(GainModel(constant(0.5), mask=1.0), faces=lambda _: faces, masks=HalfMasks())
    change = delighter(relit).flat_lit / relit
    np.testing.assert_allclose(change[:, :95], 1, atol=0.02)
    assert np.abs(change[80:120, 105:125] - 0.5).mean() < 0.03


def test_no_face_and_no_crop_mean_the_whole_picture():
    relit = np.full((90, 120, 3), 0.3, np.float32)
    for crops, note in ((True, "no face"), (False, "as asked")):
        result = Delighter(GainModel(constant(0.5)), crops=crops)(relit)
        assert result.crop == Crop(0, 0, 90, 120) and note in result.note


def test_black_pictures_stay_finite():
    for model in (tiny_model(), tiny_model("simplified")):
        result = Delighter(model)(np.zeros((70, 50, 3), np.float32))
        assert np.isfinite(result.flat_lit).all() and np.isfinite(result.prediction.environment).all()
        assert apply_gain(np.full((9, 9, 3), 60000.0, np.float32), result.prediction).min() >= 0


def test_pictures_are_shown_with_their_mirror_images_and_the_answers_averaged():
    """The model brightens what lies to the right and sees light from there: neither is left of it in the mean."""

    class RightModel(GainModel):
        def environment(self, output):
            light = torch.zeros(len(output.flat_lit), 3, 2, 4)
            light[..., 2:] = 2
            return light

    model = RightModel(lambda y, x: torch.exp(x - 0.5) + 0 * y)
    relit = np.full((64, 64, 3), 0.5, np.float32)
    result = Delighter(model, crops=False)(relit)
    np.testing.assert_allclose(result.flat_lit, relit, rtol=0.01)  # but for the floors of the gain
    np.testing.assert_array_equal(result.prediction.environment, np.ones((2, 4, 3)))
    one = Delighter(model, crops=False, mirrors=False)(relit)
    assert one.flat_lit[:, -1].mean() > 1.5 * relit.mean() and one.prediction.environment[:, :2].max() == 0


def test_a_symmetric_models_answer_is_the_same_with_mirror_images():
    relit = textured(100, 80)
    model = GainModel(lambda y, x: 0.5 + y + 0 * x, mask=0.7, flat_error=0.1)
    one, both = (Delighter(model, crops=False, mirrors=mirrors)(relit) for mirrors in (False, True))
    np.testing.assert_allclose(both.flat_lit, one.flat_lit, rtol=1e-4)


# ---- restraint


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


@pytest.mark.parametrize(("cast", "left"), [(1.1, 1.0), (2.0, 2.0 / 1.6)])
def test_a_weak_cast_is_the_pictures_own_and_a_strong_one_is_taken_away_but_for_that(cast, left):
    relit = textured(64, 64)

    class TintedModel(GainModel):
        def forward(self, relit):
            output = super().forward(relit)
            return output._replace(flat_lit=output.flat_lit * torch.tensor([cast, 1.0, 1 / cast]).view(3, 1, 1))

    kept = Delighter(TintedModel(constant(0.4)), crops=False, keep_exposure=True)(relit).flat_lit
    red, green, blue = (kept / relit).mean((0, 1))
    assert (red / green, green / blue) == pytest.approx((left, left), rel=0.02)
    assert mean_luminance(kept) == pytest.approx(mean_luminance(relit), rel=0.01)
    predicted = Delighter(TintedModel(constant(0.4)), crops=False)(relit).flat_lit
    assert (predicted / relit).mean((0, 1))[0] == pytest.approx(0.4 * cast, rel=0.02)


@pytest.mark.parametrize("roll", [0.0, 30.0])
def test_the_faces_brightness_is_kept_and_not_that_of_the_clothes(roll):
    """The network makes the upper part four times as bright and what is below as dark: they are not averaged."""
    relit = textured(240, 240)
    model = GainModel(lambda y, x: torch.where(y < 0.75, 4.0, 0.25) + 0 * x, mask=1.0)
    face = Face(120.0, 110.0, 60.0, roll)
    result = Delighter(model, faces=lambda _: [face], keep_exposure=True)(relit)
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
    result = Delighter(model, crops=False, keep_exposure=True, mirrors=False)(relit)
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


@pytest.mark.parametrize(("error", "share"), [(1e-3, 1.0), (np.log(2.5), 0.5), (4.0, 0.03)])
def test_where_the_model_is_unsure_the_picture_stays(error, share):
    relit = textured(64, 64)
    result = Delighter(GainModel(constant(0.3), flat_error=error), crops=False)(relit)
    expected = relit + share * (0.3 * relit - relit)
    np.testing.assert_allclose(result.flat_lit, expected, rtol=0.02)
