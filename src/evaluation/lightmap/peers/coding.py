"""What all peers share: their interface, and the transfer from radiance to the integers that codecs take."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from src.evaluation.lightmap.quality import Coded

GAMMA = 2.2
SCALE_BYTES = 4  # a frame's scale is kept as one float32


@dataclass(frozen=True)
class Peer:
    """A coder with the settings of its rate-distortion curve.

    ``encode(frames, mask, is_radiance, setting)`` takes what ``src.data.lightmap.sources`` loads. ``describe`` says a
    setting in the coder's own terms. ``requires`` are the packages to import; ``unavailable`` may give another reason
    (or None) why the peer cannot run here. ``encode`` of a peer that ``trains`` takes one argument more: values in
    [0, 1), one for each step, which say how much of its training has passed.
    """

    name: str
    settings: tuple[Any, ...]
    describe: Callable[[Any], str]
    encode: Callable[..., Coded]
    requires: tuple[str, ...] = ()
    unavailable: Callable[[], str | None] = lambda: None
    trains: bool = False

    def reason_to_skip(self) -> str | None:
        """Why the peer cannot run here, or None when it can."""
        absent = [package for package in self.requires if importlib.util.find_spec(package) is None]
        return f"{' and '.join(absent)} not installed" if absent else self.unavailable()


@dataclass(frozen=True)
class Transfer:
    """Gamma 2.2 for radiance, the identity for display values: frames <-> [0, 1].

    Radiance is divided by one scale for all frames, which video needs to predict from frame to frame and pictures
    hardly mind, or by each frame's own peak, which 8-bit codes need in dark frames.
    """

    scales: np.ndarray  # T x 1 x 1 x 1 or 1 x 1 x 1 x 1 float32
    gamma: float

    @classmethod
    def of(cls, frames: np.ndarray, is_radiance: bool, per_frame: bool = False) -> Transfer:
        if not is_radiance:
            return cls(np.ones((1, 1, 1, 1), np.float32), 1.0)
        peaks = frames.max((1, 2, 3) if per_frame else None, keepdims=True)
        return cls(np.where(peaks > 0, peaks, 1).astype(np.float32), GAMMA)

    @property
    def size_bytes(self) -> int:
        return SCALE_BYTES * len(self.scales) if self.gamma != 1 else 0

    def to_unit(self, frames: np.ndarray) -> np.ndarray:
        unit = np.clip(frames / self.scales, 0, 1)
        return unit if self.gamma == 1 else unit ** np.float32(1 / self.gamma)

    def from_unit(self, unit: np.ndarray) -> np.ndarray:
        return (unit if self.gamma == 1 else unit ** np.float32(self.gamma)) * self.scales

    def to_codes(self, frames: np.ndarray, bits: int) -> np.ndarray:
        """``bits``-bit integers, uint8 or uint16."""
        codes = np.round(self.to_unit(frames) * (2**bits - 1))
        return codes.astype(np.uint8 if bits <= 8 else np.uint16)

    def from_codes(self, codes: np.ndarray, bits: int) -> np.ndarray:
        return self.from_unit(codes.astype(np.float32) / (2**bits - 1))


def fill_invalid(planes: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """``planes`` (... x H x W x C) with every invalid texel replaced by its nearest valid one.

    Codecs spend bits on every pixel: without hard edges at the charts' borders they need fewer.
    """
    labels = cv2.distanceTransformWithLabels(
        (~mask).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE, labelType=cv2.DIST_LABEL_PIXEL
    )[1]
    nearest = np.zeros(labels.max() + 1, np.intp)
    valid = np.flatnonzero(mask)
    nearest[labels.ravel()[valid]] = valid
    flat = planes.reshape(*planes.shape[:-3], mask.size, planes.shape[-1])
    return np.take(flat, nearest[labels.ravel()], axis=-2).reshape(planes.shape)


def pad_to_multiple(planes: np.ndarray, multiple: int, least: int = 1) -> np.ndarray:
    """``... x H x W x C`` with edge texels repeated until H and W are multiples and at least ``least``."""
    padding = [(0, max(least - size, -size % multiple)) for size in planes.shape[-3:-1]]
    return np.pad(planes, [*[(0, 0)] * (planes.ndim - 3), *padding, (0, 0)], mode="edge")
