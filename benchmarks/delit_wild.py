"""What each part of the training data gives on people of another kind: the model in the box, in small, made many times.

    python -m benchmarks.delit_wild --data_root runs/ict --heads runs/procedural --test_root DATA --out_dir OUT

Every row is the same number of steps from random weights, measured on all pairs of DATA: with all that --in_the_wild
varies (--seeds of it, which shows how much is chance), without each of it, without all of it, on the heads of other
training sets (--heads), and by --arch simplified. "restrained" is the first row's model with the change held back
where it expects to be wrong, "within its mask" without that. OLATs are in stage/olat of a set, as prepare_olat.py
--synthetic leaves them. What is in OUT is not trained again, so that the same command goes on.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from benchmarks.delit_ablation import trained_once
from src.utils import cli
from train_delit import WILD

if TYPE_CHECKING:
    from src.data.portrait.delit_dataset import DelitDataset
    from src.evaluation.delit.methods import Method
    from src.models.delit_model import DelitModel

FIRST, PLAIN, SIMPLIFIED = "all_0", "none", "simplified"
# Of the same sizes as the model in the box, but for its width; chosen so that a row takes minutes on one core.
FIXED = {"env_height": 32, "env_width": 64, "base_dim": 32, "batch_size": 8, "learning_rate": 2e-3, "warmup_steps": 50}
FIXED |= {"ema": 0.99, "amp": "bf16", "flat_exposure": "free", "lambda_env": 0.5, "num_workers": 0}
FIXED |= {"val_subjects": 4, "val_envs": 4}
ALIGNED = "srgb_psnr_db_aligned"
STRATA = (None, "dark", "medium", "light")
ANGLES = ("diffuse_angular_deg", "matte_angular_deg")
COLUMNS = ("aligned_gain_db", "dark_gain_db", "medium_gain_db", "light_gain_db", *ANGLES)
Figures = dict[str, dict[str, float | None]]  # by the answer's name


class Variant(NamedTuple):
    """One training: its folder, its row's title, its data, and what else train_delit.py is told."""

    name: str
    title: str
    data_root: Path
    flags: tuple[str, ...] = ()
    seed: int = 0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--data_root", type=Path, required=True, help="training set of the synthetic stage")
    add("--heads", type=Path, nargs="+", default=[], metavar="DATA", help="training sets of other heads, a row each")
    add("--test_root", type=Path, required=True, help="training set whose pairs are all measured")
    add("--env_dir", type=Path, help="environments to relight with (default: those of --data_root)")
    add("--epochs", type=cli.positive_int, default=3, help="of training, each; one is 1,024 samples, or all pairs")
    add("--seeds", type=cli.positive_int, default=2, help="how many of the first row")
    add("--image_size", type=cli.positive_int, default=64)
    add("--out_dir", type=Path, required=True, help="a folder in it for each row")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return parser.parse_args(argv)


def variants(arguments: argparse.Namespace) -> list[Variant]:
    """The rows in the table's order."""
    root, wild = arguments.data_root, ("--in_the_wild",)
    rows = [Variant(f"all_{seed}", f"all, seed {seed}", root, wild, seed) for seed in range(arguments.seeds)]
    for heads in arguments.heads:
        rows.append(Variant(f"heads_{heads.resolve().name}", f"heads of {heads.name}", heads, wild))
    rows.append(Variant(SIMPLIFIED, "simplified", root, (*wild, "--arch", "simplified")))
    rows.append(Variant(PLAIN, "without all of them", root))
    rows += [Variant(name, f"without {name}", root, (*wild, "--without", name)) for name in WILD]
    return rows


def training_arguments(arguments: argparse.Namespace, variant: Variant) -> list[str]:
    """What train_delit.py is called with."""
    flags = FIXED | {name: getattr(arguments, name) for name in ("image_size", "device")}
    flags |= {"data_root": variant.data_root, "olat_root": variant.data_root / "stage" / "olat", "seed": variant.seed}
    flags |= {"env_dir": arguments.env_dir or arguments.data_root / "env_maps", "num_epochs": arguments.epochs}
    flags |= {"output_dir": arguments.out_dir / variant.name, "cache_dir": arguments.out_dir / "cache"}
    flags |= {"val_every": arguments.epochs, "save_every": arguments.epochs}
    argv = [part for name, value in flags.items() for part in (f"--{name}", str(value))]
    return [*argv, "--use_mask", "--use_augmentation", *variant.flags]


