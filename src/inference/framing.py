"""Which part of a picture a network is shown: the portrait about the face that is found, or all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from src.inference.crops import Crop, Face, is_portrait_crop, portrait_crop, whole_picture
from src.inference.faces import FaceFinder, find_faces
from src.utils.color import linear_to_srgb
from src.utils.resize import resize_area

_SEARCHED_SIDE = 1024  # pictures are reduced to it before faces are looked for


def frame_portrait(picture: np.ndarray, looks_for_face: bool = True) -> tuple[Crop, str]:
    """The part of H x W x 3 linear radiance to show a network, and why: one portrait, upright."""
    whole = whole_picture(*picture.shape[:2])
    if not looks_for_face:
        return whole, "whole picture, as asked"
    faces = faces_of(picture, find_faces)
    if not faces:
        return whole, "no face found, whole picture"
    crops, note = crops_of([replace(faces[0], roll=0.0)], *picture.shape[:2])
    return crops[0], note


def crops_of(faces: Sequence[Face], height: int, width: int) -> tuple[list[Crop], str]:
    """What to show a network of a picture with ``faces``, the largest first: a crop for each; and why."""
    whole = whole_picture(height, width)
    if not faces:
        return [whole], "no face found, whole picture"
    if len(faces) == 1 and is_portrait_crop(faces[0], height, width):
        return [whole], "a portrait crop already, whole picture"
    crops = [portrait_crop(face) for face in faces]
    found = "face found, crop" if len(crops) == 1 else f"{len(crops)} faces found, crops"
    return crops, f"{found} of " + ", ".join(map(_describe, crops))


def faces_of(picture: np.ndarray, finder: FaceFinder) -> list[Face]:
    """Faces in H x W x 3 linear radiance, the largest first."""
    scale = min(1.0, _SEARCHED_SIDE / max(picture.shape[:2]))
    reduced = resize_area(picture, *(max(1, round(side * scale)) for side in picture.shape[:2]))
    return [Face(face.x / scale, face.y / scale, face.side / scale, face.roll) for face in finder(displayed(reduced))]


def displayed(picture: np.ndarray) -> np.ndarray:
    """H x W x 3 uint8 sRGB of linear radiance: what a display would clip, or show as black, in its range."""
    bright = float(np.percentile(picture, 95))
    exposure = 1.0 if 0.1 < bright <= 1.0 else 0.8 / max(bright, 1e-6)
    return np.rint(linear_to_srgb(picture * np.float32(exposure)) * 255).astype(np.uint8)


def _describe(crop: Crop) -> str:
    turned = f", turned by {crop.roll:.0f} degrees" if crop.roll else ""
    return f"{crop.width} x {crop.height} at ({crop.left}, {crop.top}){turned}"
