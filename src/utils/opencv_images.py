"""OpenCV as a decoder and encoder of pictures in memory: its own file functions cannot open every path on Windows."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from src.utils.cli import InputError
from src.utils.picture_file import REMEDY


def decode(path: Path, data: bytes, problem: str = "is truncated or broken", remedy: str = REMEDY) -> np.ndarray:
    """The codes as stored, H x W or H x W x channels in the order RGB(A); InputError with ``problem`` on failure."""
    cv2 = _quiet_opencv()
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise InputError(path, problem, remedy)
    return _swap_red_and_blue(pixels)


def encode_png(pixels: np.ndarray) -> bytes:
    """uint8 or uint16, H x W x {1, 3, 4}. Level 3: half of level 9's time for some 5 % more bytes."""
    import cv2

    return _encode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])


def encode_jpeg(pixels: np.ndarray) -> bytes:
    """uint8, H x W x {1, 3}. Quality 95 without chroma subsampling."""
    import cv2

    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return _encode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95, *sampling])


def _encode(suffix: str, pixels: np.ndarray, parameters: list[int]) -> bytes:
    cv2 = _quiet_opencv()
    ok, data = cv2.imencode(suffix, _swap_red_and_blue(pixels), parameters)
    if not ok:
        raise RuntimeError(f"OpenCV could not encode {pixels.shape} {pixels.dtype} as {suffix}")
    return data.tobytes()


def _swap_red_and_blue(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return pixels
    order = [2, 1, 0, 3][: pixels.shape[2]]
    return np.ascontiguousarray(pixels[..., order])


def _quiet_opencv():
    """OpenCV logs what it cannot decode on stderr, beside the error that we raise."""
    import cv2

    set_log_level = cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel  # 4 and 5
    set_log_level(0)
    return cv2
