"""What of a photograph its flat-lit version keeps: how bright the face is, and a weak cast.

No picture tells the brightness of skin from that of its light, nor its tint from that of the camera.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from src.inference.alignment import upright_share
from src.inference.crops import Crop, Face
from src.inference.prediction import FLAT_FLOOR, Prediction, apply_gain
from src.utils.color import luminance

SMALLEST_LUMINANCE = 1e-9  # mean of a person: below, there is no brightness to keep
KEPT_TINT = 1.25  # by which a colour may be off: that is the camera's or the skin's doing, more is the light's
_MOST_CHANGE = 1.0  # of a gain's logarithm about the face's mean, as far as it tells how colourful shadows are
_LEAST_SPREAD = 1e-3  # of that times colour: with less there is nothing to learn from
_FACE_AXES = 0.45, 0.6  # half the width and half the height of a face, in sides of its box
_LEAST_FACE = 1e-3  # of the picture: with less of it on the person, all of the person counts


def as_shown(face: Face, crop: Crop, height: int, width: int) -> Face:
    """A picture's face in pixels of what the network is shown of a crop, ``height x width``: upright."""
    sine, cosine = np.sin(np.radians(crop.roll)), np.cos(np.radians(crop.roll))
    right, down = face.x - crop.left - crop.width / 2, face.y - crop.top - crop.height / 2
    scale = height / (crop.height * upright_share(crop.roll))
    across, along = cosine * right + sine * down, cosine * down - sine * right
    return Face(width / 2 + scale * float(across), height / 2 + scale * float(along), scale * face.side)


def face_weights(mask: np.ndarray | None, face: Face | None, height: int, width: int) -> np.ndarray:
    """``height x width`` in [0, 1]: where brightness is kept, the person's face or else all of the person.

    A dark suit and a white shirt are neither: made flat with the face, they would pull it along.
    ``mask``: the person, all of the picture without one; ``face``: in the same pixels.
    """
    person = np.ones((height, width), np.float32) if mask is None else mask
    if face is None:
        return person
    across = (np.arange(width, dtype=np.float32) + 0.5 - face.x) / (_FACE_AXES[0] * face.side)
    along = (np.arange(height, dtype=np.float32) + 0.5 - face.y) / (_FACE_AXES[1] * face.side)
    within = person * (np.square(along)[:, None] + np.square(across) < 1)
    return within if within.mean() > _LEAST_FACE else person


def keep(prediction: Prediction, shown: np.ndarray, face: Face | None) -> Prediction:
    """A prediction of ``shown`` (h x w x 3 linear) that leaves the face's mean luminance as it is, and a weak cast.

    Colours that are off by no more than :data:`KEPT_TINT` stay, and of stronger casts what is not beyond that, pixel by
    pixel: with the mean cast alone kept, lips and blue cloth come out as grey as most of what a model has seen. Not
    kept is how much more colourful shadows are, see :func:`paling`.
    ``exposure`` is the factor on what was predicted.
    """
    weights = face_weights(prediction.mask, face, *shown.shape[:2])
    content = shown + prediction.relit_floor
    tint = prediction.log_gain - prediction.log_gain.mean(axis=2, keepdims=True)
    kept = (tint - paling(prediction.log_gain, content, weights)).clip(-math.log(KEPT_TINT), math.log(KEPT_TINT))
    flat_lit = (content * np.exp(prediction.log_gain) - FLAT_FLOOR).clip(0)
    flat_lit *= np.exp(-kept)
    log_gain = np.log((flat_lit + FLAT_FLOOR) / content)
    tinted = replace(prediction, log_gain=log_gain, exposure=None, measured=weights)
    ours, flat = (float((luminance(of) * weights).sum()) for of in (shown, apply_gain(shown, tinted)))
    least = SMALLEST_LUMINANCE * max(float(weights.sum()), SMALLEST_LUMINANCE)
    return replace(tinted, exposure=ours / flat if ours > least and flat > least else 1.0)


def paling(log_gain: np.ndarray, content: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The part of a log gain's tint, h x w x 3, by which what is made brighter becomes less colourful, or the reverse.

    Light that went through skin or came from it, and the contrast of cameras, make shadows of a face more colourful
    than what is lit: lifted with their colours as they are, they glow. How much paler they are to become for each
    neper of gain is one number, that of the predicted tint over the face (``weights``, h x w), by least squares.
    ``content``: h x w x 3 above 0, what the gain is of.
    """

    def centred(planes: np.ndarray) -> np.ndarray:
        total = max(float(weights.sum()), SMALLEST_LUMINANCE)
        return planes - (planes * weights[..., None]).sum(axis=(0, 1)) / total

    level = log_gain.mean(axis=2, keepdims=True)
    colour = np.log(content)
    colour -= colour.mean(axis=2, keepdims=True)
    paler = -centred(level).clip(-_MOST_CHANGE, _MOST_CHANGE) * colour
    expected, found = centred(paler), centred(log_gain - level)
    spread = float((np.square(expected) * weights[..., None]).sum())
    share = float((expected * found * weights[..., None]).sum()) / (
        spread + _LEAST_SPREAD * float(weights.sum()) + SMALLEST_LUMINANCE
    )
    return paler * np.float32(min(max(share, 0.0), 1.0))
