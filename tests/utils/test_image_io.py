"""Pictures: exact round trips, every kind of file, and one clear error for every kind of broken file."""

from __future__ import annotations

import io
import os
import struct
import sys
import zlib
from pathlib import Path

import cv2
import numpy as np
import OpenEXR
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from src.utils import image_io, png_chunks
from src.utils.cli import InputError
from src.utils.color import linear_to_srgb, srgb_to_linear
from tests.shared_data import SHARED
from tests.utils.picture_files import png_bytes

DATA = SHARED / "data"
each_example_overwrites = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))


def random_image(height: int = 13, width: int = 17, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


# --- round trips ----------------------------------------------------------------------------------------------------


@each_example_overwrites
@given(hnp.arrays(np.uint8, SHAPES))
def test_png_of_8_bits_is_exact(tmp_path, values):
    image_io.write_display(tmp_path / "a.png", values / np.float32(255))
    expected = np.broadcast_to(values, (*values.shape[:2], 3)) / np.float32(255)
    np.testing.assert_array_equal(image_io.read_display(tmp_path / "a.png"), expected)


@each_example_overwrites
@given(hnp.arrays(np.uint16, SHAPES))
def test_png_of_16_bits_is_exact(tmp_path, values):
    image_io.write_display(tmp_path / "a.png", values / np.float32(65535), bits=16)
    read = image_io.read_display(tmp_path / "a.png")
    np.testing.assert_array_equal(np.rint(read * 65535), np.broadcast_to(values, read.shape))


@each_example_overwrites
@given(hnp.arrays(np.float16, SHAPES, elements=st.floats(width=16, allow_nan=False, allow_infinity=False)))
def test_half_exr_is_exact(tmp_path, values):
    image_io.write_linear(tmp_path / "a.exr", values)
    read = image_io.read_linear(tmp_path / "a.exr")
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, np.broadcast_to(values, read.shape))


@each_example_overwrites
@given(hnp.arrays(np.float32, SHAPES, elements=st.floats(width=32, allow_nan=False, allow_infinity=False)))
def test_float_exr_is_exact(tmp_path, values):
    image_io.write_linear(tmp_path / "a.exr", values, bits=32)
    read = image_io.read_linear(tmp_path / "a.exr")
    np.testing.assert_array_equal(read, np.broadcast_to(values, read.shape))


@each_example_overwrites
@given(hnp.arrays(np.float32, SHAPES, elements=st.floats(0, 2.0**126, width=32)))
def test_hdr_error_is_below_a_256th_of_the_largest_channel(tmp_path, values):
    image_io.write_linear(tmp_path / "a.hdr", values)
    read = image_io.read_linear(tmp_path / "a.hdr")
    largest = values.max(axis=2, keepdims=True)
    assert (np.abs(read - values) <= np.maximum(largest / 256 * 1.001, 1e-32)).all()


def test_hdr_does_not_darken(tmp_path):
    image = random_image(64, 64) + 0.5
    image_io.write_linear(tmp_path / "a.hdr", image)
    assert image_io.read_linear(tmp_path / "a.hdr").mean() == pytest.approx(image.mean(), rel=2e-4)


def test_linear_png_is_srgb_encoded(tmp_path):
    image_io.write_linear(tmp_path / "a.png", np.full((2, 2, 3), 0.5, np.float32))
    assert np.asarray(Image.open(tmp_path / "a.png"))[0, 0].tolist() == [188, 188, 188]
    linear = random_image()
    image_io.write_linear(tmp_path / "b.png", linear, bits=16)
    np.testing.assert_allclose(image_io.read_linear(tmp_path / "b.png"), linear, atol=3e-5)


def test_jpg_is_close_and_keeps_chroma_resolution(tmp_path):
    image = np.zeros((16, 16, 3), np.float32)
    image[:, ::2, 0] = 1.0  # red columns one pixel wide: 4:2:0 would smear them to half
    image_io.write_display(tmp_path / "a.jpg", image)
    assert np.abs(image_io.read_display(tmp_path / "a.jpg") - image).max() < 0.08


@pytest.mark.parametrize("peak", [65504.0, 65505.0, 1e6, 3e38, 1e-3, 1e-6, 1e-30])
@pytest.mark.parametrize("sign", [1, -1])
def test_exr_holds_radiance_of_any_size(tmp_path, peak, sign):
    image = np.float32(sign * peak) * random_image()
    image[0, 0] = sign * peak
    for bits in (None, 16, 32):
        image_io.write_linear(tmp_path / "a.exr", image, bits=bits)
        pixels = OpenEXR.File(str(tmp_path / "a.exr")).channels()["RGB"].pixels
        np.testing.assert_allclose(pixels.astype(np.float64), image, rtol=2.0**-10, atol=abs(peak) * 4e-5)


