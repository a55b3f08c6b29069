"""Maps over (u, v), (u, t) and (v, t), a coarse volume over (u, v, t), and the small MLP that joins them; its training.

The published idea of NDGI (Wu et al., CVPR 2026), built from its description: 8-bit maps trained under straight
quantisation noise, then frozen as they are stored while the MLP is fine-tuned.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

HIDDEN = 16
CODE_STEP = 2 / 255  # of 8-bit codes over [-1, 1]
FROZEN_FROM = 0.8  # the share of the training time after which only the MLP is trained
BATCH_TEXELS, BATCH_FRAMES = 4096, 6
MAP_RATE, MLP_RATE = 0.02, 0.005


@dataclass(frozen=True)
class PlaneSizes:
    """Channels of the uv map, of the ut and vt maps each, and of the volume; texels per cell of the map and volume."""

    uv: int
    uv_step: int
    ut: int
    uvt: int
    uvt_step: int


def training_time(seconds: float) -> Iterator[float]:
    """The share of ``seconds`` that has passed, again at every call, until all of it has."""
    start = time.perf_counter()
    while (passed := (time.perf_counter() - start) / seconds) < 1:
        yield passed


class PlaneModel(nn.Module):
    """``T`` frames of ``height x width`` texels. Every map is a table, one row per cell: times of a cell lie together.

    Texel ``i`` of a map with cells of ``step`` texels is interpolated between cell centres, as textures are.
    """

    def __init__(self, height: int, width: int, frames: int, sizes: PlaneSizes) -> None:
        super().__init__()
        self.height, self.width, self.frames, self.sizes = height, width, frames, sizes
        self.shapes = {
            "uv": (*self._cells(sizes.uv_step), 1, sizes.uv),
            "ut": (width, 1, frames, sizes.ut),
            "vt": (1, height, frames, sizes.ut),
            "uvt": (*self._cells(sizes.uvt_step), frames, sizes.uvt),
        }
        self.maps = nn.ParameterDict(
            {name: torch.empty(a * b, t * c).uniform_(-0.1, 0.1) for name, (a, b, t, c) in self.shapes.items()}
        )
        self.at_uv = nn.Linear(sizes.uv, HIDDEN)
        self.at_time = nn.Linear(2 * sizes.ut + sizes.uvt, HIDDEN, bias=False)
        self.rest = nn.Sequential(nn.GELU(), nn.Linear(HIDDEN, HIDDEN), nn.GELU(), nn.Linear(HIDDEN, 3))

    def _cells(self, step: int) -> tuple[int, int]:
        return -(-self.height // step), -(-self.width // step)

    def forward(self, texels: Tensor, frames: Tensor, is_noisy: bool = False) -> Tensor:
        """Indices of texels ``N`` (row by row) and of frames ``T`` -> normalised values ``N x T x 3``."""
        y, x = texels // self.width, texels % self.width
        uv = self._read("uv", None, *self._corners(y, x, self.sizes.uv_step), is_noisy)  # N x 1 x C
        timed = [
            self._read("ut", frames, x[:, None], None, is_noisy),  # N x T x C
            self._read("vt", frames, y[:, None], None, is_noisy),
            self._read("uvt", frames, *self._corners(y, x, self.sizes.uvt_step), is_noisy),
        ]
        # The uv map's half of the first layer serves all times of a texel at once.
        return self.rest(self.at_uv(uv) + self.at_time(torch.cat(timed, -1)))

    def _read(self, name: str, frames: Tensor | None, cells: Tensor, weights: Tensor | None, is_noisy: bool) -> Tensor:
        """The map at ``cells`` (N x corners) mixed by their ``weights``, ``N x T x C``."""
        table = self.maps[name].unflatten(-1, self.shapes[name][2:])
        table = (table if frames is None else table[:, frames]).flatten(1)
        if is_noisy and len(table) < cells.numel():
            table = _with_noise(table)
        rows = F.embedding(cells, table)
        if is_noisy and len(table) >= cells.numel():
            rows = _with_noise(rows)
        mixed = rows[:, 0] if weights is None else (rows * weights[..., None]).sum(1)
        return mixed.unflatten(-1, (-1, self.shapes[name][3]))

    def _corners(self, y: Tensor, x: Tensor, step: int) -> tuple[Tensor, Tensor | None]:
        """The cells around each texel, ``N x 4``, and their bilinear weights; the cell alone where cells are texels."""
        if step == 1:
            return (y * self.width + x)[:, None], None
        sides = []
        for place, count in zip((y, x), self._cells(step), strict=True):
            at = ((place + 0.5) / step - 0.5).clamp(0, count - 1)
            low = at.floor().long()
            sides.append((low, (low + 1).clamp(max=count - 1), at - low))
        (top, bottom, down), (left, right, along) = sides
        columns = self._cells(step)[1]
        index = [top * columns + left, top * columns + right, bottom * columns + left, bottom * columns + right]
        weights = [(1 - down) * (1 - along), (1 - down) * along, down * (1 - along), down * along]
        return torch.stack(index, 1), torch.stack(weights, 1)


def _with_noise(values: Tensor) -> Tensor:
    """What rounding to 8-bit codes does, as uniform noise."""
    return values + (torch.rand_like(values) - 0.5) * CODE_STEP


def fit(
    model: PlaneModel, texels: Tensor, targets: Tensor, progress: Iterable[float], freeze: Callable[[PlaneModel], None]
) -> None:
    """Train on ``texels`` (N indices) towards ``targets`` (N x T x 3), one step for each value of ``progress``.

    ``progress`` runs through [0, 1). ``freeze(model)`` is called once, when it has passed ``FROZEN_FROM`` or ended,
    and replaces the maps by what is stored of them.
    """
    maps, mlp = list(model.maps.parameters()), [p for n, p in model.named_parameters() if not n.startswith("maps.")]
    optimizer = _adam(maps, mlp)
    generator = torch.Generator().manual_seed(0)
    is_frozen = False
    for passed in progress:
        if passed >= FROZEN_FROM and not is_frozen:
            is_frozen = True
            freeze(model)
            model.maps.requires_grad_(False)
            optimizer = _adam([], mlp)
        _set_rates(optimizer, passed)
        batch = torch.randint(len(texels), (min(BATCH_TEXELS, len(texels)),), generator=generator)
        frames = torch.randperm(model.frames, generator=generator)[:BATCH_FRAMES]
        truth = targets[batch[:, None], frames]
        loss = F.mse_loss(model(texels[batch], frames, is_noisy=not is_frozen), truth)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if not is_frozen:
            with torch.no_grad():
                for table in maps:
                    table.clamp_(-1, 1)
    if not is_frozen:
        freeze(model)


def _adam(maps: Sequence[Tensor], mlp: Sequence[Tensor]) -> torch.optim.Optimizer:
    groups = [{"params": maps, "top": MAP_RATE}] if maps else []
    return torch.optim.Adam([*groups, {"params": mlp, "top": MLP_RATE}], betas=(0.9, 0.99), fused=True)


def _set_rates(optimizer: torch.optim.Optimizer, passed: float) -> None:
    """Half a cosine while the maps are trained, and another, lower one for the fine-tuning."""
    start, end, share = (0.0, FROZEN_FROM, 1.0) if passed < FROZEN_FROM else (FROZEN_FROM, 1.0, 0.4)
    factor = share * (0.5 + 0.5 * math.cos(math.pi * (passed - start) / (end - start)))
    for group in optimizer.param_groups:
        group["lr"] = group["top"] * max(factor, 0.01)
