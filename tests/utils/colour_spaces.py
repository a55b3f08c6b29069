"""Published colour spaces as matrices, curves and profiles; the right values are computed with these."""

from __future__ import annotations

import numpy as np

from tests.utils.picture_files import (
    gamma_curve,
    parametric_curve,
    rgb_profile,
    sampled_curve,
)

# XYZ (D65) of linear RGB, as published, and the adaptation to D50 that ICC publishes for sRGB (its chad tag).
P3_TO_XYZ = np.array([[0.48657, 0.26567, 0.19822], [0.22897, 0.69174, 0.07929], [0.0, 0.04511, 1.04394]])
ADOBE_TO_XYZ = np.array([[0.57667, 0.18556, 0.18823], [0.29734, 0.62736, 0.07529], [0.02703, 0.07069, 0.99134]])
REC2020_TO_XYZ = np.array([[0.63696, 0.14462, 0.16888], [0.26270, 0.67800, 0.05930], [0.0, 0.02807, 1.06099]])
SRGB_TO_XYZ = np.array([[0.41239, 0.35758, 0.18048], [0.21264, 0.71517, 0.07219], [0.01933, 0.11919, 0.95053]])
D65_TO_D50 = np.array(
    [[1.047886, 0.022919, -0.050216], [0.029582, 0.990484, -0.017079], [-0.009252, 0.015073, 0.751678]]
)
# ProPhoto is defined at D50 (ISO 22028-2).
PROPHOTO_TO_XYZ_D50 = np.array([[0.79767, 0.13519, 0.03135], [0.28804, 0.71188, 0.00009], [0.0, 0.0, 0.82490]])
SRGB_CURVE = parametric_curve(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)


def decoded(codes: np.ndarray) -> np.ndarray:
    return np.where(codes <= 0.04045, codes / 12.92, ((codes + 0.055) / 1.055) ** 2.4)


def encoded(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear.clip(0.0031308) ** (1 / 2.4) - 0.055)


def to_srgb(linear: np.ndarray, to_xyz: np.ndarray, is_d50: bool = False) -> np.ndarray:
    xyz = linear @ (np.linalg.inv(D65_TO_D50) @ to_xyz if is_d50 else to_xyz).T
    return (xyz @ np.linalg.inv(SRGB_TO_XYZ).T).clip(0, 1)


def codes_of(levels: int, seed: int = 0) -> np.ndarray:
    codes = np.random.default_rng(seed).integers(0, levels + 1, (12, 14, 3))
    codes[0, :3] = [[0, 0, 0], [levels] * 3, [levels // 2] * 3]
    return codes.astype(np.uint8 if levels == 255 else np.uint16)


PROFILES = {
    "Display P3": (rgb_profile(D65_TO_D50 @ P3_TO_XYZ, [SRGB_CURVE] * 3), decoded, P3_TO_XYZ, False),
    "Adobe RGB": (
        rgb_profile(D65_TO_D50 @ ADOBE_TO_XYZ, [gamma_curve(563 / 256)] * 3),
        lambda v: v ** (563 / 256),
        ADOBE_TO_XYZ,
        False,
    ),
    "ProPhoto": (
        rgb_profile(PROPHOTO_TO_XYZ_D50, [parametric_curve(3, 1.8, 1, 0, 1 / 16, 1 / 32)] * 3),
        lambda v: np.where(v < 1 / 32, v / 16, v**1.8),
        PROPHOTO_TO_XYZ_D50,
        True,
    ),
    "linear Rec. 2020": (
        rgb_profile(D65_TO_D50 @ REC2020_TO_XYZ, [b"curv\0\0\0\0\0\0\0\0"] * 3),
        lambda v: v,
        REC2020_TO_XYZ,
        False,
    ),
    "a sampled curve": (
        rgb_profile(D65_TO_D50 @ SRGB_TO_XYZ, [sampled_curve(np.linspace(0, 1, 4096) ** 3)] * 3),
        lambda v: v**3,
        SRGB_TO_XYZ,
        False,
    ),
    "three curves": (
        rgb_profile(D65_TO_D50 @ SRGB_TO_XYZ, [gamma_curve(1), gamma_curve(2), gamma_curve(3)]),
        lambda v: v ** np.array([1, 2, 3]),
        SRGB_TO_XYZ,
        False,
    ),
    "a curve with offsets": (
        rgb_profile(D65_TO_D50 @ SRGB_TO_XYZ, [parametric_curve(4, 2, 0.9, 0.05, 0.3, 0.1, 0.05, 0.02)] * 3),
        lambda v: np.where(v >= 0.1, (0.9 * v + 0.05) ** 2 + 0.05, 0.3 * v + 0.02),
        SRGB_TO_XYZ,
        False,
    ),
}
