import numpy as np
import torch

from src.utils.compositing import put_before


def test_a_pixel_is_the_premultiplied_person_and_what_is_left_of_the_background():
    background = np.array([[[2.0, 4.0, 8.0]] * 3])
    person = np.array([[[9.0, 9.0, 9.0], [0.5, 0.25, 0.125], [1.0, 2.0, 3.0]]])
    coverage = np.array([[[0.0], [0.25], [1.0]]])
    expected = np.array([[[2, 4, 8], [0.5 + 1.5, 0.25 + 3, 0.125 + 6], [1, 2, 3]]])
    np.testing.assert_array_equal(put_before(background, person, coverage), expected)
    tensors = (torch.from_numpy(part).permute(2, 0, 1)[None] for part in (background, person, coverage))
    np.testing.assert_array_equal(put_before(*tensors)[0].permute(1, 2, 0), expected)


def test_what_is_broken_outside_the_person_is_not_seen():
    person = np.full((1, 1, 3), np.nan, np.float32)
    found = put_before(np.ones((1, 1, 3), np.float32), person, np.zeros((1, 1, 1), np.float32))
    assert found.dtype == np.float32 and (found == 1).all()
