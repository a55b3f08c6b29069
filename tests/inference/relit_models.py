"""Small relighting models whose transport depends on what they are shown."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import torch

from src.models.relit_model import CHECKPOINT_KIND, RelitConfig, RelitModel
from src.utils import checkpoint


def tiny_relit_model(image_size: int = 64, env_height: int = 16, over_time: bool = False) -> RelitModel:
    """Random weights; layers that training begins at zero are random too."""
    torch.manual_seed(0)
    model = RelitModel(RelitConfig(image_size=image_size, env_height=env_height, base_dim=32, over_time=over_time))
    with torch.no_grad():
        for parameter in model.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return model.eval().requires_grad_(False)


def write_relit_checkpoint(path: Path) -> Path:
    model = tiny_relit_model()
    checkpoint.write(path, CHECKPOINT_KIND, {"model": {"config": asdict(model.config), "state": model.state_dict()}})
    return path
