"""Portraits of any size in any light: full resolution, masks, crops, backgrounds."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from src.inference.crops import Crop
from src.inference.relit.background import open_background
from src.inference.relit.relighter import Relighter
from src.utils.sphere import pixel_directions, rotate_environment_y
from tests.inference.relit_models import tiny_relit_model


@pytest.fixture(scope="module")
def relighter():
    return Relighter(tiny_relit_model(), crops=False)


def portrait(height=90, width=120):
    return np.random.default_rng(0).uniform(0.1, 0.8, (height, width, 3)).astype(np.float32)


def bright_light():
    return np.random.default_rng(1).gamma(0.3, 3.0, (40, 80, 3)).astype(np.float32)


def test_uniform_light_gives_the_picture_back_at_full_size(relighter):
    picture = portrait()
    transport = relighter.transport(picture)
    np.testing.assert_allclose(relighter.relight(transport, np.ones((8, 16, 3), np.float32)), picture, atol=1e-5)


def test_lights_add_up_and_the_rest_of_the_picture_stays(relighter):
    picture, light = portrait(), bright_light()
    mask = np.zeros(picture.shape[:2], np.float32)
    mask[20:70, 30:80] = 1
    transport = relighter.transport(picture, mask)
    black = np.zeros(3, np.float32)
    one, other = (relighter.relight(transport, e, black) for e in (light, rotate_environment_y(light, 90)))
    both = relighter.relight(transport, 2 * light + rotate_environment_y(light, 90), black)
    assert np.abs(both - 2 * one - other).max() < 1e-5 * both.mean() * 10
    assert not both[mask == 0].any()
    kept = relighter.relight(transport, light)
    np.testing.assert_array_equal(kept[mask == 0], picture[mask == 0])
    np.testing.assert_allclose(kept[mask == 1], one[mask == 1], rtol=1e-5)


def test_what_stands_behind_a_person_who_is_known_has_no_say(relighter):
    picture = portrait()
    mask = np.zeros(picture.shape[:2], np.float32)
    mask[20:70, 30:80] = 1
    elsewhere = np.where(mask[..., None] > 0, picture, 0.9).astype(np.float32)
    here, there = (relighter.transport(p, mask).transport.diffuse for p in (picture, elsewhere))
    np.testing.assert_array_equal(here, there)
    assert np.abs(relighter.transport(elsewhere).transport.diffuse - here).max() > 1e-3


HEAD, AROUND = Crop(10, 90, 60, 60), Crop(3, 66, 108, 108)


def changed_by(relighter, portrait, picture):
    return np.abs(relighter.relight(portrait, 5 * bright_light()) - picture).max(axis=2)


def test_beyond_a_portrait_the_body_is_relit_and_beyond_that_nothing(relighter):
    picture = portrait(200, 240)
    everywhere = np.ones(picture.shape[:2], np.float32)
    transport = relighter.transport(picture, everywhere, HEAD)
    changed = changed_by(relighter, transport, picture)
    outside = np.ones(picture.shape[:2], bool)
    outside[3:111, 66:174] = False
    assert not changed[outside].any()
    assert changed[74:90, 75:165].mean() > 0.1  # below the portrait
    assert changed[110].max() < changed[74:90].max() / 10  # it fades out

    # From the hair to the chin only what is seen from near counts, from below it both.
    alone = replace(transport, around=None)
    light = 5 * bright_light()
    near, both = relighter.relight(alone, light), relighter.relight(transport, light)
    np.testing.assert_allclose(both[20:40, 105:135], near[20:40, 105:135], atol=1e-5)
    assert np.abs(both - near)[60:70, 105:135].mean() > 0.01


def test_light_adds_up_for_a_body_too(relighter):
    picture, light = portrait(200, 240), bright_light()
    transport = relighter.transport(picture, np.ones(picture.shape[:2], np.float32), HEAD)
    one, two = (relighter.relight(transport, k * light, np.zeros(3, np.float32)) for k in (1, 2))
    assert transport.around is not None and transport.around.crop == AROUND
    np.testing.assert_allclose(two, 2 * one, rtol=1e-5, atol=1e-6)


def test_from_afar_a_person_is_what_is_one_in_the_mirror_too(relighter):
    seen = relighter.network_input(portrait(64, 64), None, Crop(0, 0, 64, 64))
    said, mirrored = relighter.from_afar(seen), relighter.from_afar(seen.flip(-1))
    assert torch.equal(said.mask, mirrored.mask.flip(-1))
    alone = relighter.model.transport(seen[None])
    assert (said.mask <= alone.mask).all() and (said.mask < alone.mask).any()
    assert torch.equal(said.share, alone.share)


def test_a_mask_of_a_portrait_does_not_say_that_it_has_no_body(relighter):
    picture = portrait(200, 240)
    head = np.zeros(picture.shape[:2], np.float32)
    head[10:70, 90:150] = 1
    of_all, of_crop = (relighter.transport(picture, head, HEAD, mask_is_of_crop=only) for only in (False, True))
    assert not changed_by(relighter, of_all, picture)[74:].any()
    assert changed_by(relighter, of_crop, picture)[74:90, 75:165].mean() > 0.01


def test_the_camera_sees_what_lies_behind_the_person():
    directions = pixel_directions(32, 64).astype(np.float32)
    seen = open_background("env", 20, 20)(directions)
    assert np.abs(seen[9:11, 9:11].mean((0, 1)) - [0, 0, -1]).max() < 0.05
    assert seen[0, :, 1].min() > 0 and seen[:, -1, 0].min() > 0  # up is up, right is right
