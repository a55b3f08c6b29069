"""Radiance HDR: headers as programs write them, exposure, both run-length codings, all axis orders, broken files."""

from __future__ import annotations

import itertools

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from src.utils import image_io
from src.utils.cli import InputError

HEADER = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y %d +X %d\n"


def random_rgbe(height: int = 5, width: int = 11, seed: int = 0) -> np.ndarray:
    """Normalised, as all writers leave it: the largest mantissa is at least 128."""
    random = np.random.default_rng(seed)
    rgbe = random.integers(0, 256, (height, width, 4))
    rgbe[..., 0] |= 128
    rgbe[..., 3] = random.integers(120, 136, (height, width))
    return rgbe.astype(np.uint8)


def radiance(rgbe: np.ndarray) -> np.ndarray:
    """By the format's definition: mantissa / 256 * 2 ^ (exponent - 128)."""
    return rgbe[..., :3] / 256.0 * 2.0 ** (rgbe[..., 3:].astype(float) - 128)


def flat(rgbe: np.ndarray) -> bytes:
    return rgbe.tobytes()


def new_coding(rgbe: np.ndarray) -> bytes:
    """Each scanline 2, 2, width; then four planes of runs (128 + n, value) and literals (n, values)."""
    data = b""
    for row in rgbe:
        data += bytes([2, 2, len(row) >> 8, len(row) & 255])
        for plane in row.T:
            for value, group in itertools.groupby(plane.tolist()):
                count = len(list(group))
                while count:
                    part = min(count, 127)
                    data += bytes([128 + part, value]) if part > 1 else bytes([1, value])
                    count -= part
    return data


def old_coding(rgbe: np.ndarray) -> bytes:
    """A pixel, then 1, 1, 1, n for n more like it; several such in a row are digits to the base 256."""
    data = b""
    for pixel, group in itertools.groupby(map(tuple, rgbe.reshape(-1, 4).tolist())):
        data += bytes(pixel)
        repeats = len(list(group)) - 1
        while repeats:
            data += bytes([1, 1, 1, repeats & 255])
            repeats >>= 8
    return data


def read(path, data: bytes) -> np.ndarray:
    path.write_bytes(data)
    pixels = image_io.read_linear(path)
    assert image_io.image_size(path) == pixels.shape[:2]
    return pixels


# --- header ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "divisor"),
    [
        ([], 1),
        (["EXPOSURE=2.5"], 2.5),
        (["EXPOSURE= 4.0", "EXPOSURE=0.5", "exposure=3"], 6),
        (["COLORCORR=2 4 0.5"], [2, 4, 0.5]),
        (["COLORCORR=2 4 0.5", "EXPOSURE=2", "COLORCORR=1 1 4"], [4, 8, 4]),
        (["EXPOSURE=1e-3"], 1e-3),
    ],
)
def test_exposure_is_divided_out(tmp_path, lines, divisor):
    rgbe = random_rgbe()
    head = "\n".join(["#?RADIANCE", "FORMAT=32-bit_rle_rgbe", *lines, "", "-Y 5 +X 11", ""]).encode()
    for encode in (flat, new_coding, old_coding):
        pixels = read(tmp_path / "a.hdr", head + encode(rgbe))
        np.testing.assert_allclose(pixels, radiance(rgbe) / np.array(divisor), rtol=1e-6)


@pytest.mark.parametrize("value", ["", "none", "0", "-2", "inf", "1 2 3"])
def test_exposure_that_is_no_factor_is_said(tmp_path, value):
    head = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\nEXPOSURE={value}\n\n-Y 5 +X 11\n".encode()
    with pytest.warns(UserWarning, match=r"a\.hdr: EXPOSURE=.* is no factor above 0: it is not applied"):
        pixels = read(tmp_path / "a.hdr", head + flat(random_rgbe()))
    np.testing.assert_allclose(pixels, radiance(random_rgbe()), rtol=1e-6)


HEADERS = {
    "CR LF": b"#?RADIANCE\r\nFORMAT=32-bit_rle_rgbe\r\nEXPOSURE=2\r\n\r\n-Y 5 +X 11\r\n",
    "long": b"#?RADIANCE\n" + b"# a comment of a pipeline\n" * 20000 + b"EXPOSURE=2\n\n-Y 5 +X 11\n",
    "one long line": b"#?RADIANCE\nVIEW= " + b"x" * 300000 + b"\nEXPOSURE=2\n\n-Y 5 +X 11\n",
    "another program's": b"#?RGBE\nSOFTWARE=what=ever\nEXPOSURE=2\n\n-Y 5 +X 11\n",
    "without FORMAT": b"#?RADIANCE\nEXPOSURE=2\n\n-Y 5 +X 11\n",
    "commented": b"#?RADIANCE\n#EXPOSURE=7\nEXPOSURE=2\n\n-Y 5 +X 11\n",
    "indented": b"#?RADIANCE\n\tEXPOSURE=2\n FORMAT=32-bit_rle_rgbe\n\n-Y 5 +X 11\n",
    "not in ASCII": "#?RADIANCE\nAUTHOR=光\nEXPOSURE=2\n\n-Y 5 +X 11\n".encode(),
}


