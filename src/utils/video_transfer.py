"""The colours of a video's code values as an sRGB display shows them: transfer curves and primaries of ITU-T H.273.

PQ and HLG are light in cd/m2 (ITU-R BT.2100); diffuse white at 203 cd/m2 (BT.2408) becomes display white, and what is
brighter is clipped. The curves of cameras (BT.709, BT.601, BT.2020) are shown as they are, as sRGB: so do players.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from src.utils.color import linear_to_srgb, srgb_to_linear

UNSPECIFIED, BT709_PRIMARIES = 2, 1
PQ, HLG = 16, 18
DIFFUSE_WHITE = 203.0  # cd/m2
HLG_PEAK, HLG_GAMMA = 1000.0, 1.2  # cd/m2, and BT.2100's system gamma for that

_SHOWN_AS_SRGB = frozenset({1, UNSPECIFIED, 6, 11, 12, 13, 14, 15})
_STEPS = 65535
_ROWS_AT_ONCE = 64  # fits the cache

_D65, _C, _E, _DCI = (0.3127, 0.3290), (0.310, 0.316), (1 / 3, 1 / 3), (0.314, 0.351)
# x, y of red, green, blue; white
_PRIMARIES = {
    1: ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65),  # BT.709
    4: ((0.67, 0.33), (0.21, 0.71), (0.14, 0.08), _C),  # BT.470 M
    5: ((0.64, 0.33), (0.29, 0.60), (0.15, 0.06), _D65),  # BT.601, 625 lines
    6: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),  # BT.601, 525 lines
    7: ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65),  # SMPTE 240M
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),  # film
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),  # BT.2020
    10: ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), _E),  # CIE XYZ (SMPTE ST 428)
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _DCI),  # DCI-P3
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),  # Display P3
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),  # EBU 3213
}
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def is_shown_as_it_is(transfer: int, primaries: int) -> bool:
    """Whether the code values are those of an sRGB display already."""
    return transfer in _SHOWN_AS_SRGB and primaries in (BT709_PRIMARIES, UNSPECIFIED)


def unknown_parts(transfer: int, primaries: int) -> list[str]:
    """What of the two is not known, and so is taken for sRGB's, in words."""
    parts = []
    if transfer not in _SHOWN_AS_SRGB and transfer not in _LINEAR_OF:
        parts.append(f"transfer {transfer}")
    if primaries != UNSPECIFIED and primaries not in _PRIMARIES:
        parts.append(f"primaries {primaries}")
    return parts


def to_srgb(codes: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """R'G'B' codes, H x W x 3 uint8 or uint16 over their whole range -> sRGB, H x W x 3 uint8.

    ``transfer``, ``primaries``: code points of ITU-T H.273; unknown ones count as sRGB's.
    """
    if codes.dtype == np.uint8:
        codes = codes * np.uint16(257)
    table, matrix = _linear_table(transfer), _to_bt709(primaries)
    if matrix is None and transfer != HLG:
        return _direct_table(transfer)[codes]
    shown = np.empty(codes.shape, np.uint8)
    for row in range(0, len(codes), _ROWS_AT_ONCE):
        light = table[codes[row : row + _ROWS_AT_ONCE]]
        if transfer == HLG:
            luminance = light @ _luminance_weights(primaries)
            light *= (HLG_PEAK / DIFFUSE_WHITE) * (luminance ** np.float32(HLG_GAMMA - 1))[..., None]
        if matrix is not None:
            light = light @ matrix.T
        shown[row : row + _ROWS_AT_ONCE] = _srgb_table()[(light.clip(0, 1) * _STEPS + 0.5).astype(np.uint16)]
    return shown


# --- transfer curves: codes in [0, 1] -> light, 1 being display white; of HLG, scene light in [0, 1] -----------------


def _from_pq(code: np.ndarray) -> np.ndarray:
    """SMPTE ST 2084."""
    root = code ** (32 / 2523)
    ratio = np.maximum(root - 107 / 128, 0) / (2413 / 128 - 2392 / 128 * root)
    return ratio ** (8192 / 1305) * (10_000 / DIFFUSE_WHITE)


def _from_hlg(code: np.ndarray) -> np.ndarray:
    """The inverse OETF of BT.2100."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)


def _from_smpte240m(code: np.ndarray) -> np.ndarray:
    """A camera's curve like BT.709's, so shown like that: its light as BT.709 would encode it, taken for sRGB."""
    light = np.where(code < 4 * 0.0228, code / 4, ((code + 0.1115) / 1.1115) ** (1 / 0.45))
    bt709 = np.where(light < 0.018, 4.5 * light, 1.099 * light**0.45 - 0.099)
    return srgb_to_linear(bt709)


_LINEAR_OF = {
    4: lambda code: code**2.2,
    5: lambda code: code**2.8,
    7: _from_smpte240m,
    8: lambda code: code,
    9: lambda code: np.where(code > 0, 10 ** (2 * (code - 1)), 0),
    10: lambda code: np.where(code > 0, 10 ** (2.5 * (code - 1)), 0),
    PQ: _from_pq,
    17: lambda code: code**2.6 * (52.37 / 48),  # SMPTE ST 428-1, white at 48 cd/m2
    HLG: _from_hlg,
}


@lru_cache(maxsize=4)
def _linear_table(transfer: int) -> np.ndarray:
    """Light of every 16-bit code, float32."""
    codes = np.arange(_STEPS + 1) / _STEPS
    return _LINEAR_OF.get(transfer, srgb_to_linear)(codes).astype(np.float32)


@lru_cache(maxsize=4)
def _direct_table(transfer: int) -> np.ndarray:
    return np.rint(linear_to_srgb(_linear_table(transfer)) * 255).astype(np.uint8)


@lru_cache(maxsize=1)
def _srgb_table() -> np.ndarray:
    """8-bit sRGB code of light in steps of 1 / 65535: 20 of them to the darkest code."""
    return np.rint(linear_to_srgb(np.arange(_STEPS + 1) / _STEPS) * 255).astype(np.uint8)


# --- primaries -------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4)
def _to_bt709(primaries: int) -> np.ndarray | None:
    """Linear RGB of ``primaries`` -> that of BT.709, 3 x 3 float32, white staying white; None where they are the same.

    White points are adapted by Bradford's matrix.
    """
    if primaries == BT709_PRIMARIES or primaries not in _PRIMARIES:
        return None
    source, target = _PRIMARIES[primaries], _PRIMARIES[BT709_PRIMARIES]
    cones = [_BRADFORD @ _xyz(white) for white in (target[3], source[3])]
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(cones[0] / cones[1]) @ _BRADFORD
    return (np.linalg.inv(_rgb_to_xyz(target)) @ adapted @ _rgb_to_xyz(source)).astype(np.float32)


@lru_cache(maxsize=4)
def _luminance_weights(primaries: int) -> np.ndarray:
    return _rgb_to_xyz(_PRIMARIES.get(primaries, _PRIMARIES[BT709_PRIMARIES]))[1].astype(np.float32)


def _rgb_to_xyz(primaries: tuple[tuple[float, float], ...]) -> np.ndarray:
    columns = np.stack([_xyz(xy) for xy in primaries[:3]], axis=1)
    return columns * np.linalg.solve(columns, _xyz(primaries[3]))


def _xyz(xy: tuple[float, float]) -> np.ndarray:
    """X, Y, Z of a chromaticity; Y = 1, or X + Y + Z = 1 where there is no luminance."""
    x, y = xy
    return np.array([x, y, 1 - x - y]) / (y or 1.0)
