"""The attention architecture for delighting.

A U-Net whose coarsest features are tokens that attend to one another (:mod:`src.models.delit.backbone`). It begins with
a first guess in closed form (:mod:`src.models.delit.first_guess`), and two heads correct that:

- **Environment** (:mod:`src.models.delit.environment_head`): every direction of the sphere asks the tokens.
- **Flat-lit**: three answers, mixed pixel by pixel in the logarithm, and a smooth correction from features at a quarter
  of the size. The picture divided by the guessed shading; the picture divided by the shading that the predicted
  environment would cause; and one drawn from features at half the size, for shadows that leave nothing to divide. For
  the second: a Lambertian pixel's ratio of lit to flat-lit is an average of the environment, weighted by how much light
  of each direction gets there; so every pixel's shading is a convex combination of the environment seen through lobes
  all around, and a pixel has only to say which of them it sees. Skip connections at every level. Fine detail can only
  come from the picture: drawn freely, it would be that of the people who were trained on.

At the end the environment is corrected once more: dividing the picture by the flat-lit one leaves shading, and the
light that explains it is found by least squares (:mod:`src.models.delit.light_solve`).
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.models.delit.backbone import Backbone
from src.models.delit.environment_head import EnvironmentHead
from src.models.delit.first_guess import DIM, FirstGuess
from src.models.delit.flat_error import FlatErrorHead
from src.models.delit.layers import enlarge
from src.models.delit.light_solve import LightSolve
from src.models.delit.lobes import LOBES, lobe_weights
from src.models.delit.outputs import NetworkOutput
from src.utils.hdr_codec import Codec

IDEAS = ("first_guess", "skips", "attention_head", "shading", "light_solve")  # that it can be built without
TRANSFER_STRIDE = 2  # pixels of the picture to one of the transfer
_BRIGHTEST, _DARKEST = 1000.0, 0.01  # radiance of a source, and shading, at unit exposure
_LARGEST_LOG = 8.0
_USUAL_ALBEDO = 0.3
_INSIDE = 0.8  # coverage from which a pixel's shading counts
_DARK_SKIN, _BRIGHT_SKIN = 0.02, 0.5  # flat-lit radiance: darker is not divided by, brighter counts no more


class AttentionDelit(Backbone):
    """N x 3 x H x W at unit exposure, H and W multiples of 16 -> :class:`NetworkOutput`.

    ``without``: of :data:`IDEAS`, to measure what each of them gives. Without the first guess it stays what it is
    before it is fitted, light and shading of 1; without the skips the decoder sees tokens only; without the attention
    head the environment grows from the picture's features, enlarged; without the shading the environment has no part
    in the flat-lit picture, and nothing is left to solve light from. ``flat_confidence``: it also says how wrong the
    flat-lit picture may be.
    """

    lobes: Tensor

    def __init__(
        self,
        base_dim: int,
        env_height: int,
        env_width: int,
        codec: Codec,
        without: Collection[str] = (),
        flat_confidence: bool = False,
    ) -> None:
        if unknown := set(without) - set(IDEAS):
            raise ValueError(f"unknown ideas {sorted(unknown)}, known are {IDEAS}")
        super().__init__(base_dim, "skips" not in without)
        widths = self.widths
        self.direct = nn.Conv2d(widths[1], 3, 1)
        self.correction = nn.Conv2d(widths[2], 3, 1)
        self.full = nn.Conv2d(2 * widths[0] + 6, base_dim // 2, 3, padding=1)
        self.flat_head = nn.Conv2d(base_dim // 2, 4, 1)  # shares of the three answers, mask
        with torch.no_grad():
            for parameter in (*self.correction.parameters(), *self.flat_head.parameters()):
                parameter.zero_()
            assert self.direct.bias is not None and self.flat_head.bias is not None
            self.direct.bias.fill_(math.log(_USUAL_ALBEDO))
            self.flat_head.bias[1:3] = -1.0
        self.codec = codec
        self.first_guess = FirstGuess(LOBES)
        self.environment = EnvironmentHead(widths[-1], env_height, env_width, codec, "attention_head" not in without)
        self.register_buffer("lobes", lobe_weights(env_height, env_width), persistent=False)  # LOBES x (h * w)
        self.shading = None if "shading" in without else ShadingHead(widths[1])
        self.light_solve = None if {"shading", "light_solve"} & set(without) else LightSolve()
        self.flat_error = FlatErrorHead(base_dim // 2) if flat_confidence else None
        self.is_guess_fitted = "first_guess" not in without

    @torch.no_grad()
    def start(self, samples: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]]) -> None:
        """Fit the first guess to (picture, environment, flat-lit, mask) batches, the first two at unit exposure."""
        if self.is_guess_fitted:
            self.first_guess.fit(
                (picture, torch.log(self._through_lobes(environment) + _DARKEST), flat_lit, mask)
                for picture, environment, flat_lit, mask in samples
            )

    def forward(self, picture: Tensor) -> NetworkOutput:
        full, levels = self.encode(picture)  # N x B/4 x H x W; from N x B x H/2 x W/2 to N x 2B x H/16 x W/16
        tokens = self.attend(levels[-1])  # N x 2B x H/16 x W/16
        guess = self.first_guess(picture)  # light N x 3 x LOBES, log shading N x 3 x 16 x 16
        code, confidence = self.environment(tokens, guess.light)  # N x C x h x w, N x 1 x h x w
        environment = self.codec.decode(code)  # N x 3 x h x w
        light = self._through_lobes(environment)  # N x 3 x LOBES
        fine, coarse = self.decode(tokens, levels)  # N x B x H/2 x W/2, N x 2B x H/4 x W/4
        transfer, shading = self._shade(fine, light)  # N x LOBES x H/2 x W/2, N x 3 x H/2 x W/2

        size = picture.shape[-2:]
        log_picture = torch.log(picture + DIM)  # N x 3 x H x W
        answers = [
            log_picture - enlarge(guess.log_shading, size),
            log_picture - torch.log(enlarge(shading, size) + DIM),
            enlarge(self.direct(fine), size),
        ]
        x = F.silu(torch.cat([full, enlarge(self.up[-1](fine), size)], dim=1))  # N x B/2 x H x W
        x = F.silu(self.full(torch.cat([x, answers[0], answers[2]], dim=1)))  # N x B/2 x H x W
        shares, mask = self.flat_head(x).float().split([3, 1], dim=1)  # N x 3 x H x W, N x 1 x H x W
        flat_lit = self._mix(answers, shares, self.correction(coarse))  # N x 3 x H x W
        flat_error = None if self.flat_error is None else self.flat_error(x, answers, torch.log(flat_lit + DIM))
        mask = torch.sigmoid(mask)
        if self.light_solve is not None and transfer is not None:
            with torch.autocast(picture.device.type, enabled=False):
                brighter = self._explain(picture, flat_lit, mask, transfer, light)  # N x 3 x LOBES
                code = self.codec.encode(environment.float() * torch.exp(self.environment.spread(brighter)))
        return NetworkOutput(flat_lit, code, confidence, mask, transfer, flat_error)

    def _shade(self, features: Tensor, light: Tensor) -> tuple[Tensor | None, Tensor]:
        """Which light each pixel gets, and the shading that makes; without the idea shading 1."""
        if self.shading is None:
            return None, features.new_ones(len(features), 3, *features.shape[-2:])
        return self.shading(features, light)

    def _through_lobes(self, environment: Tensor) -> Tensor:
        """Radiance of N x 3 x h x w as it is seen through every lobe, N x 3 x LOBES."""
        return environment.clamp_max(_BRIGHTEST).flatten(2) @ self.lobes.T

    @staticmethod
    def _mix(answers: list[Tensor], shares: Tensor, correction: Tensor) -> Tensor:
        """``exp(sum_k share_k answer_k + correction)``, shares as logits, the correction at a quarter of the size."""
        shares = torch.softmax(shares, dim=1).split(1, dim=1)
        correction = enlarge(correction, answers[0].shape[-2:]).float()
        log_flat = sum(share * answer for share, answer in zip(shares, answers, strict=True)) + correction
        return (torch.exp(log_flat.clamp_max(_LARGEST_LOG)) - DIM).clamp_min(0.0)

    def _explain(self, picture: Tensor, flat_lit: Tensor, mask: Tensor, transfer: Tensor, light: Tensor) -> Tensor:
        """Log factors on the lobes' ``light`` that make the flat-lit picture look like the lit one, N x 3 x LOBES."""
        transfer = F.avg_pool2d(transfer, 2)  # N x LOBES x H/4 x W/4
        height, width = transfer.shape[-2:]
        size = (height, width)
        mask = mask.detach()
        lit, flat = (F.adaptive_avg_pool2d(x.float() * mask, size) for x in (picture, flat_lit))
        inside = (F.adaptive_avg_pool2d(mask, size) > _INSIDE).float()
        weight = inside * flat.detach().mean(1, keepdim=True).clamp_max(_BRIGHT_SKIN)
        assert self.light_solve is not None
        return self.light_solve(lit / flat.clamp_min(_DARK_SKIN), transfer, weight, light)


class ShadingHead(nn.Module):
    """Features N x C x H x W and the lobes' light N x 3 x LOBES -> transfer N x LOBES x H x W, shading N x 3 x H x W.

    Shading is 1 under uniform radiance 1.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.to_transfer = nn.Conv2d(channels, LOBES, 1)
        for parameter in self.to_transfer.parameters():
            nn.init.zeros_(parameter)

    def forward(self, features: Tensor, light: Tensor) -> tuple[Tensor, Tensor]:
        transfer = torch.softmax(self.to_transfer(features).float(), dim=1)
        return transfer, torch.einsum("nkhw,nck->nchw", transfer, light).clamp_min(_DARKEST)
