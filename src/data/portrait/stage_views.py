"""Subjects on the light stage at a small size, for a loss that lights them again under a predicted environment."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from src.data.portrait.olat_stacks import OlatStacks
from src.data.portrait.pair_batch import StageView
from src.data.portrait.random_light import RandomLight

SIZE = 32  # pictures that are lit again


class StageViews:
    """Every capture of ``stacks``, ready to be lit with environments of the size of ``light``'s.

    Captures may have light sets of their own; those of fewer lights than the largest are filled up with black.
    """

    def __init__(self, stacks: OlatStacks, light: RandomLight) -> None:
        self._stacks, self._light = stacks, light
        matrices = stacks.light_matrices(*light.size)
        most = max(len(matrix) for matrix in matrices)
        padded = {id(matrix): F.pad(matrix, (0, 0, 0, most - len(matrix))) for matrix in matrices}
        self._matrices = [padded[id(matrix)] for matrix in matrices]
        self._is_one_set = len(padded) == 1
        self._olats = torch.stack([self._reduced(k, most) for k in range(len(stacks))])  # K x L x 3 x SIZE x SIZE

    def __call__(self, subjects: list[int], rotation: Tensor) -> StageView:
        """``subjects``: n captures; ``rotation`` n x 3 x 3 took directions of the stage to the moved camera's frame."""
        at, count = torch.tensor(subjects, dtype=torch.long, device=self._stacks.device), len(subjects)
        # A direction d of the stage is rotation @ d of the moved camera.
        directions = self._light.directions.expand(count, -1, -1, -1) @ rotation.mT[:, None]
        return StageView(
            olats=self._olats[at],
            mask=F.adaptive_avg_pool2d(self._stacks.masks[at], SIZE),
            light_matrix=self._matrices_of(subjects),
            to_stage=self._light.grid(directions),
        )

    def _matrices_of(self, subjects: list[int]) -> Tensor:
        """n x L x (h * w); without a copy where all captures share their lights."""
        if self._is_one_set or not subjects:
            return self._matrices[0].expand(len(subjects), -1, -1)
        return torch.stack([self._matrices[k] for k in subjects])

    def _reduced(self, k: int, lights: int) -> Tensor:
        """L x 3 x SIZE x SIZE of capture ``k``."""
        side = self._stacks.image_size
        small = F.adaptive_avg_pool2d(self._stacks.olats(k).unflatten(2, (side, side)), SIZE)  # 3 x l x SIZE x SIZE
        return F.pad(small, (0, 0, 0, 0, 0, lights - small.shape[1])).transpose(0, 1)
