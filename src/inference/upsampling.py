"""What a network says at its own resolution, brought to a picture's full resolution along the picture's edges."""

from __future__ import annotations

import cv2
import numpy as np

from src.utils.color import luminance
from src.utils.resize import resize_area

_RADIUS = 0.015  # of the guided filter's window, in long sides: as wide is the halo where no edge guides it
_CONTRAST = 0.1  # of log luminance: weaker edges do not guide
_LEAST_WEIGHT = 1e-3


def resize_within(planes: np.ndarray, mask: np.ndarray | None, height: int, width: int) -> np.ndarray:
    """:func:`src.utils.resize.resize_area` of H x W x C where pixels count as much as ``mask`` (h x w in [0, 1]) says.

    So what holds for the background does not bleed over the silhouette.
    """
    if mask is None or planes.shape[:2] == (height, width):
        return resize_area(planes, height, width)
    weights = resize_area(mask, *planes.shape[:2]) + np.float32(_LEAST_WEIGHT)
    weighted = resize_area(planes * weights[..., None], height, width)
    return weighted / resize_area(weights, height, width)[..., None]


def resize_mask(mask: np.ndarray, relit: np.ndarray, floor: float) -> np.ndarray:
    """``mask`` (h x w in [0, 1]) at the size of ``relit`` (H x W x 3 linear), following its edges where it grows.

    A guided filter on log luminance (``floor`` keeps black finite), fitted at the mask's size, applied at the
    picture's (He and Sun 2015, "Fast Guided Filter").
    """
    height, width = relit.shape[:2]
    if mask.shape[0] >= height and mask.shape[1] >= width:
        return resize_area(mask, height, width)
    fine = np.log(luminance(relit) + np.float32(floor))
    guide = resize_area(fine, *mask.shape)
    window = 2 * max(1, round(_RADIUS * max(mask.shape))) + 1

    def mean(plane: np.ndarray) -> np.ndarray:
        return cv2.blur(plane, (window, window), borderType=cv2.BORDER_REFLECT)

    mean_guide, mean_mask = mean(guide), mean(mask)
    variance = mean(guide * guide) - mean_guide * mean_guide
    slope = (mean(guide * mask) - mean_guide * mean_mask) / (variance.clip(0, None) + _CONTRAST**2)
    offset = mean_mask - slope * mean_guide
    return (resize_area(mean(slope), height, width) * fine + resize_area(mean(offset), height, width)).clip(0, 1)
