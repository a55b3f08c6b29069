"""The sections of ``benchmarks.gpu`` about portraits: training and inference of delighting, beside the plain way."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from unittest.mock import patch

import cv2
import numpy as np
import torch

import inference_delit
import train_delit
from benchmarks import delit_peer_loop
from benchmarks.delit_throughput import BareTask
from benchmarks.gpu_lightmaps import SHORTEST_SECONDS, logged_rate, steps_per_second
from benchmarks.gpu_table import Row
from src.inference.delit.delighter import Delighter
from src.models.delit_model import CHECKPOINT_KIND, DelitConfig, DelitModel
from src.tasks import delit_training as delit
from src.tasks.portrait_training import open_portrait_data
from src.training.distributed import resolve_device
from src.utils import checkpoint
from src.utils.image_io import write_display, write_linear

SUBJECTS = ENVIRONMENTS = 6  # of which one is held out
NEVER = 10**9  # epochs
FRAMES, FRAME_SIZE = 96, (1280, 720)


def write_pairs(root: Path, size: int) -> None:
    """A training set of smooth random pictures: speed does not depend on what they show."""
    rng = np.random.default_rng(0)

    def picture(height: int, width: int) -> np.ndarray:
        coarse = rng.gamma(2.0, 0.2, (8, 8, 3)).astype(np.float32)
        return np.maximum(cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC), 0.0)

    names = [f"env_{k:03d}" for k in range(ENVIRONMENTS)]
    for name in names:
        write_linear(root / "env_maps" / f"{name}.hdr", picture(64, 128))
    for k in range(SUBJECTS):
        folder = root / "subjects" / f"ID{k:03d}"
        write_linear(folder / "flat_lit.exr", picture(size, size))
        write_display(folder / "mask.png", (picture(size, size)[..., 0] > 0.1).astype(np.float32))
        for name in names:
            write_linear(folder / "relit" / f"{name}.exr", picture(size, size))


def delit_training(device: str, seconds: float, is_tiny: bool, report: Callable[[Row], None]) -> None:
    """``train_delit.py`` on pairs from files beside the loop of ``delit_peer_loop``, validation left out."""
    cases = [(size, batch_size, "off") for size in (256, 512) for batch_size in (4, 16)] + [(512, 16, "bf16")]
    cases = [(32, 2, "off")] if is_tiny else cases
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for size, batch_size, amp in cases:
            if not (root / f"{size}").exists():
                write_pairs(root / f"{size}", size)
            flags = {"data_root": root / f"{size}", "image_size": size, "batch_size": batch_size, "amp": amp}
            flags |= {"base_dim": 32 if is_tiny else 64, "env_height": 32, "env_width": 64, "device": device}
            flags |= {"num_workers": 1 if is_tiny else min(8, os.cpu_count() or 1), "val_every": NEVER}
            flags |= {"save_every": NEVER, "time_budget": max(seconds / len(cases) / 2.5, SHORTEST_SECONDS) / 60}
            note, rates = "", [None, None]
            for k, measure in enumerate((_our_rate, _plain_rate)):
                folder = root / f"run_{size}_{batch_size}_{amp}_{k}"
                try:
                    rates[k] = measure({**flags, "output_dir": folder, "cache_dir": root / "cache"})
                except torch.cuda.OutOfMemoryError:
                    note = f"{('ours', 'plain')[k]}: out of the GPU's memory"
                    torch.cuda.empty_cache()
            case = f"training, {size} x {size}, batches of {batch_size}" + (f", {amp}" if amp != "off" else "")
            report(Row("delit", case, "images/s", *rates, note=note))


def _arguments(flags: dict) -> list[str]:
    return ["--use_mask", "--use_augmentation", *(text for name, v in flags.items() for text in (f"--{name}", str(v)))]


def _our_rate(flags: dict) -> float:
    def train_for(seconds: float, run_dir: Path) -> int:
        with patch.object(delit, "DelitTask", BareTask):
            return train_delit.main(_arguments({**flags, "output_dir": run_dir, "time_budget": seconds / 60}))

    return logged_rate(train_for, flags["output_dir"], "images_per_s", 60 * flags["time_budget"])


def _plain_rate(flags: dict) -> float:
    options = train_delit.parse_arguments(_arguments({**flags, "amp": "off"}))
    dataset = open_portrait_data(options).train
    settling_s = min(4.0, 20.0 * options.time_budget)  # a third of it
    images, seconds = delit_peer_loop.train(options, dataset, resolve_device(options.device), settling_s)
    return images / seconds


def inference(device: str, seconds: float, is_tiny: bool, report: Callable[[Row], None]) -> None:
    """The network alone beside single pictures one after the other, and ``inference_delit.py`` on a clip."""
    torch.manual_seed(0)
    side, width, frames = (32, 32, 4) if is_tiny else (512, 64, FRAMES)
    model = DelitModel(DelitConfig(image_size=side, base_dim=width, env_height=32, env_width=64))
    with tempfile.TemporaryDirectory() as name:
        stored = {"model": {"config": asdict(model.config), "state": model.state_dict()}}
        checkpoint.write(Path(name) / "model.pth", CHECKPOINT_KIND, stored)
        model = model.eval().requires_grad_(False).to(device)
        pictures = [torch.rand(3, side, side) for _ in range(8)]

        @torch.inference_mode()
        def plain() -> int:
            output = model(pictures[0][None].to(device))
            for plane in (output.flat_lit, model.environment(output)):
                plane.cpu().numpy()
            return 1

        plain_rate = steps_per_second(plain, seconds / 6, device)
        delighter = Delighter(model)
        ours = steps_per_second(lambda: len(delighter.predict(pictures)), seconds / 6, device)
        report(Row("inference", f"network, {side} x {side}, batches of 8", "frames/s", ours, plain_rate))

        size = (64, 48) if is_tiny else FRAME_SIZE
        write_clip(Path(name) / "clip.mp4", frames, size)
        argv = ["--checkpoint", str(Path(name) / "model.pth"), "--input", str(Path(name) / "clip.mp4")]
        argv += ["--output_dir", str(Path(name) / "out"), "--device", device, "--overwrite"]
        taken = []
        for _ in range(2):  # what is loaded at the first call does not count
            started = time.perf_counter()
            if inference_delit.main(argv) != 0:
                raise RuntimeError("inference_delit.py failed")
            taken.append(time.perf_counter() - started)
        case = f"inference_delit.py, {frames} frames of {size[0]} x {size[1]}"
        report(Row("inference", case, "frames/s", frames / taken[-1], note="loading of the checkpoint included"))


def write_clip(path: Path, frames: int, size: tuple[int, int]) -> None:
    """A bright disc that moves over a gradient."""
    width, height = size
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 25.0, size)
    back = np.tile(np.linspace(20, 120, width, dtype=np.uint8)[None, :, None], (height, 1, 3))
    for k in range(frames):
        centre = (width // 4 + k * width // (2 * frames), height // 2)
        video.write(cv2.circle(back.copy(), centre, height // 4, (150, 180, 220), -1))
    video.release()
