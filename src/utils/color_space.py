"""Colour spaces of pictures: transfer curve, primaries, white, and the way to linear sRGB (Rec. 709, D65).

Numbers of transfers and primaries are those of ITU-T H.273 (CICP), as PNG, AVIF, HEIF and videos carry them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from src.utils.color import linear_to_srgb, srgb_to_linear

Curve = Callable[[np.ndarray], np.ndarray]  # codes in [0, 1] -> linear light

DIFFUSE_WHITE = 203.0  # cd/m2 that become 1.0 (ITU-R BT.2408)
HLG_PEAK = 1000.0  # cd/m2 of the display that HLG's system gamma is for (ITU-R BT.2100)
HLG_GAMMA = 1.2

_D65 = (0.3127, 0.3290)
_C = (0.310, 0.316)
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D50_XYZ = np.array([0.9642, 1.0, 0.8249])  # of the ICC profile connection space
D65_XYZ = np.array([_D65[0], _D65[1], 1 - sum(_D65)]) / _D65[1]

# x and y of red, green, blue and white.
SRGB_PRIMARIES = (0.64, 0.33, 0.30, 0.60, 0.15, 0.06, *_D65)
ADOBE_RGB_PRIMARIES = (0.64, 0.33, 0.21, 0.71, 0.15, 0.06, *_D65)
_PRIMARIES = {
    1: SRGB_PRIMARIES,
    2: SRGB_PRIMARIES,  # unspecified
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, *_C),
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65),
    6: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *_D65),
    7: (0.63, 0.34, 0.31, 0.595, 0.155, 0.07, *_D65),
    8: (0.681, 0.319, 0.243, 0.692, 0.145, 0.049, *_C),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    10: (1, 0, 0, 1, 0, 0, 1 / 3, 1 / 3),
    11: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, 0.314, 0.351),
    12: (0.68, 0.32, 0.265, 0.69, 0.15, 0.06, *_D65),
    22: (0.63, 0.34, 0.295, 0.605, 0.155, 0.077, *_D65),
}
# 1, 6, 14 and 15 describe cameras, whose pictures displays show by (about) the sRGB curve, as all SDR video.
_SRGB_LIKE_TRANSFERS = (1, 2, 6, 13, 14, 15)
_HLG_TRANSFER = 18


def pq_to_linear(codes: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084 codes in [0, 1] -> light, 1.0 is 203 cd/m2."""
    root = codes ** (32 / 2523)
    top = (root - 107 / 128).clip(0, None)
    return (top / (2413 / 128 - 2392 / 128 * root)) ** (16384 / 2610) * (10000 / DIFFUSE_WHITE)


