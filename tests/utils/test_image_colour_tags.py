"""Colours come out as sRGB, whatever PNG's chunks or AVIF's nclx box declare."""

from __future__ import annotations

import struct
import zlib

import numpy as np
import pytest

from src.utils import image_io
from tests.utils.colour_spaces import (
    P3_TO_XYZ,
    PROFILES,
    REC2020_TO_XYZ,
    codes_of,
    decoded,
    to_srgb,
)
from tests.utils.picture_files import (
    png_of,
    with_heif_properties,
)


def chrm(white, red, green, blue) -> tuple[bytes, bytes]:
    return b"cHRM", struct.pack(">8I", *(round(value * 100000) for pair in (white, red, green, blue) for value in pair))


def gama(value: float) -> tuple[bytes, bytes]:
    return b"gAMA", struct.pack(">I", round(value * 100000))


P3_CHUNK = chrm((0.3127, 0.3290), (0.680, 0.320), (0.265, 0.690), (0.150, 0.060))
SRGB_CHUNK = chrm((0.3127, 0.3290), (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
P3_PROFILE_CHUNK = b"iCCP", b"p3\0\0" + zlib.compress(PROFILES["Display P3"][0])
CHUNKS = {
    "linear gAMA": ([gama(1.0)], lambda v: v),
    "gAMA of 1.8": ([gama(1 / 1.8)], lambda v: v**1.8),
    "gAMA that stands for sRGB": ([gama(0.45455)], decoded),
    "gAMA and cHRM that stand for sRGB": ([gama(0.45455), SRGB_CHUNK], decoded),
    "gAMA and cHRM of P3": ([gama(0.45455), P3_CHUNK], lambda v: to_srgb(v ** (1 / 0.45455), P3_TO_XYZ)),
    "cHRM alone": ([P3_CHUNK], lambda v: to_srgb(decoded(v), P3_TO_XYZ)),
    "sRGB over gAMA": ([gama(1.0), P3_CHUNK, (b"sRGB", b"\0")], decoded),
    "iCCP over gAMA": ([gama(1.0), P3_PROFILE_CHUNK], lambda v: to_srgb(decoded(v), P3_TO_XYZ)),
    "iCCP over sRGB": ([(b"sRGB", b"\0"), P3_PROFILE_CHUNK], lambda v: to_srgb(decoded(v), P3_TO_XYZ)),
    "cICP over iCCP": ([(b"cICP", bytes([1, 8, 0, 1])), P3_PROFILE_CHUNK], lambda v: v),
    "cICP of P3": ([(b"cICP", bytes([12, 13, 0, 1]))], lambda v: to_srgb(decoded(v), P3_TO_XYZ)),
    "cICP of linear Rec. 2020": ([(b"cICP", bytes([9, 8, 0, 1]))], lambda v: to_srgb(v, REC2020_TO_XYZ)),
    "cICP of Rec. 709 video": ([(b"cICP", bytes([1, 1, 0, 1]))], decoded),
    "no chunk": ([], decoded),
}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", CHUNKS)
def test_png_chunks(tmp_path, name, bits):
    chunks, expected = CHUNKS[name]
    codes = codes_of(2**bits - 1)
    (tmp_path / "a.png").write_bytes(png_of(codes, *chunks))
    read = image_io.read_linear(tmp_path / "a.png")
    np.testing.assert_allclose(read, expected(codes / (2**bits - 1)), atol=5e-4)


@pytest.mark.parametrize("name", ["gAMA that stands for sRGB", "sRGB over gAMA", "cICP of Rec. 709 video"])
def test_png_chunks_that_say_srgb_change_no_code(tmp_path, name):
    codes = codes_of(255)
    (tmp_path / "a.png").write_bytes(png_of(codes, *CHUNKS[name][0]))
    np.testing.assert_array_equal(image_io.read_display(tmp_path / "a.png"), codes / np.float32(255))


def test_white_of_a_png_is_white(tmp_path):
    """cHRM with the white of illuminant E: (1, 1, 1) is shown as white."""
    chunk = chrm((1 / 3, 1 / 3), (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
    (tmp_path / "a.png").write_bytes(png_of(np.full((1, 2, 3), 255, np.uint8), chunk, gama(0.5)))
    np.testing.assert_allclose(image_io.read_linear(tmp_path / "a.png"), 1, atol=1e-4)


@pytest.mark.parametrize(
    ("chunk", "line"),
    [
        ((b"cICP", bytes([1, 200, 0, 1])), "transfer characteristics 200 are not known"),
        ((b"cICP", bytes([99, 13, 0, 1])), "colour primaries 99 are not known"),
        ((b"cICP", bytes([1, 13, 1, 1])), "its cICP chunk is not for full-range RGB"),
        ((b"gAMA", bytes(4)), "its gAMA chunk is 0"),
        ((b"cHRM", struct.pack(">8I", *[31270, 32900] * 4)), "the primaries lie on one line"),
    ],
)
def test_png_chunks_that_cannot_be_honoured_are_said(tmp_path, chunk, line):
    codes = codes_of(255)
    (tmp_path / "a.png").write_bytes(png_of(codes, chunk))
    with pytest.warns(UserWarning, match=line + ": sRGB is assumed"):
        read = image_io.read_display(tmp_path / "a.png")
    np.testing.assert_array_equal(read, codes / np.float32(255))


def pq_encoded(nits: np.ndarray) -> np.ndarray:
    """The inverse EOTF of SMPTE ST 2084."""
    power = (nits / 10000) ** (2610 / 16384)
    return ((3424 / 4096 + 2413 / 128 * power) / (1 + 2392 / 128 * power)) ** (2523 / 32)


def test_pq_png_has_its_white_at_203(tmp_path):
    nits = np.array([0, 1, 50, 203, 1000, 4000.0])
    codes = np.rint(pq_encoded(nits) * 65535).astype(np.uint16)
    pixels = np.repeat(codes[None, :, None], 3, axis=2)
    (tmp_path / "a.png").write_bytes(png_of(pixels, (b"cICP", bytes([9, 16, 0, 1]))))
    read = image_io.read_linear(tmp_path / "a.png")
    np.testing.assert_allclose(read, np.repeat((nits / 203)[None, :, None], 3, axis=2), rtol=2e-3, atol=1e-5)
    assert image_io.read_display(tmp_path / "a.png").max() == pytest.approx(1)


def test_hlg_png(tmp_path):
    """Reference white, code 0.75, is 203 cd/m2 on a display of 1000; peak is 1000 (BT.2408)."""
    codes = np.rint(np.array([0, 0.75, 1.0]) * 65535).astype(np.uint16)
    pixels = np.repeat(codes[None, :, None], 3, axis=2)
    (tmp_path / "a.png").write_bytes(png_of(pixels, (b"cICP", bytes([9, 18, 0, 1]))))
    read = image_io.read_linear(tmp_path / "a.png")[0, :, 1]
    np.testing.assert_allclose(read, [0, 1, 1000 / 203], rtol=5e-3, atol=1e-6)


@pytest.mark.parametrize("bits", [8, 10])
def test_avif_in_p3(tmp_path, bits):
    imagecodecs = pytest.importorskip("imagecodecs")
    codes = np.full((8, 8, 3), 0, np.uint8 if bits == 8 else np.uint16)
    codes[:] = np.array([0.75, 0.4, 0.2]) * (2**bits - 1)
    data = imagecodecs.avif_encode(codes, level=100, bitspersample=bits, pixelformat="444", primaries=12, transfer=13)
    (tmp_path / "a.avif").write_bytes(data)
    expected = to_srgb(decoded(codes / (2**bits - 1)), P3_TO_XYZ)
    np.testing.assert_allclose(image_io.read_linear(tmp_path / "a.avif"), expected, atol=0.008)


def test_avif_with_a_clean_aperture_is_said(tmp_path):
    imagecodecs = pytest.importorskip("imagecodecs")
    data = imagecodecs.avif_encode(codes_of(255), level=100, bitspersample=8, pixelformat="444")
    aperture = struct.pack(">8I", 4, 1, 4, 1, 0, 1, 0, 1)
    (tmp_path / "a.avif").write_bytes(with_heif_properties(data, (b"clap", aperture)))
    with pytest.warns(UserWarning, match="clean aperture"):
        image_io.read_display(tmp_path / "a.avif")
