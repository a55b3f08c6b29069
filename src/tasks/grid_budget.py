"""What a grid's latents may take, in memory and in a file, while they are trained and when they are rounded.

A budget bounds the memory. Where the quality is enough without all of it, some of the memory is left and latents are
rounded for a file as small as is worth its dB, see :meth:`GridBudget.rounded`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from src.export.plane_codec import PlaneTables, residuals
from src.export.plane_rounding import round_planes
from src.models.grid.block_records import GROUP
from src.models.grid.block_rounding import BlockLayout, packed_bytes, texel_ranges
from src.models.grid.group_rounding import round_groups
from src.models.grid.latent_grid import ROUNDING_PRICE, LatentGrid

ENOUGH_DB = 44.0  # an error of 1.6 of the 255 steps of a picture: no quality below is given for less memory or file
FILL = 2 / 3  # of the memory, where the closed-form start is that good in it
DB_PER_HALVING = 6.02  # most that half the file may cost: an error that grows as the size falls, as with the memory
FILE_PRICES = (0.08, 0.1, 0.125, 0.16, 0.2, 0.25, 0.32, 0.4, 0.5)  # squared steps per bit; the first is next to free
CONTROL_EVERY = 0.02  # of the training: the price follows the size
LEAST_EPOCHS = 0.5  # between two controls: latents that were not seen cannot have followed
CONTROL_POWER = 2.0
CONTROL_LIMIT = 1.6
SAMPLE_BLOCKS = 2000  # the size in memory is measured by
START_PRICE = 4.0  # dB that all bits of the budget together are worth at first
LEAST_ROUNDING_PRICE, MOST_ROUNDING_PRICE = 0.01, 100.0
ROUNDING_STEPS = 10
ROUNDING_GROWTH = 1.003
VALUES_AT_ONCE = 1 << 23  # that are rounded for a file, and that its tables are of: bounds memory and time
SAMPLE_BAND = 4  # rows of groups that are taken together: the first row of texels has no neighbours above


class _Rows(NamedTuple):
    """Some rows of groups of a map, as a map of its own."""

    mask: Tensor
    texels: Tensor  # of all valid ones those that lie here
    layout: BlockLayout

    @classmethod
    def of(cls, mask: Tensor, rows: Tensor) -> _Rows:
        """``rows``: which of the groups' rows, by their numbers."""
        chosen = torch.zeros(-(-len(mask) // GROUP), dtype=torch.bool, device=mask.device)
        chosen[rows] = True
        chosen = chosen.repeat_interleave(GROUP)[: len(mask)]
        part = mask[chosen]
        texels = torch.nonzero(chosen.repeat_interleave(mask.sum(1))).flatten()
        return cls(part, texels, BlockLayout.of(part))


class GridBudget:
    """The price of a model's bits, and the rounding that fits ``budget_bytes``, all that may be resident."""

    def __init__(self, model: LatentGrid, budget_bytes: float) -> None:
        self._model = model
        self.memory_bytes = budget_bytes - model.config.f2_bytes
        self._sample, self._sample_texels = model.layout.some(SAMPLE_BLOCKS)
        self._checked: int | None = None  # as in the model, where a GPU would have to be waited for

    def start(self, fill: float, values: int) -> None:
        """``fill``: of the memory, to be used; below 1 a file is to be small. ``values``: texels of the map x hours."""
        self._model.memory_goal.fill_(fill * self.memory_bytes)
        self._model.rate_price.fill_(START_PRICE * values / (8.0 * self._goal))

    def packed_bytes(self, codes: Tensor) -> int:
        return packed_bytes(self._model.layout, codes, self._model.config.latent_bits)

    def control(self, progress: float, epochs: float) -> None:
        """Now and then raise the price where the latents are too large, lower it where there is room.

        ``epochs`` of the whole training: the less often latents are seen, the slower they follow.
        """
        if self._checked is None:
            self._checked = int(self._model.price_check)  # of a continued run
        check = int(progress / CONTROL_EVERY)
        seen = (check - self._checked) * CONTROL_EVERY * epochs
        if check > self._checked and seen >= LEAST_EPOCHS:
            self._checked = check
            self._model.price_check.fill_(check)
            self._follow(min(1.0, seen))

    @torch.no_grad()
    def _follow(self, rate: float) -> None:
        model = self._model
        size_bytes = self._sampled_bytes(float(model.rounding_price))
        change = min(CONTROL_LIMIT, max(1.0 / CONTROL_LIMIT, (size_bytes / self._goal) ** CONTROL_POWER))
        model.rate_price.mul_(change**rate)

    @property
    def is_for_file(self) -> bool:
        """Whether some of the memory is left and a file is to be small."""
        return self._goal < self.memory_bytes

    @torch.no_grad()
    def rounded(self, psnr_db: Callable[[Tensor], float]) -> Tensor:
        """The latents as integers that just fit, N x D uint8; ``psnr_db`` measures such integers.

        For a file they are moved further, price by price, as long as a per cent of the file costs no more than training
        for a per cent less memory does. Refining F2 afterwards gives as much back at every price.
        """
        if not self.is_for_file:
            return self._packing(LEAST_ROUNDING_PRICE)
        codes = self._packing(ROUNDING_PRICE)  # what narrows blocks further costs more than what makes a file smaller
        tables = self._tables()
        chosen, size_bytes = self._filing(codes, tables, FILE_PRICES[0])
        quality_db = psnr_db(chosen)
        if quality_db < ENOUGH_DB:
            return self._packing(LEAST_ROUNDING_PRICE)
        for price in FILE_PRICES[1:]:
            smaller, smaller_bytes = self._filing(codes, tables, price)
            smaller_db = psnr_db(smaller)
            worth_db = DB_PER_HALVING * math.log2(size_bytes / smaller_bytes)
            if smaller_db < max(ENOUGH_DB, quality_db - worth_db):
                break
            chosen, size_bytes, quality_db = smaller, smaller_bytes, smaller_db
        return chosen

    @property
    def _goal(self) -> float:
        """What the latents are to take in memory."""
        return float(self._model.memory_goal) or self.memory_bytes

    def _sampled_bytes(self, rounding_price: float) -> float:
        """About what the packed latents take."""
        bits = self._model.config.latent_bits
        latents = self._model.latents[self._sample_texels]
        size_bytes = packed_bytes(self._sample, round_groups(self._sample, latents, bits, rounding_price), bits)
        return size_bytes * (len(self._model.latents) / len(self._sample_texels))

    def _packing(self, least_price: float) -> Tensor:
        """The latents as integers that fit the memory when packed, at no less than this rounding price."""
        model = self._model
        scale = 1.0  # of the sample's size to that of all
        while True:
            price = self._fitting_price(least_price, self.memory_bytes / scale)
            model.rounding_price.fill_(price)
            (codes,) = model.codes()
            size_bytes = self.packed_bytes(codes)
            if size_bytes <= self.memory_bytes or price >= MOST_ROUNDING_PRICE:
                return codes
            scale = max(scale * ROUNDING_GROWTH, size_bytes / self._sampled_bytes(price))

    def _fitting_price(self, least: float, size_bytes: float) -> float:
        """The least rounding price at which the sample says that latents fit."""
        if self._sampled_bytes(least) <= size_bytes:
            return least
        low, high = math.log(least), math.log(MOST_ROUNDING_PRICE)
        for _ in range(ROUNDING_STEPS):
            middle = (low + high) / 2
            fits = self._sampled_bytes(math.exp(middle)) <= size_bytes
            low, high = (low, middle) if fits else (middle, high)
        return math.exp(high)

    def _tables(self) -> PlaneTables:
        """What a coder knows of the latents as they are rounded for memory: of all rows, or of evenly spread bands."""
        mask, values = self._model.mask, self._model.latents.numel()
        filled = torch.nonzero(F.pad(mask, (0, 0, 0, -len(mask) % GROUP)).unflatten(0, (-1, GROUP)).any(2).any(1))
        bands = filled.flatten().split(SAMPLE_BAND)
        every = min(len(bands), -(-values // VALUES_AT_ONCE))
        rows = _Rows.of(mask, torch.cat(bands[every // 2 :: every]))
        codes = self._model.codes_of(rows.layout, rows.texels).cpu().numpy()
        return residuals(codes, rows.mask.cpu().numpy(), self._model.config.latent_bits).tables

    def _filing(self, codes: Tensor, tables: PlaneTables, file_price: float) -> tuple[Tensor, float]:
        """``codes`` moved where that makes a file smaller, but nothing that is resident larger; what the file takes."""
        mask, codes = self._model.mask, codes.clone()
        size_bytes = float(self._model.config.f2_bytes)
        group_rows = torch.arange(-(-len(mask) // GROUP), device=mask.device)
        at_once = max(1, VALUES_AT_ONCE // (GROUP * mask.shape[1] * codes.shape[1]))
        for part in group_rows.split(at_once):
            rows = _Rows.of(mask, part)
            if len(rows.texels):
                values, bits = self._round(rows, codes[rows.texels], tables, file_price)
                codes[rows.texels] = torch.from_numpy(values).to(codes.device)
                size_bytes += bits / 8
        return codes, size_bytes

    def _round(self, rows: _Rows, codes: Tensor, tables: PlaneTables, file_price: float) -> tuple[np.ndarray, float]:
        exact = self._model.quantiser.in_steps(self._model.latents[rows.texels].clamp(-1.0, 1.0) + 1.0)
        low, high = texel_ranges(rows.layout, codes)
        wanted, least, most, mask = (part.cpu().numpy() for part in (exact, low, high, rows.mask))
        return round_planes(wanted, least, most, mask, tables, file_price)
