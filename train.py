"""Train the lightmap compressor: a day of lightmaps -> F1 + F2.

  python train.py                                   the bundled samples, 3 minutes, exports included
  python train.py --data_dir DIR --out_dir RUN      your own lightmaps, one image per hour
  torchrun --nproc_per_node=4 train.py --data_dir DIR --out_dir RUN
  tensorboard --logdir RUN/logs

The same command again continues an interrupted run. RUN then holds best.ckpt, last.ckpt, config.json, logs/ and
comparison.png, and with --compute_latent also latent_map.npy, f2_state_dict.pt, f2_ts.pt and f2_config.json.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from src.utils import cli

SAMPLES = Path(__file__).resolve().parent / "samples" / "tod_courtyard"
SAMPLES_BUDGET_MINUTES = 3.0
WARMUP_STEPS = 10
# What may differ when a run is continued: these change where or how fast, not what is computed.
FREE_ON_RESUME = {"data_dir", "out_dir", "num_workers", "compute_latent", "device", "resume", "overwrite", "compile"}


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--data_dir", type=Path, help="folder of png or jpg lightmaps, one per hour (default: the bundled samples)")
    add("--out_dir", type=Path, help="folder of this run (default: runs/<name of data_dir>)")
    add("--hours", type=cli.hour_list, help="hour of each image in natural order, for example 0,5.9,12 or 0:24:0.5")
    add("--epochs", type=cli.positive_int, default=200, help="passes over the data")
    add("--time_budget", type=cli.positive_float, metavar="MINUTES", help="train for so long instead of --epochs")
    add("--batch_size", type=cli.positive_int, default=65536, help="samples (texels x hours) per step and process")
    add("--lr", type=cli.positive_float, default=1e-3, help="learning rate at its highest")
    add("--schedule", choices=("cosine", "constant"), default="cosine", help="of the learning rate, by step")
    add("--latent_dim", type=cli.positive_int, default=32, help="channels of the latent map")
    add("--hidden_f1", type=cli.positive_int, default=32, help="width of F1")
    add("--layers_f1", type=cli.positive_int, default=4, help="sine layers of F1")
    add("--hidden_f2", type=cli.positive_int, default=64, help="width of F2")
    add("--layers_f2", type=cli.positive_int, default=4, help="sine layers of F2")
    add("--time_harmonics", type=cli.positive_int, default=2, help="sine and cosine pairs that describe the hour")
    add("--samples_per_epoch", type=cli.positive_int, help="samples in an epoch (default: every texel at every hour)")
    add("--num_workers", type=cli.non_negative_int, default=0, help="accepted; without effect, see README")
    add("--seed", type=cli.non_negative_int, default=42)
    add("--save_every", type=cli.positive_int, default=10, help="epochs between validations and checkpoints")
    add("--compute_latent", action="store_true", help="export the latent map and F2 at the end")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--amp", choices=("off", "bf16", "fp16"), default="off", help="mixed precision; sines stay in float32")
    add("--accumulate_steps", type=cli.positive_int, default=1, help="batches per optimizer step")
    add("--compile", action="store_true", help="compile with torch.compile (needs a C++ compiler)")
    add("--resume", choices=("auto", "never"), default="auto", help="continue the run in --out_dir, or refuse to")
    add("--overwrite", action="store_true", help="start anew over the run in --out_dir")
    arguments = parser.parse_args(argv)
    if arguments.data_dir is None:
        arguments.data_dir = SAMPLES
        arguments.compute_latent = True
        if arguments.time_budget is None and arguments.epochs == parser.get_default("epochs"):
            arguments.time_budget = SAMPLES_BUDGET_MINUTES
    if arguments.out_dir is None:
        arguments.out_dir = Path("runs") / arguments.data_dir.resolve().name
    return arguments


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    if arguments.num_workers:
        print("--num_workers has no effect: batches are gathered on the device, no worker loads them", file=sys.stderr)

    import torch

    from src.data.lightmap_dataset import LightmapDataset, TexelBatches
    from src.export.lightmap import describe_sizes, export_lightmap
    from src.models.compressor import CompressorConfig, LightmapCompressor, load_model
    from src.tasks.lightmap_task import LightmapTask
    from src.training.distributed import processes
    from src.training.run_dir import open_run_dir
    from src.training.trainer import BEST, Trainer, TrainerOptions
    from src.utils.image_io import write_display

    with processes(arguments.device) as group:
        dataset = LightmapDataset.from_folder(arguments.data_dir, arguments.hours, group.device)
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
        )
        task = LightmapTask(LightmapCompressor(config).to(group.device), dataset, group)

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
        identity = {key: value for key, value in vars(arguments).items() if key not in FREE_ON_RESUME}
        identity |= {"processes": group.count, **dataset.describe()}
        open_run_dir(arguments.out_dir, arguments, dataset.describe(), group)
        trainer = Trainer(task, optimizer, batches, group, arguments.out_dir, options, identity)
        trainer.resume()
        trainer.fit()

        if group.is_main:
            task.model = load_model(trainer.path(BEST), group.device)
            comparison = arguments.out_dir / "comparison.png"
            write_display(comparison, task.comparison())
            exports = export_lightmap(task.model, arguments.out_dir) if arguments.compute_latent else []
            sizes = describe_sizes(dataset.size_bytes, dataset.texels.numel(), exports)
            print(
                f"PSNR {trainer.best_score:.2f} dB; {sizes}; run in {arguments.out_dir}, pictures in {comparison.name}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
