"""Training a latent grid from data to a checkpoint: sizes, start, optimizer and engine with their defaults."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch

from src.data.lightmap.block_batches import BlockBatches
from src.data.lightmap_dataset import LightmapDataset
from src.models.grid.config import GridConfig
from src.models.grid.latent_grid import CHECKPOINT_KIND, LatentGrid
from src.tasks.grid_budget import ENOUGH_DB, FILL
from src.tasks.grid_sizes import GridSize, choose_size, least_bytes, sample_blocks
from src.tasks.grid_task import GridTask
from src.tasks.lightmap_options import FADE, GridOptions
from src.tasks.made_frames import with_made_frames
from src.training.distributed import Processes
from src.training.identity import require_same_run
from src.training.row_adam import RowAdam
from src.training.trainer import BEST, FILE_NAMES, LAST, Trainer, TrainerOptions
from src.utils import checkpoint
from src.utils.cli import InputError
from src.utils.hour_interpolation import detect_events

BLOCKS_PER_BATCH = 256  # small maps take a sixteenth of theirs
LEAST_BLOCKS_PER_BATCH = 16
F2_RATE = 4e-3
LATENT_RATE = 4e-3
ROW_FLOOR = 2.0
WARMUP_STEPS = 10
LEAST_SECONDS_FOR_FILE = 20.0  # of training: with less there is no time to round for a small file
MOST_TEXELS_FOR_FILE = 1 << 22  # with more that would take minutes


def budget_bytes(data: LightmapDataset, bpp: float) -> float:
    """What ``bpp`` bits per texel of the map, valid or not, and frame come to."""
    texels = sum(height * width for _, _, height, width in data.regions) or data.mask.numel()
    return bpp * texels * len(data.baked_hours) / 8


def grid_data(data: LightmapDataset, options: GridOptions) -> LightmapDataset:
    """What a grid is trained on: ``data``, with frames in between where ``options`` want them made."""
    if options.between == FADE:
        return data
    return with_made_frames(data, _events(data, options), options.seed)


def grid_size(data: LightmapDataset, options: GridOptions) -> GridSize:
    """The grid that starts best within the budget. Raises :class:`InputError` when none fits."""
    shape, budget = _shape(data, options), budget_bytes(data, options.bpp)
    is_quick = options.time_budget_s is not None and options.time_budget_s < LEAST_SECONDS_FOR_FILE
    blocks = sample_blocks(options.time_budget_s)
    if not is_quick and data.texel_count <= MOST_TEXELS_FOR_FILE:
        size = choose_size(data, shape, FILL * budget, blocks)
        if size is not None and size.psnr_db >= ENOUGH_DB:
            return size._replace(fill=FILL)
    size = choose_size(data, shape, budget, blocks) or choose_size(data, shape, budget)
    if size is None:
        problem, enough = f"{options.bpp:g} is less than one channel takes", grid_least_bpp(data, options)
        raise InputError("--bpp", problem, f"give {_rounded_up(enough)} or more")
    return size


def grid_least_bpp(data: LightmapDataset, options: GridOptions) -> float:
    """Bits per texel and frame that are enough for the smallest grid."""
    return least_bytes(data, _shape(data, options)) / budget_bytes(data, 1.0)


def _rounded_up(value: float) -> str:
    """Three significant digits that are no less than ``value``."""
    digit = 10.0 ** (math.floor(math.log10(value)) - 2)
    return f"{math.ceil(value / digit + 1e-9) * digit:.10g}"


def _events(data: LightmapDataset, options: GridOptions) -> tuple[float, ...]:
    return tuple(detect_events(data.baked_hours) if options.events is None else options.events)


def _shape(data: LightmapDataset, options: GridOptions) -> GridConfig:
    """All but the number of channels."""
    return GridConfig(
        data.height,
        data.width,
        data.hour_values,
        _events(data, options),
        latent_bits=options.latent_bits,
        is_radiance=data.is_radiance,
        regions=data.regions,
        made_hours=data.made_hours,
        blocks=True,
    )


def grid_optimizer(model: LatentGrid) -> RowAdam:
    latents = {"params": [model.latents], "lr": LATENT_RATE, "row_floor": ROW_FLOOR}
    return RowAdam([latents, {"params": list(model.f2), "lr": F2_RATE}])


def grid_batches(model: LatentGrid, options: GridOptions) -> BlockBatches:
    count = len(model.layout.count)
    blocks = min(BLOCKS_PER_BATCH, max(LEAST_BLOCKS_PER_BATCH, count // 16))
    return BlockBatches(model.layout.texels, model.layout.count, blocks, options.seed, model.mask.device)


def train_grid(data: LightmapDataset, out_dir: Path, options: GridOptions, group: Processes, identity: dict) -> Path:
    """Train to the end, continuing an interrupted run; returns the best checkpoint.

    A time budget is for all from here to a bundle.
    """
    started = time.monotonic()
    last, scale, fill = out_dir / FILE_NAMES[LAST], 1.0, 1.0  # a continued run has its start
    if last.exists():  # another number of threads must not lead to another choice
        stored = checkpoint.read(last, CHECKPOINT_KIND)
        require_same_run(last, stored["identity"], identity)  # before a model of other sizes meets the data
        config = GridConfig.from_dict(stored["model"]["config"])
        if not config.blocks:
            raise InputError(last, "is a run of an earlier version", "give --overwrite, or another --out_dir")
    else:
        config, scale, _, fill = grid_size(data, options)
    torch.manual_seed(options.seed)  # choosing draws numbers, too
    model = LatentGrid(config, data.mask)
    task = GridTask(model, data, budget_bytes(data, options.bpp), options.seed, scale, fill)
    engine = TrainerOptions(
        epochs=options.epochs,
        time_budget_s=options.time_budget_s,
        warmup_steps=WARMUP_STEPS,
        save_every=options.save_every,
    )
    optimizer, batches = grid_optimizer(model), grid_batches(model, options)
    trainer = Trainer(task, optimizer, batches, group, out_dir, options=engine, identity=identity)
    trainer.resume()
    trainer.fit(time.monotonic() - started)
    return trainer.path(BEST)
