"""One clear error for every kind of broken file, of wrong array and of disk that refuses."""

from __future__ import annotations

import os
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import OpenEXR
import pytest
from PIL import Image

from src.utils import image_io
from src.utils.cli import InputError
from src.utils.color import linear_to_srgb
from tests.utils.picture_files import png_bytes, random_image


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
