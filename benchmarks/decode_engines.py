"""Milliseconds per frame and nanoseconds per random texel of every way to decode a bundle, on one thread each.

Each round asks every decoder in turn; the fastest round counts, in processor time, so that what else the machine does
weighs little. ``c`` is the C decoder with the machine's widest vectors, ``c_avx2`` with those of AVX2, ``c_plain``
without any of the machine's own; ``wasm`` the same decoder in node, as the viewer has it; ``onnx`` f2_at_hour.onnx in
onnxruntime on latents that are unpacked beforehand, 4 bytes for each value; ``torch`` the Python decoder, which keeps
them unpacked too, a byte for each, for frames.

python -m benchmarks.decode_engines --bundle OUT/day.tod
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from src.utils import cli

if TYPE_CHECKING:
    import numpy as np

    from src.models.grid.decoder import GridDecoder

ROUNDS = 25
HOUR = 12.5
TEXELS = 100_000
BUILDS = {"c": ["-march=native"], "c_avx2": ["-mavx2", "-mfma"], "c_plain": ["-DTOD_PLAIN"]}
VIEWER = Path(__file__).parents[1] / "src" / "export" / "viewer"

Timed = Callable[[], float]  # decodes once, and returns the seconds of processor time it took


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="what rate_distortion.py or export_latent.py wrote")
    return parser.parse_args(argv)


def timed(decode: Callable[[], object]) -> Timed:
    def once() -> float:
        started = time.process_time()
        decode()
        return time.process_time() - started

    return once


def fastest_seconds(ways: dict[str, Timed]) -> dict[str, float]:
    """The least time of each, all of them asked in turn, so that what else the machine does meets all."""
    seconds = [{name: once() for name, once in ways.items()} for _ in range(ROUNDS)]
    return {name: min(taken[name] for taken in seconds) for name in ways}


def onnx_ways(decoder: GridDecoder, uv: np.ndarray) -> tuple[Timed, Timed]:
    """A frame and texels by onnxruntime."""
    import numpy as np
    import onnxruntime

    from src.export.onnx_at_hour import at_hour
    from src.models.grid.engine_f2 import float_latents, grid_f2

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(at_hour(grid_f2(decoder)).SerializeToString(), options)
    hour = np.array([HOUR], np.float32)
    texels, coarser = decoder.latents.valid
    latents = float_latents(decoder, [slice(0, len(texels)), *coarser]).numpy()
    place = np.full(decoder.height * decoder.width, len(latents))
    place[texels.numpy()] = np.arange(len(latents))
    column, row = (uv * (decoder.width, decoder.height)).astype(int).T

    def frame() -> np.ndarray:
        rgb = np.zeros((decoder.height * decoder.width, 3), np.float32)
        rgb[texels.numpy()] = session.run(None, {"z": latents, "hour": hour})[0]
        return rgb

    def points() -> np.ndarray:
        chosen = place[row * decoder.width + column]
        valid = chosen < len(latents)
        rgb = np.zeros((len(uv), 3), np.float32)
        rgb[valid] = session.run(None, {"z": latents[chosen[valid]], "hour": hour})[0]
        return rgb

    return timed(frame), timed(points)


def wasm_ways(bundle: Path, points: Path) -> tuple[subprocess.Popen[str], Timed, Timed]:
    """A frame and texels in node, whose process is to be ended."""
    script = Path(__file__).with_name("wasm_decode.mjs")
    files = [VIEWER / "tod.wasm", VIEWER / "page" / "bundle.js", bundle, HOUR, points]
    node = subprocess.Popen(
        ["node", str(script), *map(str, files)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )

    def ask(what: str) -> float:
        assert node.stdin and node.stdout
        node.stdin.write(what + "\n")
        node.stdin.flush()
        return float(node.stdout.readline()) / 1e3

    return node, lambda: ask("frame"), lambda: ask("texels")


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    import numpy as np
    import torch

    from src.export.bundle import read_bundle
    from src.export.c.binding import CDecoder, build, c_compiler, load

    torch.set_num_threads(1)
    compiler = c_compiler()
    if compiler is None:
        raise cli.InputError("gcc", "there is no C compiler", "install gcc or another one named cc")
    python = read_bundle(arguments.bundle)
    content = arguments.bundle.read_bytes()
    uv = np.random.default_rng(0).random((TEXELS, 2), np.float32)
    xy = torch.from_numpy(uv * 2 - 1)
    expected = python.render(HOUR)
    frames = {"torch": timed(lambda: python.render(HOUR))}
    texels = {"torch": timed(lambda: python.decode(xy, HOUR))}
    frames["onnx"], texels["onnx"] = onnx_ways(python, uv)
    with tempfile.TemporaryDirectory() as folder:
        points = Path(folder) / "points"
        points.write_bytes(uv.tobytes())
        node, frames["wasm"], texels["wasm"] = wasm_ways(arguments.bundle, points)
        try:
            for name, flags in BUILDS.items():
                library = build(compiler, Path(folder) / f"lib{name}.so", ["-std=gnu99", "-O3", *flags])
                decoder = CDecoder(load(library), content)
                frames[name] = timed(partial(decoder.frame, HOUR, out=np.empty_like(expected)))
                texels[name] = timed(partial(decoder.sample, uv, HOUR, out=np.empty((TEXELS, 3), np.float32)))
                if np.abs(decoder.frame(HOUR) - expected).max() > 1e-5 * expected.max():
                    raise cli.InputError(name, "decodes other colours than the Python decoder")
            frame, texel = fastest_seconds(frames), fastest_seconds(texels)
        finally:
            node.kill()
    print("decoder\tframe_ms\tframes_of_torch\ttexel_ns\ttexels_of_torch")
    for name in frames:
        rates = f"{1e3 * frame[name]:.1f}\t{frame['torch'] / frame[name]:.1f}"
        print(f"{name}\t{rates}\t{1e9 * texel[name] / TEXELS:.0f}\t{texel['torch'] / texel[name]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
