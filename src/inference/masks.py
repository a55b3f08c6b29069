"""Where people are in a picture, when that is not left to the delighting model: given, or by another model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from src.data.stage.mask import cut_out, require_rembg
from src.inference import mediapipe_models
from src.inference.framing import displayed
from src.utils.cli import InputError
from src.utils.content_hash import content_hash
from src.utils.image_io import IMAGE_SUFFIXES, read_mask

OWN, MEDIAPIPE, REMBG = "own", "mediapipe", "rembg"


class PersonMasks:
    """``source``: ``mediapipe``, ``rembg``, or a picture: the mask of ``shown``, which has to be one picture then.

    Raises InputError where it cannot be had.
    """

    def __init__(self, source: str, shown: Path) -> None:
        self.source = source
        self._given: np.ndarray | None = None
        if source == MEDIAPIPE:
            mediapipe_models.require_mediapipe(f"--mask {source}")
        elif source == REMBG:
            require_rembg()
        else:
            if not Path(source).is_file():
                raise InputError(f"--mask {source}", "no such file", "give own, mediapipe, rembg or a picture")
            if shown.suffix.lower() not in IMAGE_SUFFIXES:
                raise InputError(f"--mask {source}", "is the mask of one picture", f"{shown} is none: give mediapipe")
            self._given = read_mask(source)

    def stamp(self) -> str:
        """What decides the masks: changes with the content of a file."""
        return self.source if self._given is None else content_hash(self.source)

    def of(self, picture: np.ndarray) -> np.ndarray:
        """Coverage ``H x W`` float32 in [0, 1] of the people in ``H x W x 3`` linear radiance."""
        if self._given is not None:
            if self._given.shape != picture.shape[:2]:
                (rows, columns), (height, width) = self._given.shape, picture.shape[:2]
                problem = f"is {columns} x {rows}, the picture {width} x {height}"
                raise InputError(self.source, problem, "give the mask of this picture, at its size")
            return self._given
        return cut_out(picture) if self.source == REMBG else mediapipe_models.person_mask(displayed(picture))
