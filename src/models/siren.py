"""SIREN: multilayer perceptrons with sine activations (Sitzmann et al., NeurIPS 2020)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

OMEGA_0 = 30.0


class SineLayer(nn.Module):
    """``sin(omega_0 * (W x + b))``, ``... x in_features`` -> ``... x out_features`` in [-1, 1].

    Weights start as in the paper: U(-1/n, 1/n) for the first layer of a network, otherwise
    U(-sqrt(6/n)/omega_0, sqrt(6/n)/omega_0), n the number of inputs; biases as in ``nn.Linear``.

    Under autocast the product may be of low precision, the sine and its argument are float32. A first layer is
    float32 throughout: neighbouring coordinates would fall together in bfloat16.
    """

    def __init__(self, in_features: int, out_features: int, is_first: bool, omega_0: float = OMEGA_0) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)
        self.is_first = is_first
        self.omega_0 = omega_0
        bound = 1.0 / in_features if is_first else math.sqrt(6.0 / in_features) / omega_0
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def scaled_weight(self) -> Tensor:
        """``omega_0 * W``, out_features x in_features: scaling the weights costs less than scaling the products."""
        return self.omega_0 * self.linear.weight

    def scaled_bias(self) -> Tensor:
        """``omega_0 * b``, out_features."""
        return self.omega_0 * self.linear.bias

    def forward(self, x: Tensor) -> Tensor:
        if self.is_first:
            with torch.autocast(x.device.type, enabled=False):
                return torch.sin(F.linear(x.float(), self.scaled_weight(), self.scaled_bias()))
        return torch.sin(F.linear(x, self.scaled_weight(), self.scaled_bias()).float())


class Siren(nn.Module):
    """``layers`` sine layers of width ``hidden`` and a linear head: ``... x in_features`` -> ``... x out_features``."""

    def __init__(self, in_features: int, hidden: int, layers: int, out_features: int, omega_0: float = OMEGA_0) -> None:
        super().__init__()
        widths = [in_features] + [hidden] * layers
        self.layers = nn.ModuleList(
            SineLayer(n_in, n_out, is_first=i == 0, omega_0=omega_0) for i, (n_in, n_out) in enumerate(pairwise(widths))
        )
        self.head = nn.Linear(hidden, out_features)
        bound = math.sqrt(6.0 / hidden) / omega_0
        nn.init.uniform_(self.head.weight, -bound, bound)

    @property
    def sine_layers(self) -> list[SineLayer]:
        """``layers`` as what they are."""
        return [cast(SineLayer, layer) for layer in self.layers]

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return self.head(x).float()


class OuterSine(torch.autograd.Function):
    """``sin(a[m, c] + b[t, c])`` for all m, t: ``M x C`` and ``T x C`` -> ``M x T x C``.

    By the addition theorem only M + T sines are needed for M * T of them.
    """

    @staticmethod
    def forward(ctx, a: Tensor, b: Tensor) -> Tensor:
        sin_a, cos_a, sin_b, cos_b = a.sin(), a.cos(), b.sin(), b.cos()
        ctx.save_for_backward(sin_a, cos_a, sin_b, cos_b)
        return (sin_a[:, None] * cos_b).addcmul_(cos_a[:, None], sin_b)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor, Tensor]:
        sin_a, cos_a, sin_b, cos_b = ctx.saved_tensors
        grad = (cos_a[:, None] * cos_b).addcmul_(sin_a[:, None], sin_b, value=-1.0).mul_(grad)
        return grad.sum(1), grad.sum(0)
