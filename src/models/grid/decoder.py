"""Colours from packed latents: what checkpoints and bundles of latent grids are decoded by."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from src.models.day_peak import day_peak
from src.models.grid.block_latents import BlockLatents
from src.models.grid.config import GridConfig
from src.models.grid.f2_weights import F2Weights
from src.models.grid.latent_levels import LatentLevels
from src.models.grid.quantiser import Quantiser
from src.models.lightmap_decoder import LightmapDecoder, chunk_texels
from src.utils.cli import InputError
from src.utils.core_slices import run_parallel, unshared_operations, worker_count
from src.utils.hour_interpolation import HourInterpolation
from src.utils.texel_grid import texel_index

SCATTERED_CHUNKS = 4  # decoded together: what several texels share is found anew for each part


class F2AtHour(NamedTuple):
    """F2 at one hour as it acts on the packed bytes of M texels, P x M, everything transposed."""

    first_weight: Tensor  # (H + 3) x P: the first hidden layer, and the colours' part that reads z itself
    first_bias: Tensor  # (H + 3) x 1
    hidden: list[tuple[Tensor, Tensor]]  # weight H x H, bias H x 1 of the other layers
    from_hidden: Tensor  # 3 x H


class Workspace:
    """What decoding M texels computes, kept for the next M.

    Memory that every chunk took anew would be mapped and cleared by the system each time, one thread at a time.
    """

    def __init__(self, f2: F2AtHour, texels: int) -> None:
        outputs, pieces = f2.first_weight.shape
        self.pieces = f2.first_weight.new_empty(pieces, texels)
        self.first = f2.first_weight.new_empty(outputs, texels)
        self.hidden = [weight.new_empty(len(weight), texels) for weight, _ in f2.hidden]


class GridDecoder(LightmapDecoder):
    """Colours of any texel at any hour from packed latents and F2 in half precision; invalid texels are 0.

    Values are linear radiance, or display values in [0, 1] when the grid was trained on png or jpg.
    """

    def __init__(
        self, config: GridConfig, latents: LatentLevels | BlockLatents, f2: F2Weights, frame_scale: Tensor
    ) -> None:
        self.config = config
        self.latents = latents
        self.f2 = f2
        self.frame_scale = frame_scale.float()
        self.height, self.width = config.height, config.width
        self._first_row = 0
        self.hours = config.hours
        self.is_radiance = config.is_radiance
        self.device = latents.device
        self._interpolation = HourInterpolation(config.hours, config.events)

    @property
    def lightmap_names(self) -> tuple[str, ...]:
        """The lightmaps that share this F2, for :meth:`lightmap`; empty for a single one."""
        return tuple(part[0] for part in self.config.regions)

    def lightmap(self, name: str) -> GridDecoder:
        """The decoder of one of the lightmaps that share this F2. Raises :class:`InputError` when it has none so named.

        The lightmaps stand below one another in one map; nothing is copied.
        """
        for part, first_row, height, width in self.config.regions:
            if part == name:
                decoder = copy.copy(self)
                decoder._first_row, decoder.height, decoder.width = first_row, height, width
                return decoder
        known = ", ".join(self.lightmap_names) or "a single one, without a name"
        raise InputError("--lightmap", f"no lightmap {name!r} in the file", f"it has {known}")

    @property
    def peak(self) -> float:
        """What previews show as white: of radiance how bright the day gets, see :func:`day_peak`, else 1."""
        if not self.is_radiance:
            return 1.0
        return day_peak(self.decode, self.hours, self.height, self.width, self.device)

    @property
    def resident_bytes(self) -> int:
        """All that must stay in memory for random access: latents, indices, F2, and the frames' scales."""
        f2 = sum(array.numel() * array.element_size() for array in self.f2.arrays())
        return self.latents.size_bytes + f2 + 4 * len(self.frame_scale)

    def bpp_memory(self) -> float:
        """Resident bits per texel of the map (valid or not) and baked frame."""
        return self.resident_bytes * 8 / (self.config.texel_count * self.config.baked_count)

    @torch.no_grad()
    def decode(self, xy: Tensor, hours: Tensor | float) -> Tensor:
        """Single texels: ``xy`` N x 2 in [-1, 1], ``hours`` a number or N of them -> N x 3."""
        xy = torch.as_tensor(xy, dtype=torch.float32, device=self.device)
        hours = torch.as_tensor(hours, dtype=torch.float64).reshape(-1)
        colours = xy.new_zeros(len(xy), 3)
        valid, rows = self.latents.rows(self._in_map(texel_index(xy, self.height, self.width)))
        order = torch.nonzero(valid).flatten()
        order = order[rows[0][order].argsort()]  # neighbours share what is looked up for them
        different, which = hours.unique(return_inverse=True)
        which = which.to(self.device)
        for k, hour in enumerate(different.tolist()):
            f2 = self._f2_at(hour)
            chosen = order if len(different) == 1 else order[which[order] == k]
            for part in chosen.split(SCATTERED_CHUNKS * chunk_texels(self.device)):
                colours[part] = self._colours([row[part] for row in rows], f2).T
        return colours

    def is_valid(self, texels: Tensor) -> Tensor:
        """Which of the row-major ``texels`` M int64 of this lightmap hold a colour, M bool."""
        return self.latents.rows(self._in_map(texels))[0]

    def _in_map(self, texels: Tensor) -> Tensor:
        """Row-major texels of this lightmap as those of the map that it lies in."""
        if self.width != self.config.width:
            texels = texels // self.width * self.config.width + texels % self.width
        return texels + self._first_row * self.config.width

    @torch.no_grad()
    def frames(self, hours: Sequence[float]) -> Iterator[np.ndarray]:
        """The frames one by one, H x W x 3 float32 each."""
        workers = worker_count(self.device)
        with unshared_operations():
            texels, coarser = self.latents.valid
            texels = texels - self._first_row * self.config.width
            begin, end = self.latents.span(self._first_row, self._first_row + self.height)
        for hour in hours:
            with unshared_operations():
                frame = self._frame(float(hour), texels[begin:end], begin, [row[begin:end] for row in coarser], workers)
            yield frame.view(self.height, self.config.width, 3)[:, : self.width].cpu().numpy()

    def _frame(self, hour: float, texels: Tensor, begin: int, coarser: Sequence[Tensor], workers: int) -> Tensor:
        """A frame of (H * W) x 3: the rows from ``begin`` on, which lie at ``texels``, with their ``coarser`` rows."""
        f2 = self._f2_at(hour)
        frame = torch.zeros(self.height * self.config.width, 3, device=self.device)

        size = chunk_texels(self.device)

        def fill(firsts: Sequence[int]) -> None:
            kept = Workspace(f2, size)
            for first in firsts:
                part = slice(first, min(first + size, len(texels)))
                rows: list[Tensor | slice] = [slice(begin + first, begin + part.stop), *(row[part] for row in coarser)]
                colours = self._colours(rows, f2, kept if part.stop - first == size else None)
                frame.index_copy_(0, texels[part], colours.T.contiguous())

        firsts = range(0, len(texels), size)
        workers = max(1, min(workers, len(firsts)))
        run_parallel([partial(fill, firsts[k::workers]) for k in range(workers)])
        return frame

    def _f2_at(self, hour: float) -> F2AtHour:
        """F2 at ``hour``, as it acts on the pieces p of packed bytes. Two identities make it one small network on them.

        1. Radiance fades from the baked hour a to b, and so do the linear maps that read it from the features f, with
           the frames' scales k and the share s of b::

               (1 - s) k_a (f W_a + b_a) + s k_b (f W_b + b_b) = f W + b
               where W = (1 - s) k_a W_a + s k_b W_b and b = (1 - s) k_a b_a + s k_b b_b

        2. Latents are linear in the pieces, ``z = step C p - 1``. So is what reads them, the first hidden layer and
           the part of W that reads z itself, both in ``A z + c``::

               A z + c = (step A C) p + (c - A 1)
        """
        first, second, share = (values[0] for values in self._interpolation(np.array([hour])))
        near, far = self.frame_scale[first] * float(1.0 - share), self.frame_scale[second] * float(share)
        f2 = self.f2.map(Tensor.float)
        by_hour, offsets = f2.hour_weight.unflatten(1, (-1, 3)), f2.hour_bias.view(-1, 3)
        weight = by_hour[:, first] * near + by_hour[:, second] * far
        bias = offsets[first] * near + offsets[second] * far

        (hidden_weight, hidden_bias), *hidden = f2.hidden
        from_z, from_hidden = weight.split((self.config.z_dim, self.config.hidden_f2))
        a, c = torch.cat((hidden_weight, from_z), dim=1).T, torch.cat((hidden_bias, bias))
        step = Quantiser(self.latents.bits).step
        return F2AtHour(
            a @ self.latents.combine * step,
            (c - a.sum(dim=1)).unsqueeze(1),
            [(w.T.contiguous(), b.unsqueeze(1)) for w, b in hidden],
            from_hidden.T.contiguous(),
        )

    def _colours(self, rows: Sequence[Tensor | slice], f2: F2AtHour, kept: Workspace | None = None) -> Tensor:
        """3 x M of some texels, by their rows at each level."""
        pieces = self.latents.pieces(rows, kept.pieces if kept else None)
        first = torch.addmm(f2.first_bias, f2.first_weight, pieces, out=kept.first if kept else None)
        h, colours = first[:-3].relu_(), first[-3:]
        for k, (weight, bias) in enumerate(f2.hidden):
            h = torch.addmm(bias, weight, h, out=kept.hidden[k] if kept else None).relu_()
        colours.addmm_(f2.from_hidden, h).clamp_min_(0.0)
        return colours if self.config.is_radiance else colours.clamp_max_(1.0)
