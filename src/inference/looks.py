"""Two looks at a picture: all of it, and its centre from nearer and mirrored, left for right.

What errs with the place, the size or the side of a face errs differently in each, so that the mean of both answers is
nearer to the truth than either, and from nearer a network of few pixels sees more of a face.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from src.inference.crops import ramp
from src.inference.prediction import Prediction
from src.utils.resize import resize_area
from src.utils.sphere import flip_environment

CENTRE = 0.8  # side of the centre over the picture's: nearer is worse where a face fills the picture already
_FADE = 0.1  # of the centre's side: how gradually the nearer look ends
_CARRIED = 0.05  # sigma, in long sides, by which what the looks differ in is carried outward
_LEAST_WEIGHT = 1e-3


def nearer_size(height: int, width: int) -> tuple[int, int]:
    """Size of the picture whose central ``height x width`` are its centre from nearer."""
    return height + 2 * _margin(height), width + 2 * _margin(width)


def centre_of(larger: np.ndarray, height: int, width: int) -> np.ndarray:
    """The central ``height x width`` (``x C``) of a picture of :func:`nearer_size`."""
    return larger[_within(height, width)]


def with_floor(prediction: Prediction, shown: np.ndarray, floor: float) -> Prediction:
    """The same of ``shown``, h x w x 3 linear, with another floor of the gain."""
    change = np.log((shown + np.float32(prediction.relit_floor)) / (shown + np.float32(floor)))
    return replace(prediction, log_gain=prediction.log_gain + change, relit_floor=floor)


def mirrored(prediction: Prediction) -> Prediction:
    """What a prediction of a picture says of its mirror image, left for right."""

    def flipped(plane: np.ndarray | None) -> np.ndarray | None:
        return None if plane is None else plane[:, ::-1]

    return replace(
        prediction,
        log_gain=prediction.log_gain[:, ::-1],
        mask=flipped(prediction.mask),
        environment=flip_environment(prediction.environment),
        confidence=flipped(prediction.confidence),
        flat_error=flipped(prediction.flat_error),
    )


def merged(whole: Prediction, centre: Prediction) -> Prediction:
    """What both looks say of a picture, at the resolution of ``whole``, which is h x w as ``centre`` is.

    Both have the same floor; ``centre`` is turned back to the picture's left and right. Gains count as their
    logarithms, light as radiance. Beyond the centre, which only ``whole`` has seen, what the looks differ in on the
    person at the centre's border counts for what lies beside it, and farther away what they differ in on the whole:
    there is no step.
    """
    height, width = whole.log_gain.shape[:2]
    rows, columns = nearer_size(height, width)
    within = _within(height, width)
    fade = ramp(height, _FADE, _FADE)[:, None] * ramp(width, _FADE, _FADE)

    def enlarged(plane: np.ndarray) -> np.ndarray:
        return resize_area(plane, rows, columns)[within]

    def framed(plane: np.ndarray) -> np.ndarray:
        around = np.zeros((rows, columns, *plane.shape[2:]), np.float32)
        around[within] = plane
        return around

    def half(difference: np.ndarray) -> np.ndarray:
        return resize_area(difference / 2, height, width)

    def mean(one: np.ndarray | None, other: np.ndarray | None) -> np.ndarray | None:
        if one is None or other is None:
            return None
        return one + half(framed(fade * (other - enlarged(one))))

    difference = centre.log_gain - enlarged(whole.log_gain)
    weights = np.ones((height, width), np.float32) if whole.mask is None else enlarged(whole.mask) + _LEAST_WEIGHT
    carried = _carried_outward(framed(difference), framed(weights))
    change = carried + framed(fade[..., None] * (difference - carried[within]))
    confidence = whole.confidence
    if confidence is not None and centre.confidence is not None:
        confidence = (confidence + centre.confidence) / 2
    return replace(
        whole,
        log_gain=whole.log_gain + half(change),
        mask=mean(whole.mask, centre.mask),
        environment=(whole.environment + centre.environment) / 2,
        confidence=confidence,
        flat_error=mean(whole.flat_error, centre.flat_error),
    )


def _margin(length: int) -> int:
    return round(length * (1 / CENTRE - 1) / 2)


def _within(height: int, width: int) -> tuple[slice, slice]:
    top, left = _margin(height), _margin(width)
    return slice(top, top + height), slice(left, left + width)


def _carried_outward(planes: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """H x W x C smoothed by its weights H x W; far from where there are any, their mean."""
    sigma = _CARRIED * max(weights.shape)

    def blurred(plane: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(plane, (0, 0), sigma, borderType=cv2.BORDER_CONSTANT)

    weighted = planes * weights[..., None]
    mean = weighted.sum((0, 1)) / weights.sum()
    near = np.float32(_LEAST_WEIGHT)
    return (blurred(weighted) + near * mean) / (blurred(weights)[..., None] + near)
