"""What each idea of the delighting model gives: the same training with one of them taken away at a time.

python -m benchmarks.delit_ablation --data_root DATA --olat_root OLATS --env_dir HDRIS --minutes 8 --out_dir OUT

Everything else is as in delit_quality.py, whose left-out pairs and subjects the table is of; the full model comes
first. Each variant is trained in OUT/NAME and its figures are kept there, so that the same command again goes on with
what is missing. What each part of the training data gives: delit_wild.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.delit_quality import format_table, measure, open_sets, training_arguments
from src.utils import cli
from src.utils.atomic import atomic_path
from train_delit import IDEAS

if TYPE_CHECKING:
    from src.models.delit_model import DelitModel

FULL, PHYSICAL, IN_THE_WILD = "full", "physical", "in-the-wild"
VARIANTS = (*IDEAS, PHYSICAL, "on-the-fly", "augmentation", IN_THE_WILD)
LAMBDA_PHYSICAL = 0.5  # of the variant with it, where training is without it by default
FIGURES = ("srgb_psnr_db", "srgb_psnr_db_aligned", "diffuse_angular_deg", "matte_angular_deg", "mirror_angular_deg")
FIGURES += ("c_l_relative_l2", "c_l_log_rmse")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--data_root", type=Path, required=True, help="training set as prepare_olat.py makes it")
    add("--olat_root", type=Path, required=True, help="OLATs of its subjects")
    add("--lights", type=Path, help="their lights (default: OLAT_ROOT/lights.json)")
    add("--env_dir", type=Path, help="environments to relight with (default: DATA_ROOT/env_maps)")
    add("--minutes", type=cli.positive_float, default=8.0, help="of training, each")
    add("--seed", type=cli.non_negative_int, default=0)
    add("--out_dir", type=Path, required=True, help="a folder in it for each variant")
    add("--only", nargs="+", choices=VARIANTS, default=VARIANTS, metavar="NAME", help=f"of {', '.join(VARIANTS)}")
    add("--image_size", type=cli.positive_int, default=128)
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    arguments = parser.parse_args(argv)
    arguments.arch = "attention"
    return arguments


def variant_arguments(arguments: argparse.Namespace, name: str, physical_by_default: bool) -> list[str]:
    """What train_delit.py is called with for one variant."""
    changed = argparse.Namespace(**vars(arguments))
    changed.out_dir = folder_of(arguments, name)
    if name == "on-the-fly":
        changed.olat_root = None
    argv = [*training_arguments(changed), "--cache_dir", str(arguments.out_dir / "cache")]
    if name == PHYSICAL:
        argv += ["--lambda_physical", "0" if physical_by_default else str(LAMBDA_PHYSICAL)]
    elif name == "on-the-fly":
        argv += ["--lambda_physical", "0"]  # which needs OLATs
    elif name == "augmentation":
        argv.remove("--use_augmentation")
    elif name == IN_THE_WILD:
        argv.append("--in_the_wild")
    elif name in IDEAS:
        argv += ["--without", name]
    return argv


def title_of(name: str, physical_by_default: bool) -> str:
    """A variant's row: what is added to the full training or taken from it."""
    if name == FULL:
        return name
    return f"{'+' if name == IN_THE_WILD or (name == PHYSICAL and not physical_by_default) else '-'} {name}"


def folder_of(arguments: argparse.Namespace, name: str) -> Path:
    return arguments.out_dir / name


def trained_once(folder: Path, argv: list[str], measured: Callable[[DelitModel], dict]) -> dict | None:
    """What ``measured`` says of the model that train_delit.py makes of ``argv`` in ``folder``; None where it fails.

    The figures are kept beside it and are not made again. Raises InputError where they are of other arguments.
    """
    import train_delit
    from src.models.delit_model import load

    path = folder / "figures.json"
    if path.exists():
        stored = json.loads(path.read_text(encoding="utf-8"))
        if stored["argv"] != argv:
            raise cli.InputError(path, "was trained with other arguments", "give the same, or another --out_dir")
        return stored["figures"]
    if train_delit.main(argv):
        return None
    figures = measured(load(folder / "checkpoint_best.pth"))
    with atomic_path(path) as temporary:
        temporary.write_text(json.dumps({"argv": argv, "figures": figures}, indent=1) + "\n", encoding="utf-8")
    return figures


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    import train_delit
    from src.evaluation.delit.methods import model_method

    full = variant_arguments(arguments, FULL, False)
    physical_by_default = train_delit.parse_arguments(full).lambda_physical > 0
    _, sets = open_sets(arguments, arguments.out_dir / "cache")

    def measured(model: DelitModel) -> dict:
        return {title: rows["model"] for title, rows in measure([model_method("model", model)], sets).items()}

    results: dict[str, dict] = {}
    for name in (FULL, *arguments.only):
        training = variant_arguments(arguments, name, physical_by_default)
        figures = trained_once(folder_of(arguments, name), training, measured)
        if figures is None:
            return cli.EXIT_WRONG_INPUT
        results[title_of(name, physical_by_default)] = figures

    for title, dataset in sets.items():
        rows = {name: figures[title] for name, figures in results.items()}
        print(f"\n{format_table(f'{title} ({len(dataset)}), {arguments.minutes:g} minutes', rows, FIGURES)}")
    print(json.dumps(results))
    return 0


if __name__ == "__main__":
    sys.exit(main())
