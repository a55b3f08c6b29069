"""What ``train.py`` does with its lightmaps: each is a run of its own, shared out over the processes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.data.lightmap.atlas import LightmapAtlas
from src.data.lightmap.hprc import HprcLightmap
from src.data.lightmap.sources import Lightmap
from src.data.lightmap_dataset import LightmapDataset
from src.export.bundle import encode_bundle
from src.export.files import describe_sizes
from src.export.grid import export_grid
from src.export.siren import export_siren
from src.models.compressor import load_siren
from src.models.grid.latent_grid import load_grid
from src.tasks.budget_search import search
from src.tasks.grid_task import GridTask
from src.tasks.grid_training import budget_bytes, train_grid
from src.tasks.judging import comparison
from src.tasks.lightmap_options import LightmapOptions, SirenOptions
from src.tasks.siren_task import SirenTask
from src.tasks.siren_training import train_siren
from src.training.distributed import Processes
from src.training.identity import run_identity
from src.training.run_dir import open_run_dir
from src.training.trainer import BEST
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


def train_lightmaps(lightmaps: Sequence[Lightmap], options: LightmapOptions, group: Processes) -> list[RunResult]:
    """Train every lightmap; the main process gets all results, in the order of ``lightmaps``.

    Lightmaps of a set get sub-folders of ``options.out_dir``. A single one that is trained with a SIREN is trained by
    all processes together; otherwise each process trains some lightmaps alone.
    """
    is_siren = isinstance(options.f1, SirenOptions)
    if options.share_f2 and len(lightmaps) > 1:
        atlas = LightmapAtlas(lightmaps)
        mine = train_grid_run(atlas, options.out_dir, options, group.alone()) if group.is_main else []
    elif len(lightmaps) == 1 and is_siren:
        return train_siren_run(lightmaps[0], _run_dir(lightmaps[0], options), options, group)
    else:
        train_run = train_siren_run if is_siren else train_grid_run
        mine = []
        for lightmap in share_out(lightmaps, group.count)[group.rank]:
            mine += train_run(lightmap, _run_dir(lightmap, options), options, group.alone())
    order = [lightmap.name for lightmap in lightmaps]
    results = [result for part in group.gather(mine) for result in part]
    return sorted(results, key=lambda result: order.index(result.name))


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
    """A Markdown table with one line per lightmap and their mean, from which those that are all black are left out."""
    lines = ["| lightmap | PSNR dB | worst hour dB | kB | folder |", "| --- | --- | --- | --- | --- |"]
    for r in results:
        cells = f"{_decibels(r.psnr_db)} | {_decibels(r.worst_hour_psnr_db)} | {r.size_bytes / 1e3:.1f} | {r.run_dir}"
        lines.append(f"| {r.name} | {cells} |")
    lit = [r for r in results if not math.isnan(r.psnr_db)]
    mean = sum(r.psnr_db for r in lit) / len(lit) if lit else math.nan
    worst = min((r.worst_hour_psnr_db for r in lit), default=math.nan)
    size_bytes = sum(r.size_bytes for r in results)
    cells = f"{_decibels(mean)} | {_decibels(worst)} | {size_bytes / 1e3:.1f}"
    return "\n".join([*lines, f"| all {len(results)} | {cells} | |"])


def _decibels(psnr_db: float) -> str:
    return "black" if math.isnan(psnr_db) else f"{psnr_db:.2f}"


def train_siren_run(lightmap: Lightmap, run_dir: Path, options: LightmapOptions, group: Processes) -> list[RunResult]:
    """Train a SIREN on one lightmap, and export it where asked; the result is on the main process alone."""
    dataset = LightmapDataset.from_lightmap(lightmap, group.device)
    _say(dataset.remarks, group)
    open_run_dir(run_dir, options.flags, dataset.describe(), group)
    identity = run_identity(options.flags, dataset.describe(), group.count)
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
    return [RunResult(lightmap.name, psnr_db, worst_hour_psnr_db, size_bytes, run_dir, closing)]


def train_grid_run(
    lightmap: Lightmap | LightmapAtlas, run_dir: Path, options: LightmapOptions, group: Processes
) -> list[RunResult]:
    """Train a latent grid on one lightmap, or on several that share F2 (a result for each), to a target where asked."""
    data = LightmapDataset.from_lightmap(lightmap, group.device)
    _say(data.remarks, group)
    open_run_dir(run_dir, options.flags, data.describe(), group)
    note = ""
    if options.target is not None:
        # Trainings with a number of channels serve any target and any bound on the memory.
        identity = run_identity(options.flags, data.describe(), group.count, without=["bpp"])
        best, note = search(data, run_dir, options.f1, group, identity, options.target)
    else:
        identity = run_identity(options.flags, data.describe(), group.count)
        best = train_grid(data, run_dir, options.f1, group, identity)

    model = load_grid(best, group.device)
    model.round_f2()
    task = GridTask(model, data, budget_bytes(data, options.f1.bpp), options.f1.seed)
    decoder = model.decoder()
    write_display(run_dir / COMPARISON, comparison(data, decoder))
    exports = export_grid(decoder, run_dir) if options.compute_latent else []
    size_bytes = exports[0].stat().st_size if exports else len(encode_bundle(decoder))
    of_tiles = task.tile_psnr_db()
    parts = lightmap.lightmaps if isinstance(lightmap, LightmapAtlas) else [lightmap]
    closing = note + _closing(day_psnr_db(of_tiles)[0], parts, exports, run_dir)
    results = []
    for part, tiles in zip(parts, model.config.tile_ranges, strict=True):
        psnr_db, worst_hour_psnr_db = day_psnr_db(of_tiles[tiles.start : tiles.stop])
        share = round(size_bytes * part.height * part.width / model.config.texel_count)
        results.append(RunResult(part.name, psnr_db, worst_hour_psnr_db, share, run_dir, closing))
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
