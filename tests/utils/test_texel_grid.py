import torch
from hypothesis import given
from hypothesis import strategies as st

from src.utils.texel_grid import texel_index, texel_xy


def test_pixel_centres_x_first():
    expected = torch.tensor(
        [[-0.75, -0.5], [-0.25, -0.5], [0.25, -0.5], [0.75, -0.5], [-0.75, 0.5], [-0.25, 0.5], [0.25, 0.5], [0.75, 0.5]]
    )
    assert torch.equal(texel_xy(torch.arange(8), height=2, width=4), expected)


@given(st.integers(1, 4096), st.integers(1, 4096), st.data())
def test_every_texel_finds_itself(height, width, data):
    index = torch.tensor(data.draw(st.lists(st.integers(0, height * width - 1), min_size=1, max_size=50)))
    xy = texel_xy(index, height, width)
    assert xy.abs().max() < 1
    assert torch.equal(texel_index(xy, height, width), index)


def test_points_outside_belong_to_the_border():
    outside = torch.tensor([[-1.0, -1.0], [1.0, 1.0], [-7.0, 0.1], [7.0, -0.1]])
    assert texel_index(outside, height=2, width=3).tolist() == [0, 5, 3, 2]
