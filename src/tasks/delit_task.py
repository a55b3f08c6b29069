"""Training a delighting model: the loss on batches, and what it is worth on people and light it never saw."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from itertools import count

import numpy as np
import torch
from torch import Tensor

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.pair_batch import PairBatch
from src.evaluation.delit.metrics import environment_metrics, flat_lit_metrics
from src.losses.delit_loss import ENVIRONMENT_TERMS, DelitLoss
from src.models.delit_model import CHECKPOINT_KIND, DelitModel
from src.tasks.portrait_task import PortraitTask
from src.training.distributed import Processes
from src.training.task import Batches, Report
from src.utils.color import linear_to_srgb
from src.utils.contact_sheet import contact_sheet

START_SAMPLES = 2048  # that the first guess is fitted to
FIGURE_COLUMNS = ("lit", "flat-lit predicted", "truth", "environment predicted", "truth")
_WHITE_PERCENTILE = 99.0


class DelitTask(PortraitTask):
    """``is_new``: the model has no weights of another training: a first guess is fitted before it is trained."""

    model: DelitModel
    kind = CHECKPOINT_KIND
    preparation = "first guess"

    def __init__(
        self,
        model: DelitModel,
        loss: DelitLoss,
        validation: DelitDataset,
        processes: Processes,
        is_new: bool = True,
    ) -> None:
        super().__init__(model, loss, validation, processes)
        self._is_new = is_new

    def forward(self, batch: PairBatch) -> dict[str, Tensor]:
        return self.loss(self.model(batch.relit), batch)

    def prepare(self, batches: Batches, report: Report) -> None:
        """Fit the first guess to batches of epochs that training never comes to."""
        if self._is_new:
            known = (batch.known() for batch in first_batches(batches, report))
            self.model.start((b.relit, b.environment, b.flat_lit, b.mask) for b in known if b is not None)

    def measure(self, index: int) -> dict[str, float]:
        batch = self._pair(index)
        output = self.model(batch.relit)
        measures = self.loss(output, batch)
        measures |= flat_lit_metrics(output.flat_lit, batch.flat_lit, batch.mask)
        if batch.known() is not None:
            measures |= environment_metrics(self.model.environment(output), batch.environment)
        else:
            measures = {name: value for name, value in measures.items() if name not in ENVIRONMENT_TERMS}
        return {name: float(value) for name, value in measures.items()}

    def _pair(self, index: int) -> PairBatch:
        return self.validation[index].to(self.processes.device)

    @torch.no_grad()
    def figures(self) -> dict[str, np.ndarray]:
        """Of some validation pairs, each picture shown at its truth's exposure."""
        rows, labels = [], []
        for index in self.shown():
            batch = self._pair(index)
            output = self.model(batch.relit)
            relit, truth = _picture(batch.relit), _picture(batch.flat_lit)
            side = relit.shape[0]
            environments = (self.model.environment(output), batch.environment)
            maps = [_as_square(environment, side) for environment in environments]
            white, env_white = _white(relit), _white(maps[1])
            rows.append(
                [
                    linear_to_srgb(relit / white),
                    linear_to_srgb(_picture(output.flat_lit)),
                    linear_to_srgb(truth),
                    *(linear_to_srgb(environment / env_white) for environment in maps),
                ]
            )
            labels.append(batch.name[0])
        return {"validation": contact_sheet(rows, labels, FIGURE_COLUMNS)}

    def model_config(self) -> dict:
        return asdict(self.model.config)


def first_batches(batches: Batches, report: Report) -> Iterator[PairBatch]:
    """Batches of :data:`START_SAMPLES` samples together, or a few more, from an epoch far beyond any training's."""
    done = 0
    for epoch in count(2**30):
        for batch in batches.epoch(epoch, 0):
            yield batch
            done += len(batch)
            report(min(done, START_SAMPLES), START_SAMPLES)
            if done >= START_SAMPLES:
                return


def _picture(tensor: Tensor) -> np.ndarray:
    """1 x C x H x W -> H x W x C."""
    return tensor[0].permute(1, 2, 0).float().cpu().numpy()


def _as_square(environment: Tensor, side: int) -> np.ndarray:
    """An environment at the width of a picture, centred on paper of its height."""
    resized = torch.nn.functional.interpolate(environment, (side // 2, side), mode="area")
    padded = torch.nn.functional.pad(resized, (0, 0, side // 4, side - side // 2 - side // 4))
    return _picture(padded)


def _white(picture: np.ndarray) -> float:
    return max(float(np.percentile(picture, _WHITE_PERCENTILE)), 1e-6)
