"""Train the lightmap compressor: a day of lightmaps -> F1 + F2.

  python train.py                                   the bundled samples, 3 minutes, exports included
  python train.py --data_dir DIR --out_dir RUN      your own lightmaps: png, jpg, exr, hdr or an HPRC set
  python train.py --data_dir DIR --out_dir RUN --f1 grid           smaller and better: RUN/day.tod
  torchrun --nproc_per_node=4 train.py --data_dir DIR --out_dir RUN
  tensorboard --logdir RUN/logs

The same command again continues an interrupted run. RUN then holds best.ckpt, last.ckpt, config.json, logs/ and
comparison.png, with --f1 grid day.tod, and with --compute_latent also latent_map.npy, f2_state_dict.pt, f2_ts.pt,
f2.pt2 and f2_config.json. The lightmaps of an HPRC set get sub-folders LEVEL_ID of RUN, unless they share F2.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from src.tasks.lightmap_options import FADE, SHADOW, TARGET_BPP, GridOptions, LightmapOptions, SirenOptions, flags_of
from src.utils import cli

SAMPLES = Path(__file__).resolve().parent / "samples" / "tod_courtyard"
SAMPLES_BUDGET_MINUTES = 3.0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--data_dir", type=Path, help="folder of lightmaps, one image per hour, or an HPRC set (default: samples)")
    add("--out_dir", type=Path, help="folder of this run (default: runs/<name of data_dir>)")
    add("--lightmap", action="append", default=[], metavar="LEVEL:ID", help="only this one of an HPRC set; repeatable")
    add("--exr_layer", metavar="NAME", help="of EXR files with several layers, the one to read")
    add("--hours", type=cli.hour_list, help="hour of each image in natural order, for example 0,5.9,12 or 0:24:0.5")
    add("--f1", choices=("siren", "grid"), help="F1: network or latent planes (default: siren; for the samples grid)")
    add("--epochs", type=cli.positive_int, help="passes over the data")
    add("--time_budget", type=cli.positive_float, metavar="MINUTES", help="instead of --epochs, for each lightmap")
    add("--batch_size", type=cli.positive_int, help="siren: samples (texels x hours) per step")
    add("--lr", type=cli.positive_float, help="siren: learning rate at its highest")
    add("--schedule", choices=("cosine", "constant"), help="siren: of the learning rate, by step")
    add("--latent_dim", type=cli.positive_int, help="siren: channels of the latent map")
    add("--hidden_f1", type=cli.positive_int, help="siren: width of F1")
    add("--layers_f1", type=cli.positive_int, help="siren: sine layers of F1")
    add("--hidden_f2", type=cli.positive_int, help="siren: width of F2")
    add("--layers_f2", type=cli.positive_int, help="siren: sine layers of F2")
    add("--time_harmonics", type=cli.positive_int, help="siren: sine and cosine pairs for the hour")
    add("--samples_per_epoch", type=cli.positive_int, help="siren: samples in an epoch (default: all texels and hours)")
    add("--bpp", type=cli.positive_float, help="grid: most bits in memory per texel and frame (0.7; 4 with a target)")
    add("--latent_bits", type=int, choices=(4, 6, 8), help="grid: at most of each latent value")
    add("--between", choices=(FADE, SHADOW), help="grid: between baked hours radiance fades, or shadows' edges move")
    add("--events", type=cli.hour_list, help="grid: when light switches, as 6.0,18.0 (default: where frames are close)")
    add("--share_f2", action="store_true", help="grid: one F2 and one file for all lightmaps of a set")
    targets = parser.add_mutually_exclusive_group()
    targets.add_argument("--target_psnr", type=cli.positive_float, metavar="DB", help="grid: smallest file that has it")
    targets.add_argument("--target_bytes", type=cli.positive_int, metavar="N", help="grid: best picture in such a file")
    add("--num_workers", type=cli.non_negative_int, default=0, help="accepted; without effect, see README")
    add("--seed", type=cli.non_negative_int)
    add("--save_every", type=cli.positive_int, help="epochs between validations and checkpoints")
    add("--compute_latent", action="store_true", help="export at the end")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    add("--amp", choices=("off", "bf16", "fp16"), help="siren: mixed precision; sines stay in float32")
    add("--accumulate_steps", type=cli.positive_int, help="siren: batches per optimizer step")
    add("--compile", action="store_true", help="siren: compile with torch.compile (needs a C++ compiler)")
    add("--resume", choices=("auto", "never"), default="auto", help="continue the run in --out_dir, or refuse to")
    add("--overwrite", action="store_true", help="start anew over the run in --out_dir")
    parser.set_defaults(**SirenOptions.defaults(), latent_bits=GridOptions.latent_bits, between=FADE)
    arguments, given = parser.parse_args(argv), parser.given(argv)
    arguments.f1 = arguments.f1 or ("siren" if arguments.data_dir or given & flags_of("siren") else "grid")
    for flag in sorted(given & flags_of("grid" if arguments.f1 == "siren" else "siren")):
        parser.error(f"argument --{flag}: does not apply to --f1 {arguments.f1}")
    has_target = arguments.target_psnr or arguments.target_bytes
    arguments.bpp = arguments.bpp or (TARGET_BPP if has_target else GridOptions.bpp)
    if arguments.data_dir is None:
        arguments.data_dir = SAMPLES
        arguments.compute_latent = True
        if not given & {"time_budget", "epochs"}:
            arguments.time_budget = SAMPLES_BUDGET_MINUTES
    if arguments.out_dir is None:
        arguments.out_dir = Path("runs") / arguments.data_dir.resolve().name
    return arguments


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    if arguments.num_workers:
        print("--num_workers has no effect: batches are gathered on the device, no worker loads them", file=sys.stderr)

    from src.data.lightmap.sources import open_lightmaps
    from src.tasks.lightmap_runs import format_summary, train_lightmaps
    from src.training.distributed import processes
    from src.utils.exr_layers import exr_layer

    with processes(arguments.device) as group, exr_layer(arguments.exr_layer):
        with group.together():
            lightmaps = open_lightmaps(arguments.data_dir, arguments.hours, arguments.lightmap)
        for line in (line for lightmap in lightmaps for line in lightmap.describe() if group.is_main):
            print(line)

        results, failed = train_lightmaps(lightmaps, LightmapOptions.from_arguments(arguments), group)

        if group.is_main and len(results) > 1:
            print(format_summary(results))
        if group.is_main:
            print(results[0].closing if len(lightmaps) == 1 else f"{len(results)} lightmaps in {arguments.out_dir}")
    if failed:
        problem = f"{len(failed)} of {len(lightmaps)} lightmaps failed ({', '.join(failed)})"
        raise cli.InputError(arguments.data_dir, problem, "see above; the same command again does those alone")
    return 0


if __name__ == "__main__":
    sys.exit(main())
