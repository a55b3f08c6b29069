"""What a user of ``train.py`` chooses, by name, with the defaults. Imports nothing that ``--help`` would wait for."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from src.models import siren_sizes


@dataclass(frozen=True, kw_only=True)
class TrainingOptions:
    """Of either way to store a day. Passes over the data, or instead of them so many seconds of training."""

    epochs: int = 200
    time_budget_s: float | None = None
    save_every: int = 10  # epochs between validations and checkpoints
    seed: int = 42

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """What every flag is where it is not given."""
        return {field.name: field.default for field in fields(cls) if field.name != "time_budget_s"}


@dataclass(frozen=True, kw_only=True)
class SirenOptions(TrainingOptions):
    """Of ``--f1 siren``: a network as F1."""

    batch_size: int = 65536  # samples, texels x hours
    lr: float = 1e-3  # at its highest
    schedule: str = "cosine"  # of the learning rate, or "constant"
    samples_per_epoch: int | None = None  # None: all
    accumulate_steps: int = 1  # batches per optimizer step
    amp: str = "off"  # or "bf16", "fp16"
    compile: bool = False
    latent_dim: int = siren_sizes.LATENT_DIM
    hidden_f1: int = siren_sizes.HIDDEN_F1
    layers_f1: int = siren_sizes.LAYERS_F1
    hidden_f2: int = siren_sizes.HIDDEN_F2
    layers_f2: int = siren_sizes.LAYERS_F2
    time_harmonics: int = siren_sizes.TIME_HARMONICS


FADE, SHADOW = "fade", "shadow"  # what a grid does between baked hours
TARGET_BPP = 4.0  # of a grid that is trained to a target, where the user sets no other bound


@dataclass(frozen=True, kw_only=True)
class GridOptions(TrainingOptions):
    """Of ``--f1 grid``: latent planes as F1. ``bpp`` bits per texel of the map and frame bound what decoding needs."""

    bpp: float = 0.7
    latent_bits: int = 8
    between: str = FADE  # or SHADOW: frames are made in which shadows' edges move
    events: tuple[float, ...] | None = None  # hours at which light switches; None: what the frames bracket


def flags_of(f1: str) -> frozenset[str]:
    """The arguments of ``train.py`` that mean something to one way to store a day alone, "siren" or "grid"."""
    if f1 == "siren":
        return frozenset(SirenOptions.defaults()) - frozenset(TrainingOptions.defaults())
    return frozenset({"bpp", "latent_bits", "between", "events", "share_f2", "target_psnr", "target_bytes"})


@dataclass(frozen=True)
class Target:
    """At least ``psnr_db`` in the smallest file, or the best picture in at most ``size_bytes``: one of them is None."""

    psnr_db: float | None
    size_bytes: int | None

    def is_met_by(self, psnr_db: float, size_bytes: float) -> bool:
        if self.psnr_db is not None:
            return psnr_db >= self.psnr_db
        return self.size_bytes is not None and size_bytes <= self.size_bytes

    def __str__(self) -> str:
        return f"{self.psnr_db:g} dB" if self.psnr_db is not None else f"{self.size_bytes} bytes"


@dataclass(frozen=True, kw_only=True)
class LightmapOptions:
    """A whole call of ``train.py``. ``f1`` says how a day is stored: by a siren or by a grid.

    ``flags`` are all arguments as they were given: what the run's folder and its identity record.
    """

    out_dir: Path
    flags: argparse.Namespace
    f1: SirenOptions | GridOptions
    share_f2: bool = False  # grid: one F2 for all lightmaps of a set
    target: Target | None = None  # grid
    compute_latent: bool = False  # export at the end

    @classmethod
    def from_arguments(cls, arguments: argparse.Namespace) -> LightmapOptions:
        """Of the arguments of ``train.py``; its flags are called as the fields are."""
        training = {"time_budget_s": arguments.time_budget and arguments.time_budget * 60.0}
        if arguments.f1 == "siren":
            f1: SirenOptions | GridOptions = SirenOptions(**_named(SirenOptions, arguments) | training)
        else:
            events = arguments.events and tuple(hour % 24 for hour in arguments.events)
            f1 = GridOptions(**_named(GridOptions, arguments) | training | {"events": events})
        has_target = arguments.target_psnr is not None or arguments.target_bytes is not None
        target = Target(arguments.target_psnr, arguments.target_bytes) if has_target else None
        return cls(**_named(cls, arguments) | {"flags": arguments, "f1": f1, "target": target})


def _named(options: type, arguments: argparse.Namespace) -> dict[str, Any]:
    """Those of ``arguments`` that ``options`` has a field for."""
    given = vars(arguments)
    return {field.name: given[field.name] for field in fields(options) if field.name in given}
