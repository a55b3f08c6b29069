"""Flat-lit portraits with the part that the network is to see, from files: flat-lit already, or delighted first."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from src.inference.crops import Crop, whole_picture
from src.inference.delit.delighter import Delighted, Delighter
from src.inference.framing import frame_portrait
from src.inference.upsampling import resize_mask
from src.utils.cli import InputError
from src.utils.image_io import LDR_SUFFIXES, image_size, read_mask, read_premultiplied


@dataclass(frozen=True)
class Portrait:
    """A still, flat-lit."""

    flat_lit: np.ndarray  # H x W x 3 linear radiance of at least 0
    mask: np.ndarray | None  # H x W in [0, 1]; None: where the network sees a person
    crop: Crop
    note: str
    mask_is_of_crop: bool = False  # it says nothing outside the crop

    def alone(self) -> Portrait:
        """The part that the network sees as a picture of its own: what stands before another background."""
        inside = self.crop.inside(*self.flat_lit.shape[:2])
        mask = None if self.mask is None else inside.cut(self.mask)
        return Portrait(inside.cut(self.flat_lit), mask, whole_picture(inside.height, inside.width), self.note)


def read_portrait(path: Path, mask: Path | None = None, crops: bool = True) -> Portrait:
    """A flat-lit picture. Its person is where ``mask``, else the picture's alpha, says, if there is one."""
    flat_lit, alpha = read_premultiplied(path)
    flat_lit = flat_lit.clip(0, None)
    crop, note = frame_portrait(flat_lit, crops)
    return Portrait(flat_lit, alpha if mask is None else _read_mask(mask, path), crop, note)


def delight_portrait(path: Path, delighter: Delighter, mask: Path | None = None) -> tuple[Portrait, Delighted]:
    """A picture in any light, and what delighting found: the light, and where the person is."""
    relit, alpha = read_premultiplied(path)
    relit = relit.clip(0, None)
    result = delighter(relit, is_coded=path.suffix.lower() in LDR_SUFFIXES)
    person = alpha if mask is None else _read_mask(mask, path)
    if looks := person is None:
        person = person_in(relit, result)
    found = Portrait(result.flat_lit, person, replace(result.crop, roll=0.0), result.note, mask_is_of_crop=looks)
    return found, result


def person_in(relit: np.ndarray, result: Delighted) -> np.ndarray | None:
    """Where delighting saw the person in H x W x 3 linear radiance, H x W in [0, 1]; None from models without masks."""
    prediction, crop = result.prediction, result.crop
    if prediction.mask is None:
        return None
    inside = resize_mask(prediction.mask, crop.cut(relit), prediction.relit_floor)
    return crop.put_back(np.zeros(relit.shape[:2], np.float32), inside)


def _read_mask(mask: Path, of: Path) -> np.ndarray:
    read = read_mask(mask)
    if read.shape != image_size(of):
        (height, width), (rows, columns) = image_size(of), read.shape
        raise InputError(mask, f"is {columns} x {rows}, {of.name} is {width} x {height}", "give the mask of that file")
    return read
