"""Seconds until a latent grid reaches a PSNR, against the plain way to train the same model, in one run.

python -m benchmarks.grid_time_to_quality --data_dir LIGHTMAPS --bpp 2.5 --psnr_db 39

The plain way: latents and F2 start at random, batches are shuffled single samples (texel, hour), mean squared error,
dense Adam. Both ways are judged by the same measure on rounded latents; measuring does not count.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from src.utils import cli

BATCH_SAMPLES = 65536
SECONDS_BETWEEN_MEASURES = 5.0


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--data_dir", type=Path, required=True, help="folder of exr, hdr, png or jpg lightmaps")
    add("--bpp", type=cli.positive_float, default=2.5, help="bits in memory per texel of the map and frame")
    add("--psnr_db", type=cli.positive_float, default=39.0, help="the quality to reach")
    add("--limit_minutes", type=cli.positive_float, default=5.0, help="after which a way counts as not arrived")
    add("--seed", type=cli.non_negative_int, default=0)
    return parser.parse_args(argv)


def plain_steps(task, seed: int) -> Callable[[], None]:
    """The usual loop: returns what does one step."""
    import torch

    model, data = task.model, task.dataset
    torch.manual_seed(seed)
    model.frame_scale.copy_(data.texels.amax(dim=(0, 2)))
    for table in model.tables():
        torch.nn.init.uniform_(table, -0.5, 0.5)
    f2 = model.f2_weights
    torch.nn.init.xavier_uniform_(f2.hour_weight)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    hours = len(data.hour_values)

    def step() -> None:
        sample = torch.randint(data.texel_count * hours, (BATCH_SAMPLES,), device=data.device)
        texel, hour = sample // hours, sample % hours
        z = model.z(texel)
        z = z + (torch.rand_like(z) - 0.5) * model.quantiser.step
        weight = f2.hour_weight.unflatten(1, (-1, 3))[:, hour]  # F x M x 3
        predicted = torch.einsum("mf,fmc->mc", f2.features(z), weight) + f2.hour_bias.view(-1, 3)[hour]
        target = data.texels[texel, hour] / model.frame_scale[hour, None]
        optimizer.zero_grad()
        (predicted - target).square().mean().backward()
        optimizer.step()

    return step


def seconds_until(
    psnr_db: float, task, step: Callable[[], None], limit_s: float, spent_s: float
) -> tuple[float, float]:
    """(seconds, PSNR reached); the seconds are infinite when the limit comes first."""
    while True:
        reached = task.validate()["psnr_db"]
        if reached >= psnr_db:
            return spent_s, reached
        if spent_s > limit_s:
            return float("inf"), reached
        started = time.perf_counter()
        while time.perf_counter() - started < SECONDS_BETWEEN_MEASURES:
            step()
        spent_s += time.perf_counter() - started


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    import torch

    from src.data.lightmap.sources import open_lightmaps
    from src.data.lightmap_dataset import LightmapDataset
    from src.models.grid.latent_grid import LatentGrid
    from src.tasks.grid_task import GridTask
    from src.tasks.grid_training import budget_bytes, grid_batches, grid_optimizer, grid_size
    from src.tasks.lightmap_options import GridOptions

    (lightmap,) = open_lightmaps(arguments.data_dir)
    data = LightmapDataset.from_lightmap(lightmap)
    options = GridOptions(bpp=arguments.bpp, seed=arguments.seed)
    limit_s = 60.0 * arguments.limit_minutes

    torch.manual_seed(arguments.seed)
    started = time.perf_counter()
    size, budget = grid_size(data, options), budget_bytes(data, options.bpp)
    ours = GridTask(LatentGrid(size.config, data.mask), data, budget, options.seed, size.scale, size.fill)
    batches = grid_batches(ours.model, options)
    ours.prepare(batches, lambda done, total: None)
    start_s = time.perf_counter() - started
    optimizer, epoch = grid_optimizer(ours.model), batches.epoch(0, 0)

    def our_step() -> None:
        nonlocal epoch
        batch = next(epoch, None)
        if batch is None:
            epoch = batches.epoch(ours.step, 0)
            batch = next(epoch)
        ours.step += 1
        optimizer.zero_grad()
        ours(batch)["loss"].backward()
        optimizer.step()

    our_s, our_psnr = seconds_until(arguments.psnr_db, ours, our_step, limit_s, start_s)

    plain = GridTask(LatentGrid(ours.model.config, data.mask), data, budget, arguments.seed)
    plain_s, plain_psnr = seconds_until(arguments.psnr_db, plain, plain_steps(plain, arguments.seed), limit_s, 0.0)
    result = {"psnr_db": arguments.psnr_db, "ours_s": round(our_s, 1), "ours_psnr_db": round(our_psnr, 2)}
    result |= {
        "plain_s": plain_s if plain_s == float("inf") else round(plain_s, 1),
        "plain_psnr_db": round(plain_psnr, 2),
    }
    print(json.dumps(result | {"speedup_at_least": round(min(plain_s, limit_s) / our_s, 1)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