def test_hdr_stores_negative_values_as_zero(tmp_path):
    image_io.write_linear(tmp_path / "a.hdr", np.full((2, 9, 3), -1, np.float32))
    assert (image_io.read_linear(tmp_path / "a.hdr") == 0).all()


@pytest.mark.parametrize("name", ["a.png", "a.exr"])
def test_alpha_is_kept_beside_the_colour(tmp_path, name):
    colour, alpha = np.float32(0.5) * np.ones((3, 4, 3), np.float32), np.linspace(0.05, 1, 12).reshape(3, 4)
    image_io.write_linear(tmp_path / name, colour, alpha=alpha, bits=16)
    np.testing.assert_allclose(image_io.read_linear(tmp_path / name), 0.5, atol=5e-4)
    np.testing.assert_allclose(image_io.read_alpha(tmp_path / name), alpha, atol=5e-4)
    np.testing.assert_allclose(image_io.read_mask(tmp_path / name), alpha, atol=5e-4)


def test_unicode_folder_is_made_and_no_temporary_is_left(tmp_path):
    for name in ("a.png", "b.jpg", "c.exr", "d.hdr"):
        path = tmp_path / "光照 été" / name
        image_io.write_linear(path, random_image())
        assert image_io.read_linear(path).shape == (13, 17, 3)
    assert len(list((tmp_path / "光照 été").iterdir())) == 4


# --- kinds of files -------------------------------------------------------------------------------------------------


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


def test_exif_rotation_is_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate 90 degrees clockwise to view
    picture = Image.new("RGB", (32, 16))
    picture.paste((255, 255, 255), (0, 0, 16, 16))
    picture.save(tmp_path / "a.jpg", exif=exif)
    image = image_io.read_display(tmp_path / "a.jpg")
    assert image.shape == (32, 16, 3) and image_io.image_size(tmp_path / "a.jpg") == (32, 16)
    assert image[:14].min() > 0.9 and image[18:].max() < 0.1


def test_image_size_needs_only_the_header(tmp_path):
    for name in ("a.png", "a.jpg", "a.exr", "a.hdr"):
        image_io.write_linear(tmp_path / name, random_image(13, 17))
        assert image_io.image_size(tmp_path / name) == (13, 17)


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


# --- broken files ---------------------------------------------------------------------------------------------------


def sample_bytes(tmp_path: Path, name: str) -> bytes:
    smooth = linear_to_srgb(np.linspace(0, 1, 40 * 50 * 3, dtype=np.float32).reshape(40, 50, 3)) + random_image(40, 50)
    path = tmp_path / f"whole_{name}"
    if path.suffix in image_io.WRITABLE_SUFFIXES:
        image_io.write_linear(path, smooth, bits=16 if "16" in name else None)
    else:
        Image.fromarray((smooth.clip(0, 1) * 255).astype(np.uint8)).save(path)
    return path.read_bytes()


