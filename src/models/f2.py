"""F2: a latent and the hour of the day become a colour."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from src.models.siren import OuterSine, Siren
from src.utils.time_encoding import time_features


class F2(nn.Module):
    """``(z, hour) -> RGB``: a SIREN on ``[z, time features]`` with a sigmoid head, RGB in (0, 1)."""

    def __init__(self, latent_dim: int, hidden: int, layers: int, time_harmonics: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.time_harmonics = time_harmonics
        self.siren = Siren(latent_dim + 2 * time_harmonics, hidden, layers, 3)

    @classmethod
    def from_state_dict(cls, state: dict[str, Tensor], latent_dim: int) -> F2:
        """Rebuild F2 from its weights alone: every size is a shape. Raises ``ValueError`` if they do not fit."""
        layers = sum(name.endswith("linear.weight") for name in state)
        hidden, in_features = state["siren.layers.0.linear.weight"].shape
        if in_features < latent_dim or (in_features - latent_dim) % 2:
            raise ValueError(
                f"the latent map has {latent_dim} channels, F2 takes {in_features} inputs (latent + 2 x harmonics)"
            )
        f2 = cls(latent_dim, hidden, layers, (in_features - latent_dim) // 2)
        f2.load_state_dict(state)
        return f2

    def forward(self, z: Tensor, hours: Tensor) -> Tensor:
        """``z`` N x latent_dim, ``hours`` N or 1 -> N x 3."""
        features = time_features(hours, self.time_harmonics).expand(z.shape[0], -1)
        return torch.sigmoid(self.siren(torch.cat((z, features), dim=-1)))

    def split_first_layer(self, z: Tensor, hours: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer's argument as a sum: the latents' part (with the bias) and the hours' part."""
        first = self.siren.layers[0]
        weight, bias = first.scaled_weight(), first.scaled_bias()
        features = time_features(hours, self.time_harmonics)
        with torch.autocast(z.device.type, enabled=False):
            return (
                nn.functional.linear(z.float(), weight[:, : self.latent_dim], bias),
                nn.functional.linear(features, weight[:, self.latent_dim :]),
            )

    def outer(self, z: Tensor, hours: Tensor) -> Tensor:
        """All hours of all latents, differentiable: ``z`` M x latent_dim, ``hours`` T -> M x T x 3.

        The latents' share of the first layer is computed once per texel, the hours' share once per hour.
        """
        h = OuterSine.apply(*self.split_first_layer(z, hours)).flatten(0, 1)
        for layer in self.siren.layers[1:]:
            h = layer(h)
        return torch.sigmoid(self.siren.head(h).float()).unflatten(0, (z.shape[0], hours.shape[0]))
