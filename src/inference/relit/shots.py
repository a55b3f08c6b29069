"""The frames of a flat-lit video on their way to the network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain, islice, repeat
from pathlib import Path

import numpy as np

from src.inference.crops import Crop, whole_picture
from src.inference.delit.video import Framing
from src.inference.faces import FaceTracker
from src.inference.temporal import CutDetector
from src.utils.cli import InputError
from src.utils.color import srgb_to_linear
from src.utils.video_io import FrameFolder, VideoReader

_LINEAR = srgb_to_linear(np.arange(256, dtype=np.float32) / 255)  # radiance of each 8-bit sRGB code
_BLOCK = 8  # frames between which a face is looked for


@dataclass(frozen=True)
class Shot:
    """A frame of a flat-lit video and the part of it that the network is to see."""

    picture: np.ndarray  # H x W x 3 linear radiance
    mask: np.ndarray | None
    crop: Crop
    starts_anew: bool
    start: Fraction
    duration: Fraction


def read_shots(
    frames: VideoReader | FrameFolder, masks: VideoReader | FrameFolder | None, crops: bool
) -> Iterator[Shot]:
    """The frames of a flat-lit video with the portrait about the face, which is followed from frame to frame."""
    cuts, tracker, framing = CutDetector(), FaceTracker(), Framing()
    stream = iter(frames.timed())
    coverage: Iterator[np.ndarray | None] = repeat(None) if masks is None else iter(masks)
    while block := list(islice(stream, _BLOCK)):
        pictures = [frame.picture for frame in block]
        is_cut = [cuts.is_cut(picture) for picture in pictures]
        faces = tracker.track(pictures, is_cut) if crops else [None] * len(pictures)
        for frame, cut, face in zip(block, is_cut, faces, strict=True):
            crop, starts_anew = framing(face, cut, *frame.picture.shape[:2])
            yield Shot(
                _LINEAR[frame.picture],
                _next_mask(coverage, frame.picture, None if masks is None else masks.path),
                crop,
                starts_anew,
                frame.start,
                frame.duration,
            )


def peeked(shots: Iterator[Shot]) -> tuple[Shot, Iterator[Shot]]:
    """The first of them, and all of them."""
    first = next(shots)
    return first, chain([first], shots)


def alone(shots: Iterator[Shot]) -> Iterator[Shot]:
    """What the network sees of the first frame, of all frames, as pictures of their own: for another background."""
    first, shots = peeked(shots)
    inside = first.crop.inside(*first.picture.shape[:2])
    for shot in shots:
        mask = None if shot.mask is None else inside.cut(shot.mask)
        crop = whole_picture(inside.height, inside.width)
        yield replace(shot, picture=inside.cut(shot.picture), mask=mask, crop=crop)


def _next_mask(coverage: Iterator[np.ndarray | None], picture: np.ndarray, path: Path | None) -> np.ndarray | None:
    if path is None:
        return None
    mask = next(coverage, None)
    if mask is None or mask.shape[:2] != picture.shape[:2]:
        problem = "has fewer frames than the video" if mask is None else "is of another size than the video"
        raise InputError(path, problem, "give the masks of that video")
    return mask.mean(axis=2, dtype=np.float32) / 255
