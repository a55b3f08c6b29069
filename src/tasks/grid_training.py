"""Training a latent grid from data to a checkpoint: sizes, start, optimizer and engine with their defaults."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import torch

from src.data.lightmap_dataset import LightmapDataset, TexelBatches
from src.models.grid.config import GridConfig, resident_bytes
from src.models.grid.latent_grid import CHECKPOINT_KIND, LatentGrid
from src.tasks.grid_sizes import choose_sizes, least_resident_bytes
from src.tasks.grid_task import GridTask
from src.tasks.lightmap_options import GridOptions
from src.training.distributed import Processes
from src.training.row_adam import RowAdam
from src.training.trainer import BEST, FILE_NAMES, LAST, Trainer, TrainerOptions
from src.utils import checkpoint
from src.utils.cli import InputError
from src.utils.hour_interpolation import detect_events

LARGEST_BATCH = 4096  # texels; small maps take a sixteenth of theirs
SMALLEST_BATCH = 256
F2_RATE = 4e-3
LATENT_RATE = 2e-2
ROW_FLOOR = 2.0
WARMUP_STEPS = 10


def grid_config(data: LightmapDataset, options: GridOptions) -> GridConfig:
    """The grid that starts best within the budget. Raises :class:`InputError` when not one channel fits."""
    events: Sequence[float] = detect_events(data.hour_values) if options.events is None else options.events
    shape = GridConfig(
        data.height,
        data.width,
        data.hour_values,
        tuple(events),
        latent_bits=options.latent_bits,
        is_radiance=data.is_radiance,
        regions=data.regions,
    )
    bytes_per_bpp = shape.texel_count * len(shape.hours) / 8
    if options.memory_of_channels is not None:
        budget = resident_bytes(shape.with_latent_dim(options.memory_of_channels), data.mask)
    else:
        budget = options.bpp * bytes_per_bpp
    config = choose_sizes(data, shape, budget)
    if config is None:
        enough = least_resident_bytes(data, shape) / bytes_per_bpp
        remedy = f"give {_rounded_up(enough)} or more"
        raise InputError("--bpp", f"{options.bpp:g} is less than one channel takes", remedy)
    return config


def _rounded_up(value: float) -> str:
    """Three significant digits that are no less than ``value``."""
    digit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return f"{math.ceil(value / digit + 1e-9) * digit:.10g}"


def grid_optimizer(model: LatentGrid) -> RowAdam:
    latents = {"params": model.tables(), "lr": LATENT_RATE, "row_floor": ROW_FLOOR}
    return RowAdam([latents, {"params": list(model.f2), "lr": F2_RATE}])


def grid_batches(data: LightmapDataset, options: GridOptions) -> TexelBatches:
    texels = min(LARGEST_BATCH, max(SMALLEST_BATCH, data.texel_count // 16))
    return TexelBatches(data, texels * len(data.hour_values), None, options.seed)


def train_grid(data: LightmapDataset, out_dir: Path, options: GridOptions, group: Processes, identity: dict) -> Path:
    """Train to the end, continuing an interrupted run; returns the best checkpoint."""
    last = out_dir / FILE_NAMES[LAST]
    if last.exists():  # another number of threads must not lead to another choice
        config = GridConfig.from_dict(checkpoint.read(last, CHECKPOINT_KIND)["model"]["config"])
    else:
        config = grid_config(data, options)
    torch.manual_seed(options.seed)  # choosing draws numbers, too
    model = LatentGrid(config, data.mask)
    task = GridTask(model, data, options.bit_price, options.seed)
    batches = grid_batches(data, options)
    engine = TrainerOptions(
        epochs=options.epochs,
        time_budget_s=options.time_budget_s,
        warmup_steps=WARMUP_STEPS,
        save_every=options.save_every,
    )
    trainer = Trainer(task, grid_optimizer(model), batches, group, out_dir, options=engine, identity=identity)
    trainer.resume()
    trainer.fit()
    return trainer.path(BEST)