def hlg_to_scene(codes: np.ndarray) -> np.ndarray:
    """The inverse OETF of HLG (ITU-R BT.2100): codes in [0, 1] -> scene light in [0, 1]."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    return np.where(codes <= 0.5, codes**2 / 3, (np.exp((codes - c) / a) + b) / 12)


_CURVES: dict[int, Curve] = {
    **dict.fromkeys(_SRGB_LIKE_TRANSFERS, srgb_to_linear),
    4: lambda codes: codes**2.2,
    5: lambda codes: codes**2.8,
    8: lambda codes: codes,
    16: pq_to_linear,
    17: lambda codes: codes**2.6 * (52.37 / 48),
    _HLG_TRANSFER: hlg_to_scene,
}
_HDR_TRANSFERS = (16, _HLG_TRANSFER)


@dataclass(frozen=True)
class ColorSpace:
    """``curves``: one for all channels, or three. ``matrix``: 3 x 3 to linear sRGB; None where it changes nothing.

    ``system_gamma``: (gamma, luminance weights, gain) of HLG's OOTF. ``is_hdr``: 1.0 is diffuse white, not the peak.
    """

    curves: tuple[Curve, ...]
    matrix: np.ndarray | None = None
    system_gamma: tuple[float, np.ndarray, float] | None = None
    is_hdr: bool = False

    def to_linear_srgb(self, colour: np.ndarray, levels: int) -> np.ndarray:
        """Codes over ``levels``, H x W x 3 or x 1 float32 -> linear sRGB, float32.

        What lies outside the gamut of sRGB is clipped: below 0 always, above 1 unless the space is HDR.
        """
        codes = np.rint(colour * levels).astype(np.intp)
        axis = np.arange(levels + 1) / levels
        tables = [curve(axis).astype(np.float32) for curve in self.curves]
        if colour.shape[2] == 1 and len(tables) == 3:
            codes = np.repeat(codes, 3, axis=2)
        if len(tables) == 1:
            linear = tables[0][codes]
        else:
            linear = np.stack([table[codes[..., k]] for k, table in enumerate(tables)], axis=2)
        if self.system_gamma is not None:
            gamma, weights, gain = self.system_gamma
            luminance = linear[..., :1] if linear.shape[2] == 1 else linear @ weights.astype(np.float32)[:, None]
            linear = linear * luminance ** np.float32(gamma - 1) * np.float32(gain)
        if self.matrix is not None and linear.shape[2] == 3:
            linear = linear @ self.matrix.T.astype(np.float32)
        return linear.clip(0.0, None if self.is_hdr else 1.0)

    def is_srgb(self) -> bool:
        """Whether it is sRGB, as profiles in use round it: curves within half an 8-bit code, the matrix within 1e-3."""
        codes = np.arange(256) / 255
        return (
            not self.is_hdr
            and (self.matrix is None or np.abs(self.matrix - np.eye(3)).max() < 1e-3)
            and all(np.abs(linear_to_srgb(curve(codes)) - codes).max() < 0.5 / 255 for curve in self.curves)
        )


def cicp_space(primaries: int, transfer: int) -> ColorSpace | None:
    """The space of these H.273 numbers, None for sRGB's. Raises KeyError with what it does not know."""
    if transfer not in _CURVES:
        raise KeyError(f"transfer characteristics {transfer}")
    if primaries not in _PRIMARIES:
        raise KeyError(f"colour primaries {primaries}")
    matrix = to_linear_srgb_matrix(_PRIMARIES[primaries])
    if transfer in _SRGB_LIKE_TRANSFERS and matrix is None:
        return None
    system_gamma = None
    if transfer == _HLG_TRANSFER:
        luminance = rgb_to_xyz(_PRIMARIES[primaries])[1]
        system_gamma = (HLG_GAMMA, luminance, HLG_PEAK / DIFFUSE_WHITE)
    return ColorSpace((_CURVES[transfer],), matrix, system_gamma, transfer in _HDR_TRANSFERS)


def gamma_space(exponent: float, primaries: Sequence[float] = SRGB_PRIMARIES) -> ColorSpace:
    """A space whose light is its codes to the power ``exponent``."""
    return ColorSpace((lambda codes: codes**exponent,), to_linear_srgb_matrix(primaries))


def rgb_to_xyz(primaries: Sequence[float]) -> np.ndarray:
    """3 x 3: linear RGB of these primaries -> XYZ with Y = 1 for white. Raises ValueError where they span no colours.

    ``primaries``: x and y of red, green, blue, white.
    """
    xy = np.asarray(primaries, np.float64).reshape(4, 2)
    if not np.isfinite(xy).all() or xy[3, 1] <= 0:
        raise ValueError("the primaries are no colours")
    columns = np.stack([xy[:3, 0], xy[:3, 1], 1 - xy[:3].sum(axis=1)])
    if abs(np.linalg.det(columns)) < 1e-6:
        raise ValueError("the primaries lie on one line")
    return columns * np.linalg.solve(columns, _white_xyz(xy[3]))


def to_linear_srgb_matrix(primaries: Sequence[float]) -> np.ndarray | None:
    """3 x 3: linear RGB of these primaries -> linear sRGB, white to white (Bradford); None where they are sRGB's.

    Raises ValueError as :func:`rgb_to_xyz` does.
    """
    if np.allclose(primaries, SRGB_PRIMARIES, atol=1e-3):
        return None
    return xyz_to_linear_srgb(_white_xyz(np.asarray(primaries, np.float64)[6:])) @ rgb_to_xyz(primaries)


def xyz_to_linear_srgb(white_xyz: np.ndarray) -> np.ndarray:
    """3 x 3: XYZ relative to this white -> linear sRGB, the white to (1, 1, 1) (Bradford)."""
    gains = (_BRADFORD @ D65_XYZ) / (_BRADFORD @ white_xyz)
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(gains) @ _BRADFORD
    return np.linalg.inv(rgb_to_xyz(SRGB_PRIMARIES)) @ adapt


def _white_xyz(xy: np.ndarray) -> np.ndarray:
    return np.array([xy[0], xy[1], 1 - xy[0] - xy[1]]) / xy[1]


ADOBE_RGB = gamma_space(563 / 256, ADOBE_RGB_PRIMARIES)
