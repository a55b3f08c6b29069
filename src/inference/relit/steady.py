"""How a surface passes light on, kept steady over the frames of a shot: a running average that follows the surface.

What a network says of a point of a face flickers from frame to frame, and relit skin with it. Flow says where each
pixel's point was in the frame before, so that what is averaged is of one point, and stays as sharp as it was.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from src.models.relit.transport import Transport
from src.utils.color import linear_to_srgb
from src.utils.warp_error import backward_flow
from src.utils.warp_torch import moved

_SECONDS = 0.2  # after which 1 - 1/e of a change has arrived: a face that turns passes light on in another way


class SteadyTransport:
    """Transports of one frame after another -> running averages, which begin as plain means where a point appears."""

    def __init__(self) -> None:
        self._flow_of = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
        self._before: tuple[np.ndarray, Tensor] | None = None

    @torch.inference_mode()
    def __call__(self, seen: Tensor, said: Transport, seconds: float, starts_anew: bool = False) -> Transport:
        """``seen`` 3 x H x W: linear radiance that the network was shown; ``said``: its answer, a batch of one.

        ``seconds``: how long the frame is shown. ``starts_anew``: nothing of the frame before is to be seen.
        """
        shown = linear_to_srgb(seen.permute(1, 2, 0).cpu().numpy())
        grey = cv2.cvtColor(np.rint(shown * 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)
        parts = [said.diffuse.flatten(1, 2), *said[1:]]
        planes = torch.cat([*parts, torch.ones_like(said.mask)], dim=1)  # the last: how many frames are in the average
        if self._before is not None and not starts_anew and self._before[0].shape == grey.shape:
            flow, trusted = backward_flow(self._flow_of, self._before[0], grey)
            motion = torch.from_numpy(np.dstack([flow, trusted]).astype(np.float32)).permute(2, 0, 1)[None]
            planes = _average(self._before[1], planes, motion.to(planes.device), seconds)
        self._before = (grey, planes)
        diffuse, share, mirrored, mask, _ = planes.split([*(part.shape[1] for part in parts), 1], dim=1)
        return Transport(diffuse.unflatten(1, said.diffuse.shape[1:3]), share, F.normalize(mirrored, dim=1), mask)


def _average(mean: Tensor, fresh: Tensor, motion: Tensor, seconds: float) -> Tensor:
    """1 x C x h x w of either, the count last; ``motion`` 1 x 3 x H x W: flow, in its own pixels, and if it holds."""
    height, width = fresh.shape[-2:]
    scale = motion.new_tensor([width / motion.shape[3], height / motion.shape[2], 1.0]).view(1, 3, 1, 1)
    motion = F.adaptive_avg_pool2d(motion, (height, width)) * scale
    mean = moved(mean, motion[:, :2])
    count = mean[:, -1:] * motion[:, 2:]
    share = (1 / (1 + count)).clamp_min(1 - math.exp(-seconds / _SECONDS))
    return torch.cat([torch.lerp(mean[:, :-1], fresh[:, :-1], share), 1 + count], dim=1)
