"""Train a delighting model, phase 1: lit portrait -> flat-lit portrait + HDR environment.

  python train_delit.py --data_root DATA --output_dir RUN --use_mask --use_augmentation
  python train_delit.py --data_root DATA --output_dir RUN --use_mask --use_augmentation \\
      --olat_root OLATS --lights OLATS/lights.json --env_dir HDRIS      relights every batch anew
  torchrun --nproc_per_node=4 train_delit.py --data_root DATA --output_dir RUN --use_mask
  tensorboard --logdir RUN/logs

DATA is what prepare_olat.py makes; without captures of your own: python prepare_olat.py --synthetic 12 --out_root DATA
The same command again continues an interrupted run. RUN then holds checkpoint_latest.pth, checkpoint_best.pth (by the
loss on held-out subjects and environments), config.json and logs/.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from src.utils import cli

MAKE_DATA = "python prepare_olat.py --synthetic 12 --out_root runs/stage"
LPIPS_WEIGHT = 0.1
IDEAS: tuple[str, ...] = ("first_guess", "skips", "attention_head", "shading", "light_solve", "confidence", "transfer")
IDEAS += ("flat_confidence",)
WILD: tuple[str, ...] = ("framing", "stage_lamps", "background", "occlusion", "skin_split")
WILD += ("low_resolution", "blur", "noise", "response", "exposure", "jpeg")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--data_root", type=Path, help="training set as prepare_olat.py makes it")
    add("--output_dir", type=Path, help="folder of this run (default: runs/delit_<name of data_root>)")
    add("--val_subjects", nargs="+", metavar="NAME", help="held out: names, or how many (default: splits.json)")
    add("--val_envs", nargs="+", metavar="NAME", help="held out: names, or how many (default: splits.json)")
    add("--olat_root", type=Path, help="relight on the fly: folder with a folder of OLATs per subject")
    add("--lights", type=Path, help="their lights, to be checked (default: those DATA was prepared with)")
    add("--env_dir", type=Path, help="environments to relight with (default: DATA_ROOT/env_maps)")
    add("--cache_dir", type=Path, help="for resized pictures (default: OUTPUT_DIR/cache)")
    add("--arch", choices=("attention", "simplified"), default="attention")
    add("--image_size", type=cli.positive_int, default=512, help="side of the square training pictures")
    add("--env_height", type=cli.positive_int, default=128)
    add("--env_width", type=cli.positive_int, default=256)
    add("--base_dim", type=int, choices=(32, 64, 128), default=64, help="width of the network")
    add("--env_codec", choices=("log", "dual"), default="log", help="how radiance becomes codes in [0, 1]")
    add("--log_scale", type=cli.positive_float, default=10.0, help="of the codec: its ceiling is exp(log_scale) - 1")
    add("--use_mask", action="store_true", help="flat-lit losses count inside the person's mask only")
    add("--use_augmentation", action="store_true", help="vary pose, skin, exposure, colour of the light and camera")
    add(
        "--in_the_wild",
        action="store_true",
        help="relit batches also vary framing, lamps, background, occlusion, tone, exposure, noise, blur, JPEG",
    )
    add("--lambda_flat", type=cli.non_negative_float, default=1.0, help="weight of the flat-lit losses")
    add("--lambda_env", type=cli.non_negative_float, default=1.0, help="weight of the environment losses")
    add("--env_loss", choices=("sphere", "original"), default="sphere")
    add(
        "--flat_exposure",
        choices=("true", "free"),
        default="true",
        help="free: flat-lit is asked for up to one factor of brightness per picture, which none tells",
    )
    add("--use_lpips", action="store_true", help="perceptual loss on flat-lit; fetches the backbone's weights")
    add("--lambda_flat_lpips", type=cli.non_negative_float, default=LPIPS_WEIGHT, help="its weight")
    add("--lpips_net", choices=("alex", "vgg", "squeeze"), default="alex")
    add(
        "--lpips_weights",
        type=Path,
        help="file of the backbone's weights (default: torch's cache)",
    )
    add("--lambda_physical", type=cli.non_negative_float, default=0.0, help="of re-rendering; needs --olat_root")
    add(
        "--without",
        nargs="+",
        choices=(*IDEAS, *WILD),
        default=[],
        metavar="IDEA",
        help=f"for ablations: train without some of {', '.join(IDEAS)}; with --in_the_wild of {', '.join(WILD)}",
    )
    add("--batch_size", type=cli.positive_int, default=4, help="per process")
    add("--num_epochs", type=cli.positive_int, default=100)
    add("--time_budget", type=cli.positive_float, metavar="MINUTES", help="instead of --num_epochs")
    add("--learning_rate", type=cli.positive_float, default=1e-4)
    add("--weight_decay", type=cli.non_negative_float, default=1e-4)
    add("--warmup_steps", type=cli.non_negative_int, default=100)
    add("--clip_grad", type=cli.positive_float, default=1.0, help="largest norm of the gradient")
    add("--accumulate_steps", type=cli.positive_int, default=1, help="batches per optimizer step")
    add("--ema", type=cli.share, default=0.999, help="decay of the weights' moving average; 0 ships the last weights")
    add("--amp", choices=("off", "bf16", "fp16"), default="off", help="mixed precision")
    add("--compile", action="store_true", help="compile with torch.compile (needs a C++ compiler)")
    add(
        "--max_memory_gb",
        type=cli.positive_float,
        default=4.0,
        help="OLATs and pairs kept on the device; what is beyond is read from the cache when it is needed",
    )
    add("--num_workers", type=cli.non_negative_int, default=4, help="processes that load pairs")
    add("--val_every", type=cli.positive_int, default=1, help="epochs between validations")
    add("--save_every", type=cli.positive_int, default=1, help="epochs between checkpoints")
    add(
        "--pretrained",
        metavar="CKPT",
        help="begin from these weights alone, of a model with the same sizes but for the picture's; "
        "default: weights/delit.pth of the repository",
    )
    add(
        "--resume",
        default="auto",
        metavar="PATH",
        help="auto: continue the run in --output_dir; never; or a checkpoint",
    )
    add("--overwrite", action="store_true", help="start anew over the run in --output_dir")
    add("--seed", type=cli.non_negative_int, default=42)
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    arguments = parser.parse_args(argv)
    if arguments.data_root is None:
        parser.error(f"argument --data_root: no training set given; this makes one: {MAKE_DATA}")
    if arguments.lambda_physical and not arguments.olat_root:
        parser.error("argument --lambda_physical: needs the subjects' OLATs: give --olat_root")
    if arguments.in_the_wild and not (arguments.olat_root and arguments.use_augmentation):
        parser.error("argument --in_the_wild: varies batches that are relit: give --olat_root and --use_augmentation")
    if set(arguments.without) & set(WILD) and not arguments.in_the_wild:
        parser.error("argument --without: what --in_the_wild varies is off already: leave it out, or give that too")
    if set(arguments.without) & set(IDEAS) and arguments.arch != "attention":
        parser.error(f"argument --without: {arguments.arch} has none of these ideas: train --arch attention")
    if not arguments.use_lpips:
        arguments.lambda_flat_lpips = 0.0
    if arguments.olat_root:
        arguments.env_dir = arguments.env_dir or arguments.data_root / "env_maps"
    if arguments.output_dir is None:
        arguments.output_dir = Path("runs") / f"delit_{arguments.data_root.resolve().name}"
    arguments.ema = arguments.ema or None
    return arguments


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    from src.models.shipped import shipped_checkpoint
    from src.tasks.delit_training import open_delit_data, train_delit
    from src.training.distributed import processes
    from src.training.trainer import BEST

    if arguments.pretrained is not None:
        is_shipped = arguments.pretrained == "default"
        arguments.pretrained = shipped_checkpoint("--pretrained") if is_shipped else Path(arguments.pretrained)
    with processes(arguments.device) as group:
        with group.together():
            data = open_delit_data(arguments, group.is_main)

        trainer = train_delit(arguments, data, group)

        if group.is_main:
            print(f"best validation loss {-trainer.best_score:.4f}: {trainer.path(BEST)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
