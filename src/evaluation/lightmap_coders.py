"""The coders that are compared: our checkpoints and the peers, each at each of its settings."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from src.evaluation.lightmap_quality import Coded, Row, measure, summarise
from src.evaluation.peers import PEERS
from src.export.lightmap import F2_WEIGHTS, LATENT_MAP, export_lightmap
from src.models.compressor import load_model
from src.utils.cli import InputError

SIREN = "siren"


@dataclass(frozen=True)
class Coder:
    """A coder at one setting. ``code(index, lightmap, frames, mask)`` codes the index-th lightmap of the set.

    ``lightmap`` has ``name``, ``hours`` and ``is_radiance``; frames T x H x W x 3, mask H x W bool.
    """

    name: str
    setting: str
    code: Callable[[int, Any, np.ndarray, np.ndarray], Coded]


def checkpoint_coder(name: str, paths: Sequence[Path], flag: str, lightmap_count: int) -> Coder:
    """Checkpoints of ``train.py``, one per lightmap. Raises :class:`InputError` when there are more or fewer."""
    if len(paths) != lightmap_count:
        raise InputError(
            flag, f"{len(paths)} checkpoints for {lightmap_count} lightmaps", "give one for each, in order"
        )
    setting = ", ".join(dict.fromkeys(path.name for path in paths))
    return Coder(name, setting, lambda index, lightmap, _, mask: _load_checkpoint(paths[index], lightmap, mask.shape))


def peer_coders(names: Sequence[str], skipped: dict[str, str]) -> Iterator[Coder]:
    """The named peers at all their settings; those that cannot run here are put into ``skipped`` with the reason."""
    for name in names:
        peer = PEERS[name]
        if reason := peer.reason_to_skip():
            skipped[name] = reason
            continue
        for setting in peer.settings:

            def code(_: int, lightmap: Any, frames: np.ndarray, mask: np.ndarray, peer=peer, setting=setting) -> Coded:
                return peer.encode(frames, mask, lightmap.is_radiance, setting)

            yield Coder(name, peer.describe(setting), code)


def measure_coders(
    coders: Sequence[Coder],
    lightmaps: Sequence[Any],
    loaded: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]],
    lpips: Callable | None,
) -> list[Row]:
    """One row per coder over all lightmaps, ``loaded`` as (frames, hours, mask) each; says each row on stderr."""
    rows = []
    for coder in coders:
        start = time.perf_counter()
        measured = []
        for index, (lightmap, (frames, hours, mask)) in enumerate(zip(lightmaps, loaded, strict=True)):
            coded = coder.code(index, lightmap, frames, mask)
            measured.append(measure(lightmap.name, frames, hours, mask, coded, lpips))
        rows.append(summarise(coder.name, coder.setting, measured))
        line = f"{coder.name}, {coder.setting}: {rows[-1].psnr_db:.2f} dB, {rows[-1].bpp_disk:.3f} bpp on disk"
        print(f"{line} ({time.perf_counter() - start:.0f} s)", file=sys.stderr, flush=True)
    return rows


def _load_checkpoint(path: Path, lightmap: Any, size: tuple[int, int]) -> Coded:
    """Shipped, and counted on disk, are the exported latent map and F2's weights; resident are the same arrays."""
    model = load_model(path)
    trained = (model.config.height, model.config.width)
    if trained != size:
        problem = f"is of {trained[1]} x {trained[0]} texels, {lightmap.name} has {size[1]} x {size[0]}"
        raise InputError(path, problem, "give the checkpoint of this lightmap")
    if lightmap.is_radiance:
        problem = f"decodes to display values, {lightmap.name} holds radiance"
        raise InputError(path, problem, "evaluate it on the images it was trained on")
    with tempfile.TemporaryDirectory() as folder:
        shipped = [file for file in export_lightmap(model, Path(folder)) if file.name in (LATENT_MAP, F2_WEIGHTS)]
        size_bytes_disk = sum(file.stat().st_size for file in shipped)
    f2_bytes = sum(4 * parameter.numel() for parameter in model.f2.parameters())
    decoder = model.decoder()
    return Coded(
        size_bytes_disk,
        4 * size[0] * size[1] * model.config.latent_dim + f2_bytes,
        lambda: decoder.render(list(lightmap.hours)),
    )
