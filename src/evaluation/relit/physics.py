"""How far a model keeps to what light does: relative errors that are 0 for a perfect one."""

from __future__ import annotations

import torch
from torch import Tensor

from src.data.portrait.relit_batches import RelitBatch
from src.models.relit_model import RelitModel

_EXPOSURE = 16.0


@torch.inference_mode()
def physics_figures(model: RelitModel, item: RelitBatch, device: str | torch.device = "cpu") -> dict[str, float]:
    """Largest differences within the mask, over the relit picture's mean, of a batch of one.

    ``linearity_error``: two lights together against the sum of both; the second is the first mirrored.
    ``exposure_error``: light 16 times as strong against the picture 16 times as bright. ``white_error``: uniform light
    of radiance 1 against flat-lit. ``mirror_error`` (a mean, and nothing that construction sees to): a mirrored
    portrait in mirrored light against the mirrored picture.
    """
    flat_lit, mask = item.flat_lit.to(device), item.mask.to(device)
    light = model.fit_environment(item.environment[0, 0].permute(1, 2, 0).numpy())
    transport = model.transport(flat_lit)

    def relit(environment: Tensor) -> Tensor:
        return model.relight(flat_lit, transport, environment)[:, 0] * mask

    one, other = relit(light), relit(light.flip(-1))
    mirrored = model(flat_lit.flip(-1), light.flip(-1))[0][:, 0].flip(-1) * mask
    mean = one.sum() / (3 * mask.sum()).clamp_min(1e-6)
    differences = {
        "linearity_error": (relit(light + light.flip(-1)) - one - other).abs().max(),
        "exposure_error": (relit(_EXPOSURE * light) - _EXPOSURE * one).abs().max() / _EXPOSURE,
        "white_error": (relit(torch.ones_like(light)) - flat_lit * mask).abs().max() * mean,
        "mirror_error": (mirrored - one).abs().sum() / (3 * mask.sum()).clamp_min(1e-6),
    }
    return {name: float(value / mean.clamp_min(1e-12)) for name, value in differences.items()}
