"""Portrait crops: geometry, borders, and pictures that need none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.inference.crops import CROP_PER_FACE, Crop, Face, is_portrait_crop, portrait_crop, whole_picture, wider_crop

INTEGERS = st.integers(-30, 30)
SIDES = st.integers(1, 40)


@given(INTEGERS, INTEGERS, SIDES, SIDES, st.integers(1, 25), st.integers(1, 25))
def test_cut_repeats_the_border_and_put_back_undoes_it(top, left, crop_height, crop_width, height, width):
    picture = np.random.default_rng(0).random((height, width, 3))
    crop = Crop(top, left, crop_height, crop_width)
    content = crop.cut(picture)
    rows = np.arange(top, top + crop_height).clip(0, height - 1)
    columns = np.arange(left, left + crop_width).clip(0, width - 1)
    np.testing.assert_array_equal(content, picture[rows[:, None], columns])
    np.testing.assert_array_equal(crop.put_back(picture, content), picture)


def test_put_back_changes_the_crop_alone():
    picture = np.zeros((10, 12, 3))
    result = Crop(-2, 7, 6, 8).put_back(picture, np.ones((6, 8, 3)))
    expected = np.zeros((10, 12, 3))
    expected[:4, 7:] = 1
    np.testing.assert_array_equal(result, expected)
    assert not picture.any()


def test_the_crop_is_a_square_around_the_face_with_room_for_the_neck():
    crop = portrait_crop(Face(100, 80, 50))
    assert crop.width == crop.height == round(50 * CROP_PER_FACE)
    assert crop.left + crop.width / 2 == pytest.approx(100, abs=1)
    assert 80 < crop.top + crop.height / 2 < 80 + 0.2 * 50


def test_feathering_fades_only_towards_sides_inside_the_picture():
    assert (whole_picture(30, 40).feather(30, 40) == 1).all()
    weights = Crop(-5, 10, 50, 50).feather(100, 100)
    assert weights[0, 25] == 1 and weights[-1, 25] < 0.05 and weights[25, 0] < 0.05 and weights[25, 25] == 1
    assert (np.diff(weights[25, :25]) >= 0).all()


@pytest.mark.parametrize(
    ("face", "size", "expected"),
    [
        (Face(128, 115, 115), (256, 256), True),  # as the training portraits are
        (Face(128, 115, 115), (256, 480), False),  # a wide frame
        (Face(128, 128, 50), (256, 256), False),  # far away
        (Face(60, 115, 115), (256, 256), False),  # at the side
        (Face(128, 120, 220), (256, 256), False),  # too close
    ],
)
def test_what_is_a_portrait_crop_already(face, size, expected):
    assert is_portrait_crop(face, *size) is expected


def test_a_wider_crop_shows_the_chest():
    head = Crop(40, 100, 80, 80)
    wider = wider_crop(head, 400, 400)
    assert wider == Crop(30, 68, 144, 144)
    assert wider_crop(whole_picture(300, 300), 300, 300) is None  # there is no more
    assert wider_crop(Crop(10, 10, 280, 280), 300, 300) is None


def test_a_portrait_with_more_around_it_ends_below_the_chin():
    weights = Crop(40, 100, 80, 80).feather(400, 400, leaves_body=True)
    plain = Crop(40, 100, 80, 80).feather(400, 400)
    np.testing.assert_array_equal(weights[:48, 12:68], plain[:48, 12:68])
    assert weights[74, 40] < 0.1 < plain[74, 40]
    assert (np.diff(weights[40:, 40]) <= 0).all()


def test_a_portrait_ends_gradually_below_the_neck():
    weights = Crop(40, 100, 80, 80).feather(400, 400)
    assert weights[58, 40] == 1 and 0.3 < weights[70, 40] < 0.7 and weights[79, 40] < 0.01
    assert np.abs(np.diff(weights[58:, 40])).max() < 0.08  # no step
