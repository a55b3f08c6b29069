"""The delighting loss: named terms for the flat-lit picture, the environment, and the light that they explain together.

Run each term on sample tensors and print its value and the norm of its gradient:

    python -m src.losses.delit_loss [--env_codec dual] [--lpips_net alex] [--lpips_weights FILE]
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.losses import delit_environment as env
from src.models.delit_model import Delit
from src.utils import cli
from src.utils.color import extended_srgb
from src.utils.hdr_codec import CODECS, Codec, make_codec
from src.utils.metrics import LPIPS_BACKBONES, load_lpips
from src.utils.sphere import pixel_directions, pixel_solid_angles, voronoi_cells
from src.utils.sphere_torch import sample, sampling_grid

ENV_LOSSES = ("sphere", "original")
LPIPS_WEIGHT = 0.1  # lambda_flat_lpips where LPIPS is asked for and no weight is given
# Chosen on portraits rendered under 25 captured environments: weighted, each term is 0.4 for the best constant
# environment and 0.4 to 2.2 for an untrained network, whose environment is some 40 times too bright.
SPHERE_WEIGHTS = {"env_log": 0.1, "env_chroma": 0.4, "env_multiscale": 0.1, "env_sh": 0.1}
ALIGNED_WEIGHT = 8.0  # a picture does not say how bright skin is under a light of unknown brightness, but its pattern
TRANSFER_WEIGHT = 0.25
_DARKEST_SHADING = 0.05  # of a picture's mean shading: darker than this, relative errors count less
_SHADOW = 0.02  # of pictures at unit exposure: darker than this, relative errors count less
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


class DelitPairs(TypedDict):
    """N training pairs; pictures are linear radiance."""

    relit: Tensor  # N x 3 x S x S
    flat_lit: Tensor  # N x 3 x S x S
    mask: Tensor  # N x 1 x S x S in [0, 1]
    environment: Tensor  # N x 3 x H x W
    name: list[str]


class DelitBatch(DelitPairs, total=False):
    """What a data loader collates; the rest is of its first n pairs, for the terms ``transfer`` and ``physical``."""

    other_environment: Tensor  # n x 3 x H x W
    other_shading: Tensor  # n x 3 x S x S: lit over flat-lit under it
    olats: Tensor  # n x L x 3 x s x s: subjects as captured, under one light at a time, linear, at any size
    stage_mask: Tensor  # n x 1 x s x s in [0, 1]
    light_matrix: Tensor  # L x (H * W): environment to the light that each of the L stands for
    to_stage: Tensor  # n x H x W x 2: what src.utils.sphere_torch.sample takes environments to the stage's frame by


class DelitLoss(nn.Module):
    """``(output, batch) -> {"flat_l1": ..., ..., "loss": weighted sum}``: float32 scalars, under autocast too.

    Terms are unweighted. Always: ``flat_l1 flat_aligned``, and ``env_log env_chroma env_multiscale env_sh`` or, for the
    original environment loss, ``env_rgb_l1 env_log_mse``. Where their input exists: ``flat_lpips``, ``mask``,
    ``confidence``, ``physical``, ``transfer``. The environment is compared relative to the exposure the model measured.
    ``lpips``: see :func:`src.utils.metrics.load_lpips`; needed for a ``lambda_flat_lpips`` above 0.
    """

    def __init__(self, options: DelitLossOptions, codec: Codec, lpips: Lpips | None = None) -> None:
        super().__init__()
        if options.env_loss not in ENV_LOSSES:
            raise ValueError(f"env_loss must be one of {ENV_LOSSES}, not {options.env_loss!r}")
        if options.lambda_flat_lpips > 0 and lpips is None:
            raise ValueError("lambda_flat_lpips above 0 needs the LPIPS distance")
        self.options, self.codec = options, codec
        self._lpips = lpips
        env_weights = SPHERE_WEIGHTS if options.env_loss == "sphere" else {"env_rgb_l1": 1.0, "env_log_mse": 1.0}
        self.weights = {
            "flat_l1": options.lambda_flat,
            "flat_aligned": ALIGNED_WEIGHT * options.lambda_flat,
            "mask": options.lambda_flat,
            "flat_lpips": options.lambda_flat_lpips,
            "confidence": options.lambda_env,
            "physical": options.lambda_physical,
            "transfer": TRANSFER_WEIGHT * options.lambda_flat,
        } | {name: options.lambda_env * weight for name, weight in env_weights.items()}

    def forward(self, output: Delit, batch: DelitBatch) -> dict[str, Tensor]:
        with torch.autocast(output.flat_lit.device.type, enabled=False):
            terms = self._flat_terms(output, batch) | self._environment_terms(output, batch)
            terms["loss"] = sum(self.weights[name] * value for name, value in terms.items())
        return terms

    def _flat_terms(self, output: Delit, batch: DelitBatch) -> dict[str, Tensor]:
        predicted, true = _exact(output.flat_lit), _exact(batch["flat_lit"]).clamp_min(0.0)
        mask = self._mask(batch)
        # The curve goes on above white, so that a picture that is too bright has a gradient.
        shown, wanted = extended_srgb(predicted), extended_srgb(true)
        terms = {
            "flat_l1": masked_mean((shown - wanted).abs(), mask),
            "flat_aligned": masked_mean((aligned(shown, wanted, mask) - wanted).abs(), mask),
        }
        if self.options.lambda_flat_lpips > 0:
            shown = [extended_srgb(picture).clamp_max(1.0) * mask for picture in (true, predicted)]
            terms["flat_lpips"] = self._lpips(*shown).mean()
        if output.mask is not None and self.options.use_mask:
            sure = _exact(output.mask).clamp(_SMALLEST_PROBABILITY, 1 - _SMALLEST_PROBABILITY)
            terms["mask"] = F.binary_cross_entropy(sure, mask)
        if output.transfer is not None and "other_environment" in batch:
            other = _exact(batch["other_environment"]), _exact(batch["other_shading"])
            count = len(other[0])
            person = _exact(batch["mask"][:count])  # there is no shading elsewhere
            terms["transfer"] = transfer_error(_exact(output.transfer[:count]), output.lobes, *other, person)
        return terms

    def _environment_terms(self, output: Delit, batch: DelitBatch) -> dict[str, Tensor]:
        code = _exact(output.environment_code)
        true_code = self.codec.encode(batch["environment"] / output.exposure.detach())
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
        if self.options.lambda_physical > 0 and "olats" in batch:
            grid, olats = batch["to_stage"].to(predicted.dtype), _exact(batch["olats"])
            turned = (sample(environment[: len(grid)], grid) for environment in (predicted, true))
            mask = _exact(batch["stage_mask"])
            terms["physical"] = physical_error(*turned, olats, _exact(batch["light_matrix"]), mask)
        return terms

    def _mask(self, batch: DelitBatch) -> Tensor:
        mask = _exact(batch["mask"])
        return mask if self.options.use_mask else torch.ones_like(mask)


def physical_error(predicted: Tensor, true: Tensor, olats: Tensor, light_matrix: Tensor, mask: Tensor) -> Tensor:
    """How different the subject looks under both environments: the mean difference of log pictures within the mask.

    Environments N x 3 x H x W are relative to the exposure, so that no term depends on it. Both pictures are made
    from the same OLATs: what these or too few lights cannot show is not held against the prediction.
    ``mask``: N x 1 x s x s.
    """
    shown = []
    for environment in (predicted, true):
        light = torch.einsum("lp,ncp->nlc", light_matrix, environment.flatten(2))
        shown.append(torch.log(_SHADOW + torch.einsum("nlc,nlchw->nchw", light, olats).clamp_min(0.0)))
    return masked_mean((shown[0] - shown[1]).abs(), mask)


def aligned(predicted: Tensor, true: Tensor, mask: Tensor) -> Tensor:
    """``predicted`` N x 3 x H x W with the scale and bias of each picture and colour that fit best within the mask."""
    total = mask.sum((2, 3), keepdim=True).clamp_min(1.0)
    p_mean, t_mean = ((picture * mask).sum((2, 3), keepdim=True) / total for picture in (predicted, true))
    p, t = predicted - p_mean, true - t_mean
    scale = (p * t * mask).sum((2, 3), keepdim=True) / ((p.square() * mask).sum((2, 3), keepdim=True) + 1e-4 * total)
    return scale * p + t_mean


def transfer_error(transfer: Tensor, lobes: Tensor, environment: Tensor, shading: Tensor, mask: Tensor) -> Tensor:
    """How wrong a face that is shown in one light would be shaded in another: mean difference of log shading.

    ``transfer`` N x K x h' x w' and ``lobes`` K x (h * w) as in :class:`Delit`; the other light N x 3 x h x w, the lit
    over the flat-lit picture under it N x 3 x H x W, and the mask N x 1 x H x W.
    """
    size = transfer.shape[-2:]
    shading, mask = F.adaptive_avg_pool2d(shading * mask, size), F.adaptive_avg_pool2d(mask, size)
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


def sample_tensors(codec: Codec, size: int = 64, rows: int = 16, lights: int = 12) -> tuple[Delit, DelitBatch]:
    """An output (leaves that need gradients) and a batch of 2 of smooth random pictures, environments and OLATs."""
    generator = torch.Generator().manual_seed(0)

    def smooth(*shape: int) -> Tensor:
        coarse = torch.rand(*shape[:-2], 4, 4, generator=generator).flatten(0, -4)
        return F.interpolate(coarse, shape[-2:], mode="bilinear").reshape(shape)

    directions = torch.randn(lights, 3, generator=generator)
    directions = (directions / directions.norm(dim=1, keepdim=True)).numpy()
    cells = torch.from_numpy(voronoi_cells(directions, rows, 2 * rows)).long().flatten()
    solid_angles = torch.from_numpy(pixel_solid_angles(rows, 2 * rows)).float().flatten()
    sun = torch.from_numpy(pixel_directions(rows, 2 * rows) @ directions[0]).float()
    environment = smooth(2, 3, rows, 2 * rows) + 50 * (20 * (sun - 1)).exp()
    flat_lit = smooth(2, 3, size, size)
    mask = (smooth(2, 1, size, size) > 0.4).float()
    light_matrix = F.one_hot(cells, lights).T * solid_angles
    transfer = smooth(2, lights, size // 4, size // 4)
    output = Delit(
        flat_lit=flat_lit * 1.3,
        environment_code=codec.encode(environment * (0.2 + smooth(2, 3, rows, 2 * rows))),
        exposure=torch.ones(2, 1, 1, 1),
        confidence=smooth(2, 1, rows, 2 * rows),
        mask=smooth(2, 1, size, size),
        transfer=transfer / transfer.sum(dim=1, keepdim=True),
        lobes=light_matrix / light_matrix.sum(dim=1, keepdim=True).clamp_min(1e-6),
    )
    batch = DelitBatch(
        relit=flat_lit * smooth(2, 1, size, size),
        flat_lit=flat_lit,
        mask=mask,
        environment=environment,
        name=["first", "second"],
        other_environment=environment.flip(0),
        other_shading=smooth(2, 3, size, size),
        olats=smooth(2, lights, 3, size // 4, size // 4),
        stage_mask=F.interpolate(mask, (size // 4, size // 4), mode="area"),
        light_matrix=light_matrix,
        to_stage=sampling_grid(torch.from_numpy(pixel_directions(rows, 2 * rows)), rows, 2 * rows).expand(
            2, -1, -1, -1
        ),
    )
    for leaf in (output.flat_lit, output.environment_code, output.confidence, output.mask, output.transfer):
        leaf.requires_grad_(True)
    return output, batch


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.Parser(__doc__)
    parser.add_argument("--env_codec", choices=CODECS, default="log", help="how radiance becomes codes in [0, 1]")
    parser.add_argument("--lpips_net", choices=tuple(LPIPS_BACKBONES), default="alex")
    parser.add_argument("--lpips_weights", help="the backbone's file; otherwise torch's cache is looked into")
    args = parser.parse_args(argv)

    codec = make_codec(args.env_codec)
    output, batch = sample_tensors(codec)
    leaves = [value for value in output if value.requires_grad]
    lpips = skipped = None
    try:
        lpips = load_lpips(args.lpips_net, args.lpips_weights)
    except cli.InputError as error:
        if args.lpips_weights is not None:
            raise
        skipped = error

    lpips_weight = 0.0 if lpips is None else LPIPS_WEIGHT
    for env_loss in ENV_LOSSES:
        options = DelitLossOptions(lambda_flat_lpips=lpips_weight, lambda_physical=1.0, env_loss=env_loss)
        terms = DelitLoss(options, codec, lpips)(output, batch)
        print(f"--env_loss {env_loss}\n  {'term':<15} {'value':>9} {'|gradient|':>11}")
        for name, value in terms.items():
            gradients = torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True)
            norm = torch.cat([gradient.flatten() for gradient in gradients if gradient is not None]).norm()
            print(f"  {name:<15} {value.item():>9.5f} {norm.item():>11.6f}")
    if skipped is not None:
        print(f"flat_lpips skipped: {skipped}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
