"""Shaders on a Vulkan device (lavapipe on a CPU) against the Python decoder; see gpu.py and device.py beside it."""

import numpy as np
import pytest
import torch

from src.export.shader.day import shader_day
from src.models.lightmap_decoder import LightmapDecoder
from tests.export.shader import gpu
from tests.export.shader.days import EVENTS, GRIDS, REGIONS, changed, siren
from tests.export.test_bundle import example_decoder
from tests.lightmap_example import HOURS

needs_device = pytest.mark.skipif(gpu.features() is None, reason="no Vulkan device (mesa-vulkan-drivers), or no wgpu")
LIMIT = 1e-5  # of the peak


def points(decoder: LightmapDecoder) -> tuple[np.ndarray, np.ndarray]:
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


def error(decoder: LightmapDecoder, found: np.ndarray, uv: np.ndarray, hours: np.ndarray) -> float:
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
@pytest.mark.parametrize("language, baked", [("glsl", False), ("glsl", True), ("hlsl", False)])
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


@needs_device
@pytest.mark.parametrize("language, baked, transfer", [("wgsl", False, True), ("hlsl", True, False)])
def test_a_siren_is_sampled_too(language: str, baked: bool, transfer: bool) -> None:
    if reason := gpu.missing(language):
        pytest.skip(reason)
    decoder = siren(transfer)
    uv, hours = points(decoder)
    found = gpu.Shader(shader_day(decoder), language, baked).sample(uv, hours)
    true = decoder.sample(torch.from_numpy(uv), torch.from_numpy(hours)).numpy()
    assert true.std() > 0.01 * true.max() and np.abs(found - true).max() < LIMIT * true.max()


@needs_device
@pytest.mark.parametrize("language", ["wgsl", "glsl"])
def test_half_precision_is_near(language: str) -> None:
    if reason := gpu.missing(language):
        pytest.skip(reason)
    if "shader-f16" not in (gpu.features() or ()):
        pytest.skip("the device has no half precision")
    decoder = example_decoder(6, 8, (), True)
    true = decoder.render(10.5)
    frame = gpu.Shader(shader_day(decoder), language, half=True).frame(10.5, decoder.height, decoder.width)
    difference = np.abs(frame[..., :3] - true).max() / true.max()
    assert 1e-5 < difference < 3e-3
