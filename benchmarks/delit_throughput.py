"""Training speed of the default delighting network: train_delit.py beside the usual plain loop, in one run.

python -m benchmarks.delit_throughput --data_root DATA --olat_root OLATS --env_dir HDRIS

In turn, with the same model, loss, batch size and number of workers:

- ``pairs``: train_delit.py on pairs from files, its trainer as it is, but no first guess, validation and checkpoints;
- ``on the fly``: the same with OLATs, every batch relit anew;
- ``plain loop``: a DataLoader over single pairs that are read, resized and augmented one by one, then per step forward,
  loss, backward, AdamW, with the loss and the norm of the gradient logged.

Images/s are the mean over all rounds, the first seconds of each left out; data wait is the share of the time that the
trainer waits for a batch. One JSON line has the same figures.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from unittest.mock import patch

import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import train_delit
from benchmarks import delit_peer_loop
from benchmarks.delit_quality import HELD_OUT, SIZES
from src.tasks import delit_training
from src.tasks.delit_task import DelitTask
from src.tasks.portrait_training import open_portrait_data
from src.training.distributed import Processes, processes
from src.training.task import Batches, Report
from src.utils import cli

WORKERS = 4
NEVER = 10**9  # epochs
SETTLING_SECONDS = 4.0  # of every round, in which workers start and their first batches lie ready


class BareTask(DelitTask):
    """What is trained is the same; the plain loop fits no first guess and does not validate either."""

    def prepare(self, batches: Batches, report: Report) -> None:
        pass

    def validate(self) -> dict[str, float]:
        return {"score": 0.0}

    def figures(self) -> dict:
        return {}


def training_arguments(arguments: argparse.Namespace, folder: Path, on_the_fly: bool) -> argparse.Namespace:
    """Those of train_delit.py for one round in ``folder``."""
    flags = SIZES | {"data_root": arguments.data_root, "image_size": arguments.image_size, "device": arguments.device}
    flags |= {"output_dir": folder, "cache_dir": folder.parent / "cache", "num_workers": WORKERS}
    flags |= {"val_every": NEVER, "save_every": NEVER}
    flags |= {"time_budget": (arguments.seconds / arguments.rounds + SETTLING_SECONDS) / 60}
    if on_the_fly:
        flags |= {"olat_root": arguments.olat_root, "lights": arguments.lights, "env_dir": arguments.env_dir}
    argv = [text for name, value in flags.items() if value is not None for text in (f"--{name}", str(value))]
    argv += [text for name, values in HELD_OUT.items() for text in (f"--{name}", *values)]
    return train_delit.parse_arguments(["--use_mask", "--use_augmentation", *argv])


def our_round(options: argparse.Namespace, group: Processes) -> tuple[float, float, float]:
    """(images, seconds, seconds of them waited for data) of one sitting of train_delit.py."""
    data = open_portrait_data(options)
    with patch.object(delit_training, "DelitTask", BareTask):
        delit_training.train_delit(options, data, group)
    events = EventAccumulator(str(options.output_dir / "logs")).Reload()
    rates, waits = (events.Scalars(f"train/{name}") for name in ("images_per_s", "data_wait_share"))
    images = seconds = waited = 0.0
    for before, rate, wait in zip(rates, rates[1:], waits[1:], strict=False):
        span = rate.wall_time - before.wall_time
        if before.wall_time - rates[0].wall_time < SETTLING_SECONDS - 1:  # an entry is of the second before it
            continue
        images, seconds, waited = images + rate.value * span, seconds + span, waited + wait.value * span
    if not seconds:
        raise cli.InputError("--seconds", "too few for a step", "give more, or fewer --rounds")
    return images, seconds, waited


def plain_round(options: argparse.Namespace, group: Processes) -> tuple[float, float, float]:
    """The same of the plain loop, which does not say how long it waits."""
    train = open_portrait_data(options).train
    return *delit_peer_loop.train(options, train, group.device, SETTLING_SECONDS), 0.0


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--data_root", type=Path, required=True, help="training set as prepare_olat.py makes it")
    add("--olat_root", type=Path, help="OLATs of its subjects")
    add("--lights", type=Path, help="their lights (default: OLAT_ROOT/lights.json)")
    add("--env_dir", type=Path, help="environments to relight with (default: DATA_ROOT/env_maps)")
    add("--image_size", type=cli.positive_int, default=128)
    add("--seconds", type=cli.positive_float, default=60.0, help="of each, over all rounds")
    add("--rounds", type=cli.positive_int, default=3, help="in which all take turns")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    arguments = parser.parse_args(argv)

    ways = {"pairs": our_round, "on the fly": our_round, "plain loop": plain_round}
    if arguments.olat_root is None:
        del ways["on the fly"]
    totals = {name: [0.0, 0.0, 0.0] for name in ways}
    with tempfile.TemporaryDirectory() as folder, processes(arguments.device) as group:
        for turn in range(arguments.rounds):
            for name, run in ways.items():
                options = training_arguments(arguments, Path(folder) / f"{name}_{turn}", name == "on the fly")
                totals[name] = [a + b for a, b in zip(totals[name], run(options, group), strict=True)]

    rates = {name: images / seconds for name, (images, seconds, _) in totals.items()}
    figures = {name: {"images_per_s": rate, "ratio": rate / rates["plain loop"]} for name, rate in rates.items()}
    print(f"\ntorch {torch.__version__}, {torch.get_num_threads()} threads, {WORKERS} workers, {SIZES}")
    print(f"{'':<12}{'images/s':>10}{'to plain':>10}{'data wait':>11}")
    for name, rate in rates.items():
        wait = "" if name == "plain loop" else f"{totals[name][2] / totals[name][1]:.1%}"
        print(f"{name:<12}{rate:>10.1f}{figures[name]['ratio']:>9.2f}x{wait:>11}")
        if wait:
            figures[name]["data_wait_share"] = totals[name][2] / totals[name][1]
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
