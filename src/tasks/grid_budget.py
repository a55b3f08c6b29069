"""What a grid's latents may take, in memory and in a file, while they are trained and when they are rounded.

A budget bounds the memory. Where the quality is enough without all of it, some of the memory is left and latents are
rounded for a file of ``FILE_SHARE`` of the memory, as far as that goes.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from functools import cached_property
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

ENOUGH_DB = 44.0  # no quality below is given for a smaller file
FILE_COST_DB = 3.0  # most that rounding for one may cost, before F2 is refined, which gives a third of it back
START_DB = 46.5  # of the closed-form start: from here on some of the memory is left, and a file is to be small
FILL = 0.82  # of the memory, then
FILE_SHARE = 0.27  # of the memory that latents may take: what those of a file are to take; the estimate is some 4 % low
FILE_PRICES = (0.12, 0.15, 0.19, 0.24, 0.3, 0.37, 0.46, 0.58)  # squared steps per bit; the first costs next to nothing
CONTROL_EVERY = 0.02  # of the training: the price follows the size
LEAST_EPOCHS = 0.5  # between two controls: latents that were not seen cannot have followed
CONTROL_POWER = 2.0
CONTROL_LIMIT = 1.6
SAMPLE_BLOCKS = 2000  # the size in memory is measured by
START_PRICE = 4.0  # dB that all bits of the budget together are worth at first
LEAST_ROUNDING_PRICE, MOST_ROUNDING_PRICE = 0.01, 100.0
ROUNDING_STEPS = 10
ROUNDING_GROWTH = 1.003
VALUES_AT_ONCE = 1 << 23  # that are rounded for a file, and that its price is found by: bounds memory and time
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
        """The latents as integers that just fit, N x D uint8; ``psnr_db`` measures such integers."""
        if not self.is_for_file:
            return self._packing(LEAST_ROUNDING_PRICE)
        codes = self._packing(ROUNDING_PRICE)  # what narrows blocks further costs more than what makes a file smaller
        at_first = psnr_db(codes)
        if at_first < ENOUGH_DB:
            return self._packing(LEAST_ROUNDING_PRICE)
        tables = self._tables()
        # Of a row of prices, which make the file ever smaller, the first that makes it small enough.
        at = bisect_left(
            FILE_PRICES[:-1], -self._file_limit, key=lambda price: -self._sampled_file_bytes(tables, price)
        )
        for price in reversed(FILE_PRICES[: at + 1]):
            for_file = self._filing(codes, tables, price)
            if psnr_db(for_file) >= max(ENOUGH_DB, at_first - FILE_COST_DB):
                return for_file
        return codes

    @property
    def _goal(self) -> float:
        """What the latents are to take in memory."""
        return float(self._model.memory_goal) or self.memory_bytes

    @property
    def _file_limit(self) -> float:
        return FILE_SHARE * self.memory_bytes

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

    @cached_property
    def _file_sample(self) -> _Rows:
        """All rows, or evenly spread bands of them. Where bands meet prediction fails: a few make a file look larger by
        some 8 %, and so much smaller a file would cost 1.5 dB."""
        mask, values = self._model.mask, self._model.latents.numel()
        filled = torch.nonzero(F.pad(mask, (0, 0, 0, -len(mask) % GROUP)).unflatten(0, (-1, GROUP)).any(2).any(1))
        bands = filled.flatten().split(SAMPLE_BAND)
        every = min(len(bands), -(-values // VALUES_AT_ONCE))
        return _Rows.of(mask, torch.cat(bands[every // 2 :: every]))

    def _sampled_file_bytes(self, tables: PlaneTables, file_price: float) -> float:
        """About what the latents take in a file."""
        rows = self._file_sample
        _, bits = self._round(rows, self._model.codes_of(rows.layout, rows.texels), tables, file_price)
        return bits / 8 * (len(self._model.latents) / len(rows.texels))

    def _tables(self) -> PlaneTables:
        """What a coder knows of the latents as they are rounded for memory."""
        rows = self._file_sample
        codes = self._model.codes_of(rows.layout, rows.texels).cpu().numpy()
        return residuals(codes, rows.mask.cpu().numpy(), self._model.config.latent_bits).tables

    def _filing(self, codes: Tensor, tables: PlaneTables, file_price: float) -> Tensor:
        """``codes`` moved where that makes a file smaller, but nothing that is resident larger."""
        mask, codes = self._model.mask, codes.clone()
        group_rows = torch.arange(-(-len(mask) // GROUP), device=mask.device)
        at_once = max(1, VALUES_AT_ONCE // (GROUP * mask.shape[1] * codes.shape[1]))
        for part in group_rows.split(at_once):
            rows = _Rows.of(mask, part)
            if len(rows.texels):
                values, _ = self._round(rows, codes[rows.texels], tables, file_price)
                codes[rows.texels] = torch.from_numpy(values).to(codes.device)
        return codes

    def _round(self, rows: _Rows, codes: Tensor, tables: PlaneTables, file_price: float) -> tuple[np.ndarray, float]:
        exact = self._model.quantiser.in_steps(self._model.latents[rows.texels].clamp(-1.0, 1.0) + 1.0)
        low, high = texel_ranges(rows.layout, codes)
        wanted, least, most, mask = (part.cpu().numpy() for part in (exact, low, high, rows.mask))
        return round_planes(wanted, least, most, mask, tables, file_price)
