"""What the decoders behind :mod:`src.utils.image_io` share: the decoded picture, the file's bytes, errors, warnings."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.utils.cli import InputError, describe_os_error
from src.utils.color_space import ColorSpace

MAX_PIXELS = 2**28  # 16384 x 16384; a header that promises more is taken for a broken or hostile file
REMEDY = "export or copy the file again"

_said: set[tuple[str, str]] = set()


@dataclass(frozen=True)
class Decoded:
    """A picture as stored: ``colour`` H x W x 3 or H x W x 1 float32, ``alpha`` H x W float32 or None.

    ``colour`` is linear radiance where ``is_linear``, else codes over ``levels``, the largest code, to be read in
    ``space`` (None: sRGB). It is multiplied by alpha where ``is_premultiplied``.
    """

    colour: np.ndarray
    alpha: np.ndarray | None = None
    is_linear: bool = False
    is_premultiplied: bool = False
    levels: int = 255
    space: ColorSpace | None = None


def read_bytes(path: Path) -> bytes:
    """The content of a file that must exist and hold something."""
    try:
        if path.is_dir():
            raise InputError(path, "is a folder, not a picture", "give a file")
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(path, "no such file", "check the name") from None
    except OSError as error:
        raise describe_os_error(error, path) from error
    if not data:
        raise InputError(path, "is empty (0 bytes)", REMEDY)
    return data


def say(path: Path, line: str) -> None:
    """Warn of what is read otherwise than the file says, once per file and line."""
    key = str(path), line
    if key not in _said:
        _said.add(key)
        warnings.warn(f"{path}: {line}", stacklevel=3)


def truncated(path: Path) -> InputError:
    return InputError(path, "is truncated: its end is missing", REMEDY)


def broken(path: Path, error: Exception) -> InputError:
    return InputError(path, f"is truncated or broken ({error})", REMEDY)


def not_a(kind: str, path: Path) -> InputError:
    return InputError(path, f"is not {kind}, whatever its name says", REMEDY)


def check_pixel_count(path: Path, height: int, width: int) -> None:
    if height <= 0 or width <= 0:
        raise InputError(path, f"has no pixels ({width} x {height})", REMEDY)
    if height * width > MAX_PIXELS:
        raise InputError(path, f"{width} x {height} is more than {MAX_PIXELS} pixels", "split it into smaller pictures")


def turned(codes: np.ndarray, orientation: int) -> np.ndarray:
    """``codes`` (rows, columns, ...) stored under this EXIF orientation as they are to be shown."""
    if orientation >= 5:
        codes = codes.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        codes = codes[::-1]
    if orientation in (2, 3, 6, 7):
        codes = codes[:, ::-1]
    return codes


def split(codes: np.ndarray, levels: int, space: ColorSpace | None) -> Decoded:
    """Integer codes, H x W x {1, 2, 3, 4} or H x W, as colour and alpha in [0, 1]."""
    codes = codes if codes.ndim == 3 else codes[..., None]
    values = codes.astype(np.float32) / np.float32(levels)
    if values.shape[2] in (2, 4):
        colour, alpha = np.ascontiguousarray(values[..., :-1]), np.ascontiguousarray(values[..., -1])
        return Decoded(colour, alpha, levels=levels, space=space)
    return Decoded(np.ascontiguousarray(values), levels=levels, space=space)
