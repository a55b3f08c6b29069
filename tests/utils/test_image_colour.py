"""Colours come out as sRGB, whatever profile, PNG chunk or nclx box declares; the right values are computed here."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from src.utils import image_io
from tests.utils.picture_files import (
    gamma_curve,
    grey_profile,
    icc_profile,
    parametric_curve,
    png_of,
    rgb_profile,
    sampled_curve,
    with_heif_properties,
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


@pytest.mark.parametrize("levels", [255, 65535])
@pytest.mark.parametrize("name", PROFILES)
def test_matrix_profiles(tmp_path, name, levels):
    profile, curve, to_xyz, is_d50 = PROFILES[name]
    codes = codes_of(levels)
    path = tmp_path / "a.png"
    path.write_bytes(png_of(codes, (b"iCCP", b"name\0\0" + zlib.compress(profile))))
    expected = to_srgb(curve(codes / levels), to_xyz, is_d50)
    np.testing.assert_allclose(image_io.read_linear(path), expected, atol=4e-4)
    # The sRGB curve's slope of 12.92 near black widens what the published matrices round.
    np.testing.assert_allclose(image_io.read_display(path), encoded(expected), atol=4e-3)
    np.testing.assert_array_equal(np.rint(image_io.read_codes(path) * levels), codes)
    np.testing.assert_allclose(image_io.read_mask(path), codes.mean(axis=2) / levels, atol=1e-6)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.avif"])
def test_profiles_as_littlecms_applies_them(tmp_path, name):
    """All 8-bit formats, against Pillow's ImageCms on the codes as decoded."""
    profile = PROFILES["Display P3"][0]
    y, x = np.mgrid[0:24, 0:32]
    smooth = np.stack([80 + 4 * x, 200 - 5 * y, 90 + 2 * y], axis=2).astype(np.uint8)
    Image.fromarray(smooth).save(tmp_path / name, icc_profile=profile, quality=95)
    stored = Image.open(tmp_path / name)
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    expected = np.asarray(ImageCms.profileToProfile(stored, source, ImageCms.createProfile("sRGB")))
    assert np.abs(image_io.read_display(tmp_path / name) * 255 - expected).max() < 1.01
    assert np.abs(expected.astype(int) - np.asarray(stored)).max() > 5  # the profile does something


def test_16_bit_codes_are_told_apart(tmp_path):
    profile = PROFILES["Display P3"][0]
    codes = np.repeat(np.arange(30000, 30512, dtype=np.uint16).reshape(1, -1, 1), 3, axis=2)
    (tmp_path / "a.png").write_bytes(png_of(codes, (b"iCCP", b"p3\0\0" + zlib.compress(profile))))
    grey = image_io.read_display(tmp_path / "a.png")[0, :, 1].astype(np.float64)
    steps = np.diff(grey) * 65535
    assert (steps > 0.5).all() and (steps < 1.5).all()


@pytest.mark.parametrize("bits", [8, 16])
def test_srgb_profiles_change_no_code(tmp_path, bits):
    """LittleCMS's own sRGB, and one with the figures of HP's, the most common of all: 1024 samples."""
    codes = codes_of(2**bits - 1)
    built_in = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    curve = sampled_curve(decoded(np.linspace(0, 1, 1024)))
    colourants = np.array([[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]])
    sampled = rgb_profile(colourants, [curve] * 3)
    for profile in (built_in, sampled):
        (tmp_path / "a.png").write_bytes(png_of(codes, (b"iCCP", b"s\0\0" + zlib.compress(profile))))
        read = image_io.read_display(tmp_path / "a.png")
        np.testing.assert_array_equal(read, codes / np.float32(2**bits - 1))


# --- grey, CMYK, tables ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("gamma", [1.0, 1.75, 3.0])
def test_grey_profile(tmp_path, gamma, bits):
    codes = np.arange(2**bits - 1, -1, -3)[:600].astype(np.uint8 if bits == 8 else np.uint16).reshape(1, -1)
    chunk = b"iCCP", b"g\0\0" + zlib.compress(grey_profile(gamma_curve(gamma)))
    (tmp_path / "a.png").write_bytes(png_of(codes, chunk))
    expected = np.repeat((codes / (2**bits - 1))[..., None] ** gamma, 3, axis=2)
    np.testing.assert_allclose(image_io.read_linear(tmp_path / "a.png"), expected, atol=1e-6)


def test_grey_profile_of_lightness(tmp_path):
    """Lab as connection space: the curve gives L*."""
    profile = icc_profile({b"kTRC": gamma_curve(1)}, b"GRAY", b"Lab ")
    codes = np.array([[0, 128, 255]], np.uint8)
    (tmp_path / "a.png").write_bytes(png_of(codes, (b"iCCP", b"g\0\0" + zlib.compress(profile))))
    read = image_io.read_linear(tmp_path / "a.png")[0, :, 0]
    lightness = 128 / 255 * 100
    np.testing.assert_allclose(read, [0, ((lightness + 16) / 116) ** 3, 1], atol=1e-6)


def table_profile(kind: bytes, cyan_to_red: bool = False) -> bytes:
    """An 8-bit table (lut8 of 2 points a side) to Lab: lightness falls with ink, or rises with red."""
    inputs = 4 if kind == b"CMYK" else 3
    table = []
    for corner in np.ndindex(*(2,) * inputs):
        if kind == b"CMYK":
            light = max(0.0, 1 - sum(corner) / 3 if corner[3] == 0 else 0)
            table += [round(light * 255), 128 + 60 * (corner[1] - corner[0]), 128 + 60 * (corner[2] - corner[0])]
        else:
            table += [
                round(sum(corner) / 3 * 255),
                128 + 40 * (corner[0] - corner[1]),
                128 + 40 * (corner[1] - corner[2]),
            ]
    ramp = bytes(range(256))
    matrix = b"".join(struct.pack(">i", 65536 * (row == column)) for row in range(3) for column in range(3))
    lut = b"mft1\0\0\0\0" + bytes([inputs, 3, 2, 0]) + matrix + ramp * inputs + bytes(np.clip(table, 0, 255).tolist())
    return icc_profile({b"A2B0": lut + ramp * 3}, kind, b"Lab ")


