"""The delighting loss: named terms for the flat-lit picture, the environment, and the light that they explain together.

Run each term on sample tensors and print its value and the norm of its gradient:

    python -m src.losses.delit_loss [--env_codec dual] [--lpips_net alex] [--lpips_weights FILE]
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.data.portrait.pair_batch import PairBatch
from src.losses import delit_environment as env
from src.models.delit.flat_error import log_flat_error
from src.models.delit.outputs import Delit
from src.utils.color import extended_srgb, luminance
from src.utils.hdr_codec import Codec
from src.utils.sphere_torch import sample

ENV_LOSSES = ("sphere", "original")
# Chosen on portraits rendered under 25 captured environments: weighted, each term is 0.4 for the best constant
# environment and 0.4 to 2.2 for an untrained network, whose environment is some 40 times too bright.
SPHERE_WEIGHTS = {"env_log": 0.1, "env_chroma": 0.4, "env_multiscale": 0.1, "env_sh": 0.1}
# Terms that say nothing of pairs without an environment.
ENVIRONMENT_TERMS = frozenset({*SPHERE_WEIGHTS, "env_rgb_l1", "env_log_mse", "confidence", "physical"})
ALIGNED_WEIGHT = 8.0  # a picture does not say how bright skin is under a light of unknown brightness, but its pattern
PATTERN_WEIGHT = 0.5  # for its gradient to be about that of the aligned difference
EDGES_WEIGHT = 2.0
BRIGHTNESS_WEIGHT = 0.05  # weak: it keeps a picture whose brightness is free near what is usual
TRANSFER_WEIGHT = 0.25
FLAT_CONFIDENCE_WEIGHT = 0.1
FLAT_EXPOSURES = ("true", "free")
_DARKEST_SHADING = 0.05  # of a picture's mean shading: darker than this, relative errors count less
_SHADOW = 0.02  # of pictures at unit exposure: darker than this, relative errors count less
_SMALL_MSE = 1e-3  # of sRGB values, 30 dB
_EDGE_SIZES = 3  # each half of the one before
_SMALLEST_PROBABILITY = 1e-6
_SMALLEST_COVERAGE = 1e-6  # pixels: its inverse, which gradients are multiplied by, is far from overflow

Lpips = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class DelitLossOptions:
    """Weights and variants of :class:`DelitLoss`."""

    lambda_flat: float = 1.0
    lambda_env: float = 1.0
    lambda_flat_lpips: float = 0.0
    lambda_physical: float = 0.0
    env_loss: str = "sphere"  # or "original"
    use_mask: bool = True
    flat_exposure: str = "true"  # or "free": flat-lit is asked for up to one factor of brightness per picture
    without: tuple[str, ...] = ()  # terms that are computed but do not count


class DelitLoss(nn.Module):
    """``(output, batch) -> {"flat_l1": ..., ..., "loss": weighted sum}``: float32 scalars, under autocast too.

    Terms are unweighted. Always: ``flat_l1 flat_aligned flat_pattern flat_edges``, and ``env_log env_chroma
    env_multiscale env_sh`` or, for the original environment loss, ``env_rgb_l1 env_log_mse``. With a free exposure
    ``flat_brightness``. Where their input exists: ``flat_lpips``, ``mask``, ``flat_confidence``, ``confidence``,
    ``physical``, ``transfer``. The environment is compared relative to the exposure the model measured; its terms are
    means over the pairs that have one, 0 with no gradient where none has.
    ``lpips``: see :func:`src.utils.metrics.load_lpips`; needed for a ``lambda_flat_lpips`` above 0.
    """

    def __init__(self, options: DelitLossOptions, codec: Codec, lpips: Lpips | None = None) -> None:
        super().__init__()
        if options.env_loss not in ENV_LOSSES:
            raise ValueError(f"env_loss must be one of {ENV_LOSSES}, not {options.env_loss!r}")
        if options.flat_exposure not in FLAT_EXPOSURES:
            raise ValueError(f"flat_exposure must be one of {FLAT_EXPOSURES}, not {options.flat_exposure!r}")
        if options.lambda_flat_lpips > 0 and lpips is None:
            raise ValueError("lambda_flat_lpips above 0 needs the LPIPS distance")
        self.options, self.codec = options, codec
        self._lpips = lpips
        env_weights = SPHERE_WEIGHTS if options.env_loss == "sphere" else {"env_rgb_l1": 1.0, "env_log_mse": 1.0}
        self.weights = {
            "flat_l1": options.lambda_flat,
            "flat_aligned": ALIGNED_WEIGHT * options.lambda_flat,
            "flat_pattern": PATTERN_WEIGHT * options.lambda_flat,
            "flat_edges": EDGES_WEIGHT * options.lambda_flat,
            "flat_brightness": BRIGHTNESS_WEIGHT * options.lambda_flat,
            "mask": options.lambda_flat,
            "flat_confidence": FLAT_CONFIDENCE_WEIGHT * options.lambda_flat,
            "flat_lpips": options.lambda_flat_lpips,
            "confidence": options.lambda_env,
            "physical": options.lambda_physical,
            "transfer": TRANSFER_WEIGHT * options.lambda_flat,
        } | {name: options.lambda_env * weight for name, weight in env_weights.items()}
        if unknown := set(options.without) - set(self.weights):
            raise ValueError(f"no terms called {sorted(unknown)}")
        self.weights |= dict.fromkeys(options.without, 0.0)

    def forward(self, output: Delit, batch: PairBatch) -> dict[str, Tensor]:
        with torch.autocast(output.flat_lit.device.type, enabled=False):
            terms = self._flat_terms(output, batch) | self._environment_terms(output, batch)
            loss = output.flat_lit.new_zeros(())
            for name, value in terms.items():
                loss = loss + self.weights[name] * value
            terms["loss"] = loss
        return terms

    def _flat_terms(self, output: Delit, batch: PairBatch) -> dict[str, Tensor]:
        predicted, true = _exact(output.flat_lit), _exact(batch.flat_lit).clamp_min(0.0)
        mask = self._mask(batch)
        brightness = {}
        if self.options.flat_exposure == "free":
            factor = exposure_factor(predicted, true, mask)
            brightness["flat_brightness"] = torch.log(factor).abs().mean()
            predicted = predicted * factor
        # The curve goes on above white, so that a picture that is too bright has a gradient.
        shown, wanted = extended_srgb(predicted), extended_srgb(true)
        difference = aligned(shown, wanted, mask) - wanted
        terms = {
            "flat_l1": masked_mean((shown - wanted).abs(), mask),
            "flat_aligned": masked_mean(difference.abs(), mask),
            "flat_pattern": pattern_error(difference, mask),
            "flat_edges": edge_error(shown - wanted, mask),
            **brightness,
        }
        if self._lpips is not None and self.options.lambda_flat_lpips > 0:
            seen = [extended_srgb(picture).clamp_max(1.0) * mask for picture in (true, predicted)]
            terms["flat_lpips"] = self._lpips(*seen).mean()
        if output.mask is not None and self.options.use_mask:
            sure = _exact(output.mask).clamp(_SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
            terms["mask"] = F.binary_cross_entropy(sure, mask)
        if output.flat_error is not None:
            terms["flat_confidence"] = expected_error_nll(_exact(output.flat_error), predicted, true, mask)
        if output.transfer is not None and output.lobes is not None and batch.other is not None:
            environment, shading = _exact(batch.other.environment), _exact(batch.other.shading)
            count = len(environment)
            person = _exact(batch.mask[:count])  # there is no shading elsewhere
            transfer = _exact(output.transfer[:count])
            terms["transfer"] = transfer_error(transfer, output.lobes, environment, shading, person)
        return terms

    def _environment_terms(self, output: Delit, batch: PairBatch) -> dict[str, Tensor]:
        known = batch.has_environment
        if known is None:
            return self._known_environment_terms(output, batch)
        # Through one pair at least, so that every parameter has a gradient, which many processes have to agree upon.
        at = known.nonzero().flatten() if known.any() else torch.zeros(1, dtype=torch.long, device=known.device)
        chosen = output._replace(
            environment_code=output.environment_code[at],
            exposure=output.exposure[at],
            confidence=None if output.confidence is None else output.confidence[at],
        )
        stage = batch.stage and batch.stage.select(at[at < len(batch.stage.mask)])
        of_known = replace(batch, environment=batch.environment[at], stage=stage)
        terms = self._known_environment_terms(chosen, of_known)
        return terms if known.any() else {name: 0.0 * term for name, term in terms.items()}

    def _known_environment_terms(self, output: Delit, batch: PairBatch) -> dict[str, Tensor]:
        code = _exact(output.environment_code)
        true_code = self.codec.encode(batch.environment / output.exposure.detach())
        # Through the code, so that the truth is what a code can hold: a perfect prediction has no error.
        predicted, true = self.codec.decode(code), self.codec.decode(true_code)
        if self.options.env_loss == "sphere":
            terms = {
                "env_log": env.log_error(predicted, true),
                "env_chroma": env.chroma_error(predicted, true),
                "env_multiscale": env.multiscale_error(predicted, true),
                "env_sh": env.irradiance_error(predicted, true),
            }
        else:
            terms = {
                "env_rgb_l1": (code[:, :3] - true_code[:, :3]).abs().mean(),
                "env_log_mse": (code[:, 3:] - true_code[:, 3:]).square().mean(),
            }
        if output.confidence is not None:
            terms["confidence"] = env.confidence_error(_exact(output.confidence), predicted, true)
        if self.options.lambda_physical > 0 and batch.stage is not None:
            stage = batch.stage
            grid = stage.to_stage.to(predicted.dtype)
            ours, theirs = (sample(environment[: len(grid)], grid) for environment in (predicted, true))
            olats, mask = _exact(stage.olats), _exact(stage.mask)
            terms["physical"] = physical_error(ours, theirs, olats, _exact(stage.light_matrix), mask)
        return terms

    def _mask(self, batch: PairBatch) -> Tensor:
        mask = _exact(batch.mask)
        return mask if self.options.use_mask else torch.ones_like(mask)


def physical_error(predicted: Tensor, true: Tensor, olats: Tensor, light_matrix: Tensor, mask: Tensor) -> Tensor:
    """How different the subject looks under both environments: the mean difference of log pictures within the mask.

    Environments N x 3 x H x W are relative to the exposure, so that no term depends on it. Both pictures are made
    from the same ``olats`` N x L x 3 x s x s: what these or too few lights cannot show is not held against the
    prediction. ``light_matrix``: N x L x (H * W), each subject's own; ``mask``: N x 1 x s x s.
    """
    shown = []
    for environment in (predicted, true):
        light = torch.einsum("nlp,ncp->nlc", light_matrix, environment.flatten(2))
        shown.append(torch.log(_SHADOW + torch.einsum("nlc,nlchw->nchw", light, olats).clamp_min(0.0)))
    return masked_mean((shown[0] - shown[1]).abs(), mask)


def aligned(predicted: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    """``predicted`` N x 3 x H x W with the scale and bias of each picture and colour that fit best within the mask."""
    total = mask.sum((2, 3), keepdim=True).clamp_min(1.0)
    p_mean, t_mean = ((picture * mask).sum((2, 3), keepdim=True) / total for picture in (predicted, true))
    p, t = predicted - p_mean, true - t_mean
    scale = (p * t * mask).sum((2, 3), keepdim=True) / ((p.square() * mask).sum((2, 3), keepdim=True) + 1e-4 * total)
    return scale * p + t_mean


def pattern_error(difference: Tensor, mask: Tensor) -> Tensor:
    """``log(1 + MSE / 0.001) / 2`` of N x 3 x H x W sRGB differences within the mask, mean over pictures.

    Dark skin varies little in sRGB values: relative to its own error it counts as much as light skin.
    """
    total = (difference.shape[1] * mask.sum((1, 2, 3))).clamp_min(1.0)
    mean_square = (difference.square() * mask).sum((1, 2, 3)) / total
    return 0.5 * torch.log1p(mean_square / _SMALL_MSE).mean()


def edge_error(difference: Tensor, mask: Tensor) -> Tensor:
    """Mean slope, per pixel, of N x 3 x H x W differences within the mask at three sizes: what is wrong changes slowly.

    An edge of a shadow that is left as relief is small by area, but seen at once (Li and Snavely, "MegaDepth", 2018).
    """
    error = difference.new_zeros(())
    weighted, cover = difference * mask, mask
    for halvings in range(_EDGE_SIZES):
        if halvings:
            weighted, cover = F.avg_pool2d(weighted, 2), F.avg_pool2d(cover, 2)
        level = weighted / cover.clamp_min(_SMALLEST_COVERAGE)
        for axis in (2, 3):
            size = level.shape[axis] - 1
            slope = level.narrow(axis, 1, size) - level.narrow(axis, 0, size)
            error = error + masked_mean(slope.abs(), cover.narrow(axis, 1, size) * cover.narrow(axis, 0, size))
    return error / _EDGE_SIZES


def exposure_factor(predicted: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    """What ``predicted`` N x 3 x H x W is to be multiplied by to have the mean luminance of ``true`` within the mask.

    N x 1 x 1 x 1; 1 for an empty mask.
    """
    ours, theirs = (
        (luminance(picture) * mask[:, 0]).sum((1, 2)).clamp_min(_SMALLEST_COVERAGE) for picture in (predicted, true)
    )
    return (theirs / ours).view(-1, 1, 1, 1)


def expected_error_nll(expected: Tensor, predicted: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    """How badly ``expected`` N x 1 x H x W foretells :func:`log_flat_error`, which gets no gradient from it.

    Negative log-likelihood of an error whose distribution is exponential with mean ``expected``: smallest, pixel by
    pixel, where that is the mean error of all pixels like it.
    """
    found = log_flat_error(predicted, true, mask).detach()
    return masked_mean(torch.log(expected) + found / expected, mask)


def transfer_error(transfer: Tensor, lobes: Tensor, environment: Tensor, shading: Tensor, mask: Tensor) -> Tensor:
    """How wrong a face that is shown in one light would be shaded in another: mean difference of log shading.

    ``transfer`` N x K x h' x w' and ``lobes`` K x (h * w) as in :class:`Delit`; the other light N x 3 x h x w, the lit
    over the flat-lit picture under it N x 3 x H x W, and the mask N x 1 x H x W. A pixel of ``transfer`` is s x s of
    the picture, those of the last row and column as many as there are: ``h' = ceil(H / s)``.
    """
    height, width = transfer.shape[-2:]
    size = (height, width)
    missing = [-(-side // count) * count - side for side, count in zip(mask.shape[-2:], size, strict=True)]
    shading, mask = (F.pad(planes, (0, missing[1], 0, missing[0])) for planes in (shading * mask, mask))
    shading, mask = (F.adaptive_avg_pool2d(planes, size) for planes in (shading, mask))
    shading = shading / mask.clamp_min(_SMALLEST_COVERAGE)
    light = environment.flatten(2) @ lobes.to(environment.dtype).T
    predicted = torch.einsum("nkhw,nck->nchw", transfer, light)
    # Relative to the picture's mean, as if it had been exposed for.
    mean = (shading * mask).sum((1, 2, 3), keepdim=True) / (3 * mask.sum((1, 2, 3), keepdim=True)).clamp_min(1.0)
    logs = (torch.log(_DARKEST_SHADING + picture / mean.clamp_min(1e-6)) for picture in (predicted, shading))
    return masked_mean((next(logs) - next(logs)).abs(), mask)


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean of N x C x H x W weighted by N x 1 x H x W; 0 with a gradient of 0 for an empty mask."""
    total = mask.sum() * values.shape[1]
    return (values * mask).sum() / total.clamp_min(_SMALLEST_COVERAGE)


def _exact(tensor: Tensor) -> Tensor:
    return tensor if tensor.dtype == torch.float64 else tensor.float()


if __name__ == "__main__":
    from src.losses.delit_loss_check import main

    sys.exit(main())
