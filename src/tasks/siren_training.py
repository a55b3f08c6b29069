"""Training a SIREN as F1 on one lightmap: model, batches, optimizer and engine."""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from src.data.lightmap_dataset import LightmapDataset, TexelBatches
from src.models.compressor import CompressorConfig, LightmapCompressor
from src.tasks.siren_task import SirenTask
from src.training.distributed import Processes
from src.training.trainer import Trainer, TrainerOptions

WARMUP_STEPS = 10


def train_siren(
    dataset: LightmapDataset, run_dir: Path, arguments: argparse.Namespace, group: Processes, identity: dict
) -> Trainer:
    """Train to the end, continuing an interrupted run; ``arguments`` are those of ``train.py``."""
    batches = TexelBatches(
        dataset, arguments.batch_size, arguments.samples_per_epoch, arguments.seed, group.rank, group.count
    )
    torch.manual_seed(arguments.seed)
    config = CompressorConfig(
        dataset.height,
        dataset.width,
        dataset.hour_values,
        arguments.latent_dim,
        arguments.hidden_f1,
        arguments.layers_f1,
        arguments.hidden_f2,
        arguments.layers_f2,
        arguments.time_harmonics,
        *((dataset.transfer.frame_scale, dataset.transfer.gamma) if dataset.transfer else ()),
    )
    task = SirenTask(LightmapCompressor(config).to(group.device), dataset, group)
    optimizer = torch.optim.Adam(task.parameters(), lr=arguments.lr, fused=True)
    options = TrainerOptions(
        epochs=arguments.epochs,
        time_budget_s=arguments.time_budget and arguments.time_budget * 60.0,
        warmup_steps=WARMUP_STEPS,
        schedule=arguments.schedule,
        accumulate_steps=arguments.accumulate_steps,
        amp=arguments.amp,
        save_every=arguments.save_every,
        compile=arguments.compile,
    )
    trainer = Trainer(task, optimizer, batches, group, run_dir, options=options, identity=identity)
    trainer.resume()
    trainer.fit()
    return trainer
