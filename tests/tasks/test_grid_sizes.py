from dataclasses import replace

import numpy as np
import pytest
import torch

from src.data.lightmap_dataset import LightmapDataset
from src.models.grid.config import GridConfig, resident_bytes
from src.tasks import grid_sizes
from src.tasks.grid_sizes import choose_sizes, start_psnr_db
from tests.lightmap_example import dataset_of

HOURS = tuple(float(hour) for hour in range(12))
SIDE = 96


def noise(grain: int) -> LightmapDataset:
    """A day whose texels have nothing in common, or whose blocks of ``grain`` x ``grain`` are each of one colour."""
    count = SIDE // grain
    days = np.random.default_rng(0).uniform(0.1, 1.0, (len(HOURS), count, count, 3)).astype(np.float32)
    return dataset_of(days.repeat(grain, axis=1).repeat(grain, axis=2), np.ones((SIDE, SIDE), bool), HOURS)


def shape(latent_dim: int = 4) -> GridConfig:
    return GridConfig(SIDE, SIDE, HOURS, latent_dim=latent_dim)


def test_what_varies_slowly_gets_coarse_latents_and_what_does_not_none() -> None:
    slow, fast = noise(8), noise(1)
    budget = resident_bytes(shape(), slow.mask)
    chosen = choose_sizes(slow, shape(), budget)
    assert chosen.coarse and chosen.latent_dim >= 1
    assert resident_bytes(chosen, slow.mask) <= budget
    plain = shape()
    assert start_psnr_db(chosen, slow.texels, slow.mask) > start_psnr_db(plain, slow.texels, slow.mask) + 3.0
    assert choose_sizes(fast, shape(), budget) == plain


def test_nothing_is_chosen_when_nothing_fits() -> None:
    data = noise(8)
    assert choose_sizes(data, shape(), 1000.0) is None


def test_of_large_maps_a_part_is_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    data = noise(8)
    budget = resident_bytes(shape(), data.mask)
    whole = choose_sizes(data, shape(), budget)
    seen = []
    score = grid_sizes.start_psnr_db
    monkeypatch.setattr(grid_sizes, "SAMPLE_TEXELS", SIDE * SIDE // 3)
    monkeypatch.setattr(grid_sizes, "BAND_ROWS", 16)
    monkeypatch.setattr(
        grid_sizes, "start_psnr_db", lambda *given: seen.append((len(given[1]), int(given[2].sum()))) or score(*given)
    )
    assert choose_sizes(data, shape(), budget).coarse == whole.coarse
    assert set(seen) == {(SIDE * 32, SIDE * 32)}


def test_a_perfect_start_is_better_than_any_other() -> None:
    data = noise(8)
    black = torch.zeros_like(data.texels)
    assert start_psnr_db(shape(), black, data.mask) == float("inf")
    scores = [start_psnr_db(replace(shape(), latent_dim=k), data.texels, data.mask) for k in (4, 12, 30)]
    assert scores == sorted(scores)
