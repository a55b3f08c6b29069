"""The relighting loss: how relit pictures differ from true ones, as they are shown and in their shadows."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.losses.delit_loss import masked_mean
from src.utils.color import extended_srgb, luminance
from src.utils.warp_torch import moved

SHOWN_WEIGHT, LOG_WEIGHT, EDGES_WEIGHT, MASK_WEIGHT = 4.0, 0.5, 2.0, 0.1
STEADY_WEIGHT, STEADY_LIGHT_WEIGHT, STEADY_MASK_WEIGHT = 4.0, 30.0, 20.0
_EXPOSED_TO = 0.25  # the mean luminance of the person in a picture as it is shown
_SHADOW = 0.05  # of pictures so exposed: darker than this, relative errors count less
_DARKEST = 1e-6  # mean luminance
_SMALLEST_PROBABILITY = 1e-6


class RelitLoss(nn.Module):
    """Named terms of relit pictures N x M x 3 x H x W against true ones, ``loss`` among them: float32 scalars.

    Both are exposed as the true one asks for, so that bright light counts no more than dim light. ``relit_shown``:
    mean difference of sRGB, whose curve goes on above white; ``relit_log``: of logarithms; ``relit_edges``: of
    differences of neighbouring pixels, of which shadows' outlines are; ``mask``: cross entropy. ``mask`` N x 1 x H x W
    is where the first three count; ``seen_mask`` N x 1 x H x W is the one predicted.

    With the true ``transfer`` of light through lobes, N x 3 x K x h x w, and the ``predicted`` one, ``transfer``: how
    far the shares are apart, as Kullback-Leibler divergence, which says of every light at once what pictures say of a
    few; ``guidance`` is its weight. With the ``flow`` of consecutive frames, N x 3 x H x W (columns and rows to where
    a pixel was in the frame before, and whether it was seen there), ``steady``: how much the error changes along it;
    ``steady_mask``: how much the predicted mask does; and with ``skin`` N x L x 3 x h x w, what white skin is under
    lights that there are no true pictures in, ``steady_light``: how much that changes, exposed to the same mean.

    ``confidence`` N x 1 x H x W in [0, 1] is what errors of pictures and of their steadiness are multiplied by, where
    true pictures are labels that were predicted: those that are not sure of themselves teach less.
    """

    def forward(
        self,
        relit: Tensor,
        true: Tensor,
        mask: Tensor,
        seen_mask: Tensor,
        transfer: Tensor | None = None,
        predicted: Tensor | None = None,
        guidance: float = 0.0,
        flow: Tensor | None = None,
        confidence: Tensor | None = None,
        skin: Tensor | None = None,
    ) -> dict[str, Tensor]:
        lights = relit.shape[1]
        person = mask.repeat_interleave(lights, dim=0)
        relit, true = relit.flatten(0, 1).float(), true.flatten(0, 1).float()
        total = person.sum((1, 2, 3)).clamp_min(1.0)
        mean = (luminance(true) * person[:, 0]).sum((1, 2)) / total
        sureness = torch.ones_like(mask) if confidence is None else confidence
        weight = person * sureness.repeat_interleave(lights, dim=0)
        certain = weight.sum() / person.sum().clamp_min(1.0)  # makes means of errors means of errors times confidence
        exposure = (_EXPOSED_TO / mean.clamp_min(_DARKEST)).view(-1, 1, 1, 1)
        relit, true = relit * exposure, true * exposure
        shown, wanted = extended_srgb(relit), extended_srgb(true)
        sure = seen_mask.float().clamp(_SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
        terms = {
            "relit_shown": certain * masked_mean((shown - wanted).abs(), weight),
            "relit_log": certain * masked_mean((torch.log(relit + _SHADOW) - torch.log(true + _SHADOW)).abs(), weight),
            "relit_edges": certain * _edge_error(shown - wanted, weight),
            "mask": F.binary_cross_entropy(sure, mask),
        }
        terms["loss"] = (
            SHOWN_WEIGHT * terms["relit_shown"]
            + LOG_WEIGHT * terms["relit_log"]
            + EDGES_WEIGHT * terms["relit_edges"]
            + MASK_WEIGHT * terms["mask"]
        )
        if flow is not None:
            error = (shown - wanted).unflatten(0, (-1, lights)).flatten(1, 2)
            terms["steady"] = certain * _unsteadiness(error, flow, mask * sureness)
            terms["steady_mask"] = _unsteadiness(seen_mask.float(), flow, torch.ones_like(mask))
            terms["loss"] = terms["loss"] + STEADY_WEIGHT * terms["steady"] + STEADY_MASK_WEIGHT * terms["steady_mask"]
            if skin is not None:
                terms["steady_light"] = _unsteady_skin(skin.float(), flow, mask)
                terms["loss"] = terms["loss"] + STEADY_LIGHT_WEIGHT * terms["steady_light"]
        if transfer is not None and predicted is not None:
            terms["transfer"] = _divergence(transfer, predicted.float(), mask)
            terms["loss"] = terms["loss"] + guidance * terms["transfer"]
        return terms


def _unsteadiness(error: Tensor, flow: Tensor, mask: Tensor) -> Tensor:
    """Mean absolute difference of N x C x H x W and the one before it, moved along N x 3 x H x W to where it is now."""
    before = moved(error[:-1], flow[1:, :2])
    return masked_mean((error[1:] - before).abs(), flow[1:, 2:3] * mask[1:])


def _unsteady_skin(skin: Tensor, flow: Tensor, mask: Tensor) -> Tensor:
    """That of N x L x 3 x h x w as it is shown; flow and mask are those of pictures H x W."""
    height, width = skin.shape[-2:]
    scale = flow.new_tensor([width / flow.shape[3], height / flow.shape[2], 1.0]).view(1, 3, 1, 1)
    flow, mask = F.adaptive_avg_pool2d(flow, (height, width)) * scale, F.adaptive_avg_pool2d(mask, (height, width))
    brightness = luminance(skin.flatten(0, 1)).unflatten(0, skin.shape[:2])  # N x L x h x w
    mean = (brightness * mask).sum((0, 2, 3)) / mask.sum().clamp_min(1.0)
    exposure = _EXPOSED_TO / mean.clamp_min(_DARKEST)
    return _unsteadiness(extended_srgb(skin * exposure.view(1, -1, 1, 1, 1)).flatten(1, 2), flow, mask)


def _divergence(true: Tensor, predicted: Tensor, mask: Tensor) -> Tensor:
    """Mean over pixels within the mask and colours of ``sum_k t_k log(t_k / p_k)``."""
    logs = torch.log(true + _SMALLEST_PROBABILITY) - torch.log(predicted + _SMALLEST_PROBABILITY)
    height, width = true.shape[-2:]
    return masked_mean((true * logs).sum(2), F.adaptive_avg_pool2d(mask, (height, width)))


def _edge_error(difference: Tensor, weight: Tensor) -> Tensor:
    """Mean change of N x 3 x H x W from pixel to pixel, down and across, where both are within N x 1 x H x W."""
    across = masked_mean(difference.diff(dim=3).abs(), weight[..., 1:] * weight[..., :-1])
    down = masked_mean(difference.diff(dim=2).abs(), weight[..., 1:, :] * weight[..., :-1, :])
    return across + down
