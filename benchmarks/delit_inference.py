"""Delighting a video: frames per second of inference_delit.py's pipeline against plain frame-by-frame loops.

    python -m benchmarks.delit_inference --checkpoint CHECKPOINT --clip CLIP

In one run, in turn, with the same model, decoder, encoder and outputs (flat-lit mp4, mean environment):

- ``ours``: the face is found, the network sees the portrait, batches go through it one chain per core, decoding and
  encoding run beside it, the gain is put back into the full frame, light is smoothed over time.
- ``loop``: read a frame, show the network all of it, write what it gives, next frame.
- ``loop, resized``: the same with the frame reduced to the model's own size and flat-lit enlarged again, so that the
  network does as much work per frame as in ours; the picture it gives is as coarse as that size.

Exit status 1 below 3 times the rate of ``loop``.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import torch

from src.inference.delit.delighter import Delighter
from src.inference.delit.video import VideoOptions, delight_video
from src.inference.faces import find_face
from src.inference.work_list import Job
from src.models.delit_model import DelitModel, load
from src.utils.cli import Parser, positive_int, script
from src.utils.color import linear_to_srgb, srgb_to_linear
from src.utils.image_io import write_linear
from src.utils.video_io import VideoReader, VideoWriter

WANTED_SPEEDUP = 3.0


@torch.no_grad()
def plain_loop(model: DelitModel, clip: Path, out: Path, side: int | None) -> None:
    """One frame after the other; with ``side`` the network sees it as ``side`` x ``side``."""
    frames = VideoReader(clip)
    environment, count = 0.0, 0
    with VideoWriter(out / "plain_flat_lit.mp4", frames.fps, audio_from=clip) as video:
        for frame in frames:
            shown = frame if side is None else cv2.resize(frame, (side, side), interpolation=cv2.INTER_AREA)
            relit = srgb_to_linear(torch.from_numpy(shown).float() / 255).permute(2, 0, 1)[None]
            output = model(relit)
            environment = environment + model.environment(output)[0].permute(1, 2, 0).numpy()
            count += 1
            flat_lit = linear_to_srgb(output.flat_lit[0].permute(1, 2, 0).numpy())
            if side is not None:
                flat_lit = cv2.resize(flat_lit, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR)
            video.write(flat_lit)
    write_linear(out / "plain_env_avg.hdr", np.asarray(environment) / count)


@script
def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__)
    parser.add_argument("--checkpoint", type=Path, required=True, help="of train_delit.py")
    parser.add_argument("--clip", type=Path, required=True, help="video to delight")
    parser.add_argument("--batch_size", type=positive_int, default=8)
    parser.add_argument("--rounds", type=positive_int, default=3, help="rounds of all three in turn; medians count")
    args = parser.parse_args(argv)

    frame_count = sum(1 for _ in VideoReader(args.clip))
    model = load(args.checkpoint)
    delighter = Delighter(load(args.checkpoint))  # it has its weights in another memory order

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        runs: dict[str, Callable[[], object]] = {
            "ours": lambda: delight_video(
                Job(args.clip, out / "ours", True), delighter, VideoOptions(batch_size=args.batch_size)
            ),
            "loop": lambda: plain_loop(model, args.clip, out, None),
            "loop, resized": lambda: plain_loop(model, args.clip, out, model.config.image_size),
        }
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        find_face(next(iter(VideoReader(args.clip))))  # what is loaded at the first call belongs to none of them
        with torch.no_grad():
            model(torch.rand(1, 3, 64, 64))
        for _ in range(args.rounds):
            for name, run in runs.items():
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)

    rates = {name: frame_count / statistics.median(times) for name, times in seconds.items()}
    config, threads = model.config, torch.get_num_threads()
    print(f"{config.arch}, base_dim {config.base_dim}, image_size {config.image_size}; {threads} threads")
    print(f"{args.clip.name}, {frame_count} frames\n\n{'':<15}{'frames/s':>9}{'ours is':>9}")
    for name, rate in rates.items():
        print(f"{name:<15}{rate:>9.1f}{rates['ours'] / rate:>8.1f}x")
    return 0 if rates["ours"] >= WANTED_SPEEDUP * rates["loop"] else 1


if __name__ == "__main__":
    sys.exit(main())
