"""Consecutive frames of people who move, for relighting: synthetic clips, and filmed ones with pseudo labels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol

import cv2
import numpy as np
import torch

from src.data.portrait.pseudo_labels import PseudoLabels
from src.data.portrait.relit_batches import RelitBatch
from src.data.stage.captures import subject_folders
from src.data.stage.environments import read_environment
from src.utils.cli import InputError
from src.utils.color import srgb_to_linear
from src.utils.image_io import read_linear, read_mask
from src.utils.json_files import read_json
from src.utils.resize import resize_area
from src.utils.sphere import resize_environment, rotate_environment_y
from src.utils.warp_error import backward_flow

CLIPS_FILE, CLIP_FILE = "clips.json", "clip.json"
LIGHTINGS = ("still", "turning")


class ClipSource(Protocol):
    """Clips that windows are drawn from."""

    def draw(self, random: torch.Generator, frames: int) -> RelitBatch:
        """``frames`` consecutive frames of a random clip, on the CPU, under one light each."""
        ...

    def describe(self) -> dict[str, str]:
        """What is there, by name, for the identity of a run."""
        ...


def open_clips(folder: Path, image_size: int, env_size: tuple[int, int], source: int) -> ClipSource:
    """Clips of ``prepare_olat.py --clips`` or a set of pseudo labels; ``source``: their number among the sources.

    Raises InputError where the folder holds neither.
    """
    for place in (folder, folder / "clips"):
        if (place / CLIPS_FILE).is_file():
            return SyntheticClips(place, image_size, env_size, source)
    return LabelledClips(PseudoLabels(folder), image_size, env_size, source)


class SyntheticClips:
    """Clips with true flow, those of the split "train"; see docs/olat.md for their layout."""

    def __init__(self, folder: Path, image_size: int, env_size: tuple[int, int], source: int) -> None:
        self.folder, self.size, self.env_size, self.source = folder, image_size, env_size, source
        about: dict[Path, Any] = {p: read_json(p / CLIP_FILE) for p in subject_folders(folder) if _is_clip(p)}
        self._clips = {place: clip for place, clip in about.items() if clip["split"] == "train"}
        if not self._clips:
            raise InputError(folder, "holds no clips to train on", "make some: prepare_olat.py --clips 20")

    def describe(self) -> dict[str, str]:
        return {place.name: str(clip["frames"]) for place, clip in self._clips.items()}

    def draw(self, random: torch.Generator, frames: int) -> RelitBatch:
        place, clip = list(self._clips.items())[_below(random, len(self._clips))]
        lighting = LIGHTINGS[_below(random, len(LIGHTINGS))]
        count = min(frames, clip["frames"])
        window = range(first := _below(random, clip["frames"] - count + 1), first + count)
        files = [f"{frame:03d}.exr" for frame in window]
        flat_lit, relit = (
            np.stack([self._read(place / name / file) for file in files]) for name in ("flat_lit", lighting)
        )
        masks = [resize_area(read_mask(place / "mask" / file), self.size, self.size) for file in _as_png(files)]
        environment = read_environment(place / "env.hdr")
        turns = [clip["turning_degrees"][frame] if lighting == "turning" else 0.0 for frame in window]
        lights = [resize_environment(rotate_environment_y(environment, turn), *self.env_size) for turn in turns]
        flow = np.stack([np.zeros_like(flat_lit[0]), *(self._flow(place / "flow" / file) for file in files[1:])])
        mask = np.stack(masks)[..., None]
        return _window(flat_lit, flat_lit, relit, mask, np.stack(lights), flow, place.name, self.source)

    def _read(self, path: Path) -> np.ndarray:
        return resize_area(read_linear(path), self.size, self.size)

    def _flow(self, path: Path) -> np.ndarray:
        flow = read_linear(path)
        scale = np.array([self.size / flow.shape[1], self.size / flow.shape[0], 1.0], np.float32)
        flow = resize_area(flow, self.size, self.size) * scale
        flow[..., 2] = flow[..., 2] > 0.99  # a pixel that was hidden in part has no one place
        return flow


class LabelledClips:
    """Filmed clips that delighting has labelled; their flow is estimated."""

    def __init__(self, labels: PseudoLabels, image_size: int, env_size: tuple[int, int], source: int) -> None:
        self.labels, self.size, self.env_size, self.source = labels, image_size, env_size, source

    def describe(self) -> dict[str, str]:
        return {clip.name: str(clip.finished) for clip in self.labels.clips}

    def draw(self, random: torch.Generator, frames: int) -> RelitBatch:
        clip = self.labels.clips[_below(random, len(self.labels.clips))]
        count = min(frames, clip.frames)
        got = self.labels.read(clip, self.size, _below(random, clip.frames - count + 1), count)
        relit, flat_lit = (srgb_to_linear(part.astype(np.float32) / 255) for part in (got.relit, got.flat_lit))
        mask = got.mask[..., None].astype(np.float32) / 255
        lights = np.stack([resize_environment(light, *self.env_size) for light in got.environment])
        flow_of = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        grey = [cv2.cvtColor(np.ascontiguousarray(frame), cv2.COLOR_RGB2GRAY) for frame in got.relit]
        flows = [np.zeros_like(flat_lit[0])]
        for before, after, begins in zip(grey, grey[1:], got.begins_shot[1:], strict=False):
            flow, trusted = backward_flow(flow_of, before, after)
            flows.append(np.dstack([flow, trusted & ~begins]).astype(np.float32))
        window = _window(flat_lit, flat_lit * mask, relit * mask, mask, lights, np.stack(flows), clip.name, self.source)
        if got.confidence is None:
            return window
        return replace(window, confidence=torch.from_numpy(got.confidence[:, None].astype(np.float32) / 255))


def _window(
    shown: np.ndarray,
    flat_lit: np.ndarray,
    relit: np.ndarray,
    mask: np.ndarray,
    lights: np.ndarray,
    flow: np.ndarray,
    name: str,
    source: int,
) -> RelitBatch:
    """From T x H x W x C arrays."""
    parts = (shown, flat_lit, relit, mask, lights, flow)
    seen, flat, lit, coverage, environments, moved = (
        torch.from_numpy(np.ascontiguousarray(np.moveaxis(part, -1, 1), np.float32)) for part in parts
    )
    count = len(seen)
    return RelitBatch(
        shown=seen.clamp_min(0),
        flat_lit=flat.clamp_min(0),
        mask=coverage,
        environment=environments[:, None],
        relit=lit.clamp_min(0)[:, None],
        name=[name] * count,
        source=torch.full((count,), source, dtype=torch.long),
        flow=moved,
    )


def _as_png(files: list[str]) -> list[str]:
    return [file.replace(".exr", ".png") for file in files]


def _is_clip(folder: Path) -> bool:
    return (folder / CLIP_FILE).is_file()


def _below(random: torch.Generator, count: int) -> int:
    return int(torch.randint(count, (), generator=random))
