"""What a delighting network says of one picture, and how that is applied to the picture at its full resolution."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from src.inference.crops import Crop
from src.inference.upsampling import resize_mask, resize_within
from src.utils.color import luminance
from src.utils.resize import resize_area

# Radiance added on both sides of the gain, so that black stays finite: a share of the picture's exposure, and of the
# flat-lit picture, whose uniform environment has radiance 1.
RELIT_FLOOR = 0.02
FLAT_FLOOR = 0.01
# Expected error at which half of the change is made, by people held out of training: docs/delit-inference.md.
_HALF_TRUSTED = math.log(2.5)
# Chroma up to which a picture is black and white, and from which on it has colours: mean difference of the channels
# over that of the brightest. Portraits have 0.4.
_NO_COLOUR, _COLOUR = 0.02, 0.05
_LEAST_BRIGHTNESS = 1e-9  # of a picture: below, it is black
# 8-bit codes up to which a picture's bright parts are noise, and from which on they are not.
_ALL_NOISE, _ALL_SIGNAL = 4.0, 32.0


@dataclass(frozen=True)
class Prediction:
    """A picture's flat-lit version and its light, at the network's resolution (h x w).

    Flat-lit is kept as a gain, ``log((flat + e) / (relit + e'))``, which is smooth where light is smooth: enlarged and
    applied to the picture as it is, it keeps every detail that the network never saw.
    """

    log_gain: np.ndarray  # h x w x 3 float32
    relit_floor: float  # e' of the gain
    mask: np.ndarray | None  # h x w float32 in [0, 1]
    environment: np.ndarray  # rows x columns x 3 linear radiance
    confidence: np.ndarray | None  # rows x columns in [0, 1]
    level: float = 0.0  # mean log(relit + e') of the person: how bright it was shown
    trust: float = 1.0  # how far it is to be applied: 0 where the picture was nothing but noise
    exposure: float | None = None  # factor on flat-lit that keeps the picture's brightness; None: as predicted
    flat_error: np.ndarray | None = None  # h x w above 0: expected error of flat-lit's logarithm
    measured: np.ndarray | None = None  # h x w in [0, 1]: where brightness is kept, with ``exposure``


def trust_in(content: np.ndarray) -> float:
    """How far a picture in 8 bits holds more than its noise: 0 to 1 by the 95th percentile of its brightest channel.

    ``content``: H x W x 3 uint8 sRGB, or float in the same codes. A gain that makes black bright shows rounding,
    compression and the network's own guesses; a film fades from black to where there is something to see.
    """
    bright = float(np.percentile(content.max(axis=2), 95))
    share = min(max((bright - _ALL_NOISE) / (_ALL_SIGNAL - _ALL_NOISE), 0.0), 1.0)
    return share * share * (3 - 2 * share)


def colour_of(relit: np.ndarray) -> float:
    """Whether H x W x 3 linear radiance has colours: 0 to 1; 0 of a black and white photograph."""
    brightest = relit.max(axis=2)
    chroma = float((brightest - relit.min(axis=2)).mean()) / max(float(brightest.mean()), _LEAST_BRIGHTNESS)
    return min(max((chroma - _NO_COLOUR) / (_COLOUR - _NO_COLOUR), 0.0), 1.0)


def less_colour(planes: np.ndarray, share: float, grey: np.ndarray) -> np.ndarray:
    """``... x 3`` with so much of what parts it from ``grey``, ``...``, as ``share`` says."""
    return planes if share == 1 else grey[..., None] + np.float32(share) * (planes - grey[..., None])


def mean_level(relit: np.ndarray, floor: float, mask: np.ndarray | None) -> float:
    """Mean of ``log(luminance + floor)`` over h x w x 3 linear radiance, weighted by ``mask`` (h x w)."""
    return mean_within(np.log(luminance(relit) + np.float32(floor)), mask)


def mean_within(plane: np.ndarray, mask: np.ndarray | None) -> float:
    """Mean of h x w weighted by a mask of any resolution; of all of it without one, or where it is empty."""
    if mask is None or not mask.any():
        return float(plane.mean())
    weights = resize_area(mask, *plane.shape)
    return float((plane * weights).sum() / weights.sum())


def apply_gain(relit: np.ndarray, prediction: Prediction) -> np.ndarray:
    """Flat-lit H x W x 3 of H x W x 3 linear radiance, by a prediction of any resolution.

    The floors of the gain say what a network takes near-black things for; black itself, which is no more of a thing
    under any light, stays black: their part fades out below the floor.
    """
    floor = np.float32(prediction.relit_floor)
    gain = np.exp(resize_within(prediction.log_gain, prediction.mask, *relit.shape[:2]))
    bright = luminance(relit)[..., None]
    flat_lit = gain * relit
    gain *= floor
    gain -= np.float32(FLAT_FLOOR)
    gain *= bright / (bright + floor)
    flat_lit += gain
    if prediction.exposure is not None:
        flat_lit *= np.float32(prediction.exposure)
    return np.maximum(flat_lit, 0, out=flat_lit)


def predicted_flat_lit(relit: np.ndarray, prediction: Prediction) -> np.ndarray:
    """Flat-lit as a network says it, H x W x 3 of H x W x 3 linear radiance: of the gain and nothing beside it."""
    gain = np.exp(resize_area(prediction.log_gain, *relit.shape[:2]))
    return np.maximum(gain * (relit + np.float32(prediction.relit_floor)) - np.float32(FLAT_FLOOR), 0)


def change_weights(shape: tuple[int, ...], crop: Crop, content: np.ndarray, prediction: Prediction) -> np.ndarray:
    """How much of a crop's ``content`` (linear) is to change, h x w x 1 in [0, 1], in a picture of ``shape``.

    That is within the mask, and the less the larger the expected error: half where it is a factor of 2.5.
    """
    feather = crop.feather(shape[0], shape[1])
    if prediction.mask is not None:
        feather = feather * resize_mask(prediction.mask, content, prediction.relit_floor)
    if prediction.flat_error is not None:
        restraint = 1 / (1 + np.square(prediction.flat_error / np.float32(_HALF_TRUSTED)))
        feather = feather * resize_area(restraint, *content.shape[:2])
    return feather[..., None] * np.float32(prediction.trust)
