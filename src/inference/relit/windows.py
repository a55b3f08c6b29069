"""What the network says of a video's frames, kept steady: one by one, or of windows of them that fade into one another.

Models with features over time see windows of :data:`WINDOW` frames, half of which overlap; within a shot alone. Memory
does not grow with the video.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import tee
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from src.inference.crops import wider_crop
from src.inference.relit.relighter import PortraitTransport, Relighter, Seen
from src.inference.relit.shots import Shot
from src.inference.relit.steady import SteadyTransport
from src.models.relit.transport import Transport

WINDOW, STEP = 8, 4


class Answer(NamedTuple):
    """What the network says of a frame."""

    shot: Shot
    seen: Tensor  # 3 x h x w: what it was shown
    transport: Transport


def portraits_over_time(
    relighter: Relighter, shots: Iterator[Shot], steadies: bool = True
) -> Iterator[tuple[Shot, PortraitTransport]]:
    """Every frame with its transport, in order. ``steadies``: averaged along the motion within a shot."""
    near, far = tee(shots)
    wider = said_over_time(relighter, filter(None, map(_wider, far)), steadies, from_afar=True)
    for shot, said in said_over_time(relighter, near, steadies):
        around = None
        if _wider(shot) is not None:
            wide, said_of_wide = next(wider)
            around = Seen(said_of_wide, wide.crop)
        yield shot, relighter.finish(Seen(said, shot.crop), shot.picture, shot.mask, around=around)


def said_over_time(
    relighter: Relighter, shots: Iterable[Shot], steadies: bool = True, from_afar: bool = False
) -> Iterator[tuple[Shot, Transport]]:
    """Every frame with what the network says of its crop; ``from_afar``: of a wider one, frame by frame.

    See :meth:`Relighter.from_afar`; windows of frames are steadier by themselves.
    """
    steady = SteadyTransport()
    over_time = relighter.model.config.over_time
    for shot, seen, said in _over_windows(relighter, shots) if over_time else _one_by_one(relighter, shots, from_afar):
        yield shot, steady(seen, said, float(shot.duration), shot.starts_anew) if steadies else said


def _wider(shot: Shot) -> Shot | None:
    """A frame about to be looked at from afar, where its crop leaves out much."""
    crop = wider_crop(shot.crop, *shot.picture.shape[:2])
    return None if crop is None else replace(shot, crop=crop)


def _one_by_one(relighter: Relighter, shots: Iterable[Shot], from_afar: bool) -> Iterator[Answer]:
    for shot in shots:
        seen = relighter.network_input(shot.picture, shot.mask, shot.crop)
        looks_twice = from_afar and shot.mask is None  # the second look is for the mask
        with torch.inference_mode():
            said = relighter.from_afar(seen) if looks_twice else relighter.model.transport(seen[None])
        yield Answer(shot, seen, said)


def _over_windows(relighter: Relighter, shots: Iterable[Shot]) -> Iterator[Answer]:
    window = _Window(relighter)
    for shot in shots:
        if shot.starts_anew or window.has_another_size(shot):
            yield from window.end()
        yield from window.add(shot)
    yield from window.end()


class _Window:
    """The frames of one shot that are not finished: each with the weighted sum of what windows said of it."""

    def __init__(self, relighter: Relighter) -> None:
        self._relighter = relighter
        self._shots: list[Shot] = []
        self._inputs: list[Tensor] = []
        self._sums: list[tuple[float, Transport] | None] = []

    def has_another_size(self, shot: Shot) -> bool:
        return bool(self._inputs) and self._inputs[0].shape != self._input(shot).shape

    def add(self, shot: Shot) -> Iterator[Answer]:
        self._shots.append(shot)
        self._inputs.append(self._input(shot))
        self._sums.append(None)
        if len(self._shots) == WINDOW:
            self._ask()
            yield from self._finish(STEP)

    def end(self) -> Iterator[Answer]:
        """What is left of the shot."""
        if None in self._sums:
            self._ask()
        yield from self._finish(len(self._shots))

    def _input(self, shot: Shot) -> Tensor:
        return self._relighter.network_input(shot.picture, shot.mask, shot.crop)

    @torch.inference_mode()
    def _ask(self) -> None:
        count = len(self._shots)
        answer = self._relighter.model.transport(torch.stack(self._inputs), frames=count)
        for k in range(count):
            weight = float(min(k + 1, count - k))
            said = Transport(*(weight * part[k : k + 1] for part in answer))
            before = self._sums[k]
            if before is not None:
                weight += before[0]
                said = Transport(*(a + b for a, b in zip(before[1], said, strict=True)))
            self._sums[k] = (weight, said)

    def _finish(self, count: int) -> Iterator[Answer]:
        finished = zip(self._shots[:count], self._inputs[:count], self._sums[:count], strict=True)
        for shot, seen, sums in finished:
            assert sums is not None, "every frame was in a window"
            mean = Transport(*(part / sums[0] for part in sums[1]))
            yield Answer(shot, seen, mean._replace(mirrored=F.normalize(mean.mirrored, dim=1)))
        del self._shots[:count], self._inputs[:count], self._sums[:count]
