"""What ``train.py`` does with its lightmaps: each is a run of its own, shared out over the processes."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.data.lightmap.atlas import LightmapAtlas
from src.data.lightmap.hprc import HprcLightmap
from src.data.lightmap.sources import Lightmap
from src.data.lightmap_dataset import LightmapDataset
from src.export.bundle import write_bundle
from src.export.files import BUNDLE, describe_sizes
from src.export.grid import export_parts
from src.export.siren import export_siren
from src.models.compressor import load_siren
from src.models.grid.latent_grid import load_grid
from src.tasks.budget_search import search
from src.tasks.grid_task import GridTask
from src.tasks.grid_training import budget_bytes, grid_data, train_grid
from src.tasks.judging import comparison
from src.tasks.lightmap_options import GridOptions, LightmapOptions, SirenOptions
from src.tasks.siren_task import SirenTask
from src.tasks.siren_training import train_siren
from src.training.distributed import Processes
from src.training.identity import run_identity
from src.training.run_dir import open_run_dir
from src.training.trainer import BEST
from src.utils.cli import InputError
from src.utils.image_io import write_display
from src.utils.tile_metrics import day_psnr_db

COMPARISON = "comparison.png"


@dataclass(frozen=True)
class RunResult:
    """One lightmap as it came out; ``closing`` is the run's closing line, ``size_bytes`` what is shipped."""

    name: str
    psnr_db: float
    worst_hour_psnr_db: float
    size_bytes: int
    run_dir: Path
    closing: str
    is_uniform: bool = False  # one colour at each hour: its PSNR says nothing beside those of others


def train_lightmaps(
    lightmaps: Sequence[Lightmap], options: LightmapOptions, group: Processes
) -> tuple[list[RunResult], list[str]]:
    """Train every lightmap; the main process gets all results, in the order of ``lightmaps``, and names of the failed.

    Lightmaps of a set get sub-folders of ``options.out_dir``. A single one that is trained with a SIREN is trained by
    all processes together; otherwise each process trains some lightmaps alone. Where one of several has bad input, that
    is said on stderr, and the others are trained all the same. Raises :class:`InputError` for a single one.
    """
    failed: list[str] = []
    is_siren = isinstance(options.f1, SirenOptions)
    if options.share_f2 and len(lightmaps) > 1:
        atlas = LightmapAtlas(lightmaps)
        mine = train_grid_run(atlas, options.out_dir, options, group.alone()) if group.is_main else []
    elif len(lightmaps) == 1 and is_siren:
        return train_siren_run(lightmaps[0], _run_dir(lightmaps[0], options), options, group), failed
    else:
        train_run = train_siren_run if is_siren else train_grid_run
        mine = []
        for lightmap in share_out(lightmaps, group.count)[group.rank]:
            try:
                mine += train_run(lightmap, _run_dir(lightmap, options), options, group.alone())
            except InputError as error:
                if len(lightmaps) == 1:
                    raise
                print(f"{lightmap.name} failed: {error}", file=sys.stderr, flush=True)
                failed.append(lightmap.name)
    order = [lightmap.name for lightmap in lightmaps]
    parts = group.gather((mine, failed))
    results = sorted((result for part, _ in parts for result in part), key=lambda result: order.index(result.name))
    return results, sorted((name for _, names in parts for name in names), key=order.index)


def share_out(lightmaps: Sequence[Lightmap], count: int) -> list[list[Lightmap]]:
    """The lightmaps of each of ``count`` processes: the largest first, each to the process with the fewest texels."""
    shares: list[list[Lightmap]] = [[] for _ in range(count)]
    loads = [0] * count
    for lightmap in sorted(lightmaps, key=lambda m: -m.height * m.width):
        least = loads.index(min(loads))
        shares[least].append(lightmap)
        loads[least] += lightmap.height * lightmap.width
    return shares


def format_summary(results: Sequence[RunResult]) -> str:
    """A Markdown table with one line per lightmap and their mean, without those that are black or uniform."""
    lines = ["| lightmap | PSNR dB | worst hour dB | kB | folder |", "| --- | --- | --- | --- | --- |"]
    for r in results:
        cells = f"{r.size_bytes / 1e3:.1f} | {r.run_dir}"
        quality = f"{r.psnr_db:.2f} | {r.worst_hour_psnr_db:.2f}"
        if r.is_uniform:
            quality = f"{'black' if math.isnan(r.psnr_db) else 'uniform'} | "
        lines.append(f"| {r.name} | {quality} | {cells} |")
    varied = [r for r in results if not r.is_uniform]
    size_bytes = sum(r.size_bytes for r in results)
    quality = "none varies | "
    if varied:
        mean, worst = sum(r.psnr_db for r in varied) / len(varied), min(r.worst_hour_psnr_db for r in varied)
        quality = f"{mean:.2f} | {worst:.2f}"
    counted = len(results) if len(varied) == len(results) else f"{len(results)} (mean of {len(varied)})"
    return "\n".join([*lines, f"| all {counted} | {quality} | {size_bytes / 1e3:.1f} | |"])


