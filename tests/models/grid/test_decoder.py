import numpy as np
import pytest
import torch

from src.utils.texel_grid import texel_xy
from tests.lightmap_example import started_grid


@pytest.mark.parametrize("coarse", [(), ((2, 3), (5, 7))])
def test_single_texels_and_frames_agree(coarse: tuple) -> None:
    grid, _ = started_grid(coarse=coarse)
    torch.nn.init.normal_(grid.f2_weights.hour_weight, std=0.1)  # let the hidden layers matter
    decoder = grid.decoder()
    xy = texel_xy(torch.arange(decoder.height * decoder.width), decoder.height, decoder.width)
    for hour in (0.0, 5.95, 7.3, 12.0, 23.0):
        frame = torch.from_numpy(decoder.render(hour)).view(-1, 3)
        assert torch.allclose(decoder.decode(xy, hour), frame, atol=1e-5)
    hours = torch.rand(len(xy), generator=torch.Generator().manual_seed(1)).mul(24).mul(4).round().div(4)
    mixed = decoder.decode(xy, hours)
    one = decoder.decode(xy[77:78], float(hours[77]))
    assert torch.allclose(mixed[77:78], one, atol=1e-5)
    invalid = ~grid.mask.flatten()
    assert not mixed[invalid].any()


def test_lamps_switch_and_the_sun_fades() -> None:
    decoder = started_grid()[0].decoder()
    lit, unlit = decoder.render(5.9), decoder.render(6.0)
    assert np.array_equal(decoder.render(5.99), lit)
    assert np.array_equal(decoder.render(18.05), decoder.render(18.1))
    assert not np.array_equal(lit, unlit)
    middle = 0.5 * (decoder.render(9.0) + decoder.render(12.0))
    assert np.abs(decoder.render(10.5) - middle).max() < 0.02 * middle.max()
    assert np.array_equal(decoder.render(24.0), decoder.render(0.0))
