"""Light that was never captured: environments turned about +Y, mixed, with a lamp, in any colour and exposure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from src.data.portrait.augmentation import normal, uniform
from src.data.portrait.picture_cache import PictureCache
from src.data.portrait.wild_scene import lobe, stage_lamps
from src.data.stage.environments import read_environment
from src.utils.cli import InputError
from src.utils.color import luminance
from src.utils.sphere import pixel_directions, resize_environment
from src.utils.sphere_torch import sample, sampling_grid

SHARE_MIXED, SHARE_WITH_LAMP = 0.3, 0.3
TINT = 0.15  # standard deviation of the log of the light's colour
LAMP_SHARPNESS = (10.0, 1000.0)  # of exp(k (cos - 1)): lobes of some 50 and 5 degrees
_DARKEST_MAP = 1e-6  # mean luminance


class Light(NamedTuple):
    """The light of n samples."""

    on_stage: Tensor  # n x 3 x h x w, in the stage's frame
    seen: Tensor  # n x 3 x h x w, the same in the frame of the moved camera
    name: list[str]  # of the environment that it is made of, or most of it


def _read(path: Path, height: int, width: int) -> np.ndarray:
    return resize_environment(read_environment(path), height, width)


class RandomLight:
    """Lights from the ``environments``, each brought to ``height x width`` and a mean luminance of 1.

    ``has_stage_lamps``: see :func:`src.data.portrait.wild_scene.stage_lamps`.
    """

    def __init__(
        self,
        environments: Sequence[Path],
        height: int,
        width: int,
        cache: PictureCache,
        device: torch.device,
        has_stage_lamps: bool = False,
    ) -> None:
        if not environments:
            raise InputError("--env_dir", "no environments to train on", "hold out fewer, or give more")
        self.device, self.size, self._has_stage_lamps = device, (height, width), has_stage_lamps
        self._names = [path.stem for path in environments]
        key = ("env", height, width)
        stored = np.stack([cache.get(path, key, partial(_read, path, height, width)) for path in environments])
        maps = torch.from_numpy(stored).permute(0, 3, 1, 2).to(device)
        self._maps = maps / _mean_luminance(maps).clamp_min(_DARKEST_MAP).view(-1, 1, 1, 1)  # E x 3 x h x w
        self.directions = torch.from_numpy(pixel_directions(height, width)).float().to(device)  # h x w x 3

    def __call__(self, random: torch.Generator, rotation: Tensor) -> Light:
        """Draw n lights; ``rotation`` n x 3 x 3 takes directions of the stage to the moved camera's frame."""
        count = len(rotation)
        drawn = torch.randint(len(self._names), (count, 2), generator=random)
        share = torch.where(torch.rand(count, generator=random) < SHARE_MIXED, uniform(random, 0.1, 0.9, count), 0.0)
        turns = uniform(random, 0.0, 2 * math.pi, count, 2)
        gain = torch.exp(uniform(random, -1.5, 1.0, count, 1) + normal(random, TINT, count, 3)).to(self.device)

        light = self._mixed(drawn, turns, share)  # n x 3 x h x w
        lamps = self._lamps(random, count)
        if self._has_stage_lamps:
            on_stage, left = stage_lamps(random, self.directions, count)
            light, lamps = light * left, lamps + on_stage
        light = (light + lamps) * gain[..., None, None]
        # A direction d of the moved camera's frame is rotation^T d of the stage's.
        seen = sample(light, self.grid(self.directions.expand(count, -1, -1, -1) @ rotation[:, None]))
        return Light(light, seen, [self._names[k] for k in drawn[:, 0].tolist()])

    def grid(self, directions: Tensor) -> Tensor:
        """Where directions (... x 3) lie in maps of this size, for :func:`src.utils.sphere_torch.sample`."""
        return sampling_grid(directions, *self.size)

    def _mixed(self, drawn: Tensor, turns: Tensor, share: Tensor) -> Tensor:
        """The first of two drawn maps (n x 2) turned by its angle, with a ``share`` of the second where above 0."""
        light = self._turned(drawn[:, 0], turns[:, 0])
        mixed = (share > 0).nonzero().flatten()
        second = self._turned(drawn[mixed, 1], turns[mixed, 1])
        weight, mixed = share[mixed].view(-1, 1, 1, 1).to(self.device), mixed.to(self.device)
        light[mixed] = torch.lerp(light[mixed], second, weight)
        return light

    def _lamps(self, random: torch.Generator, count: int) -> Tensor:
        """n x 3 x h x w: a lobe of light about a random direction for some, nothing for the others."""
        lamp = F.normalize(torch.randn(count, 3, generator=random), dim=1).to(self.device)
        widest, narrowest = LAMP_SHARPNESS
        sharpness = torch.exp(uniform(random, math.log(widest), math.log(narrowest), count)).to(self.device)
        has_lamp = torch.rand(count, generator=random) < SHARE_WITH_LAMP
        power = torch.where(has_lamp, uniform(random, 0.3, 3.0, count), 0.0)
        colour = (power[:, None] * torch.exp(normal(random, TINT, count, 3))).to(self.device)
        # As much light as ``power`` times the map's mean gives.
        return colour[..., None, None] * lobe(self.directions, lamp, sharpness)[:, None]

    def _turned(self, which: Tensor, angles: Tensor) -> Tensor:
        """n x 3 x h x w: maps turned about +Y by ``angles`` in radians, as :func:`rotate_environment_y` does."""
        width = self._maps.shape[-1]
        shift = angles / (2 * math.pi) * width
        whole = shift.floor()
        columns = (torch.arange(width) + whole[:, None].long()) % width  # n x w
        maps = self._maps[which.to(self.device)]
        near, far = (
            maps.gather(3, index.to(self.device)[:, None, None].expand_as(maps))
            for index in (columns, (columns + 1) % width)
        )
        return torch.lerp(near, far, (shift - whole).view(-1, 1, 1, 1).to(self.device))


def _mean_luminance(maps: Tensor) -> Tensor:
    """Luminance of E x 3 x h x w averaged over the sphere, E: a row's solid angle goes with the sine of its angle."""
    rows = torch.sin(math.pi * (torch.arange(maps.shape[2], device=maps.device) + 0.5) / maps.shape[2])
    return (luminance(maps).mean(2) * rows).sum(1) / rows.sum()
