"""Shaders on a Vulkan device (lavapipe on a CPU) against the Python decoder; see tests/export/shader/gpu.py."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from src.data.lightmap_dataset import LightmapDataset
from src.export.bundle import read_bundle
from src.export.shader.day import shader_day
from src.export.shader.emit import pass_source
from src.models.grid.decoder import GridDecoder
from src.models.grid.latent_grid import LatentGrid
from tests.export.shader import gpu
from tests.export.test_bundle import STORED, STORED_2, STORED_3, example_decoder
from tests.lightmap_example import HOURS, example_dataset

needs_device = pytest.mark.skipif(gpu.device() is None, reason="no Vulkan device (mesa-vulkan-drivers), or no wgpu")
LIMIT = 1e-5  # of the peak
EVENTS = (0.0, 6.0, 7.5, 18.0)
REGIONS = (("floor", 0, 16, 48), ("walls", 16, 24, 37))


def changed(decoder: GridDecoder, **values: object) -> GridDecoder:
    return GridDecoder(replace(decoder.config, **values), decoder.latents, decoder.f2, decoder.frame_scale)


def large_network() -> GridDecoder:
    """7 latents, 3 layers of 99: 20,295 multiply-adds."""
    data: LightmapDataset = example_dataset()
    torch.manual_seed(0)
    config = replace(example_decoder().config, latent_dim=7, coarse=(), blocks=True, hidden_f2=99, layers_f2=3)
    grid = LatentGrid(config, data.mask)
    grid.start_from(data.texels)
    torch.nn.init.normal_(grid.f2_weights.hour_weight[config.z_dim :].detach(), std=0.02)
    return grid.decoder()


GRIDS = {
    "version 1": lambda: read_bundle(STORED),
    "version 2, coarse": lambda: read_bundle(STORED_2),
    "version 3": lambda: read_bundle(STORED_3),
    "4 bits, events": lambda: changed(example_decoder(5, 4, (), True), events=EVENTS),
    "6 bits, display": lambda: changed(example_decoder(9, 6, (), True), is_radiance=False),
    "8 bits, coarse": lambda: example_decoder(5, 8, ((3, 2), (7, 1))),
    "20,000 multiply-adds": large_network,
}


def points(decoder: GridDecoder) -> tuple[np.ndarray, np.ndarray]:
    """Points u, v and hours, float32 both.

    Anywhere, at centres and half-way between, outside; at baked hours, at events and close to them, around midnight,
    outside of the day.
    """
    rng = np.random.default_rng(0)
    size = np.float32([decoder.width, decoder.height])
    anywhere = rng.uniform(-0.03, 1.03, (1200, 2))
    centres = (rng.integers(0, 37, (500, 2)) + 0.5) / size
    halfway = rng.integers(0, 37, (300, 2)) / size
    uv = np.concatenate((anywhere, centres, halfway, [[0, 0], [1, 1], [0, 1], [1, 0]])).astype(np.float32)
    special = [hour + shift for hour in (*HOURS, *EVENTS) for shift in (-1e-3, -4e-6, 0.0, 4e-6, 1e-3)]
    special += [23.999, 24.0, -1.5, 49.3, -24.0, 23.9999999, 1.25]
    hours = rng.uniform(-1, 25, len(uv))
    hours[: 20 * len(special)] = np.tile(special, 20)
    return uv, rng.permutation(hours).astype(np.float32)


def error(decoder: GridDecoder, found: np.ndarray, uv: np.ndarray, hours: np.ndarray) -> float:
    """The largest, in peaks."""
    true = decoder.sample(torch.from_numpy(uv), torch.from_numpy(hours)).numpy()
    assert (true == 0).all(1).any(), "some points have no valid texel around"
    assert np.isfinite(found).all() and len(np.unique(true[:, 0])) > len(true) // 3
    return float(np.abs(found - true).max() / true.max())


@needs_device
@pytest.mark.parametrize("case", GRIDS)
def test_wgsl_samples_what_the_decoder_samples(case: str) -> None:
    decoder = GRIDS[case]()
    uv, hours = points(decoder)
    assert error(decoder, gpu.Shader(shader_day(decoder), "wgsl").sample(uv, hours), uv, hours) < LIMIT


@needs_device
@pytest.mark.parametrize("baked", [False, True], ids=["loop", "baked"])
@pytest.mark.parametrize("language", ["glsl", "hlsl"])
def test_glsl_and_hlsl_do_too(language: str, baked: bool) -> None:
    if reason := gpu.missing(language):
        pytest.skip(reason)
    decoder = changed(example_decoder(6, 8, (), True), events=EVENTS)
    uv, hours = points(decoder)
    assert error(decoder, gpu.Shader(shader_day(decoder), language, baked).sample(uv, hours), uv, hours) < LIMIT


@needs_device
@pytest.mark.parametrize("language", ["wgsl", "glsl", "hlsl"])
def test_the_pass_decodes_each_lightmap(language: str) -> None:
    if reason := gpu.missing(language):
        pytest.skip(reason)
    decoder = changed(example_decoder(5, 8, (), True), regions=REGIONS)
    shader = gpu.Shader(shader_day(decoder), language, baked=language == "wgsl")
    for number, (name, _, height, width) in enumerate(REGIONS):
        part = decoder.lightmap(name)
        true = part.render(17.5)
        frame = shader.frame(17.5, height, width, number)
        assert true.any() and np.abs(frame[..., :3] - true).max() < LIMIT * true.max()
        assert np.array_equal(frame[..., 3], part.mask())


@pytest.mark.skipif(gpu.missing("glsl_es") is not None, reason=str(gpu.missing("glsl_es")))
@pytest.mark.parametrize("half", [False, True], ids=["single", "half"])
@pytest.mark.parametrize("baked", [False, True], ids=["loop", "baked"])
def test_every_form_compiles(baked: bool, half: bool) -> None:
    day = shader_day(read_bundle(STORED_2))
    for language in gpu.COMPILERS:
        gpu.spirv(pass_source(day, language, baked, half), language)
