"""Relit and delighted again: does the circle close?"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from src.data.portrait.relit_batches import RelitBatch
from src.evaluation.delit.metrics import environment_metrics, flat_lit_metrics
from src.models.delit_model import DelitModel
from src.utils.compositing import put_before
from src.utils.sphere import perspective_directions, sample_environment

_FOV_DEGREES = 30.0  # vertical, of the camera that sees the environment behind the person


@torch.inference_mode()
def cycle_figures(
    relit: Tensor, item: RelitBatch, delit: DelitModel, device: str | torch.device = "cpu"
) -> dict[str, float]:
    """How far ``delit`` of the relit picture is from the flat-lit picture and the light it was made from.

    ``cycle_psnr_db_aligned``: of flat-lit, sRGB, scale and bias of each colour fitted; ``cycle_diffuse_angular_deg``
    and ``cycle_peak_angle_deg``: of the environment. ``relit`` 1 x 3 x S x S; behind it is the environment.
    """
    environment = np.ascontiguousarray(item.environment[0, 0].permute(1, 2, 0).numpy())
    height, width = relit.shape[-2:]
    behind = sample_environment(environment, perspective_directions(height, width, _FOV_DEGREES))
    background = torch.from_numpy(behind.transpose(2, 0, 1).copy())[None]
    output = delit(put_before(background, relit * item.mask, item.mask).to(device))
    flat = flat_lit_metrics(output.flat_lit.cpu(), item.flat_lit, item.mask)
    light = environment_metrics(delit.environment(output).cpu(), item.environment[:, 0])
    return {
        "cycle_psnr_db_aligned": float(flat["srgb_psnr_db_aligned"][0]),
        "cycle_diffuse_angular_deg": float(light["diffuse_angular_deg"][0]),
        "cycle_peak_angle_deg": float(light["peak_angle_deg"][0]),
    }
