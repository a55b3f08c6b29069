"""Linear radiance as values in [0, 1] for a network with a bounded output, and back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from src.utils.hour_interpolation import HourInterpolation, detect_events


@dataclass(frozen=True)
class RadianceTransfer:
    """``code = (radiance / scale of the frame) ^ (1 / gamma)``, the scale being the frame's largest value.

    Every hour then uses the whole range, a night as well as noon. ``frame_scale`` goes with ``hours`` (in [0, 24),
    increasing); between them the scale is interpolated, with steps where frames bracket an event.
    """

    hours: tuple[float, ...]
    frame_scale: tuple[float, ...]
    gamma: float

    @classmethod
    def fitted(cls, peaks: Sequence[float], hours: Sequence[float], gamma: float) -> RadianceTransfer:
        """For frames with these ``peaks``; a black frame has scale 0 and decodes to black."""
        return cls(tuple(hours), tuple(max(0.0, float(peak)) for peak in peaks), gamma)

    def encode(self, radiance: Tensor) -> Tensor:
        """Radiance M x T x 3 at all of ``hours`` -> codes in [0, 1]; what is negative becomes 0."""
        scale = torch.tensor(self.frame_scale, dtype=radiance.dtype, device=radiance.device)
        scale = torch.where(scale > 0, scale, 1.0).unsqueeze(1)
        return (radiance.clamp_min(0.0) / scale) ** (1.0 / self.gamma)

    def decode(self, codes: Tensor, hours: Tensor) -> Tensor:
        """Codes M x 3 (or M x T x 3) at ``hours`` (M or T, or a single one) -> linear radiance."""
        first, second, share = HourInterpolation(self.hours, detect_events(self.hours))(hours.double().cpu().numpy())
        scale = np.asarray(self.frame_scale)
        scales = torch.from_numpy((1.0 - share) * scale[first] + share * scale[second])
        return codes**self.gamma * scales.to(codes.device, codes.dtype).unsqueeze(-1)
