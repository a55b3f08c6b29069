"""Training a latent grid on one lightmap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from src.data.lightmap_dataset import LightmapDataset
from src.losses.grid_loss import BalancedError, decibels_to_loss, neighbour_bits
from src.models.grid.latent_grid import CHECKPOINT_KIND, LatentGrid
from src.models.grid.packed_latents import block_mask
from src.models.lightmap_decoder import chunk_texels
from src.tasks.judging import comparison, validation_measures
from src.training.task import Batches, Report, Task
from src.utils.seeding import generator, on_device
from src.utils.tile_metrics import day_psnr_db, tile_peaks, tile_psnr_db

FREEZE_AT = 0.85  # of the training: latents are rounded, F2 alone is tuned on


class GridTask(Task):
    """Balanced error in linear radiance plus the price of bits, with quantisation noise until the latents are frozen.

    Noise U(-0.5, 0.5) quantisation steps stands for rounding: Balle et al., ICLR 2017.
    """

    kind = CHECKPOINT_KIND
    unit = "texels"
    preparation = "temporal SVD"

    def __init__(self, model: LatentGrid, dataset: LightmapDataset, bit_price: float, seed: int) -> None:
        """``bit_price`` in dB per (bit per texel of the map and frame)."""
        super().__init__()
        self.model = model
        self.dataset = dataset
        self.bit_price = bit_price
        self.seed = seed
        strides = (1, *(stride for stride, _ in model.config.coarse))
        self._neighbours = [_neighbour_rows(block_mask(dataset.mask, stride)) for stride in strides]
        # How much of a row is one texel's.
        self._shares = [1.0 / torch.bincount(rows) for rows in model.rows(slice(None))[1:]]
        self._tiles = model.tile_of_texels()
        self._peaks = tile_peaks(dataset.texels, self._tiles, len(model.error_level))
        self._rounded = False
        self._error = BalancedError(self._tiles, model.error_level)

    def prepare(self, batches: Batches, report: Report) -> None:
        """Start from the temporal SVD, and know its errors."""
        report(0, 2)
        self.model.start_from(self.dataset.texels)
        report(1, 2)
        self.model.error_level.copy_(self._errors(lambda z: z) / self.model.frame_scale.square())
        report(2, 2)

    @property
    def is_frozen(self) -> bool:
        return self.progress >= FREEZE_AT

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        model = self.model
        if self.is_frozen:
            self._round_once()
            z = model.z(batch).detach()
        else:
            rows = model.rows(batch)
            parts = [F.embedding(at, table, sparse=True) for at, table in zip(rows, model.tables(), strict=True)]
            z = torch.cat(parts, dim=1)
        noisy = z
        if not self.is_frozen:
            random = on_device(generator(self.seed, self.step), z.device)
            noise = torch.rand(z.shape, generator=random, device=z.device)
            noisy = z + (noise - 0.5) * model.quantiser.step
        target = self.dataset.texels.index_select(0, batch) / model.frame_scale[:, None]
        error = self._error(batch, model(noisy), target)
        if self.is_frozen or self.bit_price == 0:
            return {"loss": error}
        bits = sum(self._bits(level, at, part) for level, (at, part) in enumerate(zip(rows, parts, strict=True)))
        mask = self.dataset.mask
        bpp = bits * (self.dataset.texel_count / (mask.numel() * len(self.dataset.hour_values)))
        return {"loss": error + decibels_to_loss(self.bit_price * bpp), "error": error, "bpp": bpp}

    def _bits(self, level: int, rows: Tensor, values: Tensor) -> Tensor:
        """Bits per texel that ``rows`` M of a level take, of which every texel of a block bears its share."""
        near = self.model.tables()[level].detach()[self._neighbours[level][rows]]
        steps = self.model.quantiser.in_steps(values.unsqueeze(1) - near)
        return neighbour_bits(steps, self._shares[level - 1][rows] if level else None)

    def samples(self, batch: Tensor) -> int:
        return len(batch) * len(self.dataset.hour_values)

    def describe(self, batch: Tensor) -> str:
        return self.dataset.describe_batch(batch)

    @torch.no_grad()
    def tile_psnr_db(self) -> Tensor:
        """PSNR with the latents rounded, tiles x T: masked, peak = the tile's maximum; NaN for a black tile."""
        return tile_psnr_db(self._errors(self.model.rounded), self._peaks)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The mean over tiles and hours of the PSNR with the latents rounded, see :meth:`tile_psnr_db`."""
        mean_squared = self._errors(self.model.rounded)
        return validation_measures(*day_psnr_db(tile_psnr_db(mean_squared, self._peaks)), float(mean_squared.mean()))

    def figures(self) -> dict[str, np.ndarray]:
        return {"truth_reconstruction_error": comparison(self.dataset, self.model.decoder())}

    def model_config(self) -> dict:
        return self.model.config.to_dict()

    def _round_once(self) -> None:
        if not self._rounded:
            self.model.round_latents()
            self._rounded = True

    @torch.no_grad()
    def _errors(self, alter: Callable[[Tensor], Tensor]) -> Tensor:
        """Mean squared errors with altered latents, tiles x T; 0 for a tile without a valid texel."""
        model, texels = self.model, self.dataset.texels
        sums = torch.zeros(model.error_level.shape, dtype=torch.float64, device=texels.device)
        for first in range(0, len(texels), chunk_texels(texels.device)):
            part = slice(first, first + chunk_texels(texels.device))
            predicted = (model(alter(model.z(part))) * model.frame_scale[:, None]).clamp_min_(0.0)
            squared = (predicted - texels[part]).square_().mean(dim=2)
            sums.index_add_(0, self._tiles[part], squared.double())
        return (sums / torch.bincount(self._tiles, minlength=len(sums)).clamp_min(1).unsqueeze(1)).float()


def _neighbour_rows(mask: Tensor) -> Tensor:
    """For each valid texel the rows of the texels above, below, left and right; its own row where not valid: N x 4."""
    height, width = mask.shape
    rows = torch.full((height + 2, width + 2), -1, dtype=torch.int64, device=mask.device)
    own = torch.arange(int(mask.sum()), device=mask.device)
    rows[1:-1, 1:-1][mask] = own
    shifts = ((0, 1), (2, 1), (1, 0), (1, 2))
    near = torch.stack([rows[y : y + height, x : x + width][mask] for y, x in shifts], dim=1)
    return torch.where(near < 0, own.unsqueeze(1), near)
