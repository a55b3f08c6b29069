"""Which part of a picture a network is shown: the portrait about the face that is found, or all of it."""

from __future__ import annotations

import numpy as np

from src.inference.crops import Crop, Face, is_portrait_crop, portrait_crop, whole_picture
from src.inference.faces import find_face
from src.utils.color import linear_to_srgb
from src.utils.resize import resize_area

_SEARCHED_SIDE = 1024  # pictures are reduced to it before faces are looked for


def frame_portrait(picture: np.ndarray, looks_for_face: bool = True) -> tuple[Crop, str]:
    """The part of H x W x 3 linear radiance to show a network, and why."""
    whole = whole_picture(*picture.shape[:2])
    if not looks_for_face:
        return whole, "whole picture, as asked"
    face = _find_face(picture)
    if face is None:
        return whole, "no face found, whole picture"
    if is_portrait_crop(face, *picture.shape[:2]):
        return whole, "a portrait crop already, whole picture"
    crop = portrait_crop(face)
    return crop, f"face found, crop of {crop.width} x {crop.height} at ({crop.left}, {crop.top})"


def _find_face(picture: np.ndarray) -> Face | None:
    """The largest face in linear radiance: what a display would clip, or show as black, is brought into its range."""
    scale = min(1.0, _SEARCHED_SIDE / max(picture.shape[:2]))
    reduced = resize_area(picture, *(max(1, round(side * scale)) for side in picture.shape[:2]))
    bright = float(np.percentile(reduced, 95))
    exposure = 1.0 if 0.1 < bright <= 1.0 else 0.8 / max(bright, 1e-6)
    face = find_face(np.rint(linear_to_srgb(reduced * np.float32(exposure)) * 255).astype(np.uint8))
    return None if face is None else Face(face.x / scale, face.y / scale, face.side / scale)
