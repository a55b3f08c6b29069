"""What a relit picture is worth: pure functions of batches, without files.

Pictures are N x 3 x H x W tensors of linear radiance, masks N x 1 x H x W in [0, 1].
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from src.utils.color import linear_to_srgb, luminance
from src.utils.metrics import psnr_db, ssim

EXPOSED_TO = 0.25  # mean luminance of the person in the true picture as it is shown
_DARKEST = 1e-9
_STOPS = (2.0, 0.25, 0.03)  # how far from the best so far exposures are tried, in turn
_TRIES = 17


def relit_metrics(
    prediction: Tensor, truth: Tensor, mask: Tensor, lpips: Callable[[Tensor, Tensor], Tensor] | None = None
) -> dict[str, Tensor]:
    """Named figures, each a float64 tensor of N, of pictures as they are shown: sRGB in [0, 1], within the mask.

    The true picture is exposed so that the person's mean luminance is :data:`EXPOSED_TO`. ``psnr_db``, ``ssim`` and
    ``lpips`` (with black outside the mask): the predicted picture at the exposure that gives it the best PSNR, since
    none but a light meter tells two exposures apart. ``psnr_db_as_is``: at the true picture's. ``exposure_stops``: how
    many stops the two are apart.
    """
    mask = mask.to(prediction.dtype)
    total = mask.sum((1, 2, 3)).clamp_min(_DARKEST)
    means = [((luminance(picture) * mask[:, 0]).sum((1, 2)) / total) for picture in (truth, prediction)]
    truth = truth * _column(EXPOSED_TO / means[0].clamp_min(_DARKEST))
    prediction = prediction * _column(EXPOSED_TO / means[0].clamp_min(_DARKEST))
    shown = linear_to_srgb(truth)
    stops = best_exposure(prediction, shown, mask, torch.log2(means[0] / means[1].clamp_min(_DARKEST)))
    answer = linear_to_srgb(prediction * _column(torch.exp2(stops)))
    figures = {
        "psnr_db": psnr_db(shown, answer, mask),
        "ssim": ssim(shown, answer, mask).double(),
        "psnr_db_as_is": psnr_db(shown, linear_to_srgb(prediction), mask),
        "exposure_stops": stops.double(),
    }
    if lpips is not None:
        figures["lpips"] = lpips(shown * mask, answer * mask).double()
    return {name: values.detach().cpu() for name, values in figures.items()}


def best_exposure(prediction: Tensor, shown: Tensor, mask: Tensor, first: Tensor) -> Tensor:
    """N stops by which linear ``prediction`` is to be brightened to be closest to ``shown``, sRGB in [0, 1].

    Looked for about ``first``, coarse to fine.
    """
    best = first
    for reach in _STOPS:
        tried = best + torch.linspace(-reach, reach, _TRIES, device=best.device)[:, None]  # T x N
        scores = torch.stack(
            [psnr_db(shown, linear_to_srgb(prediction * _column(torch.exp2(stops))), mask) for stops in tried]
        )
        best = tried.gather(0, scores.argmax(0)[None])[0]
    return best


def _column(values: Tensor) -> Tensor:
    return values.view(-1, 1, 1, 1)