def littlecms(picture: Image.Image, profile: bytes) -> np.ndarray:
    source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    return np.asarray(ImageCms.profileToProfile(picture, source, ImageCms.createProfile("sRGB"), outputMode="RGB"))


def test_cmyk_jpg_with_a_profile(tmp_path):
    profile, ink = table_profile(b"CMYK"), np.zeros((16, 16, 4), np.uint8)
    ink[:, 8:] = [200, 30, 60, 0]
    Image.fromarray(ink, "CMYK").save(tmp_path / "a.jpg", icc_profile=profile, quality=100)
    expected = littlecms(Image.open(tmp_path / "a.jpg"), profile)
    np.testing.assert_array_equal(np.rint(image_io.read_display(tmp_path / "a.jpg") * 255), expected)
    assert expected[0, 0].min() > 240 and expected[0, 15].max() < 240


def test_cmyk_without_a_profile_is_said(tmp_path):
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(tmp_path / "a.jpg")
    with pytest.warns(UserWarning, match=r"a\.jpg: is CMYK without a profile") as said:
        image_io.read_linear(tmp_path / "a.jpg")
        image_io.read_alpha(tmp_path / "a.jpg")
    assert len(said) == 1  # once per file


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_table_profile_at_8_bits(tmp_path, mode):
    profile = table_profile(b"RGB ")
    picture = Image.fromarray(codes_of(255)).convert(mode)
    if mode == "RGBA":
        picture.putalpha(100)
    picture.save(tmp_path / "a.png", icc_profile=profile)
    expected = littlecms(picture.convert("RGB"), profile)
    np.testing.assert_array_equal(np.rint(image_io.read_display(tmp_path / "a.png") * 255), expected)
    alpha = image_io.read_alpha(tmp_path / "a.png")
    assert alpha is None if mode == "RGB" else np.allclose(alpha, 100 / 255)


def test_table_profile_at_16_bits_is_said(tmp_path):
    profile, codes = table_profile(b"RGB "), codes_of(65535)
    (tmp_path / "a.png").write_bytes(png_of(codes, (b"iCCP", b"t\0\0" + zlib.compress(profile))))
    with pytest.warns(UserWarning, match=r"a\.png: its colour profile is made of tables: read at 8 of its 16 bits"):
        read = image_io.read_display(tmp_path / "a.png")
    expected = littlecms(Image.fromarray((codes >> 8).astype(np.uint8)), profile)
    assert np.abs(read * 255 - expected).max() <= 1.01


def test_camera_that_says_adobe_rgb_in_exif_only(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 65535
    exif.get_ifd(0x8769)[0xA005] = {1: "R03", 2: b"0100"}
    picture = Image.new("RGB", (8, 8), (60, 160, 90))
    picture.save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    codes = np.asarray(Image.open(tmp_path / "a.jpg"))[0, 0] / 255
    expected = to_srgb(codes ** (563 / 256), ADOBE_TO_XYZ)
    np.testing.assert_allclose(image_io.read_linear(tmp_path / "a.jpg")[0, 0], expected, atol=4e-4)


def test_camera_whose_exif_says_nothing_of_interoperability(tmp_path):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0xA001] = 1
    picture = Image.new("RGB", (8, 8), (60, 160, 90))
    picture.save(tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    np.testing.assert_allclose(image_io.read_display(tmp_path / "a.jpg")[0, 0] * 255, (60, 160, 90), atol=2)


BROKEN = {
    "no header": b"x" * 300,
    "empty": b"",
    "cut off": PROFILES["Display P3"][0][:200],
    "no curves": icc_profile({b"rXYZ": b"XYZ \0\0\0\0" + bytes(12)}),
    "for CMYK": table_profile(b"CMYK"),
    "an odd curve": rgb_profile(D65_TO_D50 @ P3_TO_XYZ, [b"what\0\0\0\0"] * 3),
    "for grey": grey_profile(gamma_curve(3)),
}


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("name", BROKEN)
def test_broken_profiles_are_said_and_srgb_assumed(tmp_path, name, bits):
    codes = codes_of(2**bits - 1)
    (tmp_path / "a.png").write_bytes(png_of(codes, (b"iCCP", b"x\0\0" + zlib.compress(BROKEN[name]))))
    with pytest.warns(UserWarning, match=r"a\.png: the profile .*: sRGB is assumed") as said:
        read = image_io.read_display(tmp_path / "a.png")
        image_io.read_linear(tmp_path / "a.png")
    assert len(said) == 1
    np.testing.assert_array_equal(read, codes / np.float32(2**bits - 1))


def test_a_profile_that_cannot_be_unpacked_is_said(tmp_path):
    (tmp_path / "a.png").write_bytes(png_of(codes_of(255), (b"iCCP", b"x\0\0no zlib")))
    with pytest.warns(UserWarning, match="cannot be unpacked"):
        image_io.read_display(tmp_path / "a.png")


# --- PNG's own chunks -----------------------------------------------------------------------------------------------


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


# --- AVIF -----------------------------------------------------------------------------------------------------------


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
