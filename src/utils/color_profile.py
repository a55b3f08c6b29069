"""The colour space of one file, from whatever says it; where that is broken or unknown, one line and sRGB."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np

from src.utils import png_chunks
from src.utils.color_space import ColorSpace, cicp_space
from src.utils.icc_profile import TableProfile, convert_by_tables, icc_space
from src.utils.picture_file import say

GREY_MODES = ("1", "L", "LA", "I", "I;16")  # of Pillow


class ProfileOf:
    """Finds the space of one file; says, where it cannot be had, that sRGB is assumed."""

    def __init__(
        self,
        path: Path,
        profile: bytes | None,
        cicp: tuple[int, int] | None = None,
        chunks: dict[bytes, bytes] | None = None,
        default: ColorSpace | None = None,
    ) -> None:
        self.path, self.profile, self.cicp, self.chunks, self.default = path, profile, cicp, chunks, default

    def space(self, channels: int) -> ColorSpace | None:
        """None for sRGB. Raises TableProfile."""
        try:
            if self.chunks is not None:
                return png_chunks.png_space(self.chunks, self.profile, channels)
            if self.profile is not None:
                return icc_space(self.profile, channels)
            return self.default if self.cicp is None else cicp_space(*self.cicp)
        except KeyError as error:
            say(self.path, f"{error.args[0]} are not known: sRGB is assumed")
        except (ValueError, struct.error) as error:
            say(self.path, f"{error}: sRGB is assumed")
        return None

    def apply(self, picture) -> tuple[np.ndarray, ColorSpace | None]:
        """A Pillow picture's codes as uint8 and their space."""
        if picture.mode == "CMYK":
            return self._convert_cmyk(picture), None
        try:
            return _codes(picture), self.space(1 if picture.mode in GREY_MODES else 3)
        except TableProfile:
            codes = _codes(picture)
            has_alpha = codes.ndim == 3 and codes.shape[2] in (2, 4)
            colour = picture.convert("L" if codes.ndim == 2 or codes.shape[2] == 2 else "RGB")
            assert self.profile is not None, "it has tables"
            try:
                converted = np.asarray(convert_by_tables(colour, self.profile))
            except ValueError as error:
                say(self.path, f"{error}: sRGB is assumed")
                return codes, None
            return (np.dstack([converted, codes[..., -1]]) if has_alpha else converted), None

    def _convert_cmyk(self, picture) -> np.ndarray:
        if self.profile is None:
            say(self.path, "is CMYK without a profile: its colours are a guess")
        else:
            try:
                return np.asarray(convert_by_tables(picture, self.profile))
            except ValueError as error:
                say(self.path, f"{error}: its colours are a guess")
        return np.asarray(picture.convert("RGB"))


def _codes(picture) -> np.ndarray:
    """uint8, H x W, or H x W x 2 (grey and alpha), 3, 4."""
    if "transparency" in picture.info or picture.mode == "PA":
        picture = picture.convert("RGBA")
    elif picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode not in ("L", "LA", "RGB", "RGBA"):
        picture = picture.convert("RGB")
    return np.asarray(picture)
