"""Radiance HDR pictures behind :mod:`src.utils.image_io` (https://radsite.lbl.gov/radiance/refer/filefmts.pdf)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.utils import opencv_images
from src.utils.cli import InputError
from src.utils.color_space import D65_XYZ, to_linear_srgb_matrix, xyz_to_linear_srgb
from src.utils.picture_file import REMEDY, Decoded, check_pixel_count, not_a, read_bytes, say, truncated

RGBE_MAX = 2.0**127 * (255 / 256)

_RESOLUTION = re.compile(rb"([-+])([XY]) +(\d+) +([-+])([XY]) +(\d+) *\r?\n")
_FORMATS = ("32-bit_rle_rgbe", "32-bit_rle_xyze")
_RUN_LENGTH_WIDTHS = range(8, 32768)  # of scanlines in the newer coding


@dataclass(frozen=True)
class _Header:
    """``scanlines`` of ``length`` pixels each, along ``first`` and ``second`` (b'-Y', b'+X', ...), from ``start``."""

    scanlines: int
    length: int
    first: bytes
    second: bytes
    start: int
    variables: list[tuple[str, str]]

    @property
    def size(self) -> tuple[int, int]:
        return (self.scanlines, self.length) if self.first.endswith(b"Y") else (self.length, self.scanlines)

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.variables if key == name]


def hdr_size(path: Path) -> tuple[int, int]:
    """(height, width) as shown."""
    return _read_header(path, read_bytes(path)).size


def decode_hdr(path: Path) -> Decoded:
    """Radiance: what is stored, divided by all ``EXPOSURE=`` and ``COLORCORR=``, in Rec. 709, rows from the top.

    XYZE and other ``PRIMARIES=`` are converted to Rec. 709 (XYZ as of D65, primaries white to white).
    """
    data = read_bytes(path)
    header = _read_header(path, data)
    pixels = _read_scanlines(path, header, data[header.start :])
    if header.first.endswith(b"X"):
        pixels = pixels.swapaxes(0, 1)
    if b"+Y" in (header.first, header.second):
        pixels = pixels[::-1]
    if b"-X" in (header.first, header.second):
        pixels = pixels[:, ::-1]
    divisor = _divisor(path, header)
    if (divisor != 1).any():
        pixels = (pixels / divisor).astype(np.float32)
    matrix = _matrix(path, header)
    if matrix is not None:
        pixels = pixels @ matrix.T.astype(np.float32)
    return Decoded(np.ascontiguousarray(pixels), is_linear=True)


def encode_hdr(pixels: np.ndarray) -> bytes:
    """float32, H x W x 3, to uncompressed RGBE. Negative values become 0, values above 2^127 are clamped.

    Mantissas are rounded: OpenCV's encoder cuts them off, which darkens every picture by 0.2 % on average. The largest
    of the three is at least 128 in every pixel but black, so that no pixel can be mistaken for a run-length code.
    """
    height, width, _ = pixels.shape
    pixels = np.clip(pixels, 0.0, RGBE_MAX)
    _, exponent = np.frexp(pixels.max(axis=2, keepdims=True))
    overflows = np.rint(np.ldexp(pixels, 8 - exponent)).max(axis=2, keepdims=True) > 255
    exponent = exponent + overflows
    rgbe = np.concatenate([np.rint(np.ldexp(pixels, 8 - exponent)), exponent + 128], axis=2)
    rgbe[(rgbe[..., 3] <= 0) | (rgbe[..., :3].max(axis=2) == 0)] = 0  # too dark for the exponent
    header = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n"
    return header.encode("ascii") + rgbe.astype(np.uint8).tobytes()


def _read_header(path: Path, data: bytes) -> _Header:
    """Lines ``NAME=value`` to an empty one, then the resolution; lines may end in CR LF."""
    if not data.startswith(b"#?"):
        raise not_a("a Radiance HDR picture", path)
    variables: list[tuple[str, str]] = []
    position = 0
    while True:
        end = data.find(b"\n", position)
        if end < 0:
            raise InputError(path, "has no complete Radiance header", REMEDY)
        line = data[position:end].rstrip(b"\r").decode("latin-1")
        position = end + 1
        if not line:
            break
        name, equals, value = line.partition("=")
        if equals and not line.startswith("#"):
            variables.append((name.strip().upper(), value.strip()))
    resolution = _RESOLUTION.match(data, position)
    if not resolution or {resolution[2], resolution[5]} != {b"X", b"Y"}:
        raise InputError(path, "has no complete Radiance header", REMEDY)
    sign, axis, count, other_sign, other_axis, length = resolution.groups()
    header = _Header(int(count), int(length), sign + axis, other_sign + other_axis, resolution.end(), variables)
    check_pixel_count(path, *header.size)
    for value in header.values("FORMAT"):
        if value not in _FORMATS:
            raise InputError(path, f"is of the unknown FORMAT={value}", REMEDY)
    return header


def _divisor(path: Path, header: _Header) -> np.ndarray:
    """What the stored values were multiplied by, for R, G, B."""
    divisor = np.ones(3)
    for name, count in (("EXPOSURE", 1), ("COLORCORR", 3)):
        for value in header.values(name):
            factors = _numbers(value)
            if len(factors) != count or not np.isfinite(factors).all() or min(factors) <= 0:
                say(path, f"{name}={value} is no factor above 0: it is not applied")
            else:
                divisor = divisor * factors
    return divisor


def _matrix(path: Path, header: _Header) -> np.ndarray | None:
    """3 x 3 to linear Rec. 709, None where it is that already."""
    for name in ("GAMMA", "PIXASPECT"):
        if any(_numbers(value) != [1.0] for value in header.values(name)):
            say(path, f"{name}={header.values(name)[-1]} is not applied")
    if "32-bit_rle_xyze" in header.values("FORMAT"):
        return xyz_to_linear_srgb(D65_XYZ)
    primaries = header.values("PRIMARIES")
    if not primaries:
        return None
    try:
        return to_linear_srgb_matrix(_numbers(primaries[-1]))
    except ValueError:
        say(path, f"PRIMARIES={primaries[-1]} are no colours: Rec. 709 is assumed")
        return None


def _numbers(text: str) -> list[float]:
    try:
        return [float(word) for word in text.split()]
    except ValueError:
        return []


def _read_scanlines(path: Path, header: _Header, data: bytes) -> np.ndarray:
    """The pixels as stored, scanlines x length x 3 float32."""
    is_run_length_coded = header.length in _RUN_LENGTH_WIDTHS and data[:2] == b"\2\2" and data[2:3] < b"\x80"
    if not is_run_length_coded:
        return _read_flat(path, header, data)
    # OpenCV reads this coding only, and only with so plain a header.
    plain = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n" % (header.scanlines, header.length)
    pixels = opencv_images.decode(path, plain + data)
    if pixels.shape != (header.scanlines, header.length, 3):
        raise InputError(path, f"decodes to {pixels.shape}, its header says {header.size}", REMEDY)
    return pixels


def _read_flat(path: Path, header: _Header, data: bytes) -> np.ndarray:
    """Four bytes a pixel. In the older run-length coding 1, 1, 1, n repeats the pixel before it n times.

    Such codes in a row are digits of one count, the lowest first; no real pixel has mantissas as small as 1.
    """
    rgbe = np.frombuffer(data[: len(data) // 4 * 4], np.uint8).reshape(-1, 4)
    wanted = header.scanlines * header.length
    is_code = (rgbe[:, :3] == 1).all(axis=1)
    if is_code[:wanted].any():
        place = np.arange(len(rgbe)) - np.maximum.accumulate(np.where(is_code, -1, np.arange(len(rgbe)))) - 1
        repeats = np.where(is_code, rgbe[:, 3].astype(np.int64) << (8 * place.clip(0, 3)), 1).clip(0, wanted)
        source = np.maximum.accumulate(np.where(is_code, 0, np.arange(len(rgbe))))
        enough = int(np.searchsorted(np.cumsum(repeats), wanted)) + 1
        rgbe = rgbe[np.repeat(source[:enough], repeats[:enough])]
    if len(rgbe) < wanted:
        raise truncated(path)
    mantissas, exponents = rgbe[:wanted, :3], rgbe[:wanted, 3:].astype(np.int32)
    pixels = np.ldexp(mantissas.astype(np.float32), exponents - 136)
    pixels[exponents[:, 0] == 0] = 0
    return pixels.reshape(header.scanlines, header.length, 3)
