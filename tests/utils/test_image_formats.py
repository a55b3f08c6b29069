"""TIFF, HEIC, transparency of PNG, files of several pictures, and headers that promise too much."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from PIL import Image

from src.utils import heif_format, image_io
from src.utils.cli import InputError
from tests.utils.picture_files import gamma_curve, grey_profile, png_bytes, png_of


def random_codes(dtype, channels: int = 3, seed: int = 0) -> np.ndarray:
    highest = np.iinfo(dtype).max
    codes = np.random.default_rng(seed).integers(0, highest + 1, (10, 13, channels)).astype(dtype)
    return codes[..., 0] if channels == 1 else codes


# --- TIFF -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, "zlib", "lzw", "packbits"])
@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_tiff(tmp_path, dtype, channels, compression):
    codes = random_codes(dtype, channels)
    extra = {"extrasamples": ["unassalpha"]} if channels == 4 else {}
    photometric = "minisblack" if channels == 1 else "rgb"
    tifffile.imwrite(tmp_path / "a.tif", codes, photometric=photometric, compression=compression, **extra)
    levels = np.iinfo(dtype).max
    colour = codes[..., :3] if channels > 1 else np.dstack([codes] * 3)
    np.testing.assert_array_equal(np.rint(image_io.read_display(tmp_path / "a.tif") * levels), colour)
    alpha = image_io.read_alpha(tmp_path / "a.tif")
    if channels == 4:
        np.testing.assert_array_equal(np.rint(alpha * levels), codes[..., 3])
    else:
        assert alpha is None
    assert image_io.image_size(tmp_path / "a.tif") == (10, 13)


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tiff_of_floats_is_linear_radiance(tmp_path, dtype, byteorder):
    image = 100 * np.random.default_rng(0).random((10, 13, 3)).astype(dtype)
    tifffile.imwrite(tmp_path / "a.tiff", image, photometric="rgb", byteorder=byteorder)
    np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.tiff"), image.astype(np.float32))
    with pytest.raises(InputError, match="holds linear radiance, not display values"):
        image_io.read_display(tmp_path / "a.tiff")
    image[0, 0] = np.nan
    tifffile.imwrite(tmp_path / "a.tiff", image, photometric="rgb")
    with pytest.raises(InputError, match="3 of 390 values are NaN or infinite"):
        image_io.read_linear(tmp_path / "a.tiff")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_with_associated_alpha_is_premultiplied(tmp_path, dtype):
    top = 1.0 if dtype == np.float32 else np.iinfo(dtype).max
    pixels = np.full((4, 4, 4), 0.25 * top).astype(dtype)
    pixels[..., 3] = 0.5 * top
    tifffile.imwrite(tmp_path / "a.tif", pixels, photometric="rgb", extrasamples=["assocalpha"])
    read = image_io.read_linear if dtype == np.float32 else image_io.read_display
    np.testing.assert_allclose(read(tmp_path / "a.tif"), 0.5, atol=0.01)
    np.testing.assert_allclose(image_io.read_alpha(tmp_path / "a.tif"), 0.5, atol=0.01)


def test_tiff_of_16_bits_with_a_profile(tmp_path):
    codes = random_codes(np.uint16, 1)
    profile = grey_profile(gamma_curve(3))
    tag = (34675, "B", len(profile), profile, True)
    tifffile.imwrite(tmp_path / "a.tif", codes, photometric="minisblack", extratags=[tag])
    expected = np.repeat((codes / 65535)[..., None] ** 3, 3, axis=2)
    np.testing.assert_allclose(image_io.read_linear(tmp_path / "a.tif"), expected, atol=1e-6)


def test_tiff_kinds_that_are_not_read_are_named(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((4, 4, 3), np.uint32), photometric="rgb")
    with pytest.raises(InputError, match="holds uint32 values, which are not read"):
        image_io.read_display(tmp_path / "a.tif")
    tifffile.imwrite(tmp_path / "b.tif", np.zeros((4, 4, 4), np.uint16), photometric="separated")
    with pytest.raises(InputError, match="holds SEPARATED colours, which are not read"):
        image_io.read_display(tmp_path / "b.tif")


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_tiff_cut_anywhere_is_refused_quietly(tmp_path, capfd, dtype):
    image = np.random.default_rng(0).random((40, 50, 3)) * 200
    tifffile.imwrite(tmp_path / "whole.tif", image.astype(dtype), photometric="rgb", compression="zlib")
    data = (tmp_path / "whole.tif").read_bytes()
    for cut in [1, 4, 7, 8, 9, *range(20, len(data), len(data) // 40)]:
        (tmp_path / "a.tif").write_bytes(data[:cut])
        with pytest.raises(InputError, match=r"a\.tif"):
            image_io.read_linear(tmp_path / "a.tif")
    assert capfd.readouterr().err == ""


def test_tiff_of_several_pages_is_said(tmp_path):
    pages = np.stack([np.full((4, 5), value, np.uint16) for value in (65535, 0)])
    tifffile.imwrite(tmp_path / "a.tif", pages, photometric="minisblack")
    with pytest.warns(UserWarning, match="holds 2 pictures: the first is taken"):
        assert image_io.read_display(tmp_path / "a.tif").min() == 1


# --- several pictures in a file -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.avif"])
def test_of_animations_the_first_picture_is_taken_and_that_is_said(tmp_path, name):
    frames = [Image.new("RGB", (16, 16), colour) for colour in ("white", "black", "red")]
    frames[0].save(tmp_path / name, save_all=True, append_images=frames[1:], duration=100)
    with pytest.warns(UserWarning, match="holds 3 pictures: the first is taken") as said:
        assert image_io.read_display(tmp_path / name).min() > 0.97
        image_io.read_alpha(tmp_path / name)
    assert len(said) == 1


# --- PNG ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("depth", "row", "transparent", "alpha"),
    [
        (1, 0b01000000, 0, [0, 1, 0]),
        (1, 0b01000000, 1, [1, 0, 1]),
        (2, 0b00011011, 1, [1, 0, 1, 1]),
        (4, 0x3F, 3, [0, 1]),
        (4, 0x3F, 15, [1, 0]),
        (8, 7, 7, [0]),
        (8, 7, 8, [1]),
    ],
)
def test_png_with_a_transparent_grey(tmp_path, depth, row, transparent, alpha):
    chunk = (b"tRNS", struct.pack(">H", transparent))
    (tmp_path / "a.png").write_bytes(png_bytes([bytes([row])], len(alpha), depth, 0, chunk))
    assert image_io.read_alpha(tmp_path / "a.png").tolist() == [alpha]


def test_png_of_16_bits_with_a_transparent_colour(tmp_path):
    grey = np.array([[7, 8, 60000]], np.uint16)
    (tmp_path / "a.png").write_bytes(png_of(grey, (b"tRNS", struct.pack(">H", 7))))
    assert image_io.read_alpha(tmp_path / "a.png").tolist() == [[0, 1, 1]]
    np.testing.assert_array_equal(np.rint(image_io.read_display(tmp_path / "a.png")[..., 0] * 65535), grey)
    colours = np.array([[[1, 2, 3], [1, 2, 4]]], np.uint16)
    (tmp_path / "b.png").write_bytes(png_of(colours, (b"tRNS", struct.pack(">HHH", 1, 2, 3))))
    assert image_io.read_alpha(tmp_path / "b.png").tolist() == [[0, 1]]


def test_png_palette_with_partial_transparency(tmp_path):
    palette = (b"PLTE", bytes([255, 0, 0, 0, 255, 0, 0, 0, 255]))
    data = png_bytes([bytes([0, 1, 2])], 3, 8, 3, palette, (b"tRNS", bytes([0, 128])))
    (tmp_path / "a.png").write_bytes(data)
    np.testing.assert_allclose(image_io.read_alpha(tmp_path / "a.png"), [[0, 128 / 255, 1]])
    assert image_io.read_display(tmp_path / "a.png").tolist() == [[[1, 0, 0], [0, 1, 0], [0, 0, 1]]]


@pytest.mark.parametrize("side", [2**15, 2**31 - 1])
def test_a_header_of_enormous_size_is_one_line(tmp_path, side):
    data = bytearray(png_bytes([b"\0" * 10], 1, 8, 2))
    data[16:24] = struct.pack(">II", side, side)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    (tmp_path / "a.png").write_bytes(data)
    for read in (image_io.read_display, image_io.image_size):
        with pytest.raises(InputError, match=r"a\.png: .*pixels.*: split it into smaller pictures"):
            read(tmp_path / "a.png")


@pytest.mark.parametrize("adobe", [True, False])
def test_jpg_with_and_without_the_adobe_marker(tmp_path, adobe):
    """CMYK is stored inverted, as Adobe's programs began it; browsers take it so without the marker too."""
    buffer = io.BytesIO()
    Image.new("CMYK", (8, 8), (0, 255, 255, 0)).save(buffer, "JPEG", quality=100)
    data = buffer.getvalue()
    assert b"Adobe" in data
    if not adobe:
        start = data.index(b"\xff\xee")
        data = data[:start] + data[start + 2 + struct.unpack_from(">H", data, start + 2)[0] :]
    (tmp_path / "a.jpg").write_bytes(data)
    with pytest.warns(UserWarning, match="CMYK without a profile"):
        red, green, blue = image_io.read_display(tmp_path / "a.jpg")[0, 0]
    assert red > 0.95 and green < 0.05 and blue < 0.05


