"""The flags that ``train_delit.py`` and ``train_relit.py`` share. Imports nothing that ``--help`` would wait for."""

from __future__ import annotations

import argparse
from pathlib import Path

from src.utils import cli

MAKE_DATA = "python prepare_olat.py --synthetic 12 --out_root runs/stage"


def add_data_arguments(parser: cli.Parser) -> None:
    add = parser.add_argument
    add("--data_root", type=Path, help="training set as prepare_olat.py makes it")
    add("--output_dir", type=Path, help="folder of this run (default: runs/ and a name made of data_root's)")
    add("--val_subjects", nargs="+", metavar="NAME", help="held out: names, or how many (default: splits.json)")
    add("--val_envs", nargs="+", metavar="NAME", help="held out: names, or how many (default: splits.json)")
    add("--lights", type=Path, help="the OLATs' lights, to be checked (default: those DATA was prepared with)")
    add("--env_dir", type=Path, help="environments to relight with (default: DATA_ROOT/env_maps)")
    add("--cache_dir", type=Path, help="for resized pictures (default: OUTPUT_DIR/cache)")
    add("--image_size", type=cli.positive_int, default=512, help="side of the square training pictures")


def add_engine_arguments(parser: cli.Parser, learning_rate: float) -> None:
    add = parser.add_argument
    add("--batch_size", type=cli.positive_int, default=4, help="portraits, per process")
    add("--num_epochs", type=cli.positive_int, default=100)
    add("--time_budget", type=cli.positive_float, metavar="MINUTES", help="instead of --num_epochs")
    add("--learning_rate", type=cli.positive_float, default=learning_rate)
    add("--weight_decay", type=cli.non_negative_float, default=1e-4)
    add("--warmup_steps", type=cli.non_negative_int, default=100)
    add("--clip_grad", type=cli.positive_float, default=1.0, help="largest norm of the gradient")
    add("--ema", type=cli.share, default=0.999, help="decay of the weights' moving average; 0 ships the last weights")
    add("--amp", choices=("off", "bf16", "fp16"), default="off", help="mixed precision")
    add("--max_memory_gb", type=cli.positive_float, default=4.0, help="what is kept on the device of OLATs and pairs; "
        "more is read from the cache when it is needed")  # fmt: skip
    add("--resume", default="auto", metavar="PATH", help="auto: continue the run in --output_dir; never; a checkpoint")
    add("--overwrite", action="store_true", help="start anew over the run in --output_dir")
    add("--seed", type=cli.non_negative_int, default=42)
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")


def complete(parser: cli.Parser, arguments: argparse.Namespace, name: str) -> None:
    """Put in what is not given: ``name`` is what the run's folder begins with."""
    if arguments.data_root is None:
        parser.error(f"argument --data_root: no training set given; this makes one: {MAKE_DATA}")
    if arguments.output_dir is None:
        arguments.output_dir = Path("runs") / f"{name}_{arguments.data_root.resolve().name}"
    arguments.env_dir = arguments.env_dir or arguments.data_root / "env_maps"
    arguments.cache_dir = arguments.cache_dir or arguments.output_dir / "cache"
    arguments.ema = arguments.ema or None
