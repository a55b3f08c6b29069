"""Pictures moved along flow."""

import torch

from src.utils.warp_torch import moved


def test_each_pixel_shows_what_lies_its_flow_beside_it():
    picture = torch.arange(30.0).view(1, 1, 5, 6)
    flow = torch.zeros(1, 2, 5, 6)
    flow[0, 0], flow[0, 1] = 2.0, -1.0
    got = moved(picture, flow)
    torch.testing.assert_close(got[..., 1:, :4], picture[..., :4, 2:])
    torch.testing.assert_close(got[0, 0, 2, 5], picture[0, 0, 1, 5])  # beyond the border
    torch.testing.assert_close(moved(picture, 0.25 * flow)[0, 0, 2, 2], picture[0, 0, 2, 2] + 0.5 - 0.25 * 6)
