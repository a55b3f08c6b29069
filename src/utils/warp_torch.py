"""Pictures moved along optical flow, as torch tensors, differentiable."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def moved(pictures: Tensor, flow: Tensor) -> Tensor:
    """N x C x H x W where each pixel shows what lies ``flow`` N x 2 x H x W (columns, rows) beside it, bilinear.

    Beyond their border pictures go on as there.
    """
    height, width = pictures.shape[-2:]
    rows, columns = (torch.arange(size, dtype=flow.dtype, device=flow.device) for size in (height, width))
    x = (2 * (columns + flow[:, 0]) + 1) / width - 1
    y = (2 * (rows[:, None] + flow[:, 1]) + 1) / height - 1
    grid = torch.stack([x, y], dim=-1)
    return F.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)
