"""The attention architecture for delighting.

A U-Net whose coarsest features are tokens that attend to one another. It begins with a first guess in closed form
(:mod:`src.models.delit.first_guess`), and two heads correct that:

- **Environment**: every direction of the sphere asks the tokens. A query is made from its direction, not from a place
  in the picture: pixels of the environment are not aligned with pixels of the face. Coarse to fine, from 8 rows on,
  with columns that wrap around; each level adds its correction to the one before.
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
from collections.abc import Iterable
from itertools import pairwise

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.models.delit.first_guess import DIM, FirstGuess
from src.models.delit.light_solve import LightSolve
from src.utils.hdr_codec import Codec
from src.utils.sphere import fibonacci_sphere, pixel_directions, pixel_solid_angles
from src.utils.sphere_torch import double, wrap

COARSEST_ROWS = 8  # of the environment's queries
HEADS = 4
TOKEN_BLOCKS = 2
ENV_BLOCKS = 2
_DIRECTION_BANDS = 3
_PLACE_BANDS = 4
LOBES = 48  # directions that a pixel tells apart, some 30 degrees from one another
LOBE_SHARPNESS = 15.0  # of exp(k (cos - 1))
_BRIGHTEST, _DARKEST = 1000.0, 0.01  # radiance of a source, and shading, at unit exposure
_LARGEST_LOG = 8.0
_USUAL_ALBEDO = 0.3
_INSIDE = 0.8  # coverage from which a pixel's shading counts
_DARK_SKIN, _BRIGHT_SKIN = 0.02, 0.5  # flat-lit radiance: darker is not divided by, brighter counts no more


class ResidualBlock(nn.Module):
    """One or two 3 x 3 convolutions about a skip."""

    def __init__(self, channels: int, convolutions: int) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.GroupNorm(8, channels)]
        for _ in range(convolutions):
            layers += [nn.SiLU(), nn.Conv2d(channels, channels, 3, padding=1)]
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.layers(x)


class AttentionBlock(nn.Module):
    """Multi-head attention of ``x`` (N x Q x D) to itself or to a ``context`` (N x K x D), then an MLP."""

    def __init__(self, dim: int, has_context: bool) -> None:
        super().__init__()
        self.norm_x, self.norm_mlp = nn.LayerNorm(dim), nn.LayerNorm(dim)
        # Only where it is used: DistributedDataParallel refuses parameters that get no gradient.
        self.norm_context = nn.LayerNorm(dim) if has_context else None
        self.query, self.key_value = nn.Linear(dim, dim), nn.Linear(dim, 2 * dim)
        self.out = nn.Linear(dim, dim)
        self.mlp = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        for last in (self.out, self.mlp[-1]):
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        normed = self.norm_x(x)
        source = normed if self.norm_context is None else self.norm_context(context)
        query = self._heads(self.query(normed))
        key, value = (self._heads(part) for part in self.key_value(source).chunk(2, dim=-1))
        attended = F.scaled_dot_product_attention(query, key, value)  # N x heads x Q x D / heads
        x = x + self.out(attended.transpose(1, 2).flatten(2))
        return x + self.mlp(self.norm_mlp(x))

    @staticmethod
    def _heads(x: Tensor) -> Tensor:
        return x.unflatten(-1, (HEADS, -1)).transpose(1, 2)


class AttentionDelit(nn.Module):
    """N x 3 x H x W at unit exposure, H and W multiples of 16 -> flat-lit, environment code, confidence, mask."""

    def __init__(self, base_dim: int, env_height: int, env_width: int, codec: Codec) -> None:
        super().__init__()
        widths = [base_dim // 4, base_dim, 2 * base_dim, 2 * base_dim, 2 * base_dim]
        depths = [1, 1, 2, 2]  # convolutions at 1/2, 1/4, 1/8, 1/16 of the size
        self.stem = nn.Conv2d(3, widths[0], 3, padding=1)
        self.down = nn.ModuleList(
            nn.Sequential(nn.Conv2d(n_in, n_out, 3, stride=2, padding=1), ResidualBlock(n_out, depth))
            for (n_in, n_out), depth in zip(pairwise(widths), depths, strict=True)
        )
        self.token_blocks = nn.ModuleList(AttentionBlock(widths[-1], has_context=False) for _ in range(TOKEN_BLOCKS))
        self.place = nn.Linear(4 * _PLACE_BANDS, widths[-1])
        self.up = nn.ModuleList(
            nn.Conv2d(n_low, n_high, 1) for n_low, n_high in zip(widths[:0:-1], widths[-2::-1], strict=True)
        )
        self.merge = nn.ModuleList(
            ResidualBlock(width, depth) for width, depth in zip(widths[-2:0:-1], depths[-2::-1], strict=True)
        )
        self.direct = nn.Conv2d(widths[1], 3, 1)
        self.correction = nn.Conv2d(widths[2], 3, 1)
        self.full = nn.Conv2d(2 * widths[0] + 6, base_dim // 2, 3, padding=1)
        self.flat_head = nn.Conv2d(base_dim // 2, 4, 1)  # shares of the three answers, mask
        with torch.no_grad():
            for layer in (self.correction, self.flat_head):
                layer.weight.zero_()
                layer.bias.zero_()
            self.direct.bias.fill_(math.log(_USUAL_ALBEDO))
            self.flat_head.bias[1:3] = -1.0
        self.codec = codec
        self.first_guess = FirstGuess(LOBES)
        self.environment = EnvironmentHead(widths[-1], env_height, env_width, codec)
        self.shading = ShadingHead(widths[1], env_height, env_width)
        self.light_solve = LightSolve()

    @torch.no_grad()
    def start(self, samples: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]]) -> None:
        """Fit the first guess to (picture, environment, flat-lit, mask) batches, the first two at unit exposure."""

        def light(environment: Tensor) -> Tensor:
            return torch.log(environment.clamp_max(_BRIGHTEST).flatten(2) @ self.shading.lobes.T + _DARKEST)

        self.first_guess.fit((picture, light(environment), *rest) for picture, environment, *rest in samples)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        full = self.stem(torch.log1p(4.0 * picture))
        levels = []
        x = F.silu(full)
        for down in self.down:
            x = down(x)
            levels.append(x)
        tokens = x.flatten(2).transpose(1, 2) + self.place(_place_features(*x.shape[-2:], x.device))
        for block in self.token_blocks:
            tokens = block(tokens)
        guess = self.first_guess(picture)
        code, confidence = self.environment(tokens, guess.light)

        x = tokens.transpose(1, 2).unflatten(2, x.shape[-2:])
        for up, merge, skip in zip(self.up[:-1], self.merge, levels[-2::-1], strict=True):
            coarser, x = x, merge(skip + F.interpolate(up(x), scale_factor=2.0, mode="bilinear", align_corners=False))
        environment = self.codec.decode(code)
        transfer, light, shading = self.shading(x, environment)
        log_picture = torch.log(picture + DIM)
        size = picture.shape[-2:]
        answers = [
            log_picture - _enlarge(guess.log_shading, size),
            log_picture - torch.log(_enlarge(shading, size) + DIM),
            _enlarge(self.direct(x), size),
        ]
        x = F.silu(torch.cat([full, _enlarge(self.up[-1](x), size)], dim=1))
        x = F.silu(self.full(torch.cat([x, answers[0], answers[2]], dim=1)))
        shares, mask = self.flat_head(x).float().split([3, 1], dim=1)
        shares = torch.softmax(shares, dim=1).split(1, dim=1)
        correction = _enlarge(self.correction(coarser), size).float()
        log_flat = sum(share * answer for share, answer in zip(shares, answers, strict=True)) + correction
        flat_lit = (torch.exp(log_flat.clamp_max(_LARGEST_LOG)) - DIM).clamp_min(0.0)
        mask = torch.sigmoid(mask)
        with torch.autocast(picture.device.type, enabled=False):
            brighter = self.environment.spread(self._explain(picture, flat_lit, mask, transfer, light))
            code = self.codec.encode(environment.float() * torch.exp(brighter))
        return flat_lit, code, confidence, mask, transfer

    def _explain(self, picture: Tensor, flat_lit: Tensor, mask: Tensor, transfer: Tensor, light: Tensor) -> Tensor:
        """Log factors on the lobes' ``light`` that make the flat-lit picture look like the lit one, N x 3 x LOBES."""
        transfer = F.avg_pool2d(transfer, 2)
        size = transfer.shape[-2:]
        mask = mask.detach()
        lit, flat = (F.adaptive_avg_pool2d(x.float() * mask, size) for x in (picture, flat_lit))
        inside = (F.adaptive_avg_pool2d(mask, size) > _INSIDE).float()
        weight = inside * flat.detach().mean(1, keepdim=True).clamp_max(_BRIGHT_SKIN)
        return self.light_solve(lit / flat.clamp_min(_DARK_SKIN), transfer, weight, light)


