"""Batches of several sources: every batch is of one, drawn as often as its share says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch

from src.data.portrait.clip_windows import ClipSource
from src.data.portrait.relit_batches import RelitBatch, RelitBatches
from src.utils.seeding import generator

_DRAWS_SOURCE, _DRAWS_WINDOW = 1, 2  # what random numbers are for


class MixedBatches:
    """Batches on the device, as a function of ``(seed, epoch, index, rank)``; all ranks have one source at a time.

    ``shares``: above 0, of the stage first, then of each of ``clips``, whose batches are windows of ``frames``, with as
    many lights that there are no pictures in as portraits of the stage have lights.
    """

    def __init__(self, stage: RelitBatches, clips: Sequence[ClipSource], shares: Sequence[float], frames: int) -> None:
        self.stage, self.clips, self.frames = stage, clips, frames
        self.steps_per_epoch = stage.steps_per_epoch
        self._shares = torch.tensor(shares, dtype=torch.float64)

    def epoch(self, epoch: int, start: int) -> Iterator[RelitBatch]:
        for index in range(start, self.steps_per_epoch):
            yield self.batch(epoch, index)

    def batch(self, epoch: int, index: int) -> RelitBatch:
        seed, rank = self.stage.options.seed, self.stage.options.rank
        source = int(torch.multinomial(self._shares, 1, generator=generator(seed, epoch, index, _DRAWS_SOURCE, 0)))
        if source == 0:
            return self.stage.batch(epoch, index)
        random = generator(seed, epoch, index, _DRAWS_WINDOW, rank)
        window = self.clips[source - 1].draw(random, self.frames).to(self.stage.device)
        camera = torch.eye(3).expand(self.stage.options.lights, 3, 3)
        return replace(window, other_lights=self.stage.light(random, camera.to(self.stage.device)).seen)
