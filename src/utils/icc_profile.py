"""ICC profiles (ICC.1:2022): those of curves and a matrix as a :class:`ColorSpace`, in floats; others by LittleCMS."""

from __future__ import annotations

import io
import struct
from functools import lru_cache

import numpy as np

from src.utils.color_space import D50_XYZ, ColorSpace, Curve, cicp_space, xyz_to_linear_srgb

_COLOURANTS = (b"rXYZ", b"gXYZ", b"bXYZ")
_HDR_TRANSFERS = (16, 18)


class TableProfile(Exception):
    """The profile is sound, but made of tables: only :func:`convert_by_tables` can apply it."""


@lru_cache(maxsize=16)
def icc_space(profile: bytes, channels: int) -> ColorSpace | None:
    """The space of a profile for pictures of 1 (grey) or 3 channels; None where it is sRGB.

    Raises ValueError, which says what is wrong with the profile, and TableProfile.
    """
    kind = _kind(profile)
    if kind == b"CMYK" or (kind == b"GRAY" and channels != 1):
        raise ValueError(f"the profile is for {kind.decode()}, the picture is not")
    try:
        tags = _tags(profile)
        space = _grey_space(profile, tags) if kind == b"GRAY" else _coded_space(tags) or _matrix_space(tags)
    except (struct.error, IndexError) as error:
        raise ValueError(f"the profile is broken ({error})") from error
    return None if space.is_srgb() else space


def convert_by_tables(picture, profile: bytes):
    """A Pillow picture of 8 bits (L, RGB, CMYK; no alpha) -> RGB in sRGB, perceptual intent, as browsers do.

    Raises ValueError where LittleCMS finds the profile broken or made for another kind of picture.
    """
    from PIL import ImageCms

    if _kind(profile) != {"L": b"GRAY", "RGB": b"RGB ", "CMYK": b"CMYK"}[picture.mode]:
        raise ValueError(f"the profile is for {_kind(profile).decode('ascii', 'replace').strip()}, the picture is not")
    try:
        source, target = ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(picture, source, target, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError) as error:
        raise ValueError(f"the profile is broken ({error})") from error


def _kind(profile: bytes) -> bytes:
    if len(profile) < 132 or profile[36:40] != b"acsp":
        raise ValueError("the profile is broken (no ICC header)")
    if profile[16:20] not in (b"RGB ", b"GRAY", b"CMYK"):
        raise ValueError(f"the profile is for {profile[16:20].decode('ascii', 'replace').strip()} pictures")
    return profile[16:20]


def _tags(profile: bytes) -> dict[bytes, bytes]:
    tags = {}
    (count,) = struct.unpack_from(">I", profile, 128)
    for index in range(min(count, 256)):
        name, start, size = struct.unpack_from(">4sII", profile, 132 + 12 * index)
        if start + size > len(profile):
            raise ValueError("the profile is broken (it is cut off)")
        tags[name] = profile[start : start + size]
    return tags


def _coded_space(tags: dict[bytes, bytes]) -> ColorSpace | None:
    """What a cicp tag says of HDR, which curves and a matrix only approximate."""
    if b"cicp" not in tags:
        return None
    primaries, transfer = tags[b"cicp"][8:10]
    try:
        return cicp_space(primaries, transfer) if transfer in _HDR_TRANSFERS else None
    except KeyError:
        return None


def _matrix_space(tags: dict[bytes, bytes]) -> ColorSpace:
    if not all(name in tags for name in _COLOURANTS):
        if any(name.startswith(b"A2B") for name in tags):
            raise TableProfile
        raise ValueError("the profile is broken (neither a matrix nor tables)")
    if not all(name in tags for name in (b"rTRC", b"gTRC", b"bTRC")):
        raise ValueError("the profile is broken (curves are missing)")
    to_xyz = np.stack([_xyz(tags[name]) for name in _COLOURANTS], axis=1)
    curves = tuple(_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
    return ColorSpace(curves, xyz_to_linear_srgb(D50_XYZ) @ to_xyz)


def _grey_space(profile: bytes, tags: dict[bytes, bytes]) -> ColorSpace:
    if b"kTRC" not in tags:
        if any(name.startswith(b"A2B") for name in tags):
            raise TableProfile
        raise ValueError("the profile is broken (its curve is missing)")
    curve = _curve(tags[b"kTRC"])
    if profile[20:24] == b"Lab ":
        return ColorSpace((lambda codes: _lightness_to_luminance(curve(codes)),))
    return ColorSpace((curve,))


def _lightness_to_luminance(lightness: np.ndarray) -> np.ndarray:
    """CIE L* / 100 -> Y."""
    root = (100 * lightness + 16) / 116
    return np.where(root > 6 / 29, root**3, 3 * (6 / 29) ** 2 * (root - 4 / 29))


def _xyz(tag: bytes) -> np.ndarray:
    if tag[:4] != b"XYZ ":
        raise ValueError("the profile is broken (a colourant is no XYZ)")
    return np.array(struct.unpack_from(">3i", tag, 8)) / 65536


def _curve(tag: bytes) -> Curve:
    if tag[:4] == b"curv":
        return _sampled_curve(tag)
    if tag[:4] == b"para":
        return _parametric_curve(tag)
    raise ValueError(f"the profile is broken (a curve of type {tag[:4].decode('ascii', 'replace')})")


def _sampled_curve(tag: bytes) -> Curve:
    (count,) = struct.unpack_from(">I", tag, 8)
    if count == 0:
        return lambda codes: codes
    values = np.array(struct.unpack_from(f">{count}H", tag, 12))
    if count == 1:
        return lambda codes: codes ** (values[0] / 256)
    axis = np.linspace(0, 1, count)
    return lambda codes: np.interp(codes, axis, values / 65535)


def _parametric_curve(tag: bytes) -> Curve:
    (kind,) = struct.unpack_from(">H", tag, 8)
    if kind > 4:
        raise ValueError(f"the profile is broken (a parametric curve of type {kind})")
    count = (1, 3, 4, 5, 7)[kind]
    given = [value / 65536 for value in struct.unpack_from(f">{count}i", tag, 12)]
    gamma, a, b, c, d, e, f = given + [1.0, 0.0, 0.0, 0.0, 0.0, 0.0][count - 1 :]
    if kind in (1, 2):
        if a == 0:
            raise ValueError("the profile is broken (a parametric curve that is constant)")
        threshold, slope, low, high = -b / a, 0.0, c, c
    elif kind == 0:
        threshold, slope, low, high = 0.0, 0.0, 0.0, 0.0
    else:
        threshold, slope, low, high = d, c, f, e

    def curve(codes: np.ndarray) -> np.ndarray:
        power = (a * codes + b).clip(0, None) ** gamma + high
        return np.where(codes >= threshold, power, slope * codes + low).clip(0, 1)

    return curve
