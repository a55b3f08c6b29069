"""What a network says at its own resolution, brought to a picture's full resolution along the picture's edges."""

from __future__ import annotations

import cv2
import numpy as np

from src.utils.color import luminance
from src.utils.resize import resize_area

_RADIUS = 0.015  # of the guided filter's window, in long sides: as wide is the halo where no edge guides it
_CONTRAST = 0.1  # of log luminance: weaker edges do not guide
_NONE, _ALL = 0.2, 0.8  # of the filter's answer, which is softer than silhouettes are: nothing, and all, of the person
# Coverage from which on a pixel is taken to hold nothing of what is behind the person, and up to which it says nothing.
_PURE, _MIXED = 0.99, 0.6
_REACH = 0.012  # sigma, in long sides, of the window that the person beside a mixed pixel is looked for in
_LEAST_WEIGHT = 1e-3


def resize_within(planes: np.ndarray, mask: np.ndarray | None, height: int, width: int) -> np.ndarray:
    """:func:`src.utils.resize.resize_area` of H x W x C, carried outward over the rim of ``mask`` (h x w in [0, 1]).

    A pixel that shows both the person and what is behind says what holds for neither: it gets what holds for the person
    beside it, so that how much of the pixel is the person's is left to the mask.
    """
    if mask is None:
        return resize_area(planes, height, width)
    inside = resize_area(mask, *planes.shape[:2])
    weights = np.square(np.square(inside)) + np.float32(_LEAST_WEIGHT)
    sigma = _REACH * max(planes.shape[:2])

    def blurred(plane: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)

    beside = blurred(planes * weights[..., None]) / blurred(weights)[..., None]
    pure = ((inside - _MIXED) / (_PURE - _MIXED)).clip(0, 1)[..., None]
    return resize_area(beside + pure * (planes - beside), height, width)


def resize_mask(mask: np.ndarray, relit: np.ndarray, floor: float) -> np.ndarray:
    """``mask`` (h x w in [0, 1]) at the size of ``relit`` (H x W x 3 linear), following its edges where it grows.

    A guided filter on log luminance (``floor`` keeps black finite), fitted at the mask's size, applied at the
    picture's (He and Sun 2015, "Fast Guided Filter"), and made steeper.
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
    guided = resize_area(mean(slope), height, width) * fine + resize_area(mean(offset), height, width)
    return ((guided - _NONE) / (_ALL - _NONE)).clip(0, 1)
