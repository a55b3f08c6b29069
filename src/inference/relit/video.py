"""Videos and turntables in new light: frames through the network, stills in every turn of the light."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from src.inference.relit.background import Background
from src.inference.relit.lighting import Lighting
from src.inference.relit.relighter import PortraitTransport, Relighter
from src.inference.relit.shots import Shot
from src.inference.relit.windows import portraits_over_time


@dataclass(frozen=True)
class Picture:
    """One relit picture of a sequence."""

    relit: np.ndarray  # H x W x 3 linear radiance
    start: Fraction | None = None  # seconds; None: one frame after the one before
    duration: Fraction | None = None


def turntable(
    relighter: Relighter, portrait: PortraitTransport, lighting: Lighting, background: Background
) -> Iterator[Picture]:
    """A still in every rotation of the light."""
    for index in range(len(lighting.rotations)):
        light = lighting.at(index)
        yield Picture(relighter.relight(portrait, light, background(light)))


def relit_frames(
    relighter: Relighter,
    shots: Iterator[Shot],
    lighting: Lighting,
    background: Background,
    exposes: bool,
    steadies: bool = True,
) -> Iterator[Picture]:
    """The frames of a video, each in the next rotation of the light. ``exposes``: bright as the first frame is;
    ``steadies``: what the network says is averaged along the motion."""
    for index, (shot, portrait) in enumerate(portraits_over_time(relighter, shots, steadies)):
        if exposes and index == 0:
            lighting = lighting.exposed(relighter, portrait)
        light = lighting.at(index)
        yield Picture(relighter.relight(portrait, light, background(light)), shot.start, shot.duration)
