"""Pictures through the network and back to full resolution: gains, detail, tiles, masks, faces."""

import numpy as np
import pytest
import torch

from src.inference.crops import Crop, Face, whole_picture
from src.inference.delit.delighter import Delighter
from src.inference.prediction import FLAT_FLOOR, apply_gain
from src.utils.color import luminance
from src.utils.resize import resize_area
from tests.inference.delit.gain_model import GainModel, constant, textured
from tests.inference.models import tiny_model


def test_at_the_networks_own_size_the_result_is_the_networks():
    model = tiny_model("simplified")
    relit = textured(64, 64)
    result = Delighter(model, crops=False, looks_twice=False)(relit)
    expected = model(torch.from_numpy(relit).permute(2, 0, 1)[None])
    flat_lit, floor = expected.flat_lit[0].permute(1, 2, 0).detach().numpy(), result.prediction.relit_floor
    # But for what the gain's floors add, which fades out in the dark.
    added = (flat_lit + FLAT_FLOOR) / (relit + floor) * floor - FLAT_FLOOR
    dark = floor / (luminance(relit)[..., None] + floor)
    np.testing.assert_allclose(result.flat_lit, flat_lit - added * dark, atol=1e-5)
    environment = model.environment(expected)[0].permute(1, 2, 0)
    np.testing.assert_allclose(result.prediction.environment, environment, rtol=1e-4)


@pytest.mark.parametrize("size", [(200, 300), (333, 128), (20, 24)])
def test_detail_of_the_full_picture_is_kept(size):
    """A smooth gain is applied to pixels that the network never saw."""
    relit = textured(*size)
    model = GainModel(lambda y, x: 0.5 + y + 0 * x)
    result = Delighter(model, crops=False, looks_twice=False)(relit)
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
    even = np.full_like(relit, 0.7)  # else gains in a mixed pixel are those of the neighbourhood
    half = Delighter(GainModel(constant(0.3), mask=0.5), crops=False)(even).flat_lit
    full = Delighter(GainModel(constant(0.3)), crops=False)(even).flat_lit
    np.testing.assert_allclose(half, (even + full) / 2, atol=1e-6)


def test_a_face_is_cropped_and_put_back():
    relit = textured(240, 320)
    model = GainModel(constant(0.5))
    result = Delighter(model, faces=lambda picture: [Face(150.0, 90.0, 50.0)], looks_twice=False)(relit)
    assert model.sizes == [(1, 3, 64, 64)] and result.crop == Crop(41, 95, 110, 110)
    inside, outside = np.s_[60:130, 120:180], np.ones((240, 320), bool)
    outside[41:151, 95:205] = False
    np.testing.assert_array_equal(result.flat_lit[outside], relit[outside])
    assert np.abs(result.flat_lit[inside] / (0.5 * relit[inside]) - 1).mean() < 0.02


def test_several_faces_are_each_delit_and_overlaps_are_not_delit_twice():
    faces = [Face(150.0, 90.0, 50.0), Face(200.0, 95.0, 45.0), Face(40.0, 200.0, 20.0)]
    relit = textured(240, 320)
    model = GainModel(constant(0.5))
    result = Delighter(model, faces=lambda picture: faces, looks_twice=False)(relit)
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


def test_pictures_are_seen_from_nearer_and_mirrored_too():
    """The model brightens what lies to the right and sees light from there: neither is left of it in the mean."""

    class RightModel(GainModel):
        def environment(self, output):
            light = torch.zeros(len(output.flat_lit), 3, 2, 4)
            light[..., 2:] = 2
            return light

    model = RightModel(lambda y, x: torch.where(x > 0.5, 2.0, 0.5) + 0 * y)
    relit = np.full((64, 64, 3), 0.5, np.float32)
    result = Delighter(model, crops=False)(relit)
    assert model.sizes == [(2, 3, 64, 64)]
    for columns in (slice(20, 30), slice(34, 44)):  # but for the floors, and the step itself, which is resampled
        np.testing.assert_allclose(result.flat_lit[20:44, columns], relit[20:44, columns], rtol=0.03)
    np.testing.assert_array_equal(result.prediction.environment, np.ones((2, 4, 3)))
    one = Delighter(model, crops=False, looks_twice=False)(relit)
    assert one.flat_lit[:, -1].mean() > 1.5 * relit.mean() and one.prediction.environment[:, :2].max() == 0


def test_the_nearer_look_is_cut_from_the_pictures_own_pixels():
    relit = textured(160, 160)
    view = Delighter(GainModel(constant(1.0))).view(whole_picture(160, 160), relit, looks_twice=True)
    halved = relit.reshape(80, 2, 80, 2, 3).mean(axis=(1, 3))  # 64 pixels show the centre's 0.8
    np.testing.assert_allclose(view.nearer.permute(1, 2, 0), halved[8:72, 8:72][:, ::-1], atol=1e-5)


@pytest.mark.parametrize("roll", [0.0, 30.0, -100.0])
def test_the_nearer_look_is_as_upright_as_the_first(roll):
    y, x = np.mgrid[0:200, 0:200] / 200
    relit = np.stack([1 + np.sin(5 * x + 3 * y), 1 + np.cos(7 * y), 1 + x], axis=-1).astype(np.float32)
    delighter = Delighter(GainModel(constant(1.0)))
    view = delighter.view(Crop(0, 0, 200, 200, roll), relit, looks_twice=True)
    enlarged = resize_area(view.shown.permute(1, 2, 0).numpy(), 80, 80)
    np.testing.assert_allclose(view.nearer.permute(1, 2, 0), enlarged[8:72, 8:72][:, ::-1], atol=0.03)
    assert delighter.view(Crop(0, 0, 200, 200, roll), relit).nearer is None


def test_even_answers_are_the_same_in_one_look_as_in_two():
    relit = textured(100, 80)
    model = GainModel(constant(0.6), mask=0.7, flat_error=0.1)
    one, both = (Delighter(model, crops=False, looks_twice=twice)(relit) for twice in (False, True))
    np.testing.assert_allclose(both.flat_lit, one.flat_lit, rtol=0.01)


@pytest.mark.parametrize(("error", "share"), [(1e-3, 1.0), (np.log(2.5), 0.5), (4.0, 0.03)])
def test_where_the_model_is_unsure_the_picture_stays(error, share):
    relit = textured(64, 64)
    result = Delighter(GainModel(constant(0.3), flat_error=error), crops=False)(relit)
    expected = relit + share * (0.3 * relit - relit)
    np.testing.assert_allclose(result.flat_lit, expected, rtol=0.02)
