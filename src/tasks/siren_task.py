"""Training the lightmap compressor with a SIREN as F1 on one lightmap."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from src.data.lightmap_dataset import LightmapDataset
from src.losses.siren_loss import SirenLoss, psnr_db
from src.models.compressor import CHECKPOINT_KIND, LightmapCompressor
from src.training.distributed import Processes
from src.training.task import Task
from src.utils.color import linear_to_srgb
from src.utils.contact_sheet import comparison_sheet
from src.utils.hour_interpolation import hours_to_show
from src.utils.texel_grid import texel_xy, tile_of_texels, tile_psnr_db

FIGURE_COUNT = 3
FIGURE_PIXELS = 512  # the larger side of a picture in a comparison
TILE_SIZE = 256  # of the tiles over which the PSNR of radiance is averaged
_PEAK_ROWS = 1 << 18


class SirenTask(Task):
    """Mean squared error on batches of texel indices; validation is the PSNR of all texels at all hours."""

    kind = CHECKPOINT_KIND
    unit = "texels"

    def __init__(self, model: LightmapCompressor, dataset: LightmapDataset, processes: Processes) -> None:
        super().__init__()
        self.model = model
        self.dataset = dataset
        self.processes = processes
        self._loss = SirenLoss()
        self._tiles, self._peaks = None, None
        self._transfer = model.config.transfer
        if dataset.is_radiance:
            self._tiles = tile_of_texels(dataset.mask, TILE_SIZE)
            self._peaks = self._brightest()

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
        score, per_hour = self.psnr_db()
        return {"score": score, "psnr_db": score, "worst_hour_psnr_db": min(per_hour)}

    def psnr_db(self) -> tuple[float, list[float]]:
        """The PSNR of the whole and of each hour; of radiance, hours that are all black are left out."""
        squared, counts = self._squared_errors()
        if self._peaks is None:
            squared = squared[0] / (3 * counts[0])
            return psnr_db(float(squared.mean())), [psnr_db(value) for value in squared.tolist()]
        mean_squared = squared / (3 * counts.clamp_min(1).unsqueeze(1))
        hourly = tile_psnr_db(mean_squared, self._peaks.double()).nanmean(dim=0)
        per_hour = hourly[~hourly.isnan()].tolist()
        return sum(per_hour) / len(per_hour), per_hour

    @torch.no_grad()
    def _squared_errors(self) -> tuple[Tensor, Tensor]:
        """Squared errors summed over the texels of each tile, tiles x T float64, and how many texels each has.

        Without tiles of its own the whole map is one.
        """
        data, decoder = self.dataset, self.model.decoder()
        of_texel = torch.zeros_like(data.valid) if self._tiles is None else self._tiles
        tile_count = 1 if self._peaks is None else len(self._peaks)

        hour_parts = decoder.hour_parts(data.hours)
        tiles = -(-data.height * data.width // decoder.tile_texels)
        # One place for each decoded tile, made before the workers begin: small results that each of them kept would
        # lie between their large temporary ones and hold on to that memory.
        sums = torch.zeros(tiles, tile_count, len(data.hours), dtype=torch.float64, device=data.device)

        def squared_errors(first: int, z: Tensor) -> None:
            begin, end = torch.searchsorted(data.valid, torch.tensor([first, first + len(z)], device=data.device))
            rows = data.valid[begin:end] - first
            truth = data.texels[begin:end]
            for t, colours in enumerate(decoder.decode_tile(z, hour_parts)):
                squared = (colours[rows] - truth[:, t]).square_().sum(1)
                if tile_count == 1:
                    sums[first // decoder.tile_texels, 0, t] = squared.sum(dtype=torch.float64)
                else:
                    sums[first // decoder.tile_texels, :, t].index_add_(0, of_texel[begin:end], squared.double())

        decoder.map_tiles(squared_errors, (self.processes.rank, self.processes.count))
        squared = self.processes.mean(sums.sum(0)) * self.processes.count
        return squared, torch.bincount(of_texel, minlength=tile_count)

    def _brightest(self) -> Tensor:
        """The largest radiance of each tile at each hour, tiles x T."""
        peaks = torch.zeros(int(self._tiles.max()) + 1, len(self.dataset.hours), device=self.dataset.device)
        for first in range(0, self.dataset.texel_count, _PEAK_ROWS):
            part = slice(first, first + _PEAK_ROWS)
            brightest = self.dataset.texels[part].amax(dim=2)
            tiles = self._tiles[part].unsqueeze(1).expand_as(brightest)
            peaks.scatter_reduce_(0, tiles, brightest, "amax")
        return peaks

    def figures(self) -> dict[str, np.ndarray]:
        return {"truth_reconstruction_error": self.comparison()}

    def comparison(self) -> np.ndarray:
        """Truth, reconstruction and error (x 8) over the day and around events, as displayed; large maps thinned out.

        Radiance is shown with its frame's peak as white.
        """
        data, decoder = self.dataset, self.model.decoder()
        stride = -(-max(data.height, data.width) // FIGURE_PIXELS)
        rows = torch.arange(0, data.height, stride, device=data.device)
        columns = torch.arange(0, data.width, stride, device=data.device)
        index = (rows[:, None] * data.width + columns).flatten()
        shape = (len(rows), len(columns), 3)
        chosen = hours_to_show(data.hour_values, FIGURE_COUNT)
        pairs = []
        for t in chosen:
            truth = data.frame(t)[::stride, ::stride]
            predicted = decoder.decode(texel_xy(index, data.height, data.width), data.hour_values[t])
            predicted = predicted.view(shape).cpu().numpy()
            if data.is_radiance:
                peak = max(float(truth.max()), 1e-12)
                valid = (truth > 0).any(axis=2, keepdims=True)
                predicted = linear_to_srgb(np.where(valid, np.minimum(predicted / peak, 1.0), 0.0))
                truth = linear_to_srgb(truth / peak)
            pairs.append((truth, predicted))
        return comparison_sheet(pairs, [f"{data.hour_values[t]:g} h" for t in chosen])

    def model_config(self) -> dict:
        return self.model.config.to_dict()
