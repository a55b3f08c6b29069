"""Training a SIREN as F1 on one lightmap: model, batches, optimizer and engine."""

from __future__ import annotations

from pathlib import Path

import torch

from src.data.lightmap_dataset import LightmapDataset, TexelBatches
from src.models.compressor import CompressorConfig, LightmapCompressor
from src.tasks.lightmap_options import SirenOptions
from src.tasks.siren_task import SirenTask
from src.training.distributed import Processes
from src.training.trainer import Trainer, TrainerOptions
from src.utils.radiance_transfer import RadianceTransfer

WARMUP_STEPS = 10
# Of the transfer that radiance is trained through. Measured on a lightmap of 64 x 128 texels after 960 steps, PSNR in
# linear radiance: 1.0 40.2 dB, 2.2 33.0 dB, 3.0 28.7 dB, a logarithm (log(1 + 100 x)) 24.5 dB.
RADIANCE_GAMMA = 1.0


def train_siren(
    dataset: LightmapDataset, run_dir: Path, options: SirenOptions, group: Processes, identity: dict
) -> Trainer:
    """Train to the end, continuing an interrupted run."""
    batches = TexelBatches(
        dataset, options.batch_size, options.samples_per_epoch, options.seed, group.rank, group.count
    )
    transfer = None
    if dataset.is_radiance:
        peaks = dataset.texels.amax(dim=(0, 2)).tolist()
        transfer = RadianceTransfer.fitted(peaks, dataset.hour_values, RADIANCE_GAMMA)
    torch.manual_seed(options.seed)
    config = CompressorConfig(
        dataset.height,
        dataset.width,
        dataset.hour_values,
        latent_dim=options.latent_dim,
        hidden_f1=options.hidden_f1,
        layers_f1=options.layers_f1,
        hidden_f2=options.hidden_f2,
        layers_f2=options.layers_f2,
        time_harmonics=options.time_harmonics,
        frame_scale=transfer.frame_scale if transfer else (),
        gamma=transfer.gamma if transfer else 1.0,
    )
    task = SirenTask(LightmapCompressor(config).to(group.device), dataset, group)
    optimizer = torch.optim.Adam(task.parameters(), lr=options.lr, fused=True)
    engine = TrainerOptions(
        epochs=options.epochs,
        time_budget_s=options.time_budget_s,
        warmup_steps=WARMUP_STEPS,
        schedule=options.schedule,
        accumulate_steps=options.accumulate_steps,
        amp=options.amp,
        save_every=options.save_every,
        compile=options.compile,
    )
    trainer = Trainer(task, optimizer, batches, group, run_dir, options=engine, identity=identity)
    trainer.resume()
    trainer.fit()
    return trainer
