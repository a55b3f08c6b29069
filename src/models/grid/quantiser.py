"""How a latent in [-1, 1] becomes one of a few integers, and back."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_CHUNK = 8192  # rows at a time: as many more floats as there are values would be large


@dataclass(frozen=True)
class Quantiser:
    """Uniform over [-1, 1], both ends included: ``value = code * step - 1``, codes from 0 to ``levels``.

    ``levels`` is odd, so that no code stands for 0: 0 may mark what has no latent.
    """

    bits: int

    @property
    def levels(self) -> int:
        """The highest code."""
        return 2**self.bits - 1

    @property
    def step(self) -> float:
        """What neighbouring codes' values differ by."""
        return 2.0 / self.levels

    def in_steps(self, difference: Tensor) -> Tensor:
        """A difference of values, counted in steps."""
        return difference * (self.levels / 2)

    def to_code(self, values: Tensor) -> Tensor:
        """The nearest codes, uint8; values outside [-1, 1] go to its ends."""
        codes = torch.empty_like(values, dtype=torch.uint8)
        for part, stored in zip(values.split(_CHUNK), codes.split(_CHUNK), strict=True):
            stored.copy_(self.in_steps(part.clamp(-1.0, 1.0) + 1.0).round_())
        return codes

    def to_value(self, codes: Tensor) -> Tensor:
        """What codes stand for, float32 in [-1, 1]."""
        return codes.float() * self.step - 1.0
