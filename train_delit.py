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

from src.tasks import portrait_options
from src.utils import cli

IDEAS: tuple[str, ...] = ("first_guess", "skips", "attention_head", "shading", "light_solve", "confidence", "transfer")
IDEAS += ("flat_confidence",)
WILD: tuple[str, ...] = ("framing", "stage_lamps", "background", "occlusion", "skin_split")
WILD += ("low_resolution", "blur", "noise", "response", "exposure", "jpeg")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    portrait_options.add_data_arguments(parser)
    add("--olat_root", type=Path, help="relight on the fly: folder with a folder of OLATs per subject")
    add("--arch", choices=("attention", "simplified"), default="attention")
    add("--env_height", type=cli.positive_int, default=128)
    add("--env_width", type=cli.positive_int, default=256)
    add("--base_dim", type=int, choices=(32, 64, 128), default=64, help="width of the network")
    add("--env_codec", choices=("log", "dual"), default="log", help="how radiance becomes codes in [0, 1]")
    add("--log_scale", type=cli.positive_float, default=10.0, help="of the codec: its ceiling is exp(log_scale) - 1")
    add("--use_mask", action="store_true", help="flat-lit losses count inside the person's mask only")
    add("--use_augmentation", action="store_true", help="vary pose, skin, exposure, colour of the light and camera")
    add("--in_the_wild", action="store_true", help="relit batches also vary framing, lamps, background, occlusion, "
        "tone, exposure, noise, blur, JPEG")  # fmt: skip
    add("--lambda_flat", type=cli.non_negative_float, default=1.0, help="weight of the flat-lit losses")
    add("--lambda_env", type=cli.non_negative_float, default=1.0, help="weight of the environment losses")
    add("--env_loss", choices=("sphere", "original"), default="sphere")
    add("--flat_exposure", choices=("true", "free"), default="true", help="free: flat-lit is asked for up to one "
        "factor of brightness per picture, which none tells")  # fmt: skip
    add("--use_lpips", action="store_true", help="perceptual loss on flat-lit; fetches the backbone's weights")
    add("--lambda_flat_lpips", type=cli.non_negative_float, default=0.1, help="its weight")
    add("--lpips_net", choices=("alex", "vgg", "squeeze"), default="alex")
    add("--lpips_weights", type=Path, help="file of the backbone's weights (default: torch's cache)")
    add("--lambda_physical", type=cli.non_negative_float, default=0.0, help="of re-rendering; needs --olat_root")
    add("--without", nargs="+", choices=(*IDEAS, *WILD), default=[], metavar="IDEA", help="for ablations: train "
        f"without some of {', '.join(IDEAS)}; with --in_the_wild of {', '.join(WILD)}")  # fmt: skip
    add("--pretrained", metavar="CKPT", help="begin from these weights alone, of a model with the same sizes but for "
        "the picture's; default: weights/delit.pth of the repository")  # fmt: skip
    portrait_options.add_engine_arguments(parser, learning_rate=1e-4)
    add("--accumulate_steps", type=cli.positive_int, default=1, help="batches per optimizer step")
    add("--compile", action="store_true", help="compile with torch.compile (needs a C++ compiler)")
    add("--num_workers", type=cli.non_negative_int, default=4, help="processes that load pairs")
    add("--val_every", type=cli.positive_int, default=1, help="epochs between validations")
    add("--save_every", type=cli.positive_int, default=1, help="epochs between checkpoints")
    arguments = parser.parse_args(argv)
    portrait_options.complete(parser, arguments, "delit")
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
    return arguments


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    from src.models.shipped import shipped_checkpoint
    from src.tasks.delit_training import train_delit
    from src.tasks.portrait_training import open_portrait_data
    from src.training.distributed import processes
    from src.training.trainer import BEST

    if arguments.pretrained is not None:
        is_shipped = arguments.pretrained == "default"
        arguments.pretrained = shipped_checkpoint("--pretrained") if is_shipped else Path(arguments.pretrained)
    with processes(arguments.device) as group:
        with group.together():
            data = open_portrait_data(arguments, group.is_main)

        trainer = train_delit(arguments, data, group)

        if group.is_main:
            print(f"best validation loss {-trainer.best_score:.4f}: {trainer.path(BEST)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
