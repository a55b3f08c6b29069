"""Image-based relighting: its speed against a per-light loop, and its pictures against a path tracer's.

    python -m benchmarks.olat_relight
    python -m benchmarks.olat_relight --olat_root OLAT --reference_root DATA_ROOT   # adds the table of PSNRs

Speed: 331 lights x 512 x 512 x 24 environments from memory, as a share of this machine's float32 matrix rate (a square
product of the same library in the same run) and against a loop that adds one light after the other. Exit status 1 below
60 % of the one or 5 times the other.

Pictures: ``DATA_ROOT/subjects/ID/relit/ENV.exr``, rendered under whole environments, against relighting from
``OLAT/ID/*.exr`` with ``OLAT/lights.json``, inside the mask, values clipped at 4, for both kinds of weights.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from src.data.stage.captures import lights_file, read_blocks
from src.data.stage.environments import read_environment
from src.data.stage.lights import read_lights
from src.data.stage.olat import WEIGHTS, LightCells, accumulate
from src.utils.cli import Parser, positive_int, script
from src.utils.image_io import image_size, list_images, read_linear, read_mask

WANTED_SHARE, WANTED_SPEEDUP = 0.6, 5.0
_CLIP = 4.0


def best_seconds(run: Callable[[], object], repeats: int) -> float:
    """The shortest of several runs: what the machine can do, undisturbed."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return min(times)


def measure_speed(lights: int, size: int, environments: int, repeats: int) -> tuple[float, float]:
    """(share of the matrix rate, speed-up over the loop); prints the numbers behind them."""
    rng = np.random.default_rng(0)
    pixels = size * size
    olats = rng.random((3, lights, pixels), np.float32)
    coefficients = rng.random((3, environments, lights), np.float32)
    square = rng.random((3072, 3072), np.float32)
    sums = np.zeros((3, environments, pixels), np.float32)
    looped = np.zeros_like(sums)

    def product() -> None:
        accumulate(sums, coefficients, olats, fresh=True)

    def loop() -> None:
        looped[:] = 0
        for light in range(lights):
            for environment in range(environments):
                looped[:, environment] += coefficients[:, environment, light, None] * olats[:, light]

    # Alternating, so that whatever else the machine does meets all of them.
    rates, products = [], []
    for _ in range(repeats):
        rates.append(2 * len(square) ** 3 / best_seconds(lambda: square @ square, 2))
        products.append(best_seconds(product, 2))
    loop_seconds = best_seconds(loop, 1)
    np.testing.assert_allclose(sums, looped, rtol=1e-3)
    rate, seconds = max(rates), min(products)
    achieved = 2 * 3 * lights * pixels * environments / seconds
    share, speedup = achieved / rate, loop_seconds / seconds
    print(f"float32 matrix rate {rate / 1e9:.0f} GFLOP/s; relighting {achieved / 1e9:.0f} GFLOP/s = {share:.0%}")
    print(
        f"{lights} lights x {size} x {size} x {environments} environments: {seconds * 1e3:.0f} ms, "
        f"per-light loop {loop_seconds * 1e3:.0f} ms = {speedup:.1f} x"
    )
    return share, speedup


def psnr_db(picture: np.ndarray, reference: np.ndarray, inside: np.ndarray, peak: float | None) -> float:
    """Within ``inside``, clipped at 4; ``peak`` None takes the clipped reference's largest value there."""
    picture, reference = picture.clip(0, _CLIP)[inside], reference.clip(0, _CLIP)[inside]
    peak = float(reference.max()) if peak is None else peak
    return float(10 * np.log10(peak**2 / np.mean((picture - reference) ** 2)))


def compare_pictures(olat_root: Path, reference_root: Path) -> None:
    """Print a Markdown table: PSNR of every pair, peak = the reference's largest value and peak = 4, both weights."""
    lights = read_lights(lights_file(olat_root, None))
    all_cells = {weights: LightCells(lights, weights) for weights in WEIGHTS}
    print(
        "\n| subject | environment | largest value | "
        + " | ".join(f"{w} (dB)" for w in WEIGHTS)
        + " | "
        + " | ".join(f"{w}, peak 4 (dB)" for w in WEIGHTS)
        + " |\n"
        + "| --- " * 7
        + "|"
    )
    table = []
    for folder in sorted(path for path in (reference_root / "subjects").iterdir() if (path / "relit").is_dir()):
        images = [path for path in list_images(olat_root / folder.name) if path.stem != "mask"]
        height, width = image_size(images[0])
        _, olats = next(read_blocks(images, len(images), "linear", (height, width)))
        inside = read_mask(folder / "mask.png") > 0.99
        for path in list_images(folder / "relit"):
            environment = read_environment(reference_root / "env_maps" / f"{path.stem}.hdr")
            reference = read_linear(path)
            coefficients = np.stack([cells.integrate(environment) for cells in all_cells.values()])
            sums = np.empty((3, len(all_cells), height * width), np.float32)
            accumulate(sums, np.ascontiguousarray(np.moveaxis(coefficients, 2, 0)), olats, fresh=True)
            pictures = np.moveaxis(sums, 0, 2).reshape(-1, height, width, 3)
            row = [psnr_db(picture, reference, inside, peak) for peak in (None, _CLIP) for picture in pictures]
            table.append(row)
            print(
                f"| {folder.name} | {path.stem} | {reference.clip(0, _CLIP)[inside].max():.2f} | "
                + " | ".join(f"{value:.1f}" for value in row)
                + " |",
                flush=True,
            )
    for label, row in (("median", np.median(table, axis=0)), ("mean", np.mean(table, axis=0))):
        print(f"| all | {label} | | " + " | ".join(f"{value:.2f}" for value in row) + " |")


@script
def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__)
    parser.add_argument("--lights", type=positive_int, default=331)
    parser.add_argument("--size", type=positive_int, default=512)
    parser.add_argument("--environments", type=positive_int, default=24)
    parser.add_argument("--repeats", type=positive_int, default=5)
    parser.add_argument("--olat_root", type=Path, help="captures: a folder per subject and lights.json")
    parser.add_argument("--reference_root", type=Path, help="pictures of the same subjects under whole environments")
    args = parser.parse_args(argv)

    share, speedup = measure_speed(args.lights, args.size, args.environments, args.repeats)
    if args.olat_root and args.reference_root:
        compare_pictures(args.olat_root, args.reference_root)
    return 0 if share >= WANTED_SHARE and speedup >= WANTED_SPEEDUP else 1


if __name__ == "__main__":
    sys.exit(main())