def train_siren_run(lightmap: Lightmap, run_dir: Path, options: LightmapOptions, group: Processes) -> list[RunResult]:
    """Train a SIREN on one lightmap, and export it where asked; the result is on the main process alone."""
    dataset = LightmapDataset.from_lightmap(lightmap, group.device)
    _say(dataset.remarks, group)
    open_run_dir(run_dir, options.flags, dataset.describe(), group)
    identity = run_identity(options.flags, dataset.describe(), group.count)
    assert isinstance(options.f1, SirenOptions)
    trainer = train_siren(dataset, run_dir, options.f1, group, identity)
    if not group.is_main:
        return []

    model = load_siren(trainer.path(BEST), group.device)
    task = SirenTask(model, dataset, group.alone())
    measured = task.validate()
    write_display(run_dir / COMPARISON, comparison(dataset, model.decoder()))
    exports = export_siren(model, run_dir) if options.compute_latent else []
    closing = _closing(measured["psnr_db"], [lightmap], exports, run_dir)
    size_bytes = sum(path.stat().st_size for path in exports[:2])  # latent map and weights
    psnr_db, worst_hour_psnr_db = measured["psnr_db"], measured["worst_hour_psnr_db"]
    (is_uniform,) = dataset.uniform_lightmaps()
    return [RunResult(lightmap.name, psnr_db, worst_hour_psnr_db, size_bytes, run_dir, closing, is_uniform)]


def train_grid_run(
    lightmap: Lightmap | LightmapAtlas, run_dir: Path, options: LightmapOptions, group: Processes
) -> list[RunResult]:
    """Train a latent grid on one lightmap, or on several that share F2 (a result for each), to a target where asked.

    A bundle is always left in ``run_dir``.
    """
    data = LightmapDataset.from_lightmap(lightmap, group.device)
    _say(data.remarks, group)
    open_run_dir(run_dir, options.flags, data.describe(), group)
    note, described = "", data.describe()
    assert isinstance(options.f1, GridOptions)
    data = grid_data(data, options.f1)
    if data.made_hours and group.is_main:
        print(f"made between the baked hours: {', '.join(f'{hour:g}' for hour in data.made_hours)}", flush=True)
    if options.target is not None:
        # Trainings with a number of channels serve any target and any bound on the memory.
        identity = run_identity(options.flags, described, group.count, without=["bpp"])
        best, note = search(data, run_dir, options.f1, group, identity, options.target)
    else:
        identity = run_identity(options.flags, described, group.count)
        best = train_grid(data, run_dir, options.f1, group, identity)

    model = load_grid(best, group.device)
    model.round_f2()
    decoder = model.decoder()
    exports = [run_dir / BUNDLE]
    size_bytes = write_bundle(exports[0], decoder)  # first: what a user waits for
    task = GridTask(model, data, budget_bytes(data, options.f1.bpp), options.f1.seed)
    write_display(run_dir / COMPARISON, comparison(data, decoder))
    exports += export_parts(decoder, run_dir) if options.compute_latent else []
    of_tiles = task.tile_psnr_db()
    parts = lightmap.lightmaps if isinstance(lightmap, LightmapAtlas) else [lightmap]
    closing = note + _closing(day_psnr_db(of_tiles)[0], parts, exports, run_dir)
    results = []
    for part, tiles, is_uniform in zip(parts, model.config.tile_ranges, data.uniform_lightmaps(), strict=True):
        psnr_db, worst_hour_psnr_db = day_psnr_db(of_tiles[tiles.start : tiles.stop])
        share = round(size_bytes * part.height * part.width / model.config.texel_count)
        results.append(RunResult(part.name, psnr_db, worst_hour_psnr_db, share, run_dir, closing, is_uniform))
    return results


def _say(remarks: Sequence[str], group: Processes) -> None:
    """Print what was noticed in the data, once."""
    if group.is_main:
        for line in remarks:
            print(line, flush=True)


def _run_dir(lightmap: Lightmap, options: LightmapOptions) -> Path:
    is_of_set = isinstance(lightmap, HprcLightmap)
    return options.out_dir / lightmap.folder_name if is_of_set else options.out_dir


def _closing(psnr_db: float, lightmaps: Sequence[Lightmap], exports: Sequence[Path], run_dir: Path) -> str:
    source_bytes = sum(file.stat().st_size for lightmap in lightmaps for file in lightmap.files)
    values = sum(lightmap.height * lightmap.width * len(lightmap.hours) * 3 for lightmap in lightmaps)
    sizes = describe_sizes(source_bytes, values, exports, lightmaps[0].is_radiance)
    quality = "black at all hours" if math.isnan(psnr_db) else f"PSNR {psnr_db:.2f} dB"
    return f"{quality}; {sizes}; run in {run_dir}, pictures in {COMPARISON}"
