"""Every kind of picture file is read for what it holds, and folders in their natural order."""

from __future__ import annotations

import cv2
import numpy as np
import OpenEXR
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from src.utils import image_io
from src.utils.cli import InputError
from src.utils.color import srgb_to_linear
from tests.shared_data import SHARED
from tests.utils.picture_files import png_bytes, random_image

DATA = SHARED / "data"


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_modes(tmp_path, mode):
    rgba = Image.fromarray((random_image(8, 8) * 255).astype(np.uint8)).convert("RGBA")
    rgba.putalpha(128)
    picture = rgba.convert("RGB").quantize(16) if mode == "P" else rgba.convert(mode)
    picture.save(tmp_path / "a.png")
    expected = np.asarray(picture.convert("RGB")) / np.float32(255)
    np.testing.assert_array_equal(image_io.read_display(tmp_path / "a.png"), expected)
    alpha = image_io.read_alpha(tmp_path / "a.png")
    assert alpha is None if "A" not in mode else np.allclose(alpha, 128 / 255)


def test_palette_with_transparency(tmp_path):
    picture = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "P")
    picture.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    picture.save(tmp_path / "a.png", transparency=1)
    assert image_io.read_display(tmp_path / "a.png")[1, 0].tolist() == [0, 0, 1]
    assert image_io.read_alpha(tmp_path / "a.png").tolist() == [[1, 0], [1, 0]]


def test_png_of_16_bits_with_grey_and_alpha(tmp_path):
    values = np.random.default_rng(0).integers(0, 65536, (4, 3, 2)).astype(">u2")
    (tmp_path / "a.png").write_bytes(png_bytes([row.tobytes() for row in values], 3, 16, 4))
    colour, alpha = image_io.read_display(tmp_path / "a.png"), image_io.read_alpha(tmp_path / "a.png")
    np.testing.assert_array_equal(np.rint(colour * 65535)[..., 2], values[..., 0])
    np.testing.assert_array_equal(np.rint(alpha * 65535), values[..., 1])


@pytest.mark.parametrize(("depth", "row", "expected"), [(2, 0b00011011, [0, 1 / 3, 2 / 3, 1]), (4, 0x0F, [0, 1])])
def test_grey_of_few_bits_spans_zero_to_one(tmp_path, depth, row, expected):
    (tmp_path / "a.png").write_bytes(png_bytes([bytes([row])], len(expected), depth, 0))
    np.testing.assert_allclose(image_io.read_mask(tmp_path / "a.png")[0], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["a.webp", "a.avif", "a.jpg", "a.JPEG"])
def test_lossy_formats_are_read(tmp_path, name):
    ramp = np.linspace(0, 255, 32 * 32 * 3).reshape(32, 32, 3).astype(np.uint8)
    Image.fromarray(ramp).save(tmp_path / name, quality=95)
    assert np.abs(image_io.read_display(tmp_path / name) - ramp / 255).mean() < 0.02
    expected = srgb_to_linear(image_io.read_display(tmp_path / name))
    np.testing.assert_array_equal(image_io.read_linear(tmp_path / name), expected)


@pytest.mark.parametrize("bits", [10, 12])
def test_avif_keeps_more_than_8_bits(tmp_path, bits):
    imagecodecs = pytest.importorskip("imagecodecs")
    codes = np.random.default_rng(0).integers(0, 2**bits, (16, 16, 3)).astype(np.uint16)
    data = imagecodecs.avif_encode(codes, level=100, bitspersample=bits, pixelformat="444")
    (tmp_path / "a.avif").write_bytes(data)
    if not cv2.haveImageReader(str(tmp_path / "a.avif")):
        with pytest.raises(InputError, match=f"holds {bits} bits, which this build of OpenCV cannot decode"):
            image_io.read_display(tmp_path / "a.avif")
        return
    np.testing.assert_allclose(image_io.read_display(tmp_path / "a.avif") * (2**bits - 1), codes, atol=0.01)


def test_image_size_needs_only_the_header(tmp_path):
    for name in ("a.png", "a.jpg", "a.exr", "a.hdr"):
        path = tmp_path / name
        image_io.write_linear(path, random_image(130, 170))
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        assert image_io.image_size(path) == (130, 170)
        with pytest.raises(InputError):
            image_io.read_linear(path)


def test_exr_data_window_is_placed_in_its_display_window(tmp_path):
    header = {
        "compression": OpenEXR.ZIP_COMPRESSION,
        "type": OpenEXR.scanlineimage,
        "dataWindow": ((2, 3), (4, 4)),
        "displayWindow": ((0, 0), (3, 9)),
    }
    image = random_image(2, 3)
    OpenEXR.File(header, {"RGB": image}).write(str(tmp_path / "a.exr"))
    read = image_io.read_linear(tmp_path / "a.exr")
    assert read.shape == (10, 4, 3) == (*image_io.image_size(tmp_path / "a.exr"), 3)
    np.testing.assert_array_equal(read[3:5, 2:4], image[:, :2])
    assert read.sum() == pytest.approx(image[:, :2].sum())


def test_exr_with_other_channels_names_them(tmp_path):
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"depth.Z": np.ones((4, 4), np.float32)}).write(str(tmp_path / "a.exr"))
    with pytest.raises(InputError, match=r"depth\.Z"):
        image_io.read_linear(tmp_path / "a.exr")


def test_list_images_is_natural_and_ignores_other_files(tmp_path):
    for name in ("tod_10.png", "tod_2.png", "TOD_3.PNG", ".hidden.png", "notes.txt", "tod_1.exr"):
        (tmp_path / name).touch()
    (tmp_path / "folder.png").mkdir()
    names = [path.name for path in image_io.list_images(tmp_path)]
    assert names == ["tod_1.exr", "tod_2.png", "TOD_3.PNG", "tod_10.png"]
    assert [path.name for path in image_io.list_images(tmp_path, [".exr"])] == ["tod_1.exr"]


def test_list_images_errors(tmp_path):
    (tmp_path / "file").touch()
    for folder, problem in ((tmp_path / "no", "no such folder"), (tmp_path / "file", "is not a folder")):
        with pytest.raises(InputError, match=problem):
            image_io.list_images(folder)
    with pytest.raises(InputError, match="holds no pictures: it needs"):
        image_io.list_images(tmp_path)


@given(st.lists(st.text("aA_.é0129", min_size=1), max_size=6))
def test_natural_key_is_a_total_order(names):
    once = sorted(names, key=image_io.natural_key)
    assert once == sorted(reversed(names), key=image_io.natural_key)


@pytest.mark.skipif(not DATA.exists(), reason="the shared data is not here")
def test_real_pictures():
    for folder in ("hdri", "portraits", "tod_courtyard_exr", "tod_courtyard_png"):
        for path in image_io.list_images(DATA / folder)[:4]:
            image = image_io.read_linear(path)
            assert image.shape == (*image_io.image_size(path), 3) and image.min() >= 0 and image.max() > 0
