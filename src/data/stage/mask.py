"""Coverage masks of portraits: given, cut out by a matting network, or from where any light reached."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from src.data.stage.captures import Capture, read_picture
from src.utils.cli import InputError
from src.utils.color import linear_to_srgb
from src.utils.image_io import read_mask
from src.utils.resize import resize_area

_REMBG_MODEL = "u2net_human_seg"


def mask_source(capture: Capture, wanted: str) -> str:
    """Where the capture's mask will come from: ``auto`` takes a given one, or else the OLAT maximum."""
    if wanted == "auto":
        return "olat" if capture.mask is None else "given"
    if wanted == "given" and capture.mask is None:
        raise InputError(capture.images[0].parent, "has no mask.png", "give one, --mask_root, or another --mask")
    if wanted == "rembg":
        if capture.full_light is None:
            raise InputError(capture.images[0].parent, "has no full-light picture to cut out", "use another --mask")
        require_rembg()
    return wanted


def make_mask(capture: Capture, source: str, olat_maximum: np.ndarray, transfer: str) -> np.ndarray:
    """Coverage ``(H, W)`` float32 in [0, 1] of the size of ``olat_maximum``, the ``(H, W, 3)`` maximum over lights."""
    height, width = olat_maximum.shape[:2]
    if source == "given" and capture.mask is not None:
        mask = read_mask(capture.mask)
        if mask.shape[0] * width != mask.shape[1] * height:
            raise InputError(
                capture.mask,
                f"is {mask.shape[1]} x {mask.shape[0]}, the pictures {width} x {height}",
                "the mask must have the pictures' shape",
            )
        return resize_area(mask, height, width)
    if source == "rembg" and capture.full_light is not None:
        return resize_area(cut_out(read_picture(capture.full_light, transfer, height)), height, width)
    return mask_from_maximum(olat_maximum)


def mask_from_maximum(olat_maximum: np.ndarray) -> np.ndarray:
    """Coverage from the brightest value that any light gave each pixel.

    Where a person is, some light reaches; a dark stage stays dark behind. The largest connected region above a small
    share of the picture's own bright level, with its holes filled; its border is softened over the border pixels'
    own brightness, which anti-aliasing has scaled by their coverage.
    """
    import cv2

    brightest = olat_maximum.max(axis=2)
    level = float(np.percentile(brightest, 99))
    if level <= 0:
        return np.zeros(brightest.shape, np.float32)
    region = (brightest > 0.02 * level).astype(np.uint8)
    region = cv2.morphologyEx(region, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    count, labels, stats, _ = cv2.connectedComponentsWithStats(region)
    if count < 2:
        return np.zeros(brightest.shape, np.float32)
    largest = 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax())
    outline, _ = cv2.findContours((labels == largest).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = cv2.drawContours(np.zeros_like(region), outline, -1, 1, cv2.FILLED)
    inner = cv2.erode(filled, np.ones((3, 3), np.uint8))
    # Border pixels: their brightness against the brightest of their neighbours is their coverage.
    around = cv2.dilate(brightest * inner, np.ones((5, 5), np.uint8))
    border = (brightest / np.maximum(around, 1e-6)).clip(0, 1)
    return np.where(inner > 0, 1.0, np.where(filled > 0, border, 0.0)).astype(np.float32)


def require_rembg() -> None:
    """InputError, in one line, unless rembg and its model file are there; nothing is ever downloaded."""
    try:
        import rembg  # noqa: F401
    except ImportError:
        raise InputError(
            "--mask rembg", "rembg is not installed", "pip install rembg, or give another --mask"
        ) from None
    home = Path(os.environ.get("U2NET_HOME", Path.home() / ".u2net"))
    model = home / f"{_REMBG_MODEL}.onnx"
    if not model.is_file():
        raise InputError(model, "the model file of rembg is missing", "put it there, or give another --mask")


def cut_out(picture: np.ndarray) -> np.ndarray:
    """Coverage ``(H, W)`` float32 of the person in a linear ``(H, W, 3)`` picture, by rembg's human segmentation."""
    import rembg

    bright = max(float(np.percentile(picture, 99.5)), 1e-6)
    display = (linear_to_srgb(picture / bright) * 255 + 0.5).astype(np.uint8)
    alpha = rembg.remove(display, session=rembg.new_session(_REMBG_MODEL), only_mask=True)
    return np.asarray(alpha, np.float32).reshape(picture.shape[:2]) / 255
