"""Sampling against the formula in plain numpy, one point at a time."""

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.models.compressor import CompressorConfig, LightmapCompressor
from src.models.grid.config import GridConfig
from src.models.grid.latent_grid import LatentGrid
from src.models.lightmap_decoder import LightmapDecoder
from src.utils.texel_grid import texel_xy

HEIGHT, WIDTH = 21, 34
HOURS = (0.0, 6.0, 12.0, 18.0)
KINDS = ("siren", "rows", "blocks")
centre = st.integers(0, WIDTH - 1).map(lambda i: (i + 0.5) / WIDTH)
coordinate = st.one_of(st.floats(0.0, 1.0), st.sampled_from([0.0, 1.0, 0.5]), centre)
points_of = st.lists(st.tuples(coordinate, coordinate), max_size=12)


@cache
def decoder_of(kind: str) -> LightmapDecoder:
    torch.manual_seed(0)
    if kind == "siren":
        return LightmapCompressor(CompressorConfig(HEIGHT, WIDTH, HOURS, latent_dim=4)).decoder()
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    mask = torch.from_numpy(((x // 3 + y // 4) % 3 > 0) & (np.hypot(x - 20, y - 9) > 4))
    config = GridConfig(HEIGHT, WIDTH, HOURS, (), 3, 6, regions=(("a", 0, 13, 34), ("b", 16, 5, 11)))
    grid = LatentGrid(replace(config, blocks=kind == "blocks"), mask)
    torch.nn.init.uniform_(grid.latents, -1.0, 1.0)
    torch.nn.init.normal_(grid.f2_weights.hour_weight, std=0.1)
    torch.nn.init.uniform_(grid.f2_weights.hour_bias, 1.5, 3.0)
    return grid.decoder()


def expected_colour(frame: np.ndarray, mask: np.ndarray, u: float, v: float, nearest: bool) -> np.ndarray:
    """The reference: float64, four texels, weights one by one."""
    height, width = mask.shape
    x, y = min(max(u * width - 0.5, 0), width - 1), min(max(v * height - 0.5, 0), height - 1)
    x = round(x) if abs(x - round(x)) < 1e-5 else x  # closer to a centre than float32 can say
    y = round(y) if abs(y - round(y)) < 1e-5 else y
    candidates = []
    for row in (int(np.floor(y)), int(np.floor(y)) + 1):
        for column in (int(np.floor(x)), int(np.floor(x)) + 1):
            weight = max(0.0, 1 - abs(x - column)) * max(0.0, 1 - abs(y - row))
            if weight > 0 and mask[row, column]:
                candidates.append((weight, frame[row, column].astype(np.float64)))
    if not candidates:
        return np.zeros(3)
    if nearest:
        return max(candidates, key=lambda candidate: candidate[0])[1]
    return sum(weight * colour for weight, colour in candidates) / sum(weight for weight, _ in candidates)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.tuples(coordinate, coordinate), max_size=12), st.floats(0, 24), st.sampled_from(KINDS), st.booleans()
)
def test_any_point_is_the_formula(points: list, hour: float, kind: str, is_region: bool) -> None:
    decoder = decoder_of(kind)
    if is_region and kind != "siren":
        decoder = decoder.lightmap("b")
    mask, frame = decoder.mask(), decoder.render(hour)
    assert kind == "siren" or (np.array_equal(mask, (frame > 0).any(axis=2)) and not mask.all())
    uv = torch.tensor(points, dtype=torch.float64).view(-1, 2)
    sampled = decoder.sample(uv, hour).numpy()
    assert sampled.shape == (len(points), 3) and sampled.dtype == np.float32
    for (u, v), colour in zip(points, sampled, strict=True):
        np.testing.assert_allclose(colour, expected_colour(frame, mask, u, v, False), rtol=1e-4, atol=1e-5)
    for (u, v), colour in zip(points, decoder.sample(uv, hour, "nearest").numpy(), strict=True):
        texels = [expected_colour(frame, mask, u + du, v + dv, True) for du in (-1e-7, 1e-7) for dv in (-1e-7, 1e-7)]
        close = [np.allclose(colour, texel, rtol=1e-4, atol=1e-5) for texel in texels]
        assert any(close), "of two equally near ones either"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_at_texel_centres_it_is_decode_bit_for_bit(kind: str, dtype: torch.dtype) -> None:
    for decoder in (decoder_of(kind), *(decoder_of(kind).lightmap(name) for name in decoder_of(kind).lightmap_names)):
        texels = torch.randperm(decoder.height * decoder.width, generator=torch.Generator().manual_seed(1))
        column, row = texels % decoder.width, texels // decoder.width
        uv = torch.stack(((column + 0.5) / decoder.width, (row + 0.5) / decoder.height), dim=1).to(dtype)
        hours = torch.rand(len(texels), generator=torch.Generator().manual_seed(2)).mul(8).round().mul(3)
        xy = texel_xy(texels, decoder.height, decoder.width)
        for hour in (9.25, hours):
            expected = decoder.decode(xy, hour)
            assert expected.any()
            for name in ("bilinear", "nearest"):
                assert torch.equal(decoder.sample(uv, hour, name), expected)


def test_a_chart_of_one_colour_stays_that_colour_beside_invalid_texels() -> None:
    decoder = decoder_of("blocks")
    grey = torch.full((1, 3), 0.25)
    flat = type(decoder)(decoder.config, decoder.latents, decoder.f2.map(torch.zeros_like), decoder.frame_scale)
    flat.f2.hour_bias.fill_(0.25)
    colours = flat.sample(torch.rand(5000, 2, generator=torch.Generator().manual_seed(3)), 3.0)
    near_a_chart = colours.any(dim=1)
    assert 0.6 < near_a_chart.float().mean() < 1.0
    assert torch.allclose(colours[near_a_chart], grey, rtol=1e-6, atol=0)


def test_many_points_are_sampled_piece_by_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    decoder = decoder_of("blocks")
    uv, hours = torch.rand(50, 2), torch.rand(50) * 24
    whole = decoder.sample(uv, hours)
    monkeypatch.setattr("src.models.lightmap_decoder.POINTS_AT_ONCE", 7)
    assert torch.allclose(decoder.sample(uv, hours), whole, atol=1e-6)


def test_an_unknown_filter_is_refused() -> None:
    with pytest.raises(ValueError, match="'cubic' is none of bilinear, nearest"):
        decoder_of("rows").sample(torch.rand(1, 2), 0.0, "cubic")