def _enlarge(picture: Tensor, size: tuple[int, int]) -> Tensor:
    return F.interpolate(picture, size, mode="bilinear", align_corners=False)


class ShadingHead(nn.Module):
    """Features N x C x H x W and the environment N x 3 x h x w -> transfer N x LOBES x H x W, the lobes' light
    N x 3 x LOBES, shading N x 3 x H x W.

    Shading is 1 under uniform radiance 1.
    """

    def __init__(self, channels: int, height: int, width: int) -> None:
        super().__init__()
        cosines = pixel_directions(height, width).reshape(-1, 3) @ fibonacci_sphere(LOBES).T
        lobes = np.exp(LOBE_SHARPNESS * (cosines - 1)) * pixel_solid_angles(height, width).reshape(-1, 1)
        self.register_buffer("lobes", torch.from_numpy((lobes / lobes.sum(axis=0)).T.copy()).float(), persistent=False)
        self.to_transfer = nn.Conv2d(channels, LOBES, 1)
        nn.init.zeros_(self.to_transfer.weight)
        nn.init.zeros_(self.to_transfer.bias)

    def forward(self, features: Tensor, environment: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        light = environment.clamp_max(_BRIGHTEST).flatten(2) @ self.lobes.T  # N x 3 x LOBES
        transfer = torch.softmax(self.to_transfer(features).float(), dim=1)
        return transfer, light, torch.einsum("nkhw,nck->nchw", transfer, light).clamp_min(_DARKEST)


class EnvironmentHead(nn.Module):
    """Image tokens N x K x D and the first guess N x 3 x LOBES -> code N x C x h x w in [0, 1], confidence."""

    def __init__(self, dim: int, height: int, width: int, codec: Codec) -> None:
        super().__init__()
        self.codec = codec
        code_channels = codec.channels
        self.sizes = _pyramid(height, width)
        rows, columns = self.sizes[0]
        cosines = pixel_directions(rows, columns).reshape(-1, 3) @ fibonacci_sphere(LOBES).T
        blend = np.exp(2 * LOBE_SHARPNESS * (cosines - 1))
        self.register_buffer(
            "blend", torch.from_numpy(blend / blend.sum(axis=1, keepdims=True)).float(), persistent=False
        )
        directions = torch.from_numpy(pixel_directions(rows, columns)).float().flatten(0, 1)
        features = [directions] + [
            wave(directions * math.pi * 2**band) for band in range(_DIRECTION_BANDS) for wave in (torch.sin, torch.cos)
        ]
        self.register_buffer("queries", torch.cat(features, dim=-1), persistent=False)
        self.query = nn.Sequential(nn.Linear(self.queries.shape[-1], dim), nn.GELU(), nn.Linear(dim, dim))
        self.blocks = nn.ModuleList(AttentionBlock(dim, has_context=True) for _ in range(ENV_BLOCKS))
        outputs = code_channels + 1
        self.to_code = nn.ModuleList([nn.Linear(dim, outputs)])
        self.refine = nn.ModuleList()
        for _ in self.sizes[1:]:
            narrower = max(dim // 2, 8)
            self.refine.append(nn.Conv2d(dim, narrower, 3))
            self.to_code.append(nn.Conv2d(narrower, outputs, 1))
            dim = narrower
        for head in self.to_code:
            nn.init.zeros_(head.weight)
            nn.init.zeros_(head.bias)

    def forward(self, tokens: Tensor, guess: Tensor) -> tuple[Tensor, Tensor]:
        x = self.query(self.queries).expand(len(tokens), -1, -1)
        for block in self.blocks:
            x = block(x, tokens)
        guessed = torch.exp((guess @ self.blend.T).clamp_max(_LARGEST_LOG)).unflatten(2, self.sizes[0])
        base = F.pad(torch.logit(self.codec.encode(guessed), eps=0.02), (0, 0, 0, 0, 0, 1))  # none for the confidence
        logits = base + self.to_code[0](x).transpose(1, 2).unflatten(2, self.sizes[0])
        x = x.transpose(1, 2).unflatten(2, self.sizes[0])
        for refine, to_code in zip(self.refine, self.to_code[1:], strict=True):
            x = F.silu(refine(wrap(double(x))))
            logits = double(logits) + to_code(x)
        code, confidence = torch.sigmoid(logits.float()).tensor_split([-1], dim=1)
        return code, confidence

    def spread(self, lobes: Tensor) -> Tensor:
        """What the lobes say, N x 3 x LOBES, in every direction: N x 3 x h x w."""
        x = (lobes @ self.blend.T).unflatten(2, self.sizes[0])
        for _ in self.sizes[1:]:
            x = double(x)
        return x


def _pyramid(height: int, width: int) -> list[tuple[int, int]]:
    """(rows, columns) from the coarsest to the full size, each twice the one before."""
    sizes = [(height, width)]
    while height > COARSEST_ROWS and height % 2 == 0 and width % 2 == 0:
        height, width = height // 2, width // 2
        sizes.insert(0, (height, width))
    return sizes


def _place_features(rows: int, columns: int, device: torch.device) -> Tensor:
    """(rows * columns) x 16: sines and cosines of a token's place in the picture, whatever the number of tokens."""
    bands = math.pi * 2.0 ** torch.arange(_PLACE_BANDS, device=device)
    y, x = (((torch.arange(n, device=device) + 0.5) / n)[:, None] * bands for n in (rows, columns))
    y, x = (torch.cat([waves.sin(), waves.cos()], dim=1) for waves in (y, x))
    grid = (y[:, None].expand(-1, columns, -1), x[None].expand(rows, -1, -1))
    return torch.cat(grid, dim=-1).flatten(0, 1)
