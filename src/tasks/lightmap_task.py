"""Training the lightmap compressor on one data set."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from src.data.lightmap_dataset import LightmapDataset
from src.losses.lightmap_loss import LightmapLoss, psnr_db
from src.models.compressor import CHECKPOINT_KIND, LightmapCompressor
from src.training.distributed import Processes
from src.training.task import Task
from src.utils.contact_sheet import comparison_sheet
from src.utils.texel_grid import texel_xy

FIGURE_COUNT = 3
FIGURE_PIXELS = 512  # the larger side of a picture in a comparison


class LightmapTask(Task):
    """Mean squared error on batches of texel indices; validation is the PSNR of all texels at all hours."""

    kind = CHECKPOINT_KIND
    unit = "texels"

    def __init__(self, model: LightmapCompressor, dataset: LightmapDataset, processes: Processes) -> None:
        super().__init__()
        self.model = model
        self.dataset = dataset
        self.processes = processes
        self._loss = LightmapLoss()

    def forward(self, batch: Tensor) -> dict[str, Tensor]:
        xy, target = self.dataset.batch(batch)
        return self._loss(self.model, xy, self.dataset.hours, target)

    def samples(self, batch: Tensor) -> int:
        return len(batch) * len(self.dataset.hours)

    def describe(self, batch: Tensor) -> str:
        finite = torch.isfinite(self.dataset.texels[batch]).all(dim=(0, 2)).tolist()
        bad = [name for name, good in zip(self.dataset.names, finite, strict=True) if not good]
        return f"{len(batch)} texels of {', '.join(bad)}" if bad else f"{len(batch)} texels, all of them finite"

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        data, decoder = self.dataset, self.model.decoder()

        def squared_errors(first: int, z: Tensor) -> Tensor:
            truth = data.texels[first : first + len(z)]
            predicted = torch.stack(list(decoder.decode_tile(z, data.hours)), dim=1)
            return (predicted - truth).square_().sum((0, 2), dtype=torch.float64)

        tiles = decoder.map_tiles(squared_errors, (self.processes.rank, self.processes.count))
        zero = torch.zeros(len(data.hours), dtype=torch.float64, device=data.device)
        squared = self.processes.mean(sum(tiles, start=zero)) * self.processes.count
        per_hour = [psnr_db(value) for value in (squared / (3 * data.texel_count)).tolist()]
        score = psnr_db(float(squared.mean()) / (3 * data.texel_count))
        return {"score": score, "psnr_db": score, "worst_hour_psnr_db": min(per_hour)}

    def figures(self) -> dict[str, np.ndarray]:
        return {"truth_reconstruction_error": self.comparison()}

    def comparison(self) -> np.ndarray:
        """Truth, reconstruction and error (x 8) at a few hours over the day, as displayed; large maps thinned out."""
        data, decoder = self.dataset, self.model.decoder()
        stride = -(-max(data.height, data.width) // FIGURE_PIXELS)
        rows = torch.arange(0, data.height, stride, device=data.device)
        columns = torch.arange(0, data.width, stride, device=data.device)
        index = (rows[:, None] * data.width + columns).flatten()
        count = len(data.hour_values)
        chosen = sorted({int((k + 0.5) * count / FIGURE_COUNT) for k in range(min(FIGURE_COUNT, count))})
        pairs = []
        for t in chosen:
            predicted = decoder.decode(texel_xy(index, data.height, data.width), data.hour_values[t])
            shape = (len(rows), len(columns), 3)
            pairs.append((data.texels[index, t].view(shape).cpu().numpy(), predicted.view(shape).cpu().numpy()))
        return comparison_sheet(pairs, [f"{data.hour_values[t]:g} h" for t in chosen])

    def model_config(self) -> dict:
        return self.model.config.to_dict()
