"""The coders that are compared: our own files and the peers, each at each of its settings."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.data.lightmap.sources import Lightmap
from src.evaluation.lightmap.between import Between, BetweenRow, measure_coded
from src.evaluation.lightmap.between import summarise as summarise_between
from src.evaluation.lightmap.peers import PEERS
from src.evaluation.lightmap.peers.plane_model import training_time
from src.evaluation.lightmap.quality import Coded, Row, measure, summarise
from src.utils.cli import InputError


@dataclass(frozen=True)
class Coder:
    """A coder at one setting. ``code(index, lightmap, frames, mask)`` codes the index-th lightmap of the set.

    Frames are T x H x W x 3, the mask H x W bool.
    """

    name: str
    setting: str
    code: Callable[[int, Lightmap, np.ndarray, np.ndarray], Coded]


def file_coder(
    name: str, files: Sequence[Path], flag: str, opened: Callable[[Path, Lightmap], Coded], lightmap_count: int
) -> Coder:
    """Our own files, one per lightmap, by one of the functions of :mod:`src.evaluation.lightmap.files`.

    Raises :class:`InputError` when there are more files than lightmaps, or fewer.
    """
    if len(files) != lightmap_count:
        raise InputError(flag, f"{len(files)} files for {lightmap_count} lightmaps", "give one for each, in order")
    setting = ", ".join(dict.fromkeys(f"{file.resolve().parent.name}/{file.name}" for file in files))
    return Coder(name, setting, lambda index, lightmap, frames, mask: opened(files[index], lightmap))


def peer_coders(names: Sequence[str], skipped: dict[str, str], minutes: float) -> Iterator[Coder]:
    """The named peers at all their settings; those that cannot run here are put into ``skipped`` with the reason.

    Peers that train may do so for ``minutes`` per lightmap and setting.
    """
    for name in names:
        peer = PEERS[name]
        if reason := peer.reason_to_skip():
            skipped[name] = reason
            continue
        for setting in peer.settings:

            def code(
                _: int, lightmap: Lightmap, frames: np.ndarray, mask: np.ndarray, peer=peer, setting=setting
            ) -> Coded:
                time_left = (training_time(60 * minutes),) if peer.trains else ()
                return peer.encode(frames, mask, lightmap.is_radiance, setting, *time_left)

            yield Coder(name, peer.describe(setting), code)


def measure_coders(
    coders: Sequence[Coder],
    lightmaps: Sequence[Lightmap],
    loaded: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    lpips: Callable | None,
    between: Sequence[Between] = (),
) -> tuple[list[Row], list[BetweenRow]]:
    """One row per coder over all lightmaps, ``loaded`` as (frames, hours, mask) each; says each row on stderr.

    With ``between``, one for each lightmap, also a row per coder at those hours; else the second list is empty.
    """
    rows, rows_between = [], []
    for coder in coders:
        start = time.perf_counter()
        measured, measured_between = [], []
        for index, (lightmap, (frames, hours, mask)) in enumerate(zip(lightmaps, loaded, strict=True)):
            coded = coder.code(index, lightmap, frames, mask)
            measured.append(measure(lightmap.name, frames, hours.tolist(), mask, coded, lpips))
            if between:
                measured_between.append(measure_coded(between[index], coded))
        rows.append(summarise(coder.name, coder.setting, measured))
        if between:
            rows_between.append(summarise_between(coder.name, coder.setting, between, measured_between))
        line = f"{coder.name}, {coder.setting}: {rows[-1].psnr_db:.2f} dB, {rows[-1].bpp_disk:.3f} bpp on disk"
        print(f"{line} ({time.perf_counter() - start:.0f} s)", file=sys.stderr, flush=True)
    return rows, rows_between
