"""Pictures are upright, whichever of the eight ways they are stored, in every format and at every bit depth."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from PIL import Image

from src.utils import image_io
from tests.utils.picture_files import png_of, with_heif_properties

# Of the stored picture, where row 0 and column 0 are when it is shown (EXIF 2.32, tag 274).
SIDES = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}
HEIGHT, WIDTH = 32, 48


def upright_codes(levels: int = 255) -> np.ndarray:
    """Squares of 16 pixels, no two alike: they survive lossy coding."""
    squares = np.random.default_rng(3).permutation(HEIGHT * WIDTH // 256 * 3) / (HEIGHT * WIDTH // 256 * 3 - 1)
    squares = squares.reshape(HEIGHT // 16, WIDTH // 16, 3)
    return np.rint(squares.repeat(16, axis=0).repeat(16, axis=1) * levels)


def stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """By definition of the tag, pixel by pixel."""
    row_side, column_side = SIDES[orientation]
    height, width = upright.shape[:2]
    is_turned = row_side in ("left", "right")
    picture = np.empty((width, height, *upright.shape[2:]) if is_turned else upright.shape, upright.dtype)
    position = {
        "top": lambda k: k,
        "left": lambda k: k,
        "bottom": lambda k: height - 1 - k,
        "right": lambda k: width - 1 - k,
    }
    for row, column in np.ndindex(picture.shape[:2]):
        along_rows, along_columns = position[row_side](row), position[column_side](column)
        y, x = (along_columns, along_rows) if is_turned else (along_rows, along_columns)
        picture[row, column] = upright[y, x]
    return picture


def exif(orientation: int) -> Image.Exif:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def exif_chunk(orientation: int) -> tuple[bytes, bytes]:
    return b"eXIf", exif(orientation).tobytes().removeprefix(b"Exif\0\0")


@pytest.mark.parametrize("orientation", SIDES)
@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp", "a.tif", "a.avif"])
def test_8_bits(tmp_path, name, orientation):
    picture = Image.fromarray(stored(upright_codes(), orientation).astype(np.uint8))
    options = {"quality": 100, "subsampling": "4:4:4"} if name.endswith((".jpg", ".avif")) else {"quality": 100}
    picture.save(tmp_path / name, exif=exif(orientation), **options)
    assert image_io.image_size(tmp_path / name) == (HEIGHT, WIDTH)
    read = image_io.read_display(tmp_path / name)
    assert np.abs(read * 255 - upright_codes()).mean() < 3


@pytest.mark.parametrize("orientation", SIDES)
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_16_bits_with_the_alpha(tmp_path, channels, orientation):
    upright = upright_codes(65535)
    alpha = np.random.default_rng(4).integers(0, 65536, upright.shape[:2])
    codes = np.dstack([upright[..., : 3 - 2 * (channels < 3)], alpha])[..., : channels if channels != 2 else 2]
    codes = codes[..., :channels].astype(np.uint16)
    pixels = stored(codes, orientation)
    (tmp_path / "a.png").write_bytes(png_of(pixels[..., 0] if channels == 1 else pixels, exif_chunk(orientation)))
    assert image_io.image_size(tmp_path / "a.png") == (HEIGHT, WIDTH)
    colours = codes if channels in (1, 3) else codes[..., :-1]
    read = np.rint(image_io.read_display(tmp_path / "a.png") * 65535)
    np.testing.assert_array_equal(read, np.broadcast_to(colours, read.shape))
    if channels in (2, 4):
        np.testing.assert_array_equal(np.rint(image_io.read_alpha(tmp_path / "a.png") * 65535), codes[..., -1])


@pytest.mark.parametrize("orientation", SIDES)
@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_tiff_of_more_than_8_bits(tmp_path, dtype, orientation):
    codes = upright_codes(1000).astype(dtype)
    tag = (274, "H", 1, orientation, True)
    tifffile.imwrite(tmp_path / "a.tif", stored(codes, orientation), photometric="rgb", extratags=[tag])
    assert image_io.image_size(tmp_path / "a.tif") == (HEIGHT, WIDTH)
    if dtype == np.float32:
        np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.tif"), codes)
    else:
        np.testing.assert_array_equal(np.rint(image_io.read_display(tmp_path / "a.tif") * 65535), codes)


# --- AVIF: irot and imir ----------------------------------------------------------------------------------------------

TURNS = [
    [],
    [(b"irot", 1)],
    [(b"irot", 2)],
    [(b"irot", 3)],
    [(b"imir", 0)],
    [(b"imir", 1)],
    [(b"irot", 1), (b"imir", 0)],
    [(b"irot", 3), (b"imir", 1)],
    [(b"imir", 1), (b"irot", 1)],
]


def as_shown(picture: Image.Image, turns: list[tuple[bytes, int]]) -> Image.Image:
    """ISO/IEC 23008-12: irot turns to the left by quarters; imir 0 exchanges top and bottom, 1 left and right."""
    for kind, value in turns:
        if kind == b"irot":
            picture = picture.rotate(90 * value, expand=True)
        else:
            way = Image.Transpose.FLIP_LEFT_RIGHT if value else Image.Transpose.FLIP_TOP_BOTTOM
            picture = picture.transpose(way)
    return picture


@pytest.mark.parametrize("turns", TURNS, ids=str)
@pytest.mark.parametrize("bits", [8, 10, 12])
def test_avif(tmp_path, bits, turns):
    imagecodecs = pytest.importorskip("imagecodecs")
    codes = upright_codes(2**bits - 1)
    pixels = codes.astype(np.uint8 if bits == 8 else np.uint16)
    data = imagecodecs.avif_encode(pixels, level=100, bitspersample=bits, pixelformat="444")
    path = tmp_path / "a.avif"
    path.write_bytes(with_heif_properties(data, *((kind, bytes([value])) for kind, value in turns)))
    if not cv2.haveImageReader(str(path)):
        pytest.skip("this build of OpenCV reads no AVIF")
    channels = [np.asarray(as_shown(Image.fromarray(codes[..., k].astype(np.float32)), turns)) for k in range(3)]
    expected = np.stack(channels, axis=2)
    assert image_io.image_size(path) == expected.shape[:2]
    assert np.abs(image_io.read_display(path) * (2**bits - 1) - expected).max() < 1 + 2 ** (bits - 8)


@pytest.mark.parametrize("orientation", SIDES)
def test_avif_is_not_turned_twice_by_its_exif(tmp_path, orientation):
    """Pillow writes irot and imir; the EXIF block that repeats them is put back here."""
    pixels = stored(upright_codes(), orientation).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.avif", exif=exif(orientation), quality=100, subsampling="4:4:4")
    data = (tmp_path / "a.avif").read_bytes()
    assert (b"irot" in data or b"imir" in data) == (orientation != 1)
    Image.fromarray(pixels).save(tmp_path / "b.avif", quality=100, subsampling="4:4:4")
    untagged = image_io.read_display(tmp_path / "b.avif")
    read = image_io.read_display(tmp_path / "a.avif")
    np.testing.assert_array_equal(stored(read, orientation), untagged)


def test_png_with_the_orientation_behind_its_pixels_or_in_xmp(tmp_path):
    upright = upright_codes().astype(np.uint8)
    data = png_of(stored(upright, 6))
    end = len(data) - 12
    kind, content = exif_chunk(6)
    behind = struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
    (tmp_path / "a.png").write_bytes(data[:end] + behind + data[end:])
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
    (tmp_path / "b.png").write_bytes(png_of(stored(upright, 6), (b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)))
    for name in ("a.png", "b.png"):
        np.testing.assert_array_equal(np.rint(image_io.read_display(tmp_path / name) * 255), upright)
        assert image_io.image_size(tmp_path / name) == (HEIGHT, WIDTH)


def test_an_orientation_that_does_not_exist_turns_nothing(tmp_path):
    Image.fromarray(upright_codes().astype(np.uint8)).save(tmp_path / "a.png", exif=exif(9))
    np.testing.assert_array_equal(image_io.read_display(tmp_path / "a.png") * 255, upright_codes())


def test_broken_exif_is_said_and_the_picture_read(tmp_path):
    codes = upright_codes().astype(np.uint8)
    (tmp_path / "a.png").write_bytes(png_of(codes, (b"eXIf", b"MM\0*\xff\xff\xff\xff")))
    with pytest.warns(UserWarning, match=r"a\.png: its EXIF data is broken: taken for upright") as said:
        read = image_io.read_display(tmp_path / "a.png")
        assert image_io.image_size(tmp_path / "a.png") == (HEIGHT, WIDTH)
    assert len(said) == 1
    np.testing.assert_array_equal(read * 255, codes)
