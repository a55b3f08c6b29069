"""A model whose answer is known, and pictures to ask it about."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from src.models.delit_model import Delit


class GainModel(nn.Module):
    """A model whose flat-lit is a known function of place and picture."""

    def __init__(self, gain, image_size=64, mask=None, flat_error=None):
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(1), requires_grad=False)
        self.config = SimpleNamespace(image_size=image_size)
        self.gain, self.mask, self.flat_error = gain, mask, flat_error
        self.sizes = []

    def forward(self, relit):
        self.sizes.append(tuple(relit.shape))
        height, width = relit.shape[-2:]
        gain = self.gain((torch.arange(height) + 0.5)[:, None] / height, (torch.arange(width) + 0.5) / width)
        mask = None if self.mask is None else torch.full((len(relit), 1, height, width), self.mask)
        code = torch.zeros(len(relit), 4, 2, 4)
        error = None if self.flat_error is None else torch.full((len(relit), 1, height, width), self.flat_error)
        return Delit(relit * gain, code, torch.ones(len(relit), 1, 1, 1), None, mask, flat_error=error)

    def environment(self, output):
        return output.environment_code[:, :3]


def constant(value):
    return lambda y, x: torch.full((y.shape[0], x.shape[0]), value)


def textured(height, width, low=0.2):
    """Bright enough that the gain's floors matter little; fine detail everywhere."""
    rng = np.random.default_rng(0)
    return (low + rng.random((height, width, 3))).astype(np.float32)
