"""Training a latent grid from data to a checkpoint: sizes, start, optimizer and engine with their defaults."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from src.data.lightmap_dataset import LightmapDataset, TexelBatches
from src.models.grid.config import GridConfig, resident_bytes
from src.models.grid.latent_grid import CHECKPOINT_KIND, LatentGrid
from src.tasks.grid_sizes import choose_sizes
from src.tasks.grid_task import GridTask
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
BIT_PRICE = 80.0


@dataclass(frozen=True)
class GridOptions:
    """What a user chooses. ``bpp_memory`` bits per texel and frame bound everything that is resident when decoding."""

    bpp_memory: float = 2.5
    latent_bits: int = 6
    bit_price: float = BIT_PRICE  # dB that a bit per texel of the map and frame must bring
    events: tuple[float, ...] | None = None  # hours at which light switches; None: what the frames bracket
    seed: int = 42
    epochs: int = 300
    time_budget_s: float | None = None
    save_every: int = 50
    latent_dim: int | None = None  # instead of ``bpp_memory``: the memory of so many channels at full resolution


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
    if options.latent_dim is not None:
        budget = resident_bytes(shape.with_latent_dim(options.latent_dim), data.mask)
    else:
        budget = options.bpp_memory * shape.texel_count * len(shape.hours) / 8
    config = choose_sizes(data, shape, budget)
    if config is None:
        reason = f"{options.bpp_memory:g} is less than one channel takes"
        raise InputError("--bpp", reason, "give more, or fewer --latent_bits")
    return config


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
    if not trainer.resume():
        task.start()
    trainer.fit()
    return trainer.path(BEST)
