"""What a user chooses about a training, whatever is trained."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class TrainerOptions:
    epochs: int = 200
    time_budget_s: float | None = None  # replaces ``epochs``
    warmup_steps: int = 0
    schedule: str = "cosine"  # or "constant"
    accumulate_steps: int = 1
    clip_grad: float | None = None
    amp: str = "off"  # off, bf16, fp16
    save_every: int = 10  # epochs between saves
    val_every: int | None = None  # epochs between validations; as often as saves without it
    ema: float | None = None  # decay of the weights' moving average, which is then what is validated and shipped
    compile: bool = False
