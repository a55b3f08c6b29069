"""What the network is shown of a crop, and its answer brought back to where the crop lies in the picture."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from src.inference.alignment import straighten, tilt_back
from src.inference.crops import Crop, Face
from src.inference.prediction import Prediction
from src.utils.resize import resize_area

SMALLEST_SIDE = 16  # that the network takes


class View(NamedTuple):
    """One crop of a picture on its way to the network and back."""

    crop: Crop
    shown: Tensor  # 3 x h x w linear
    inside: np.ndarray | None  # in [0, 1], at the size of the crop: where people are, where that is given
    face: Face | None = None  # in pixels of what is shown
    nearer: Tensor | None = None  # 3 x h x w: its centre enlarged and mirrored, for a second look

    def shown_mask(self) -> np.ndarray | None:
        """``inside`` as the network sees the crop."""
        height, width = self.shown.shape[-2:]
        if self.inside is None:
            return None
        return (
            straighten(self.inside, self.crop.roll, height)
            if self.crop.roll
            else resize_area(self.inside, height, width)
        )

    def settle(self, prediction: Prediction) -> Prediction:
        """What the network said, as it holds in the picture: turned back, and within the given mask at full size."""
        if self.inside is None:
            return tilt_back(prediction, self.crop.roll)
        faded = tilt_back(replace(prediction, mask=None), self.crop.roll)
        mask = self.inside if faded.mask is None else self.inside * resize_area(faded.mask, *self.inside.shape)
        return replace(faded, mask=mask)


def resized(content: np.ndarray, height: int, width: int, roll: float) -> np.ndarray:
    """``height x width x 3`` of a crop; with a ``roll``, of the square that is turned by so many degrees in it."""
    return straighten(content, roll, height) if roll else resize_area(content, height, width)


def planes_of(picture: np.ndarray) -> Tensor:
    """H x W x 3 -> 3 x H x W."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))


def picture_of(planes: Tensor) -> np.ndarray:
    """3 x H x W -> H x W x 3."""
    return planes.permute(1, 2, 0).numpy()
