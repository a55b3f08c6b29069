"""Train a delighting model in a fixed time and measure it on people and environments that it never saw.

python -m benchmarks.delit_quality --data_root DATA --olat_root OLATS --env_dir HDRIS --minutes 20 --out_dir OUT

Two subjects and five environments are held out. OUT then holds checkpoint_best.pth; the table has the model beside the
picture as it is, the mean environments, and other checkpoints (--beside), on the left-out pairs and, with OLATs, on
left-out subjects relit under left-out environments. One JSON line has the same figures.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src.utils import cli

if TYPE_CHECKING:
    from src.data.portrait.delit_dataset import DelitDataset
    from src.data.portrait.pair_batch import PairBatch
    from src.evaluation.delit.methods import Method

SIZES = {"env_height": 32, "env_width": 64, "base_dim": 32, "batch_size": 8, "learning_rate": 2e-3}
HELD_OUT = {"val_subjects": ["2"], "val_envs": ["5"]}
SHARE_OF_TIME = 0.94  # the rest is for reading and measuring
RELIT_SAMPLES = 64
FIGURES = ("srgb_psnr_db", "srgb_psnr_db_aligned", "linear_psnr_db", "linear_psnr_db_aligned")
FIGURES += ("diffuse_angular_deg", "matte_angular_deg", "mirror_angular_deg", "c_l_relative_l2", "c_l_log_rmse")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--data_root", type=Path, required=True, help="training set as prepare_olat.py makes it")
    add("--olat_root", type=Path, help="OLATs of its subjects: relights them on the fly")
    add("--lights", type=Path, help="their lights (default: OLAT_ROOT/lights.json)")
    add("--env_dir", type=Path, help="environments to relight with (default: DATA_ROOT/env_maps)")
    add("--minutes", type=cli.positive_float, default=20.0, help="of training")
    add("--seed", type=cli.non_negative_int, default=0)
    add("--out_dir", type=Path, required=True, help="folder of the run")
    add("--arch", choices=("attention", "simplified"), default="attention")
    add("--image_size", type=cli.positive_int, default=128)
    add("--beside", type=Path, nargs="+", default=[], metavar="CKPT", help="checkpoints to measure as well")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return parser.parse_args(argv)


def training_arguments(arguments: argparse.Namespace) -> list[str]:
    """What train_delit.py is called with: the same for both architectures."""
    fixed = SIZES | {"val_every": 4, "save_every": 4, "ema": 0.998, "num_workers": 2}
    given = ("data_root", "olat_root", "lights", "env_dir", "arch", "image_size", "seed", "device")
    flags = {name: getattr(arguments, name) for name in given} | fixed | HELD_OUT
    flags |= {"output_dir": arguments.out_dir, "time_budget": SHARE_OF_TIME * arguments.minutes}
    argv = ["--use_mask", "--use_augmentation"]
    for name, value in flags.items():
        if value is not None:
            argv += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return argv


class RelitSamples:
    """Left-out subjects under left-out environments from OLATs, as a data set for ``measure_methods``."""

    def __init__(self, arguments: argparse.Namespace, cache_dir: Path) -> None:
        import torch

        from src.data.portrait.layout import Pair, choose_split, unturned
        from src.data.portrait.olat_stacks import OlatStacks
        from src.data.portrait.picture_cache import PictureCache
        from src.data.portrait.random_light import RandomLight
        from src.data.portrait.relight_batches import RelightBatches, RelightOptions
        from src.data.stage.environments import list_environments
        from src.data.stage.prepared import open_prepared_stage

        held = choose_split(arguments.data_root, **HELD_OUT)["val"]
        stage, _ = open_prepared_stage(arguments.data_root, arguments.olat_root, arguments.lights, held["subjects"])
        names = set(map(unturned, held["environments"]))
        folder = arguments.env_dir or arguments.data_root / "env_maps"
        environments = [path for path in list_environments(folder) if unturned(path.stem) in names]
        cache, device = PictureCache(cache_dir), torch.device("cpu")
        batches = RelightBatches(
            OlatStacks(stage, cache, arguments.image_size, device),
            RandomLight(environments, 64, 128, cache, device),
            None,
            RelightOptions(RELIT_SAMPLES, fov_degrees=stage.settings.fov_degrees, augment=False),
        )
        self._batch = batches.batch(0, 0)
        missing = Path()
        self.pairs = [Pair(*name.split("/"), missing, missing, None, missing) for name in self._batch.name]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> PairBatch:
        return self._batch.select([index])


def open_sets(arguments: argparse.Namespace, cache_dir: Path) -> tuple[DelitDataset, dict[str, DelitDataset]]:
    """The training pairs, and by title what is left out: pairs and, with OLATs, subjects relit."""
    from src.data.portrait.delit_dataset import DelitDataset
    from src.data.portrait.layout import choose_pairs

    sizes = {"image_size": arguments.image_size, "env_height": 64, "env_width": 128}
    train, held = (
        DelitDataset(choose_pairs(arguments.data_root, side, **HELD_OUT), **sizes, cache_dir=cache_dir)
        for side in ("train", "val")
    )
    sets = {"left-out pairs": held}
    if arguments.olat_root:
        sets["left-out subjects relit"] = RelitSamples(arguments, cache_dir)
    return train, sets


def measure(methods: Sequence[Method], sets: Mapping[str, DelitDataset]) -> dict[str, dict]:
    """``{title: {method: {figure: mean}}}``, the light domain by 331 even lights."""
    from src.data.stage.olat import LightCells
    from src.evaluation.delit.quality import measure_methods
    from src.utils.sphere import fibonacci_sphere

    cells = LightCells(fibonacci_sphere(331))
    return {
        title: {
            row.name: {figure: row.mean(figure) for figure in FIGURES}
            for row in measure_methods(methods, dataset, cells)
        }
        for title, dataset in sets.items()
    }


def format_table(title: str, rows: Mapping[str, Mapping[str, float | None]], figures: Sequence[str] = FIGURES) -> str:
    """A line for each method."""
    lines = [f"{title}\n{'':<36}" + " ".join(f"{name:>22}" for name in figures)]
    for name, means in rows.items():
        shown = ("" if means[figure] is None else f"{means[figure]:.3f}" for figure in figures)
        lines.append(f"{name:<36}" + " ".join(f"{text:>22}" for text in shown))
    return "\n".join(lines)


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    import train_delit
    from src.evaluation.delit.methods import input_method, mean_environment_methods, model_method
    from src.models.delit_model import load

    status = train_delit.main(training_arguments(arguments))
    if status:
        return status

    train, sets = open_sets(arguments, arguments.out_dir / "cache")
    best = arguments.out_dir / "checkpoint_best.pth"
    methods = [model_method("/".join(path.parts[-2:]), load(path)) for path in (best, *arguments.beside)]
    methods += [input_method(), *mean_environment_methods(train)]
    result = measure(methods, sets)
    for title, rows in result.items():
        print(f"\n{format_table(f'{title} ({len(sets[title])})', rows)}")
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