def inference_method(name: str, model: DelitModel, has_restraint: bool) -> Method:
    """The model's answer as ``inference_delit.py`` puts it into the picture, with and without its restraint."""
    import torch

    from src.data.portrait.layout import Pair
    from src.data.portrait.pair_batch import PairBatch
    from src.evaluation.delit.methods import Answer, Method
    from src.inference.crops import whole_picture
    from src.inference.delit.delighter import Delighter

    delighter = Delighter(model, crops=False, keep_exposure=True)

    def answer(pair: Pair, item: PairBatch) -> Answer:
        picture = item.relit[0].permute(1, 2, 0).numpy()
        said = delighter.look(picture)
        if not has_restraint:
            said = replace(said, flat_error=None)
        flat_lit = delighter.put_back(picture, [(whole_picture(*picture.shape[:2]), said)])
        return Answer(torch.from_numpy(flat_lit).permute(2, 0, 1)[None], environment=None)

    return Method(name, "model", answer)


def measure(methods: Sequence[Method], dataset: DelitDataset) -> Figures:
    """By method :data:`ALIGNED` of all pairs and of each stratum of skin, and the angles."""
    from src.data.stage.olat import LightCells
    from src.evaluation.delit.quality import measure_methods
    from src.utils.sphere import fibonacci_sphere

    rows = measure_methods(methods, dataset, LightCells(fibonacci_sphere(331)))
    return {
        row.name: {f"{stratum or 'pairs'}": row.mean(ALIGNED, stratum) for stratum in STRATA}
        | {angle: row.mean(angle) for angle in ANGLES}
        for row in rows
    }


def measure_model(model: DelitModel, dataset: DelitDataset, with_inference: bool) -> Figures:
    """Of the network's own answers, and of what inference makes of them."""
    from src.evaluation.delit.methods import model_method

    methods = [model_method("answers", model)]
    if with_inference:
        methods += [inference_method("within its mask", model, False), inference_method("restrained", model, True)]
    return measure(methods, dataset)


def line(title: str, figures: dict[str, float | None], of_input: dict[str, float | None]) -> str:
    """A row of the table: decibels over the picture as it is, and degrees."""
    values = []
    for stratum in STRATA:
        ours, theirs = figures[stratum or "pairs"], of_input[stratum or "pairs"]
        values.append("-" if ours is None or theirs is None else f"{ours - theirs:+.2f}")
    degrees = [figures[angle] for angle in ANGLES]
    return "\t".join([title, *values, *("-" if angle is None else f"{angle:.2f}" for angle in degrees)])


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    from src.data.portrait.delit_dataset import DelitDataset
    from src.data.portrait.layout import choose_pairs
    from src.evaluation.delit.methods import input_method, mean_environment_methods

    sizes = {"image_size": arguments.image_size, "env_height": 32, "env_width": 64}
    dataset = DelitDataset(choose_pairs(arguments.test_root, "all"), **sizes, cache_dir=arguments.out_dir / "cache")

    lines: list[str] = []
    of_input = measure([input_method()], dataset)["input"]
    for variant in variants(arguments):
        argv_of_variant = training_arguments(arguments, variant)
        measured = partial(measure_model, dataset=dataset, with_inference=variant.name == FIRST)
        figures = trained_once(arguments.out_dir / variant.name, argv_of_variant, measured)
        if figures is None:
            return cli.EXIT_WRONG_INPUT
        print(line(variant.title, figures["answers"], of_input), flush=True)
        lines.append(line(variant.title, figures["answers"], of_input))
        others = [name for name in figures if name != "answers"]
        lines += [line(f"{variant.title}, {name}", figures[name], of_input) for name in others]
    means = measure(mean_environment_methods(dataset), dataset)
    lines += [line(name, figures, of_input) for name, figures in means.items()]

    print("\n".join(["", "\t".join(["variant", *COLUMNS]), *lines]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
