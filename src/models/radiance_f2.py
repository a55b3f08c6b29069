"""A SIREN's F2 with the radiance transfer behind it: what engines get when the lightmaps were HDR."""

from __future__ import annotations

import torch
from torch import Tensor

from src.models.f2 import F2
from src.models.hour_lookup import HourLookup
from src.utils.hour_interpolation import detect_events
from src.utils.radiance_transfer import RadianceTransfer

_PREFIX = "transfer_"


class RadianceF2(F2):
    """``(z, hour) -> linear RGB``. Its state is that of F2 with the transfer in ``transfer_*``."""

    transfer_hours: Tensor
    transfer_scale: Tensor
    transfer_gamma: Tensor

    def __init__(self, f2: F2, transfer: RadianceTransfer) -> None:
        siren = f2.siren
        hidden = siren.sine_layers[0].linear.out_features
        super().__init__(f2.latent_dim, hidden, len(siren.layers), f2.time_harmonics)
        self.load_state_dict(f2.state_dict())
        self.register_buffer("transfer_hours", torch.tensor(transfer.hours, dtype=torch.float64))
        self.register_buffer("transfer_scale", torch.tensor(transfer.frame_scale, dtype=torch.float64))
        self.register_buffer("transfer_gamma", torch.tensor(transfer.gamma, dtype=torch.float64))
        self.lookup = HourLookup(transfer.hours, detect_events(transfer.hours))
        self.to(next(f2.parameters()).device)

    def forward(self, z: Tensor, hours: Tensor) -> Tensor:
        """``z`` N x latent_dim, ``hours`` N or 1 -> N x 3."""
        first, second, share = self.lookup(hours)
        scale = (1.0 - share) * self.transfer_scale[first] + share * self.transfer_scale[second]
        return super().forward(z, hours) ** self.transfer_gamma.float() * scale.float().unsqueeze(-1)


def split_transfer(state: dict[str, Tensor]) -> tuple[dict[str, Tensor], RadianceTransfer | None]:
    """An exported state -> that of F2 alone, and the transfer (None for display values)."""
    own = {name: value for name, value in state.items() if not name.startswith((_PREFIX, "lookup."))}
    if f"{_PREFIX}scale" not in state:
        return own, None
    hours, scale = state[f"{_PREFIX}hours"].tolist(), state[f"{_PREFIX}scale"].tolist()
    return own, RadianceTransfer(tuple(hours), tuple(scale), float(state[f"{_PREFIX}gamma"]))
