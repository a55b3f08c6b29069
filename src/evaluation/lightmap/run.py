"""``evaluate.py lightmap``: coded lightmaps against their images."""

from __future__ import annotations

import argparse
import sys

from src.data.lightmap.sources import open_lightmaps
from src.evaluation.lightmap.between import format_between, measure_truth, open_between
from src.evaluation.lightmap.coders import file_coder, measure_coders, peer_coders
from src.evaluation.lightmap.files import CHECKPOINT, files_of_set, open_bundle, open_checkpoint
from src.evaluation.lightmap.report import OURS, format_hours, format_table, plot_rate_distortion, write_json
from src.evaluation.perceptual import find_lpips
from src.export.files import BUNDLE
from src.utils.cli import InputError

SIREN = "siren"


def run(arguments: argparse.Namespace) -> int:
    """Measure what ``arguments`` (see evaluate.py) name, print the tables, write the files; the exit status.

    Raises :class:`InputError` where there is nothing to measure or a file does not fit.
    """
    data_dir, peers = arguments.data_dir, arguments.peers
    if not (arguments.bundle or arguments.ckpt or peers or arguments.between):
        raise InputError("--bundle", "nothing to measure", "give --bundle, --ckpt, --peers or --between")
    skipped: dict[str, str] = {}
    opened = open_lightmaps(data_dir, arguments.hours, arguments.lightmap)
    loaded = []
    for lightmap in opened:
        remarks: list[str] = []
        loaded.append(lightmap.load(remarks))
        print(*lightmap.describe(), *(f"{lightmap.name}: {line}" for line in remarks), sep="\n", file=sys.stderr)
    lpips = find_lpips(arguments.lpips_weights, skipped)

    own = (
        ("--bundle", arguments.bundle, BUNDLE, open_bundle),
        ("--ckpt", arguments.ckpt, CHECKPOINT, open_checkpoint),
    )
    coders = [
        file_coder(OURS, files_of_set(files, opened, name), flag, open_file, len(opened))
        for flag, groups, name, open_file in own
        for files in groups
    ]
    own_count = len(coders)
    if SIREN in peers and arguments.siren_ckpt:
        coders.append(file_coder(SIREN, arguments.siren_ckpt, "--siren_ckpt", open_checkpoint, len(opened)))
    elif SIREN in peers:
        skipped[SIREN] = "give the checkpoint of a default train.py run with --siren_ckpt"
    coders += peer_coders([name for name in peers if name != SIREN], skipped, arguments.peer_minutes)

    between = open_between(arguments.between, opened, loaded, _say) if arguments.between else []
    rows, rows_between = measure_coders(coders, opened, loaded, lpips, between)
    for row in rows[:own_count]:
        print(f"{row.coder}, {row.setting}\n{format_hours(row)}\n")
    if rows:
        print(format_table(rows))
    if between:
        rows_between = [*measure_truth(between), *rows_between]
        print(*([""] if rows else []), format_between(rows_between), sep="\n")
    for name, reason in skipped.items():
        print(f"skipped {name}: {reason}")
    if arguments.plot:
        plot_rate_distortion(arguments.plot, rows, data_dir.resolve().name)
    if arguments.json:
        write_json(arguments.json, data_dir, opened, rows, skipped, rows_between)
    return 0


def _say(line: str) -> None:
    print(line, file=sys.stderr)
