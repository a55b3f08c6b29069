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
from src.utils.radiance_transfer import RadianceTransfer

WARMUP_STEPS = 10
# Of the transfer that radiance is trained through. Measured on a lightmap of 64 x 128 texels after 960 steps, PSNR in
# linear radiance: 1.0 40.2 dB, 2.2 33.0 dB, 3.0 28.7 dB, a logarithm (log(1 + 100 x)) 24.5 dB.
RADIANCE_GAMMA = 1.0


def train_siren(
    dataset: LightmapDataset, run_dir: Path, arguments: argparse.Namespace, group: Processes, identity: dict
) -> Trainer:
    """Train to the end, continuing an interrupted run; ``arguments`` are those of ``train.py``."""
    batches = TexelBatches(
        dataset, arguments.batch_size, arguments.samples_per_epoch, arguments.seed, group.rank, group.count
    )
    transfer = None
    if dataset.is_radiance:
        transfer = RadianceTransfer.fitted(
            dataset.texels.amax(dim=(0, 2)).tolist(), dataset.hour_values, RADIANCE_GAMMA
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
        *((transfer.frame_scale, transfer.gamma) if transfer else ()),
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
