"""Tiny clips in the layout of ``prepare_olat.py --clips``, whose every frame is known."""

from pathlib import Path

import numpy as np

from src.utils.image_io import write_display, write_linear
from src.utils.json_files import write_json

SIZE, FRAMES = 12, 5


def frame(index: int) -> np.ndarray:
    """Flat-lit frame ``index``, one colour."""
    return np.full((SIZE, SIZE, 3), 0.1 * (index + 1), np.float32)


def light() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.5, 2.0, (4, 8, 3)).astype(np.float32)


def write_clip(folder: Path, name: str, split: str = "train") -> None:
    """Still frames are twice as bright as flat-lit ones, turning ones three times; everything moves 1.5 pixels left."""
    write_json(folder / "clips.json", {"format": "synthetic clips 1"})
    clip = folder / name
    write_linear(clip / "env.hdr", light())
    for index in range(FRAMES):
        file = f"{index:03d}.exr"
        for lighting, factor in (("flat_lit", 1), ("still", 2), ("turning", 3)):
            write_linear(clip / lighting / file, factor * frame(index))
        write_display(clip / "mask" / f"{index:03d}.png", np.ones((SIZE, SIZE), np.float32))
        if index:
            write_linear(clip / "flow" / file, np.full((SIZE, SIZE, 3), [1.5, 0, 1], np.float32))
    about = {"split": split, "frames": FRAMES, "turning_degrees": [45.0 * index for index in range(FRAMES)]}
    write_json(clip / "clip.json", about)
