"""Colours come out as sRGB, whatever profile a picture has; what no profile says is said."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image, ImageCms

from src.utils import image_io
from tests.utils.colour_spaces import (
    ADOBE_TO_XYZ,
    D65_TO_D50,
    P3_TO_XYZ,
    PROFILES,
    codes_of,
    decoded,
    encoded,
    to_srgb,
)
from tests.utils.picture_files import (
    gamma_curve,
    grey_profile,
    icc_profile,
    png_of,
    rgb_profile,
    sampled_curve,
)


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
