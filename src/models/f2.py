"""F2: a latent and the hour of the day become a colour."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from src.models.siren import OuterSine, Siren
from src.utils.time_encoding import time_features


class F2(nn.Module):
    """``(z, hour) -> RGB``: a SIREN on ``[z, time features]`` with a sigmoid head, RGB in (0, 1)."""

    harmonics: Tensor

    def __init__(self, latent_dim: int, hidden: int, layers: int, time_harmonics: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.time_harmonics = time_harmonics
        # In the state dict, so that the weights alone say how many inputs of the first layer are latents.
        self.register_buffer("harmonics", torch.arange(1, time_harmonics + 1))
        self.siren = Siren(latent_dim + 2 * time_harmonics, hidden, layers, 3)

    @classmethod
    def from_state_dict(cls, state: dict[str, Tensor], latent_dim: int) -> F2:
        """Rebuild F2 from its weights alone: every size is a shape. Raises ``ValueError`` if they do not fit."""
        layers = sum(name.endswith("linear.weight") for name in state)
        hidden, in_features = state["siren.layers.0.linear.weight"].shape
        time_harmonics = len(state["harmonics"])
        if in_features != latent_dim + 2 * time_harmonics:
            raise ValueError(f"the latent map has {latent_dim} channels, F2 takes {in_features - 2 * time_harmonics}")
        f2 = cls(latent_dim, hidden, layers, time_harmonics)
        f2.load_state_dict(state)
        return f2

    def forward(self, z: Tensor, hours: Tensor) -> Tensor:
        """``z`` N x latent_dim, ``hours`` N or 1 -> N x 3."""
        features = time_features(hours, self.time_harmonics).expand(z.shape[0], -1)
        return torch.sigmoid(self.siren(torch.cat((z, features), dim=-1)))

    def latent_part(self, z: Tensor) -> Tensor:
        """What the latents (and the bias) add to the first layer's argument, ``M x latent_dim`` -> M x hidden."""
        first = self.siren.sine_layers[0]
        with torch.autocast(z.device.type, enabled=False):
            return nn.functional.linear(z.float(), first.scaled_weight()[:, : self.latent_dim], first.scaled_bias())

    def hour_part(self, hours: Tensor) -> Tensor:
        """What the hours add to the first layer's argument, T -> T x hidden."""
        features = time_features(hours, self.time_harmonics)
        with torch.autocast(hours.device.type, enabled=False):
            return nn.functional.linear(features, self.siren.sine_layers[0].scaled_weight()[:, self.latent_dim :])

    def split_first_layer(self, z: Tensor, hours: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer's argument as a sum: the latents' part M x hidden and the hours' part T x hidden."""
        return self.latent_part(z), self.hour_part(hours)

    def outer(self, z: Tensor, hours: Tensor) -> Tensor:
        """All hours of all latents, differentiable: ``z`` M x latent_dim, ``hours`` T -> M x T x 3.

        The latents' share of the first layer is computed once per texel, the hours' share once per hour.
        """
        h = OuterSine.apply(*self.split_first_layer(z, hours)).flatten(0, 1)
        for layer in self.siren.layers[1:]:
            h = layer(h)
        return torch.sigmoid(self.siren.head(h).float()).unflatten(0, (z.shape[0], hours.shape[0]))
