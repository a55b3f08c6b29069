"""What the portrait page computes: light that adds up, brightness, and all files in one."""

import zipfile

import numpy as np
import pytest

from src.data.stage.environments import mean_luminance
from src.demo.portrait_work import (
    SKIES,
    Light,
    PortraitWork,
    at_unit_mean,
    confidence_codes,
    map_codes,
    read_light,
    reduced,
    sky,
)
from src.inference.delit.delighter import Delighter
from src.inference.relit.relighter import Relighter
from src.utils.cli import InputError
from src.utils.image_io import read_display, read_linear, write_display, write_linear
from tests.inference.models import tiny_model
from tests.inference.relit_models import tiny_relit_model


@pytest.fixture(scope="module")
def work():
    return PortraitWork(Delighter(tiny_model(flat_confidence=True), keep_exposure=True), Relighter(tiny_relit_model()))


@pytest.fixture(scope="module")
def portrait(work, tmp_path_factory):
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    rng = np.random.default_rng(0)
    write_display(path, rng.uniform(0.1, 0.9, (18, 15, 3)).repeat(4, 0).repeat(4, 1).astype(np.float32))
    return work.open(path)


def test_brightness_is_in_stops_and_a_whole_turn_changes_nothing(work, portrait):
    light = sky("window")
    behind = work.relight(portrait, Light(0 * light))  # what of the photo is seen through a soft mask
    once = work.relight(portrait, Light(light)) - behind
    twice = work.relight(portrait, Light(light, stops=1.0)) - behind
    turned = work.relight(portrait, Light(light, degrees=360.0)) - behind
    opposite = work.relight(portrait, Light(light, degrees=180.0)) - behind
    assert once.mean() > 0.01
    np.testing.assert_allclose(twice, 2 * once, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(turned, once, rtol=1e-3, atol=1e-5)
    assert np.abs(opposite - once).mean() > 1e-3


def test_the_light_is_seen_behind_the_person_where_asked(work, portrait):
    grey = np.full((16, 32, 3), 3.0, np.float32)
    seen, kept = (work.relight(portrait, Light(grey, shows_behind=shows)) for shows in (True, False))
    background = 1 - portrait.shown.mask[..., None]
    np.testing.assert_allclose(seen - kept, background * (3.0 - portrait.shown.picture), atol=1e-4)
    assert background.max() > 0.2


def test_all_of_it_in_one_file(work, portrait, tmp_path):
    light = Light(sky("sun"), degrees=30.0)
    work.pack(portrait, light, tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        names = archive.namelist()
        archive.extractall(tmp_path)
    assert names == sorted(
        ["env.hdr", "env_confidence.png", "env_preview.png", "flat_confidence.png", "flat_lit.exr", "flat_lit.png",
         "relit.exr", "relit.png", "relit_env.hdr"]
    )  # fmt: skip
    np.testing.assert_allclose(read_linear(tmp_path / "flat_lit.exr"), portrait.result.flat_lit, atol=2e-3)
    np.testing.assert_allclose(read_linear(tmp_path / "relit.exr"), work.relight(portrait, light), rtol=2e-3, atol=2e-3)
    assert read_display(tmp_path / "flat_confidence.png").shape == portrait.relit.shape


def test_without_weights_for_relighting_there_is_no_relit_picture(portrait, tmp_path):
    alone = PortraitWork(Delighter(tiny_model(), keep_exposure=True), None)
    write_linear(tmp_path / "photo.exr", portrait.relit)
    opened = alone.open(tmp_path / "photo.exr")
    assert opened.shown is None and confidence_codes(opened) is None
    alone.pack(opened, Light(sky("sun")), tmp_path / "all.zip")
    with zipfile.ZipFile(tmp_path / "all.zip") as archive:
        assert not [name for name in archive.namelist() if name.startswith("relit")]


@pytest.mark.parametrize("kind", SKIES)
def test_built_in_lights_are_as_bright_as_flat_lits_own(kind):
    light = sky(kind)
    assert mean_luminance(light) == pytest.approx(1.0, rel=1e-3) and light.min() >= 0
    codes = map_codes(light)
    assert codes.shape == (128, 256, 3) and codes.max() > 250


def test_pictures_are_reduced_and_dark_lights_stay_finite():
    assert reduced(np.zeros((30, 90, 3), np.float32), 45).shape == (15, 45, 3)
    assert reduced(np.zeros((30, 90, 3), np.float32), 100).shape == (30, 90, 3)
    assert np.isfinite(at_unit_mean(np.zeros((4, 8, 3), np.float32))).all()


@pytest.mark.parametrize(("shape", "radiance", "said"), [((8, 8), 1.0, "is 8 x 8"), ((8, 16), 0.0, "is black")])
def test_a_map_that_lights_nothing_is_refused(tmp_path, shape, radiance, said):
    write_linear(tmp_path / "light.hdr", np.full((*shape, 3), radiance, np.float32))
    with pytest.raises(InputError, match=said):
        read_light(tmp_path / "light.hdr")
