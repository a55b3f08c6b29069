"""A clock that tests move: what takes a second there takes one on every machine."""

from __future__ import annotations

import pytest

from src.training.trainer import Trainer


class Clock:
    """``seconds`` is what ``time.monotonic()`` says in a test with the fixture ``clock``."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def advance(self, seconds: float) -> None:
        self.seconds += seconds

    def let_steps_take(self, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
        """Every training step takes so long; nothing else takes any time."""
        train_step = Trainer._train_step

        def take_time(trainer: Trainer, stream: object) -> None:
            self.advance(seconds)
            train_step(trainer, stream)

        monkeypatch.setattr(Trainer, "_train_step", take_time)