@pytest.mark.parametrize("encode", [flat, new_coding, old_coding])
@pytest.mark.parametrize("name", HEADERS)
def test_headers(tmp_path, name, encode):
    rgbe = random_rgbe()
    pixels = read(tmp_path / "a.hdr", HEADERS[name] + encode(rgbe))
    np.testing.assert_allclose(pixels, radiance(rgbe) / 2, rtol=1e-6)


# --- coding of pixels -----------------------------------------------------------------------------------------------

SHAPES = st.tuples(st.integers(1, 4), st.integers(1, 20), st.just(4))
PICTURES = hnp.arrays(np.uint8, SHAPES, elements=st.integers(0, 9))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(PICTURES, st.sampled_from([flat, new_coding, old_coding]))
def test_codings(tmp_path, picture, encode):
    picture = picture.repeat(3, axis=1)  # runs
    picture[..., 0] |= 128
    picture[..., 3] += 120
    if encode is new_coding and picture.shape[1] < 8:
        encode = flat  # the newer coding begins at 8 pixels
    height, width, _ = picture.shape
    pixels = read(tmp_path / "a.hdr", HEADER % (height, width) + encode(picture))
    np.testing.assert_allclose(pixels, radiance(picture), rtol=1e-6)


def test_a_run_of_the_older_coding_longer_than_a_byte(tmp_path):
    rgbe = np.broadcast_to(random_rgbe(1, 1), (300, 400, 4)).copy()
    rgbe[299, 399] = random_rgbe(1, 1, seed=1)
    data = old_coding(rgbe)
    assert len(data) < 40
    np.testing.assert_allclose(read(tmp_path / "a.hdr", HEADER % (300, 400) + data), radiance(rgbe), rtol=1e-6)


@pytest.mark.parametrize("width", [1, 7, 8, 32767, 32768, 40000])
def test_widths_at_the_limits_of_the_newer_coding(tmp_path, width):
    rgbe = random_rgbe(2, width)
    codings = [flat, old_coding, new_coding] if 8 <= width < 32768 else [flat, old_coding]
    for encode in codings:
        pixels = read(tmp_path / "a.hdr", HEADER % (2, width) + encode(rgbe))
        np.testing.assert_allclose(pixels, radiance(rgbe), rtol=1e-6)


def test_as_opencv_reads_it(tmp_path):
    """What OpenCV's own encoder wrote, and a second decoder of it."""
    image = np.random.default_rng(0).random((20, 30, 3)).astype(np.float32) * 100
    cv2.imwrite(str(tmp_path / "a.hdr"), image)
    expected = cv2.imread(str(tmp_path / "a.hdr"), cv2.IMREAD_UNCHANGED)[..., ::-1]
    np.testing.assert_array_equal(image_io.read_linear(tmp_path / "a.hdr"), expected)


def test_black_and_the_smallest_exponent(tmp_path):
    rgbe = np.array([[[0, 0, 0, 0], [200, 10, 3, 1], [255, 255, 255, 255]]], np.uint8)
    pixels = read(tmp_path / "a.hdr", HEADER % (1, 3) + flat(rgbe))
    np.testing.assert_allclose(pixels[0, 0], 0)
    np.testing.assert_allclose(pixels[0, 2], 2.0**127 * 255 / 256, rtol=1e-6)


# --- axes, primaries ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encode", [flat, new_coding, old_coding])
@pytest.mark.parametrize("order", ["-Y +X", "-Y -X", "+Y +X", "+Y -X", "+X -Y", "-X -Y", "+X +Y", "-X +Y"])
def test_axis_orders(tmp_path, order, encode):
    """X grows to the right and Y upwards; the first axis is the one of scanlines, the sign says where they begin."""
    rgbe = random_rgbe(9, 13)
    first, second = order.split()
    counts = {"Y": 9, "X": 13}
    stored = np.empty((counts[first[1]], counts[second[1]], 4), np.uint8)
    for i, j in np.ndindex(stored.shape[:2]):
        place = {first[1]: (first[0], i), second[1]: (second[0], j)}
        sign, steps = place["X"]
        column = steps if sign == "+" else 12 - steps
        sign, steps = place["Y"]
        row = steps if sign == "-" else 8 - steps
        stored[i, j] = rgbe[row, column]
    resolution = f"{first} {stored.shape[0]} {second} {stored.shape[1]}\n".encode()
    pixels = read(tmp_path / "a.hdr", b"#?RADIANCE\n\n" + resolution + encode(stored))
    np.testing.assert_allclose(pixels, radiance(rgbe), rtol=1e-6)


