"""Cameras as they are outside of a laboratory: what they make of a batch of linear pictures, on its device.

Each change is made to some pictures of a batch, drawn from the generator that is passed in. What a camera does to all
of a picture's light alike, a cast, belongs to the environment too; everything else is in the lit picture alone.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

from src.data.portrait.augmentation import normal, uniform
from src.data.portrait.pair_batch import PairBatch
from src.utils.color import linear_to_srgb, luminance, srgb_to_linear
from src.utils.seeding import on_device

CHANGES = ("low_resolution", "blur", "noise", "response", "exposure", "jpeg")  # in the order in which they are made
SHARES = {"low_resolution": 0.15, "blur": 0.1, "noise": 0.1, "response": 0.35, "exposure": 0.2, "jpeg": 0.2}
CAST = 0.3  # standard deviation of the log of a cast's gains
CROSSTALK = 0.06  # of a colour into another
GAMMAS = (0.75, 1.35)  # of tone curves about the mean
REDUCTIONS = (2, 3, 4)
BLUR_SIGMAS = (0.003, 0.015)  # of the picture's side
PHOTONS = (20.0, 300.0)  # at the mean
READ_NOISE = 2.0  # photons
BURNT = (0.03, 0.4)  # share of the picture that clips
DARK_STOPS = (2.0, 7.0)  # by which white is above the brightest pixel
JPEG_SCALES = (0.3, 3.0)  # of quantisation steps; 1 is about quality 50
_BLOCK = 8
_DARKEST = 1e-6


def photograph_in_the_wild(random: torch.Generator, batch: PairBatch, names: frozenset[str]) -> PairBatch:
    """The batch with those of :data:`CHANGES` that ``names`` holds, each made to :data:`SHARES` of its pictures."""
    for name in CHANGES:
        if name not in names:
            continue
        chosen = (torch.rand(len(batch), generator=random) < SHARES[name]).nonzero().flatten()
        if not len(chosen):
            continue
        at = chosen.to(batch.relit.device)
        pictures = batch.relit[at]
        if name == "response":
            gains = torch.exp(normal(random, CAST, len(at), 3, 1, 1)).to(pictures.device)
            environment = batch.environment.index_copy(0, at, batch.environment[at] * gains)
            batch = replace(batch, environment=environment)
            pictures = pictures * gains
        changed = _FUNCTIONS[name](random, pictures)
        batch = replace(batch, relit=batch.relit.index_copy(0, at, changed))
    return batch


def respond(random: torch.Generator, pictures: Tensor) -> Tensor:
    """Sensors whose colours mix, and tone curves; grey stays grey, and the mean luminance about what it was."""
    count, device = len(pictures), pictures.device
    mixing = normal(random, CROSSTALK, count, 3, 3)
    mixing = mixing + torch.diag_embed(1 - mixing.sum(2))  # rows sum to 1
    mixed = torch.einsum("ndc,nchw->ndhw", mixing.to(device), pictures).clamp_min(0)
    gamma = torch.exp(uniform(random, math.log(GAMMAS[0]), math.log(GAMMAS[1]), count, 1, 1, 1)).to(device)
    has_shoulder = (torch.rand(count, 1, 1, 1, generator=random) < 0.5).to(device)
    mean = _mean(mixed)
    relative = (mixed / mean).pow(gamma)
    # Highlights roll off as film does (Reinhard 2002), the mean a little too.
    relative = torch.where(has_shoulder, relative * 1.25 / (1 + 0.25 * relative), relative)
    return relative * mean


def add_noise(random: torch.Generator, pictures: Tensor) -> Tensor:
    """Photon and read noise of a dark room."""
    low, high = (math.log(bound) for bound in PHOTONS)
    photons = torch.exp(uniform(random, low, high, len(pictures), 1, 1, 1)).to(pictures.device)
    unit = _mean(pictures) / photons
    noise = torch.randn(pictures.shape, generator=on_device(random, pictures.device), device=pictures.device)
    counts = pictures / unit
    return ((counts + noise * (counts + READ_NOISE**2).sqrt()) * unit).clamp_min(0)


def blur(random: torch.Generator, pictures: Tensor) -> Tensor:
    """Out of focus: a Gaussian of a width of its own for each."""
    count, channels, side = pictures.shape[:3]
    low, high = (math.log(bound * side) for bound in BLUR_SIGMAS)
    sigma = torch.exp(uniform(random, low, high, count, 1))
    radius = max(1, math.ceil(2.5 * BLUR_SIGMAS[1] * side))
    taps = torch.exp(-0.5 * (torch.arange(-radius, radius + 1) / sigma).square())  # n x k
    taps = (taps / taps.sum(1, keepdim=True)).repeat_interleave(channels, 0).to(pictures.device)
    planes = F.pad(pictures.flatten(0, 1)[None], (radius, radius, radius, radius), mode="replicate")
    planes = F.conv2d(planes, taps[:, None, None, :], groups=len(taps))
    return F.conv2d(planes, taps[:, None, :, None], groups=len(taps)).view(pictures.shape)


def reduce(random: torch.Generator, pictures: Tensor) -> Tensor:
    """Small pictures that were enlarged."""
    factor = REDUCTIONS[int(torch.randint(len(REDUCTIONS), (), generator=random))]
    size = pictures.shape[-2:]
    small = F.interpolate(pictures, [max(1, side // factor) for side in size], mode="area")
    return F.interpolate(small, size, mode="bilinear", align_corners=False)


def misexpose(random: torch.Generator, pictures: Tensor) -> Tensor:
    """Burnt, or so dark that 8 bits are few; half of them each."""
    count, device = len(pictures), pictures.device
    share = uniform(random, *BURNT, count).to(device)
    stops = uniform(random, *DARK_STOPS, count, 1, 1, 1).to(device)
    is_burnt = (torch.rand(count, 1, 1, 1, generator=random) < 0.5).to(device)
    brightest = pictures[..., ::2, ::2].amax(1).flatten(1).sort(dim=1).values
    place = ((1 - share) * (brightest.shape[1] - 1)).long()
    burnt = brightest.gather(1, place[:, None]).clamp_min(_DARKEST).view(-1, 1, 1, 1)
    dark = brightest[:, -1].clamp_min(_DARKEST).view(-1, 1, 1, 1) * torch.exp2(stops)
    rounded = srgb_to_linear((linear_to_srgb(pictures / dark) * 255).round() / 255) * dark
    return torch.where(is_burnt, pictures.minimum(burnt), rounded)


def block(random: torch.Generator, pictures: Tensor) -> Tensor:
    """As JPEG: 8 x 8 cosine transforms of luma and chroma in steps that grow with frequency; white is the brightest."""
    low, high = (math.log(bound) for bound in JPEG_SCALES)
    scale = torch.exp(uniform(random, low, high, len(pictures), 1, 1, 1, 1, 1)).to(pictures.device)
    white = pictures.amax((1, 2, 3), keepdim=True).clamp_min(_DARKEST)
    height, width = pictures.shape[-2:]
    shown = linear_to_srgb(pictures / white)
    to_luma, from_luma, cosines, steps = (constant.to(pictures.device) for constant in _jpeg_constants())
    luma = torch.einsum("dc,nchw->ndhw", to_luma, shown)
    luma = F.pad(luma, (0, -width % _BLOCK, 0, -height % _BLOCK), mode="replicate")
    blocks = luma.unflatten(3, (-1, _BLOCK)).unflatten(2, (-1, _BLOCK))  # n x 3 x rows x 8 x columns x 8
    spectrum = torch.einsum("ui,vj,ncaibj->ncabuv", cosines, cosines, blocks)
    spectrum = (spectrum / (steps * scale)).round() * (steps * scale)
    blocks = torch.einsum("ui,vj,ncabuv->ncaibj", cosines, cosines, spectrum)
    luma = blocks.flatten(4, 5).flatten(2, 3)[..., :height, :width]
    return srgb_to_linear(torch.einsum("dc,nchw->ndhw", from_luma, luma).clamp(0, 1)) * white


@lru_cache(maxsize=1)
def _jpeg_constants() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """RGB -> YCbCr (ITU-R BT.601, as JFIF has it) and back, 8 orthonormal cosines, and steps 8 x 8 near quality 50."""
    luma = torch.tensor([0.299, 0.587, 0.114], dtype=torch.float64)
    blue = (torch.tensor([0.0, 0.0, 1.0], dtype=torch.float64) - luma) / 1.772
    red = (torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64) - luma) / 1.402
    to_luma = torch.stack([luma, blue, red])
    k = torch.arange(_BLOCK, dtype=torch.float64)
    cosines = torch.cos(math.pi / _BLOCK * k[:, None] * (k + 0.5)) * math.sqrt(2 / _BLOCK)
    cosines[0] /= math.sqrt(2)
    steps = (10 + 6 * (k[:, None] + k)) / 255
    return to_luma.float(), torch.linalg.inv(to_luma).float(), cosines.float(), steps.float()


def _mean(pictures: Tensor) -> Tensor:
    """N x 1 x 1 x 1 mean luminance."""
    return luminance(pictures).mean((1, 2)).clamp_min(_DARKEST).view(-1, 1, 1, 1)


_FUNCTIONS: dict[str, Callable[[torch.Generator, Tensor], Tensor]] = {
    "low_resolution": reduce,
    "blur": blur,
    "noise": add_noise,
    "response": respond,
    "exposure": misexpose,
    "jpeg": block,
}
