"""Training a relighting model: the loss on batches, and what it is worth on people and light it never saw."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import torch
from torch import Tensor

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.relit_batches import RelitBatch, of_pair
from src.evaluation.relit.metrics import relit_metrics
from src.losses.relit_loss import RelitLoss
from src.models.relit_model import CHECKPOINT_KIND, RelitModel
from src.tasks.portrait_task import PortraitTask
from src.training.distributed import Processes
from src.utils.color import linear_to_srgb, luminance
from src.utils.contact_sheet import contact_sheet

GUIDANCE = 0.5  # weight of the transfer to begin with; it fades out, since pictures are what counts
FIGURE_COLUMNS = ("flat-lit", "relit predicted", "truth")
_SHOWN_MEAN = 0.25  # luminance of the person in figures


class RelitTask(PortraitTask):
    """The guidance by the transfer fades out over the training."""

    model: RelitModel
    kind = CHECKPOINT_KIND

    def __init__(self, model: RelitModel, loss: RelitLoss, validation: DelitDataset, processes: Processes) -> None:
        super().__init__(model, loss, validation, processes)
        self.skips_parameters = model.config.over_time  # stills do not go through what sees time

    def forward(self, batch: RelitBatch) -> dict[str, Tensor]:
        frames = 1 if batch.flow is None else len(batch)
        relit, transport = self.model(batch.flat_lit, batch.environment, batch.source, batch.shown, frames)
        return self.loss(
            relit,
            batch.relit,
            batch.mask,
            self.model.full_mask(transport, batch.mask),
            transfer=batch.transfer,
            predicted=transport.diffuse,
            guidance=GUIDANCE * (1.0 - self.progress),
            flow=batch.flow,
            confidence=batch.confidence,
            skin=None if batch.other_lights is None else self.model.white_skin(transport, batch.other_lights),
        )

    def measure(self, index: int) -> dict[str, float]:
        batch = self._pair(index)
        relit, transport = self.model(batch.flat_lit, batch.environment, batch.source, batch.shown)
        measures = self.loss(relit, batch.relit, batch.mask, self.model.full_mask(transport, batch.mask))
        measures |= relit_metrics(relit[:, 0], batch.relit[:, 0], batch.mask)
        return {name: float(value) for name, value in measures.items()}

    def _pair(self, index: int) -> RelitBatch:
        return of_pair(self.validation[index].to(self.processes.device))

    @torch.no_grad()
    def figures(self) -> dict[str, np.ndarray]:
        """Of some validation pairs, both pictures shown at the exposure that the truth asks for."""
        rows, labels = [], []
        for index in self.shown():
            batch = self._pair(index)
            relit, _ = self.model(batch.flat_lit, batch.environment, batch.source, batch.shown)
            mean = (luminance(batch.relit[0, 0]) * batch.mask[0, 0]).sum() / batch.mask.sum().clamp_min(1.0)
            exposure = _SHOWN_MEAN / mean.clamp_min(1e-6)
            pictures = (batch.flat_lit[0], relit[0, 0] * batch.mask[0] * exposure, batch.relit[0, 0] * exposure)
            rows.append([linear_to_srgb(picture).permute(1, 2, 0).cpu().numpy() for picture in pictures])
            labels.append(batch.name[0])
        return {"validation": contact_sheet(rows, labels, FIGURE_COLUMNS)}

    def model_config(self) -> dict:
        return asdict(self.model.config)
