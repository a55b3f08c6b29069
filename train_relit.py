"""Train a relighting model, phase 3: flat-lit portrait + any HDR environment -> relit portrait.

  python train_relit.py --data_root DATA --output_dir RUN
  python train_relit.py --data_root DATA --output_dir RUN --olat_root OLATS --env_dir HDRIS
  python train_relit.py --data_root DATA --output_dir RUN --pretrained runs/delit/checkpoint_best.pth
  torchrun --nproc_per_node=4 train_relit.py --data_root DATA --output_dir RUN
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
from typing import NamedTuple

from src.tasks import portrait_options
from src.utils import cli


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    portrait_options.add_data_arguments(parser)
    add("--olat_root", type=Path, help="a folder of OLATs per subject (default: DATA_ROOT/stage/olat)")
    add("--env_height", type=cli.positive_int, default=64, help="rows of the environments as the model takes them")
    add("--base_dim", type=int, choices=(32, 64, 128), default=64, help="width of the network")
    add("--lights_per_portrait", type=cli.positive_int, default=4, help="environments that each portrait is shown in")
    add("--use_augmentation", action=argparse.BooleanOptionalAction, default=True, help="vary pose and skin")
    add("--sources", type=source, nargs="+", default=[Source("stage", 1.0, None)], metavar="SOURCE:SHARE", help="what "
        "batches are of, and how often: stage, and folders of clips or of pseudo labels")  # fmt: skip
    add("--over_time", action="store_true", help="features over a window of frames, for steadier videos")
    add("--window", type=cli.positive_int, default=4, help="consecutive frames of a clip in a batch")
    add("--pretrained", type=Path, metavar="CKPT", help="begin from a relighting or delighting model of this width")
    portrait_options.add_engine_arguments(parser, learning_rate=5e-4)
    arguments = parser.parse_args(argv)
    portrait_options.complete(parser, arguments, "relit")
    if arguments.olat_root is None:
        arguments.olat_root = arguments.data_root / "stage" / "olat"
        if not arguments.olat_root.is_dir():
            parser.error(f"argument --olat_root: there is no {arguments.olat_root}: give the folder of the OLATs")
    names = [one.name for one in arguments.sources]
    if names[0] != "stage" or len(set(names)) < len(names):
        parser.error("argument --sources: begin with stage:SHARE, and give folders of different names")
    arguments.env_width = 2 * arguments.env_height
    return arguments


class Source(NamedTuple):
    """What batches are of: the light stage (without a folder), or clips."""

    name: str
    share: float
    folder: Path | None

    def __str__(self) -> str:
        return f"{self.folder or self.name}:{self.share:g}"


def source(text: str) -> Source:
    """``stage:1`` or ``FOLDER:0.5``; the share is 1 where none is given."""
    place, _, share = text.rpartition(":")
    try:
        weight = float(share) if place else 1.0
    except ValueError:  # a drive letter
        place, weight = text, 1.0
    place = place or text
    if not 0 < weight < 1e6:
        raise argparse.ArgumentTypeError(f"{text!r} has no share above 0, as in stage:1 or clips:0.5")
    return Source("stage", weight, None) if place == "stage" else Source(Path(place).name, weight, Path(place))


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    from src.tasks.portrait_training import open_portrait_data
    from src.tasks.relit_training import train_relit
    from src.training.distributed import processes
    from src.training.trainer import BEST

    with processes(arguments.device) as group:
        with group.together():
            data = open_portrait_data(arguments, group.is_main)

        trainer = train_relit(arguments, data, group)

        if group.is_main:
            print(f"best validation loss {-trainer.best_score:.4f}: {trainer.path(BEST)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
