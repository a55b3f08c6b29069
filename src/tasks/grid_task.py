"""Training a latent grid on one lightmap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from src.data.lightmap.block_batches import BlockBatch
from src.data.lightmap_dataset import LightmapDataset
from src.losses.grid_loss import BalancedError, decibels_to_loss, width_bits
from src.models.grid.latent_grid import CHECKPOINT_KIND, LatentGrid
from src.models.lightmap_decoder import chunk_texels
from src.tasks.grid_budget import GridBudget
from src.tasks.judging import comparison, validation_measures
from src.training.task import Batches, Report, Task
from src.utils.seeding import generator, on_device
from src.utils.tile_metrics import day_psnr_db, tile_peaks, tile_psnr_db

FREEZE_AT = 0.85  # of the training: latents are rounded, F2 alone is tuned on
MADE_IMPORTANCE = 0.05  # of a frame that was not baked: it is less accurate itself, and need not be exact
DB_PER_EXCESS = 100.0  # by which a score falls per budget that is exceeded: what does not fit is never the best


class GridTask(Task):
    """Balanced error in linear radiance plus the price of bits, with quantisation noise until the latents are frozen.

    Noise U(-0.5, 0.5) quantisation steps stands for rounding: Balle et al., ICLR 2017. The price is what makes the
    packed latents as large as the budget: it follows the size that is measured while training. When the latents are
    frozen they are rounded so that they fit, see :mod:`src.tasks.grid_budget`.
    """

    model: LatentGrid
    kind = CHECKPOINT_KIND
    unit = "texels"
    preparation = "temporal SVD"
    closing = 4.0  # latents are rounded, all hours measured, and a file is coded

    def __init__(
        self,
        model: LatentGrid,
        dataset: LightmapDataset,
        budget_bytes: float,
        seed: int,
        scale: float = 1.0,
        fill: float = 1.0,
    ) -> None:
        """``budget_bytes``: most that may be resident when decoding. ``scale``: of the latents at the start.
        ``fill``: how much of the budget to use at most, see :meth:`GridBudget.start`."""
        super().__init__()
        self.model = model
        self.dataset = dataset
        self.seed = seed
        self._scale, self._fill = scale, fill
        self._is_rounded = False  # as in the model, where a GPU would have to be waited for
        self._budget = GridBudget(model, budget_bytes)
        self._values = dataset.mask.numel() * len(dataset.baked_hours)  # texels of the map x hours
        baked = dataset.baked
        self._baked = torch.nonzero(baked).flatten()
        self._tiles = model.tile_of_texels()
        self._peaks = tile_peaks(dataset.texels, self._tiles, len(model.error_level))[:, self._baked]
        importance = torch.where(baked, 1.0, MADE_IMPORTANCE)
        self._error = BalancedError(self._tiles, model.error_level, importance)

    def prepare(self, batches: Batches, report: Report) -> None:
        """Start from the temporal SVD, see :meth:`LatentGrid.start_from`, and know its errors."""
        report(0, 2)
        self.model.start_from(self.dataset.texels, self._scale)
        report(1, 2)
        self._budget.start(self._fill, self._values)
        self.model.error_level.copy_(
            self._errors(lambda part: self.model.latents[part]) / self.model.frame_scale.square()
        )
        report(2, 2)

    @property
    def is_frozen(self) -> bool:
        return self.progress >= FREEZE_AT

    def forward(self, batch: BlockBatch) -> dict[str, Tensor]:
        model, texels = self.model, batch.texels
        target = self.dataset.texels.index_select(0, texels) / model.frame_scale[:, None]
        if self.is_frozen:
            self._freeze_once()
            return {"loss": self._error(texels, model(model.latents[texels].detach()), target)}
        if self.progress > 0:
            epochs = self.step / self.progress * len(batch.count) / len(model.layout.count)
            self._budget.control(self.progress, epochs)
        latents = F.embedding(batch.rows, model.latents, sparse=True)  # M x 16 x D
        z = latents.flatten(0, 1)[batch.slots]
        random = on_device(generator(self.seed, self.step), z.device)
        noise = torch.rand(z.shape, generator=random, device=z.device)
        error = self._error(texels, model(z + (noise - 0.5) * model.quantiser.step), target)
        ranges = model.quantiser.in_steps(latents.amax(1) - latents.amin(1))
        bits = (width_bits(ranges) * batch.count.unsqueeze(1)).sum() / len(texels)
        bpp = bits * (self.dataset.texel_count / self._values)
        price = model.rate_price.float()
        return {"loss": error + decibels_to_loss(price * bpp), "error": error, "bpp": bpp, "price": price}

    @torch.no_grad()
    def _freeze_once(self) -> None:
        """Round the latents to what just fits."""
        if not (self._is_rounded or self.model.is_rounded):
            self.model.round_latents([self._budget.rounded(self._psnr_db)])
        self._is_rounded = True

    def samples(self, batch: BlockBatch) -> int:
        return len(batch.texels) * len(self.dataset.hour_values)

    def describe(self, batch: BlockBatch) -> str:
        return self.dataset.describe_batch(batch.texels)

    @torch.no_grad()
    def tile_psnr_db(self) -> Tensor:
        """PSNR with the latents rounded, tiles x baked hours: masked, peak = the tile's maximum; NaN where black."""
        return tile_psnr_db(self._errors_of_codes(self.model.codes()[0]), self._peaks)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The mean over tiles and hours of the PSNR with the latents rounded, see :meth:`tile_psnr_db`.

        The score is lower where the packed latents do not fit the budget, or are not rounded for a file that is to be
        small: such a model is never the best.
        """
        codes = self.model.codes()[0]
        mean_squared = self._errors_of_codes(codes)
        measures = validation_measures(
            *day_psnr_db(tile_psnr_db(mean_squared, self._peaks)), float(mean_squared.mean())
        )
        size_bytes = self._budget.packed_bytes(codes)
        excess = max(0.0, size_bytes / self._budget.memory_bytes - 1.0)
        if self._budget.is_for_file and not self.model.is_rounded:
            excess += 1.0
        bpp_memory = 8.0 * (size_bytes + self.model.config.f2_bytes) / self._values
        return {**measures, "score": measures["score"] - DB_PER_EXCESS * excess, "bpp_memory": bpp_memory}

    def _psnr_db(self, codes: Tensor) -> float:
        return day_psnr_db(tile_psnr_db(self._errors_of_codes(codes), self._peaks))[0]

    def _errors_of_codes(self, codes: Tensor) -> Tensor:
        """As :meth:`_errors`, with the latents as they are stored, of the baked hours alone."""
        return self._errors(lambda part: self.model.quantiser.to_value(codes[part]))[:, self._baked]

    def figures(self) -> dict[str, np.ndarray]:
        return {"truth_reconstruction_error": comparison(self.dataset, self.model.decoder())}

    def model_config(self) -> dict:
        return self.model.config.to_dict()

    @torch.no_grad()
    def _errors(self, latents: Callable[[slice], Tensor]) -> Tensor:
        """Mean squared errors with these latents of some texels, tiles x T; 0 for a tile without a valid texel."""
        model, texels = self.model, self.dataset.texels
        sums = torch.zeros(model.error_level.shape, dtype=torch.float64, device=texels.device)
        for first in range(0, len(texels), chunk_texels(texels.device)):
            part = slice(first, first + chunk_texels(texels.device))
            predicted = (model(latents(part)) * model.frame_scale[:, None]).clamp_min_(0.0)
            squared = (predicted - texels[part]).square_().mean(dim=2)
            sums.index_add_(0, self._tiles[part], squared.double())
        return (sums / torch.bincount(self._tiles, minlength=len(sums)).clamp_min(1).unsqueeze(1)).float()