# --- HEIC -----------------------------------------------------------------------------------------------------------

HEIC_HEAD = struct.pack(">I", 24) + b"ftypheic\0\0\0\0heicmif1"


@pytest.mark.parametrize("name", ["a.heic", "a.HEIF", "a.jpg"])
def test_heic_without_pillow_heif_says_what_is_needed(tmp_path, monkeypatch, name):
    monkeypatch.setattr(heif_format, "HAS_HEIF", False)
    (tmp_path / name).write_bytes(HEIC_HEAD + bytes(100))
    for read in (image_io.read_linear, image_io.image_size):
        with pytest.raises(InputError, match="is a HEIC picture: pip install pillow-heif, or convert it"):
            read(tmp_path / name)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("bits", [8, 10])
def test_heic(tmp_path, bits, orientation):
    pillow_heif = pytest.importorskip("pillow_heif")
    squares = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).repeat(16, axis=0).repeat(16, axis=1)
    codes = squares.astype(np.uint8 if bits == 8 else np.uint16) << (0 if bits == 8 else 8)
    mode = "RGB" if bits == 8 else "RGB;16"
    picture = pillow_heif.from_bytes(mode, (codes.shape[1], codes.shape[0]), codes.tobytes())
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture.save(tmp_path / "a.heic", quality=-1, chroma=444, exif=exif.tobytes())
    expected = np.asarray(_upright(Image.fromarray(squares.astype(np.uint8)), exif))
    assert image_io.image_size(tmp_path / "a.heic") == expected.shape[:2]
    assert np.abs(image_io.read_display(tmp_path / "a.heic") * 255 - expected).max() < 3


def _upright(picture: Image.Image, exif: Image.Exif) -> Image.Image:
    from PIL import ImageOps

    picture.getexif()[0x0112] = exif[0x0112]
    return ImageOps.exif_transpose(picture)


def test_broken_heic_is_named(tmp_path):
    pytest.importorskip("pillow_heif")
    (tmp_path / "a.heic").write_bytes(HEIC_HEAD + bytes(100))
    with pytest.raises(InputError, match=r"a\.heic: is truncated or broken"):
        image_io.read_linear(tmp_path / "a.heic")
