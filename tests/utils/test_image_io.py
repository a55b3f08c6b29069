"""Pictures that are written and read again: to the bit, or as close as their format allows."""

from __future__ import annotations

import numpy as np
import OpenEXR
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from src.utils import image_io, png_chunks
from src.utils.cli import InputError
from tests.utils.picture_files import random_image

each_example_overwrites = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9), st.sampled_from([1, 3]))


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


def test_bytes_of_the_same_image_are_the_same(tmp_path):
    for name in ("a.exr", "b.exr"):
        image_io.write_linear(tmp_path / name, random_image())
    assert (tmp_path / "a.exr").read_bytes() == (tmp_path / "b.exr").read_bytes()


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
