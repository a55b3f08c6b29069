"""The peer: the same compressor trained the way coordinate networks usually are.

A ``Dataset`` that returns one sample per ``__getitem__``, a ``DataLoader`` that shuffles and collates, the whole of
F1 and F2 for every sample, a whole frame per call when decoding. Same sizes, initialisation, loss and optimizer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from src.models.siren import OMEGA_0


class PerSampleDataset(Dataset):
    """One (x, y), hour and colour per item."""

    def __init__(self, frames: np.ndarray, hours: tuple[float, ...]) -> None:
        """``frames`` is T x H x W x 3 float32."""
        self.frames = torch.from_numpy(frames)
        self.hours = hours
        _, self.height, self.width, _ = frames.shape

    def __len__(self) -> int:
        return len(self.hours) * self.height * self.width

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        t, texel = divmod(index, self.height * self.width)
        row, column = divmod(texel, self.width)
        x = (column + 0.5) / self.width * 2.0 - 1.0
        y = (row + 0.5) / self.height * 2.0 - 1.0
        xy = torch.tensor([x, y], dtype=torch.float32)
        hour = torch.tensor(self.hours[t], dtype=torch.float32)
        return xy, hour, self.frames[t, row, column]


class Sine(nn.Module):
    def __init__(self, in_features: int, out_features: int, is_first: bool) -> None:
        super().__init__()
        self.linear = nn.Linear(in_features, out_features)
        bound = 1 / in_features if is_first else math.sqrt(6 / in_features) / OMEGA_0
        nn.init.uniform_(self.linear.weight, -bound, bound)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(OMEGA_0 * self.linear(x))


def sine_network(in_features: int, hidden: int, layers: int, out_features: int) -> nn.Sequential:
    sines = [Sine(in_features if i == 0 else hidden, hidden, is_first=i == 0) for i in range(layers)]
    head = nn.Linear(hidden, out_features)
    bound = math.sqrt(6 / hidden) / OMEGA_0
    nn.init.uniform_(head.weight, -bound, bound)
    return nn.Sequential(*sines, head)


class PlainCompressor(nn.Module):
    """F1 and F2 at the default sizes, evaluated in full for every sample."""

    def __init__(self, latent_dim: int = 32, time_harmonics: int = 2) -> None:
        super().__init__()
        self.time_harmonics = time_harmonics
        self.f1 = sine_network(2, 32, 4, latent_dim)
        self.f2 = sine_network(latent_dim + 2 * time_harmonics, 64, 4, 3)

    def encode_time(self, hours: Tensor) -> Tensor:
        angles = [2 * math.pi * k * hours / 24 for k in range(1, self.time_harmonics + 1)]
        return torch.stack([f(angle) for angle in angles for f in (torch.sin, torch.cos)], dim=-1)

    def forward(self, xy: Tensor, hours: Tensor) -> Tensor:
        return self.colour(self.f1(xy), hours)

    def colour(self, z: Tensor, hours: Tensor) -> Tensor:
        return torch.sigmoid(self.f2(torch.cat([z, self.encode_time(hours)], dim=-1)))

    @torch.no_grad()
    def psnr_db(self, data: PerSampleDataset) -> float:
        """Over all samples, in slices."""
        rows = torch.arange(data.height * data.width)
        x = (rows % data.width + 0.5) / data.width * 2 - 1
        y = (rows // data.width + 0.5) / data.height * 2 - 1
        xy = torch.stack([x, y], dim=-1)
        squared = 0.0
        for t, hour in enumerate(data.hours):
            predicted = self(xy, torch.full((len(xy),), hour))
            squared += float((predicted - data.frames[t].reshape(-1, 3)).square().mean())
        return -10 * math.log10(squared / len(data.hours))


def train(model: PlainCompressor, data: PerSampleDataset, batch_size: int, lr: float = 1e-3) -> Iterator[int]:
    """Train for ever, on the model's device; after every step yield how many samples it took."""
    optimizer, device = torch.optim.Adam(model.parameters(), lr=lr), next(model.parameters()).device
    while True:
        for xy, hours, target in DataLoader(data, batch_size, shuffle=True, num_workers=0):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(xy.to(device), hours.to(device)), target.to(device))
            loss.backward()
            optimizer.step()
            yield len(xy)
