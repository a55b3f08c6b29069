"""Randomness as a function of what is being computed, never of what was computed before."""

from __future__ import annotations

import numpy as np
import torch


def derive_seed(seed: int, *keys: int) -> int:
    """A 63-bit seed for ``keys`` (step, rank, epoch, index ...): well mixed, the same on every platform."""
    state = np.random.SeedSequence([seed, *keys]).generate_state(1, np.uint64)[0]
    return int(state >> np.uint64(1))


def generator(seed: int, *keys: int) -> torch.Generator:
    """A CPU generator seeded by :func:`derive_seed`."""
    return torch.Generator().manual_seed(derive_seed(seed, *keys))


def on_device(random: torch.Generator, device: torch.device) -> torch.Generator:
    """``random`` itself for the CPU; for a GPU one that lives there, seeded by the next number of ``random``.

    For many numbers at once, which would take long to draw on the CPU and to copy.
    """
    if device.type == "cpu":
        return random
    seed = int(torch.randint(2**63 - 1, (), generator=random))
    return torch.Generator(device).manual_seed(seed)
