"""Heads that are tilted in the picture, shown to the network upright, and its answer turned back.

The picture itself is never resampled: only what the network sees of it and what it says are.
"""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from src.inference.crops import FEATHER, ramp
from src.inference.prediction import Prediction
from src.utils.resize import resize_area
from src.utils.sphere import rotate_environment


def upright_share(roll: float) -> float:
    """Side of a square turned by ``roll`` degrees over that of the square about it."""
    return 1 / (abs(np.sin(np.radians(roll))) + abs(np.cos(np.radians(roll))))


def straighten(content: np.ndarray, roll: float, size: int) -> np.ndarray:
    """``size x size x 3`` of the square that lies turned clockwise by ``roll`` degrees in a square ``S x S x 3``."""
    around = max(size, round(size / upright_share(roll)))
    return _turned(resize_area(content, around, around), roll, size, cv2.BORDER_REPLICATE)


def tilt_back(prediction: Prediction, roll: float) -> Prediction:
    """What the network said of a straightened square, as a prediction of the square about it in the picture.

    The mask fades out towards the sides of the straightened square; the light is that of the picture's camera.
    """
    if not roll:
        return prediction
    size = prediction.log_gain.shape[0]
    around = round(size / upright_share(roll))
    fade = ramp(size, FEATHER, FEATHER)
    mask = fade[:, None] * fade
    if prediction.mask is not None:
        mask = mask * prediction.mask

    def back(plane: np.ndarray, border: int = cv2.BORDER_CONSTANT) -> np.ndarray:
        return _turned(plane, -roll, around, border)

    confidence = prediction.confidence
    return replace(
        prediction,
        log_gain=back(prediction.log_gain, cv2.BORDER_REPLICATE),
        mask=back(mask.astype(np.float32)),
        environment=rotate_environment(prediction.environment, _about_z(-roll)),
        confidence=None if confidence is None else rotate_environment(confidence[..., None], _about_z(-roll))[..., 0],
        flat_error=None if prediction.flat_error is None else back(prediction.flat_error),
        measured=None if prediction.measured is None else back(prediction.measured),
    )


def _turned(plane: np.ndarray, roll: float, size: int, border: int) -> np.ndarray:
    """``size x size`` (``x C``) about the middle of a square plane whose content is turned clockwise by ``roll``."""
    sine, cosine = np.sin(np.radians(roll)), np.cos(np.radians(roll))
    turn = np.array([[cosine, -sine], [sine, cosine]])  # from the result's offsets (x, y down) to the plane's
    shift = (plane.shape[0] - 1) / 2 - turn @ np.full(2, (size - 1) / 2)
    matrix = np.concatenate([turn, shift[:, None]], axis=1)
    return cv2.warpAffine(plane, matrix, (size, size), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderMode=border)


def _about_z(degrees: float) -> np.ndarray:
    """3 x 3: counter-clockwise as the camera sees it."""
    sine, cosine = np.sin(np.radians(degrees)), np.cos(np.radians(degrees))
    return np.array([[cosine, -sine, 0.0], [sine, cosine, 0.0], [0.0, 0.0, 1.0]])