def test_xyze_is_converted(tmp_path):
    rgbe = random_rgbe()
    head = b"#?RADIANCE\nFORMAT=32-bit_rle_xyze\n\n-Y 5 +X 11\n"
    # XYZ to linear sRGB, as IEC 61966-2-1 gives it to four digits.
    matrix = np.array([[3.2406, -1.5372, -0.4986], [-0.9689, 1.8758, 0.0415], [0.0557, -0.2040, 1.0570]])
    expected = radiance(rgbe) @ matrix.T
    pixels = read(tmp_path / "a.hdr", head + new_coding(rgbe))
    np.testing.assert_allclose(pixels, expected, atol=2e-3 * np.abs(expected).max())


def test_primaries_are_converted_white_to_white(tmp_path):
    """Those of Rec. 2020, to Rec. 709 by the matrix of ITU-R BT.2087."""
    rgbe = random_rgbe()
    rgbe[0, 0, :3] = 200
    head = b"#?RADIANCE\nPRIMARIES= 0.708 0.292 0.170 0.797 0.131 0.046 0.3127 0.3290\n\n-Y 5 +X 11\n"
    matrix = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
    pixels = read(tmp_path / "a.hdr", head + flat(rgbe))
    expected = radiance(rgbe) @ matrix.T
    np.testing.assert_allclose(pixels, expected, atol=1e-3 * np.abs(expected).max())
    np.testing.assert_allclose(pixels[0, 0], radiance(rgbe)[0, 0], rtol=1e-5)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"PRIMARIES=1 2 3", "PRIMARIES=1 2 3 are no colours"),
        (b"GAMMA=2.2", "GAMMA=2.2 is not applied"),
        (b"PIXASPECT=1.5", "PIXASPECT=1.5 is not applied"),
    ],
)
def test_what_is_not_honoured_is_said_once(tmp_path, line, said):
    (tmp_path / "a.hdr").write_bytes(b"#?RADIANCE\n" + line + b"\n\n-Y 5 +X 11\n" + flat(random_rgbe()))
    with pytest.warns(UserWarning, match=said) as warned:
        for _ in range(3):
            pixels = image_io.read_linear(tmp_path / "a.hdr")
    assert len(warned) == 1
    np.testing.assert_allclose(pixels, radiance(random_rgbe()), rtol=1e-6)


# --- broken files ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encode", [flat, new_coding, old_coding])
def test_truncated_anywhere(tmp_path, capfd, encode):
    data = HEADER % (5, 11) + encode(random_rgbe())
    for cut in range(1, len(data)):
        (tmp_path / "a.hdr").write_bytes(data[:cut])
        with pytest.raises(InputError, match=r"a\.hdr"):
            image_io.read_linear(tmp_path / "a.hdr")
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b"#?RADIANCE\n\n-Y 5 -Y 11\n", "no complete Radiance header"),
        (b"#?RADIANCE\n\nno resolution\n", "no complete Radiance header"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "no complete Radiance header"),
        (b"#?RADIANCE\nFORMAT=64-bit\n\n-Y 5 +X 11\n", "unknown FORMAT=64-bit"),
        (b"#?RADIANCE\n\n-Y 0 +X 11\n", "has no pixels"),
        (b"#?RADIANCE\n\n-Y 99999 +X 99999\n", "pixels"),
        (b"P6\n5 11\n255\n", "is not a Radiance HDR picture"),
    ],
)
def test_broken_headers(tmp_path, data, problem):
    (tmp_path / "a.hdr").write_bytes(data)
    for reader in (image_io.read_linear, image_io.image_size):
        with pytest.raises(InputError, match=problem):
            reader(tmp_path / "a.hdr")


def test_a_hostile_run_takes_no_memory(tmp_path):
    data = HEADER % (1, 4) + bytes([200, 1, 2, 130]) + bytes([1, 1, 1, 255]) * 4
    assert read(tmp_path / "a.hdr", data).shape == (1, 4, 3)


# --- writing --------------------------------------------------------------------------------------------------------


def test_values_out_of_range_are_clamped(tmp_path):
    image = np.array([[[-5, 0.5, 3e38], [-1, -2, -3], [1e-45, 0, 0]]], np.float32)
    image_io.write_linear(tmp_path / "a.hdr", image)
    pixels = image_io.read_linear(tmp_path / "a.hdr")
    assert pixels[0, 0, 0] == 0 and pixels[0, 0, 2] == pytest.approx(2.0**127 * 255 / 256)
    assert (pixels[0, 1:] == 0).all()
