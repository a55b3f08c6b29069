"""The arrays of a latent grid's F2 by name, in whatever precision they are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class F2Weights:
    """F2 maps a latent z to features ``f = [z, relu MLP(z)]``, and reads each baked hour's colours ``f W + b``.

    ``hidden`` are weight (in x H) and bias (H) of the MLP's layers, at least one; ``hour_weight`` F x 3T and
    ``hour_bias`` 3T hold W and b of the T hours side by side, colour by colour.
    """

    hidden: tuple[tuple[Tensor, Tensor], ...]
    hour_weight: Tensor
    hour_bias: Tensor

    @classmethod
    def from_arrays(cls, arrays: Sequence[Tensor]) -> F2Weights:
        """From the order in which checkpoints and bundles keep them: ``hidden`` one by one, then the hours'."""
        *hidden, hour_weight, hour_bias = arrays
        return cls(tuple(zip(hidden[::2], hidden[1::2], strict=True)), hour_weight, hour_bias)

    def arrays(self) -> list[Tensor]:
        """The inverse of :meth:`from_arrays`."""
        return [*(array for layer in self.hidden for array in layer), self.hour_weight, self.hour_bias]

    def map(self, change: Callable[[Tensor], Tensor]) -> F2Weights:
        """The same with every array changed, such as ``map(Tensor.half)``."""
        return F2Weights.from_arrays([change(array) for array in self.arrays()])

    def features(self, z: Tensor) -> Tensor:
        """``z`` M x z_dim -> M x F."""
        h = z
        for weight, bias in self.hidden:
            h = torch.relu(torch.addmm(bias, h, weight))
        return torch.cat((z, h), dim=1)