@pytest.mark.parametrize("name", ["a.png", "a16.png", "a.jpg", "a.webp", "a.avif", "a.exr", "a.hdr"])
def test_a_file_cut_anywhere_is_refused_quietly(tmp_path, capfd, name):
    data, path = sample_bytes(tmp_path, name), tmp_path / name
    cuts = {*range(1, len(data), len(data) // 60), *range(len(data) - 12, len(data))}
    for cut in sorted(cuts):
        path.write_bytes(data[:cut])
        with pytest.raises(InputError, match=name):
            image_io.read_linear(path)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("suffix", image_io.IMAGE_SUFFIXES)
def test_a_text_file_with_a_picture_name_is_refused(tmp_path, suffix):
    (tmp_path / f"a{suffix}").write_text("not a picture at all\n" * 20)
    for read in (image_io.read_linear, image_io.image_size, image_io.read_mask):
        with pytest.raises(InputError, match="is not a"):
            read(tmp_path / f"a{suffix}")


@pytest.mark.parametrize("suffix", image_io.IMAGE_SUFFIXES)
def test_missing_empty_and_folder(tmp_path, suffix):
    (tmp_path / f"empty{suffix}").touch()
    (tmp_path / f"folder{suffix}").mkdir()
    for name, problem in (("missing", "no such file"), ("empty", "is empty"), ("folder", "is a folder")):
        with pytest.raises(InputError, match=problem):
            image_io.read_linear(tmp_path / f"{name}{suffix}")


@pytest.mark.skipif(os.name == "nt", reason="Windows has other permissions")
@pytest.mark.parametrize("suffix", [".png", ".exr", ".hdr"])
def test_unreadable_file(tmp_path, suffix):
    path, is_root = tmp_path / f"a{suffix}", os.geteuid() == 0
    image_io.write_linear(path, random_image())
    path.chmod(0)
    if is_root:  # root reads everything: become somebody else
        os.seteuid(65534)
    try:
        for read in (image_io.read_linear, image_io.image_size, image_io.read_alpha):
            with pytest.raises(InputError, match="permission denied"):
                read(path)
    finally:
        if is_root:
            os.seteuid(0)


def test_unknown_extension_lists_the_known(tmp_path):
    (tmp_path / "a.tga").write_bytes(b"x")
    with pytest.raises(InputError, match=r"unknown extension '\.tga': use one of \.png, \.jpg"):
        image_io.read_linear(tmp_path / "a.tga")
    with pytest.raises(InputError, match="unknown extension"):
        image_io.write_linear(tmp_path / "b.tga", random_image())


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_values_are_counted_and_refused(tmp_path, value):
    image = random_image()
    image[2, 3] = value
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": image}).write(str(tmp_path / "a.exr"))
    with pytest.raises(InputError, match="3 of 663 values are NaN or infinite"):
        image_io.read_linear(tmp_path / "a.exr")
    for name in ("b.exr", "b.hdr", "b.png", "b.jpg"):
        with pytest.raises(InputError, match="3 of 663 values"):
            image_io.write_linear(tmp_path / name, image)
        assert not (tmp_path / name).exists()


def test_display_values_are_not_guessed(tmp_path):
    image_io.write_linear(tmp_path / "a.exr", random_image())
    with pytest.raises(InputError, match="linear radiance, not display values"):
        image_io.read_display(tmp_path / "a.exr")
    with pytest.raises(InputError, match="stores linear radiance"):
        image_io.write_display(tmp_path / "b.hdr", random_image())


@pytest.mark.parametrize("shape", [(4,), (4, 4, 2), (4, 4, 4), (0, 4, 3), (1, 4, 4, 3)])
def test_wrong_shapes_are_refused(tmp_path, shape):
    with pytest.raises(InputError, match="cannot hold an array of shape"):
        image_io.write_linear(tmp_path / "a.exr", np.zeros(shape, np.float32))


def test_a_header_that_promises_too_much_is_refused(tmp_path):
    data = bytearray(png_bytes([b"\0" * 10], 2**15, 8, 2))
    data[20:24] = struct.pack(">I", 2**15)
    data[29:33] = struct.pack(">I", zlib.crc32(bytes(data[12:29])))
    (tmp_path / "a.png").write_bytes(data)
    (tmp_path / "a.hdr").write_bytes(b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 100000 +X 100000\n" + bytes(100))
    for name in ("a.png", "a.hdr"):
        with pytest.raises(InputError, match="pixels"):
            image_io.read_linear(tmp_path / name)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file size limit")
@pytest.mark.parametrize("name", ["a.png", "a.exr", "a.hdr"])
def test_a_disk_that_refuses_leaves_the_old_file(tmp_path, name):
    import resource
    import signal

    image_io.write_linear(tmp_path / name, random_image(4, 4))
    before, limits = (tmp_path / name).read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, limits[1]))
    try:
        with pytest.raises(InputError, match="File too large"):
            image_io.write_linear(tmp_path / name, random_image(200, 200))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / name).read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [name]


# --- lists ----------------------------------------------------------------------------------------------------------


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


def test_bytes_of_the_same_image_are_the_same(tmp_path):
    buffers = []
    for name in ("a.exr", "b.exr"):
        image_io.write_linear(tmp_path / name, random_image())
        buffers.append(io.BytesIO((tmp_path / name).read_bytes()).getvalue())
    assert buffers[0] == buffers[1]


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_size_of_a_truncated_picture_is_right_or_one_error(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    image_io.write_display(path, random_image(13, 17))
    whole = path.read_bytes()
    for length in range(0, len(whole), 5):
        path.write_bytes(whole[:length])
        try:
            assert image_io.image_size(path) == (13, 17)
        except InputError as error:
            assert path.name in str(error)


def test_a_comment_comes_back_from_a_png_and_changes_no_pixel(tmp_path):
    picture = np.random.default_rng(0).random((9, 7, 3)).astype(np.float32)
    text = '{"source": "12ab"}'
    image_io.write_display(tmp_path / "a.png", picture, comment=text, bits=16)
    image_io.write_display(tmp_path / "b.png", picture, bits=16)
    assert png_chunks.read_comment(tmp_path / "a.png") == text and png_chunks.read_comment(tmp_path / "b.png") is None
    with Image.open(tmp_path / "a.png") as opened:
        assert opened.info["Comment"] == text
    np.testing.assert_array_equal(image_io.read_display(tmp_path / "a.png"), image_io.read_display(tmp_path / "b.png"))
    with pytest.raises(InputError, match="comments are written into png"):
        image_io.write_linear(tmp_path / "a.exr", picture, comment=text)
