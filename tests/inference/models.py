"""Small delighting models whose outputs depend on what they are shown."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from src.models.delit_model import CHECKPOINT_KIND, DelitConfig, DelitModel
from src.utils import checkpoint


def tiny_model(arch: str = "attention", flat_confidence: bool = False) -> DelitModel:
    """Random weights; layers that training begins at zero are random too, with little coloured noise in the guess."""
    torch.manual_seed(0)
    model = DelitModel(DelitConfig(arch, 64, 16, 32, 32, flat_confidence=flat_confidence))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if not parameter.any():
                parameter.normal_(std=0.005 if "first_guess" in name else 0.05)
    return model.eval().requires_grad_(False)


def write_checkpoint(path: Path, arch: str = "attention", flat_confidence: bool = False) -> Path:
    model = tiny_model(arch, flat_confidence)
    checkpoint.write(path, CHECKPOINT_KIND, {"model": {"config": asdict(model.config), "state": model.state_dict()}})
    return path
