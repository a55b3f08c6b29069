"""Training a siren on one lightmap."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from src.data.lightmap_dataset import LightmapDataset
from src.losses.siren_loss import SirenLoss
from src.models.compressor import CHECKPOINT_KIND, LightmapCompressor
from src.tasks.judging import comparison, validation_measures
from src.training.distributed import Processes
from src.training.task import Task
from src.utils.metrics import psnr_of_mse_db
from src.utils.tile_metrics import day_psnr_db, tile_count, tile_of_texels, tile_peaks, tile_psnr_db


class SirenTask(Task):
    """Mean squared error on batches of texel indices; validation is the PSNR of all texels at all hours."""

    model: LightmapCompressor
    kind = CHECKPOINT_KIND
    unit = "texels"

    def __init__(self, model: LightmapCompressor, dataset: LightmapDataset, processes: Processes) -> None:
        super().__init__()
        self.model = model
        self.dataset = dataset
        self.processes = processes
        self._loss = SirenLoss()
        self._transfer = model.config.transfer
        self._peaks = None
        if dataset.is_radiance:
            tiles = tile_count(dataset.height, dataset.width)
            self._peaks = tile_peaks(dataset.texels, tile_of_texels(dataset.mask), tiles)

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        xy, target = self.dataset.batch(batch)
        if self._transfer is not None:
            target = self._transfer.encode(target)
        return self._loss(self.model, xy, self.dataset.hours, target)

    def samples(self, batch: Tensor) -> int:
        return len(batch) * len(self.dataset.hours)

    def describe(self, batch: Tensor) -> str:
        return self.dataset.describe_batch(batch)

    def validate(self) -> dict[str, float]:
        """PSNR over valid texels. Of display values: peak 1, squared errors pooled over the hours.

        Of radiance as for a latent grid: the peak is the largest value of the tile at that hour, and the PSNR is the
        mean over tiles and hours.
        """
        mean_squared = self._mean_squared_errors()
        if self._peaks is None:
            day_db, worst_db = psnr_of_mse_db(torch.stack((mean_squared.mean(), mean_squared.max()))).tolist()
        else:
            day_db, worst_db = day_psnr_db(tile_psnr_db(mean_squared, self._peaks))
        return validation_measures(day_db, worst_db, float(mean_squared.mean()))

    @torch.no_grad()
    def _mean_squared_errors(self) -> Tensor:
        """Over the texels of each tile, tiles x T float64; 0 for a tile without a valid texel.

        Of display values the whole map is one tile.
        """
        data, decoder = self.dataset, self.model.decoder()
        tiles = torch.zeros_like(data.valid) if self._peaks is None else tile_of_texels(data.mask)
        count = 1 if self._peaks is None else len(self._peaks)

        hour_parts = decoder.hour_parts(data.hours)
        chunks = -(-data.height * data.width // decoder.chunk_texels)
        # One place for each decoded chunk, made before the workers begin: small results that each of them kept would
        # lie between their large temporary ones and hold on to that memory.
        sums = torch.zeros(chunks, count, len(data.hours), dtype=torch.float64, device=data.device)

        def squared_errors(first: int, z: Tensor) -> None:
            begin, end = torch.searchsorted(data.valid, torch.tensor([first, first + len(z)], device=data.device))
            rows = data.valid[begin:end] - first
            truth = data.texels[begin:end]
            for t, colours in enumerate(decoder.decode_chunk(z, hour_parts)):
                squared = (colours[rows] - truth[:, t]).square_().sum(1)
                if count == 1:
                    sums[first // decoder.chunk_texels, 0, t] = squared.sum(dtype=torch.float64)
                else:
                    sums[first // decoder.chunk_texels, :, t].index_add_(0, tiles[begin:end], squared.double())

        decoder.map_chunks(squared_errors, (self.processes.rank, self.processes.count))
        squared = self.processes.mean(sums.sum(0)) * self.processes.count
        return squared / (3 * torch.bincount(tiles, minlength=count).clamp_min(1).unsqueeze(1))

    def figures(self) -> dict[str, np.ndarray]:
        return {"truth_reconstruction_error": comparison(self.dataset, self.model.decoder())}

    def model_config(self) -> dict:
        return self.model.config.to_dict()
