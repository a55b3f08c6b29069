"""Rate and distortion of a latent grid: train to a memory and a time budget, bundle, decode the bundle, measure.

python -m benchmarks.rate_distortion --data_dir LIGHTMAPS --bpp 2.5 --minutes 10 --seed 0 --out_dir OUT

OUT then holds day.tod and the run; one JSON line says what the file gives back. bundle_s and bundle_cpu_s: seconds from
the start, the import of PyTorch included, until the file is there. PSNR: masked, peak = the maximum of each 256 x 256
tile, mean over tiles and hours.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from src.utils import cli


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--data_dir", type=Path, required=True, help="folder of exr, hdr, png or jpg lightmaps")
    add("--bpp", type=cli.positive_float, default=2.5, help="most bits in memory per texel of the map and frame")
    add("--minutes", type=cli.positive_float, default=10.0, help="until the file is there")
    add("--seed", type=cli.non_negative_int, default=0)
    add("--out_dir", type=Path, required=True, help="folder for day.tod and the run")
    add("--latent_bits", type=int, choices=(4, 6, 8), default=8)
    add("--between", choices=("fade", "shadow"), default="fade", help="what is stored between the baked hours")
    add("--lightmap", action="append", default=[], metavar="LEVEL:ID", help="which of an HPRC set with several")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    return parser.parse_args(argv)


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)
    started = time.monotonic()

    import numpy as np

    from src.data.lightmap.sources import open_lightmaps
    from src.data.lightmap_dataset import LightmapDataset
    from src.export.bundle import read_bundle, write_bundle
    from src.models.grid.latent_grid import load
    from src.tasks.grid_training import grid_data, train_grid
    from src.tasks.lightmap_options import GridOptions
    from src.training.distributed import processes
    from src.utils.tile_metrics import tile_metrics

    (lightmap,) = open_lightmaps(arguments.data_dir, select=arguments.lightmap)
    with processes(arguments.device) as group:
        data = LightmapDataset.from_lightmap(lightmap, group.device)
        options = GridOptions(
            bpp=arguments.bpp,
            latent_bits=arguments.latent_bits,
            between=arguments.between,
            seed=arguments.seed,
            time_budget_s=max(1.0, 60.0 * arguments.minutes - (time.monotonic() - started)),
            save_every=1_000_000,
        )
        best = train_grid(grid_data(data, options), arguments.out_dir, options, group, {})
    bundle = arguments.out_dir / "day.tod"
    size_bytes = write_bundle(bundle, load(best))
    bundle_s, bundle_cpu_s = time.monotonic() - started, time.process_time()
    before = time.monotonic()
    decoder = read_bundle(bundle)
    load_s = time.monotonic() - before
    frames, decode_ms = [], []
    for hour in data.hour_values:
        before = time.perf_counter()
        frames.append(decoder.render(hour))
        decode_ms.append(1e3 * (time.perf_counter() - before))
    truth, _, mask = lightmap.load()
    quality = tile_metrics(truth, np.stack(frames), mask)
    hourly = quality.psnr_db[quality.counted]

    result = {
        "psnr_db": round(float(hourly.mean()), 3),
        "worst_hour_psnr_db": round(float(hourly.min()), 3),
        "bpp_memory": round(decoder.bpp_memory(), 4),
        "bpp_disk": round(size_bytes * 8 / (data.height * data.width * len(frames)), 4),
        "size_bytes": size_bytes,
        "latent_dim": decoder.config.latent_dim,
        "bundle_s": round(bundle_s, 2),
        "bundle_cpu_s": round(bundle_cpu_s, 2),
        "load_s": round(load_s, 2),
        "decode_ms": round(float(np.median(decode_ms)), 2),
        "ssim": round(quality.mean("ssim"), 5),
        "psnr_db_by_hour": dict(zip(map(str, data.hour_values), quality.psnr_db.round(2).tolist(), strict=True)),
    }
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main())
