"""EXR: alpha, chromaticities, luminance and chroma, channel types, storage."""

from __future__ import annotations

import struct

import numpy as np
import OpenEXR
import pytest

from src.utils import image_io
from src.utils.cli import InputError
from tests.utils.exr_files import layer, write, write_parts
from tests.utils.picture_files import random_image, write_raw_exr


def test_premultiplied_colour_is_read_straight(tmp_path):
    straight, alpha = random_image(8, 6), np.linspace(0.1, 1, 48, dtype=np.float32).reshape(8, 6)
    write(tmp_path / "a.exr", layer("", straight * alpha[..., None], alpha))
    np.testing.assert_allclose(image_io.read_linear(tmp_path / "a.exr"), straight, rtol=1e-6)
    np.testing.assert_array_equal(image_io.read_alpha(tmp_path / "a.exr"), alpha)
    over_black, coverage = image_io.read_premultiplied(tmp_path / "a.exr")
    np.testing.assert_array_equal(over_black, straight * alpha[..., None])
    np.testing.assert_array_equal(coverage, alpha)


def test_light_where_alpha_is_0_is_kept(tmp_path):
    """A glow adds light without covering anything: it is neither divided by zero nor lost."""
    glow, alpha = random_image(8, 6), np.zeros((8, 6), np.float32)
    alpha[0] = 0.5
    write(tmp_path / "a.exr", layer("", glow, alpha))
    np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.exr")[1:], glow[1:])
    np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.exr")[0], glow[0] / 0.5)
    np.testing.assert_array_equal(image_io.read_premultiplied(tmp_path / "a.exr")[0], glow)


def test_straight_formats_are_multiplied_for_over_black(tmp_path):
    colour, alpha = np.full((2, 3, 3), 0.25, np.float32), np.full((2, 3), 0.6, np.float32)
    image_io.write_linear(tmp_path / "a.png", colour, alpha=alpha, bits=16)
    np.testing.assert_allclose(image_io.read_linear(tmp_path / "a.png"), 0.25, atol=2e-5)
    np.testing.assert_allclose(image_io.read_premultiplied(tmp_path / "a.png")[0], 0.15, atol=2e-5)
    image_io.write_linear(tmp_path / "b.png", colour)
    over_black, coverage = image_io.read_premultiplied(tmp_path / "b.png")
    assert coverage is None and over_black.mean() == pytest.approx(0.25, abs=2e-3)


def test_alpha_is_multiplied_into_what_is_written(tmp_path):
    straight, alpha = 5 * random_image(8, 6), np.linspace(0, 1, 48, dtype=np.float32).reshape(8, 6)
    image_io.write_linear(tmp_path / "a.exr", straight, alpha=alpha, bits=32)
    stored = OpenEXR.File(str(tmp_path / "a.exr"), separate_channels=True).channels()
    for k, name in enumerate("RGB"):
        np.testing.assert_allclose(stored[name].pixels, straight[..., k] * alpha, rtol=1e-6)
    np.testing.assert_array_equal(stored["A"].pixels, alpha)


def test_tiny_alpha_overflows_nothing(tmp_path):
    alpha = np.full((8, 6), 1e-30, np.float32)
    write(tmp_path / "a.exr", layer("", 1e20 * random_image(8, 6), alpha))
    assert np.isfinite(image_io.read_linear(tmp_path / "a.exr")).all()


AP1 = (0.713, 0.293, 0.165, 0.830, 0.128, 0.044, 0.32168, 0.33767)
# Linear ACEScg to linear Rec. 709, with Bradford adaptation from the ACES white to D65 (as published by ACES).
AP1_TO_REC709 = np.array([[1.70505, -0.62179, -0.08326], [-0.13026, 1.14080, -0.01055], [-0.02400, -0.12897, 1.15297]])


def test_chromaticities_are_converted(tmp_path):
    image = 4 * random_image(8, 6)
    write(tmp_path / "a.exr", layer("", image), chromaticities=AP1)
    np.testing.assert_allclose(image_io.read_linear(tmp_path / "a.exr"), image @ AP1_TO_REC709.T, atol=2e-3)


def test_white_stays_white(tmp_path):
    write(tmp_path / "a.exr", layer("", np.full((2, 2, 3), 7, np.float32)), chromaticities=AP1)
    np.testing.assert_allclose(image_io.read_linear(tmp_path / "a.exr"), 7, rtol=1e-5)


def test_chromaticities_of_rec_709_change_no_bit(tmp_path):
    image = random_image(8, 6)
    write(tmp_path / "a.exr", layer("", image), chromaticities=(0.64, 0.33, 0.3, 0.6, 0.15, 0.06, 0.3127, 0.329))
    np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.exr"), image)


def test_chromaticities_that_are_no_colours_are_said(tmp_path):
    image = random_image(8, 6)
    write(tmp_path / "a.exr", layer("", image), chromaticities=(0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3, 0.3))
    with pytest.warns(UserWarning, match="chromaticities are not applied"):
        np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.exr"), image)


def test_luminance_alone_is_grey(tmp_path):
    grey = random_image(8, 6)[..., 0].copy()
    write(tmp_path / "a.exr", {"Y": grey})
    np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.exr"), np.dstack([grey] * 3))


