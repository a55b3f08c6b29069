"""The peer ``planes``: what it stores is what it decodes, its maps are read as textures are, and it learns."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from src.evaluation.lightmap.peers import planes
from src.evaluation.lightmap.peers.plane_model import CODE_STEP, PlaneModel, PlaneSizes, training_time
from src.evaluation.lightmap.peers.planes import PLANES, PlaneSetting
from src.utils.tile_metrics import tile_metrics
from tests.lightmap_example import example_frames

SIZES = PlaneSizes(uv=5, uv_step=1, ut=4, uvt=3, uvt_step=4)
HEIGHT, WIDTH, FRAMES = 13, 18, 3


@pytest.fixture
def model() -> PlaneModel:
    torch.manual_seed(0)
    model = PlaneModel(HEIGHT, WIDTH, FRAMES, replace(SIZES, uv_step=2))
    for table in model.maps.values():
        torch.nn.init.uniform_(table, -1, 1)
    return model


@pytest.mark.parametrize("is_bc7", [False, True])
def test_it_learns_and_its_sizes_are_those_of_its_bytes(is_bc7):
    if is_bc7 and (reason := PLANES.reason_to_skip()):
        pytest.skip(reason)
    frames, mask = example_frames()
    height, width = mask.shape
    few, many = (
        PLANES.encode(frames, mask, True, PlaneSetting(SIZES, is_bc7), np.linspace(0, 1, steps, endpoint=False))
        for steps in (5, 150)
    )
    quality = [tile_metrics(frames, coded.decode(), mask).mean("psnr_db") for coded in (few, many)]
    assert quality[1] > max(quality[0] + 6, 24 if is_bc7 else 27), quality
    cells, times = (height // 4) * (width // 4), len(frames)
    values = height * width * 5 + (height + width) * times * 4 + cells * times * 3
    blocks = height * width // 16 * 2 + (height + width) // 4 * -(-times // 4) + times * 9  # 10 x 12 cells
    side = 4 * (5 * 16 + 11 * 16 + 16 + 16 * 17 + 3 * 17 + times + 3 * times + times)
    if not is_bc7:
        assert many.size_bytes_memory == values + side
        assert side < many.size_bytes_disk < many.size_bytes_memory
    else:
        assert many.size_bytes_memory == 16 * blocks + side


@pytest.mark.parametrize("is_bc7", [False, True])
def test_the_stored_maps_are_the_tables_to_half_a_code(model, is_bc7):
    if is_bc7 and (reason := PLANES.reason_to_skip()):
        pytest.skip(reason)
    wanted = {name: table.detach().clone() for name, table in model.maps.items()}
    stored = planes._StoredMaps(model, is_bc7)
    for table in model.maps.values():
        torch.nn.init.zeros_(table)
    stored.fill(model)
    for name, table in model.maps.items():
        error = (table.detach() - wanted[name]).abs()
        assert error.mean() < 0.35 if is_bc7 else error.max() <= CODE_STEP / 2 + 1e-6


def test_maps_are_read_as_textures_are(model):
    """Against torch's own interpolation of pictures, which has the same centres and edges."""
    for name, step in (("uv", 2), ("uvt", 4)):
        rows, columns, times, channels = model.shapes[name]
        picture = model.maps[name].detach().reshape(rows, columns, -1).permute(2, 0, 1)[None]
        bigger = torch.nn.functional.interpolate(picture, scale_factor=step, mode="bilinear", align_corners=False)
        expected = bigger[0, :, :HEIGHT, :WIDTH].flatten(1).T.reshape(HEIGHT * WIDTH, times, channels)
        texels = torch.arange(HEIGHT * WIDTH)
        cells, weights = model._corners(texels // WIDTH, texels % WIDTH, step)
        read = model._read(name, torch.arange(times), cells, weights, False)
        assert torch.allclose(read, expected, atol=1e-5)


def test_a_value_depends_on_its_column_its_row_and_its_frame_only(model):
    texel, frame = 5 * WIDTH + 7, 1
    before = model(torch.tensor([texel]), torch.tensor([frame]))
    with torch.no_grad():
        for name, row in (("ut", 7), ("vt", 5)):
            table = model.maps[name].view(-1, FRAMES, SIZES.ut)
            kept = table[row, frame].clone()
            table.zero_()
            table[row, frame] = kept
    assert torch.equal(model(torch.tensor([texel]), torch.tensor([frame])), before)
    with torch.no_grad():
        model.maps["vt"].view(-1, FRAMES, SIZES.ut)[5, frame] += 0.5
    assert not torch.allclose(model(torch.tensor([texel]), torch.tensor([frame])), before)


def test_the_same_steps_give_the_same_bytes():
    frames, mask = example_frames()
    random = torch.get_rng_state()
    setting = PlaneSetting(SIZES, is_bc7=False)
    first, second = (PLANES.encode(frames, mask, True, setting, [0.0, 0.5, 0.9]).decode() for _ in range(2))
    assert np.array_equal(first, second)
    assert torch.equal(torch.get_rng_state(), random)


def test_training_time_rises_from_nothing_and_ends(monkeypatch):
    ticks = iter([10.0, 10.0, 25.0, 39.0, 40.0])
    monkeypatch.setattr(time, "perf_counter", lambda: next(ticks))
    assert list(training_time(30)) == pytest.approx([0, 0.5, 29 / 30])
