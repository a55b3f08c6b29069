"""What ``inference_relit.py`` does: opens what it is given and writes what comes out."""

from __future__ import annotations

import argparse
import tempfile
import warnings
from dataclasses import replace
from functools import cached_property
from pathlib import Path

import torch

from src.data.portrait import names
from src.data.stage.environments import read_environment
from src.inference.delit.delighter import Delighter
from src.inference.delit.video import VideoOptions, delight_video
from src.inference.relit.background import KEEP, open_background
from src.inference.relit.lighting import Lighting
from src.inference.relit.outputs import write_pictures
from src.inference.relit.portraits import Portrait, delight_portrait, read_portrait
from src.inference.relit.relighter import Relighter
from src.inference.relit.shots import alone, peeked, read_shots
from src.inference.relit.video import relit_frames, turntable
from src.inference.work_list import Job
from src.models import delit_model, relit_model
from src.models.shipped import shipped_checkpoint
from src.utils.cli import InputError
from src.utils.image_io import LDR_SUFFIXES, read_linear
from src.utils.video_io import open_frames


class Relighting:
    """The two models, each read when it is first needed; without a checkpoint those that come with the repository."""

    def __init__(self, relit: Path | None, delit: Path | None, device: torch.device, crops: bool) -> None:
        self._relit, self._delit, self._device, self.crops = relit, delit, device, crops

    @cached_property
    def relighter(self) -> Relighter:
        path = self._relit or shipped_checkpoint("--checkpoint", "relit")
        return Relighter(relit_model.load(path, self._device), self.crops)

    @cached_property
    def delighter(self) -> Delighter:
        path = self._delit or shipped_checkpoint("--delit_checkpoint", "delit")
        return Delighter(delit_model.load(path, self._device), crops=self.crops, keep_exposure=True)


def light_of(args: argparse.Namespace, relighting: Relighting) -> Lighting:
    """The environment that is given, or the one that is found in another picture, as often turned as asked for."""
    if args.env:
        environment = read_environment(args.env)
        if not environment.any():
            raise InputError(args.env, "is black", "give an environment with light in it")
        if args.env.suffix.lower() in LDR_SUFFIXES:
            warnings.warn(f"{args.env}: codes end at white, so that lamps and the sun are too dim in it", stacklevel=2)
    else:
        other = read_linear(args.light_from).clip(0, None)
        is_coded = args.light_from.suffix.lower() in LDR_SUFFIXES
        environment = relighting.delighter(other, is_coded).prediction.environment
    lighting = Lighting.of(environment, args.env_rotation)
    return replace(lighting, gain=args.exposure) if args.exposure else lighting


def relight_still(args: argparse.Namespace, relighting: Relighting, lighting: Lighting) -> str:
    """One picture in one light, or in several as a turntable; says what was done."""
    portrait = _portrait_of(args, relighting)
    if args.background != KEEP:
        portrait = portrait.alone()
    height, width = portrait.flat_lit.shape[:2]
    background = open_background(args.background, height, width)
    relighter = relighting.relighter
    transport = relighter.transport(portrait.flat_lit, portrait.mask, portrait.crop, portrait.mask_is_of_crop)
    if not args.exposure:
        lighting = lighting.exposed(relighter, transport)
    pictures = turntable(relighter, transport, lighting, background)
    count = write_pictures(args.out, pictures, len(lighting.rotations), args.fps)
    return f"{args.out}: {count} {'picture' if count == 1 else 'pictures'}, {portrait.note}"


def relight_video(args: argparse.Namespace, relighting: Relighting, lighting: Lighting) -> str:
    """A video, frame by frame; says what was done. A video in any light is delighted into a temporary folder first."""
    with tempfile.TemporaryDirectory() as folder:
        flat_lit = args.flat_lit
        if flat_lit is None:
            job = Job(args.input, Path(folder) / "clip", is_video=True)
            delight_video(
                job,
                relighting.delighter,
                VideoOptions(smooth=args.temporal == "ema", folder_fps=args.fps),
                show_progress=True,
            )
            flat_lit = job.output(names.FLAT_LIT_VIDEO)
        frames = open_frames(flat_lit, args.fps)
        masks = open_frames(args.mask, args.fps) if args.mask else None
        shots = read_shots(frames, masks, relighting.crops)
        if args.background != KEEP:
            shots = alone(shots)
        first, shots = peeked(shots)
        background = open_background(args.background, *first.picture.shape[:2])
        steadies = args.temporal == "ema"
        pictures = relit_frames(relighting.relighter, shots, lighting, background, not args.exposure, steadies)
        audio = flat_lit if flat_lit.is_file() else None
        count = write_pictures(args.out, pictures, frames.frame_count, frames.fps, audio, frames.sample_aspect_ratio)
    return f"{args.out}: {count} frames"


def _portrait_of(args: argparse.Namespace, relighting: Relighting) -> Portrait:
    if args.flat_lit:
        return read_portrait(args.flat_lit, args.mask, relighting.crops)
    return delight_portrait(args.input, relighting.delighter, args.mask)[0]