@pytest.mark.parametrize("sampling", [1, 2])
def test_luminance_and_chroma(tmp_path, sampling):
    """``Y``, ``RY = (R - Y) / Y``, ``BY``: a colour whose brightness varies, with chroma stored at half the size."""
    brightness = random_image(8, 6)[..., :1] + 0.5
    image = brightness * np.array([0.9, 0.5, 0.2])
    luminance = image @ np.array([0.2126, 0.7152, 0.0722])
    chroma = {name: image[..., k] / luminance - 1 for name, k in (("RY", 0), ("BY", 2))}
    planes = {"Y": (luminance.astype(np.float32), 1)}
    planes.update({n: (p[::sampling, ::sampling].astype(np.float32), sampling) for n, p in chroma.items()})
    write_raw_exr(tmp_path / "a.exr", planes, (8, 6))
    np.testing.assert_allclose(image_io.read_linear(tmp_path / "a.exr"), image, rtol=2e-3)


def test_subsampled_chroma_lies_on_its_pixels(tmp_path):
    """Chroma that rises by a straight line comes back as that line, up to the last sample."""
    ramp = np.tile(np.arange(6, dtype=np.float32), (8, 1))
    planes = {"G": (ramp, 1), "R": (ramp[::2, ::2].copy(), 2), "B": (ramp[::2, ::2].copy(), 2)}
    write_raw_exr(tmp_path / "a.exr", planes, (8, 6))
    read = image_io.read_linear(tmp_path / "a.exr")
    np.testing.assert_allclose(read[:, :5], np.dstack([ramp] * 3)[:, :5], atol=1e-6)
    np.testing.assert_allclose(read[:, 5, 0], 4)


COMPRESSIONS = ["NO", "RLE", "ZIPS", "ZIP", "PIZ", "PXR24", "B44", "B44A", "DWAA", "DWAB"]


@pytest.mark.parametrize("kind", [OpenEXR.scanlineimage, OpenEXR.tiledimage])
@pytest.mark.parametrize("name", COMPRESSIONS)
def test_compressions(tmp_path, name, kind):
    y, x = np.mgrid[0:70, 0:90] / 90
    image = np.stack([x, y, x * y], axis=2).astype(np.float16)
    header = {"compression": getattr(OpenEXR, f"{name}_COMPRESSION"), "type": kind}
    if kind == OpenEXR.tiledimage:
        header["tiles"] = OpenEXR.TileDescription()
    OpenEXR.File(header, {"RGB": image}).write(str(tmp_path / "a.exr"))
    tolerance = 0.02 if name[:3] in ("B44", "DWA") else 0
    np.testing.assert_allclose(image_io.read_linear(tmp_path / "a.exr"), image, atol=tolerance)


def test_whole_numbers(tmp_path):
    codes = np.arange(48, dtype=np.uint32).reshape(8, 6)
    write_raw_exr(tmp_path / "a.exr", {name: (codes * k, 1) for k, name in enumerate("RGB")}, (8, 6))
    np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.exr"), np.dstack([codes * 0, codes, codes * 2]))


def test_a_data_window_larger_than_the_display_window_is_cropped(tmp_path):
    image = random_image(10, 12)
    windows = {"dataWindow": ((-3, -2), (8, 7)), "displayWindow": ((0, 0), (4, 3))}
    write(tmp_path / "a.exr", layer("", image, np.ones((10, 12), np.float32)), **windows)
    np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.exr"), image[2:6, 3:8])
    assert image_io.read_alpha(tmp_path / "a.exr").shape == image_io.image_size(tmp_path / "a.exr") == (4, 5)


def test_deep_data_is_refused_by_name(tmp_path):
    samples = np.empty((4, 4), object)
    for index in np.ndindex(4, 4):
        samples[index] = np.ones(2, np.float32)
    header = {"compression": OpenEXR.ZIPS_COMPRESSION, "type": OpenEXR.deepscanline}
    OpenEXR.File(header, {name: samples for name in "RGB"}).write(str(tmp_path / "a.exr"))
    for read in (image_io.read_linear, image_io.image_size):
        with pytest.raises(InputError, match="holds deep data"):
            read(tmp_path / "a.exr")


def test_pixels_that_are_not_square_are_said(tmp_path):
    planes = {name: (np.ones((4, 4), np.float32), 1) for name in "RGB"}
    write_raw_exr(tmp_path / "a.exr", planes, (4, 4), pixelAspectRatio=("float", struct.pack("<f", 2)))
    with pytest.warns(UserWarning, match="2 times as wide as high"):
        image_io.read_linear(tmp_path / "a.exr")


@pytest.mark.parametrize("kind", [OpenEXR.scanlineimage, OpenEXR.tiledimage])
def test_multi_part_files_cut_anywhere_are_refused(tmp_path, kind):
    image = random_image(40, 50)
    write_parts(tmp_path / "a.exr", ("rgb", layer("", image)), ("depth", {"Z": image[..., 0].copy()}), kind=kind)
    data = (tmp_path / "a.exr").read_bytes()
    for cut in range(5, len(data) - 1, len(data) // 25):
        (tmp_path / "b.exr").write_bytes(data[:cut])
        with pytest.raises(InputError, match=r"b\.exr"):
            image_io.read_linear(tmp_path / "b.exr")
