import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from src.data.lightmap_dataset import LightmapDataset
from src.export import plane_codec
from src.models.grid.config import GridConfig
from src.models.grid.latent_grid import LatentGrid
from src.tasks.grid_budget import CONTROL_LIMIT, DB_PER_HALVING, ENOUGH_DB, GridBudget
from tests.lightmap_example import dataset_of

HOURS = tuple(float(hour) for hour in range(8))
HEIGHT, WIDTH = 70, 60


def noisy_day() -> LightmapDataset:
    rng = np.random.default_rng(2)
    y, x = np.mgrid[:HEIGHT, :WIDTH] / HEIGHT
    frames = [2.0 + np.sin(5 * x + t) * np.cos(3 * y) + rng.normal(0, 0.02, x.shape) for t in range(len(HOURS))]
    mask = np.hypot(x - 0.4, y - 0.5) < 0.45
    return dataset_of(np.repeat(np.stack(frames)[..., None], 3, axis=3).astype(np.float32), mask, HOURS)


def started_grid(data: LightmapDataset) -> LatentGrid:
    model = LatentGrid(GridConfig(HEIGHT, WIDTH, HOURS, latent_dim=6, latent_bits=8, blocks=True), data.mask)
    model.start_from(data.texels, 0.5)
    return model


def always_enough(codes: torch.Tensor) -> float:
    return ENOUGH_DB


def file_bytes(model: LatentGrid, codes: torch.Tensor) -> float:
    return plane_codec.residuals(codes.numpy(), model.mask.numpy(), 8).size_bytes


@pytest.mark.parametrize("fill", [1.0, 0.9])
def test_what_is_rounded_fits_the_memory(fill: float) -> None:
    model = started_grid(noisy_day())
    free = GridBudget(model, 1e9).packed_bytes(model.codes()[0])
    budget = GridBudget(model, 0.8 * free + model.config.f2_bytes)
    budget.start(fill, 1000)
    codes = budget.rounded(always_enough)
    assert 0.7 * free < budget.packed_bytes(codes) <= 0.8 * free
    assert model.decoder().latents.size_bytes == budget.packed_bytes(model.codes()[0])


def test_memory_that_is_left_is_for_a_smaller_file() -> None:
    model = started_grid(noisy_day())
    size = GridBudget(model, 1e9).packed_bytes(model.codes()[0])
    whole, less = (GridBudget(model, size + model.config.f2_bytes) for _ in range(2))
    whole.start(1.0, 1000)
    for_memory = whole.rounded(always_enough)
    less.start(0.9, 1000)
    for_file = less.rounded(always_enough)
    exact = model.quantiser.in_steps(model.latents + 1.0)
    assert file_bytes(model, for_file) < 0.9 * file_bytes(model, for_memory)
    assert less.packed_bytes(for_file) <= less.packed_bytes(for_memory)
    assert (for_file - exact).abs().max() < 8


def test_a_file_is_made_smaller_while_its_bytes_are_worth_their_decibels() -> None:
    model = started_grid(noisy_day())
    size = GridBudget(model, 1e9).packed_bytes(model.codes()[0])
    budget = GridBudget(model, size + model.config.f2_bytes)
    budget.start(0.9, 1000)

    def costing(db_per_halving: float) -> Callable[[torch.Tensor], float]:
        return lambda codes: db_per_halving * math.log2(file_bytes(model, codes) + model.config.f2_bytes)

    smallest, at_a_profit, at_a_loss = (
        budget.rounded(psnr_db) for psnr_db in (always_enough, costing(0.7 * DB_PER_HALVING), costing(30.0))
    )
    assert torch.equal(at_a_profit, smallest)
    exact = model.quantiser.in_steps(model.latents.detach() + 1.0)
    least_error, error = ((codes - exact).square().mean() for codes in (model.codes()[0], at_a_loss))
    assert error < 1.2 * least_error
    assert file_bytes(model, smallest) < 0.9 * file_bytes(model, at_a_loss)


def test_a_file_is_made_smaller_only_while_the_quality_is_enough() -> None:
    model = started_grid(noisy_day())
    size = GridBudget(model, 1e9).packed_bytes(model.codes()[0])
    budget = GridBudget(model, size + model.config.f2_bytes)
    exact = model.quantiser.in_steps(model.latents.detach() + 1.0)

    def error(codes: torch.Tensor) -> float:
        return float((codes - exact).square().mean())

    budget.start(1.0, 1000)
    for_memory = budget.rounded(always_enough)
    budget.start(0.9, 1000)
    smallest = budget.rounded(always_enough)
    middle = 0.5 * (error(smallest) + error(for_memory))
    held = budget.rounded(lambda codes: ENOUGH_DB if error(codes) <= middle else ENOUGH_DB - 0.1)
    assert error(held) <= middle < error(smallest)
    assert file_bytes(model, held) > file_bytes(model, smallest)
    assert torch.equal(budget.rounded(lambda codes: ENOUGH_DB - 0.1), for_memory)
    # However good it is, no step is taken that costs what half the file would be worth.
    dear = budget.rounded(lambda codes: 60.0 - DB_PER_HALVING * (error(codes) > middle))
    assert torch.equal(dear, held)


def test_the_price_follows_the_size_as_fast_as_latents_are_seen() -> None:
    model = started_grid(noisy_day())
    size = GridBudget(model, 1e9).packed_bytes(model.codes()[0])
    changes = []
    for epochs in (1000.0, 30.0, 10.0):
        budget = GridBudget(model, 0.5 * size + model.config.f2_bytes)
        budget.start(1.0, 1000)
        model.price_check.zero_()
        before = float(model.rate_price)
        budget.control(0.02, epochs)
        budget.control(0.03, epochs)
        changes.append(float(model.rate_price) / before)
    assert changes[0] == pytest.approx(CONTROL_LIMIT)
    assert 1.0 < changes[1] < 0.9 * CONTROL_LIMIT
    assert changes[2] == 1.0
    budget.control(0.06, 10.0)
    assert float(model.rate_price) > before
