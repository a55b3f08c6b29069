"""AVIF and HEIC behind :mod:`src.utils.image_io`: AVIF of 8 bits by Pillow, deeper by OpenCV, HEIC by pillow-heif."""

from __future__ import annotations

import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from src.utils import opencv_images
from src.utils.cli import InputError
from src.utils.color_profile import GREY_MODES, ProfileOf
from src.utils.icc_profile import TableProfile
from src.utils.isobmff import HeifProperties, heif_properties
from src.utils.picture_file import Decoded, broken, check_pixel_count, say, split

HAS_HEIF = find_spec("pillow_heif") is not None


def decode_avif(path: Path, data: bytes, picture) -> Decoded:
    """Turned by irot and imir; an orientation in EXIF only repeats them (ISO/IEC 23000-22)."""
    properties = _heif_properties(path, data)
    find = ProfileOf(path, properties.icc, properties.cicp)
    bits = properties.bits
    if bits > 8:  # Pillow would keep 8
        try:
            space = find.space(1 if picture.mode in GREY_MODES else 3)
            failure = f"holds {bits} bits, which this build of OpenCV cannot decode", "install opencv-python-headless 5"
            return split(properties.turn(opencv_images.decode(path, data, *failure)), 2**bits - 1, space)
        except TableProfile:
            say(path, f"its colour profile is made of tables: read at 8 of its {bits} bits")
    codes, space = find.apply(picture)
    return split(properties.turn(codes), 255, space)


def _heif_properties(path: Path, data: bytes) -> HeifProperties:
    properties = heif_properties(data)
    if properties.is_cropped:
        say(path, "its clean aperture is not applied: the whole picture is taken")
    return properties


def is_heic(data: bytes) -> bool:
    if data[4:8] != b"ftyp":
        return False
    brands = data[8 : max(12, int.from_bytes(data[:4], "big"))]
    return not any(name in brands for name in (b"avif", b"avis")) and any(
        name in brands for name in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
    )


def open_heic(path: Path, data: bytes):
    if not HAS_HEIF:
        raise InputError(path, "is a HEIC picture", "pip install pillow-heif, or convert it")
    import pillow_heif

    try:
        picture = pillow_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    except (ValueError, RuntimeError, OSError, SyntaxError, EOFError) as error:
        raise broken(path, error) from error
    check_pixel_count(path, picture.size[1], picture.size[0])
    return picture


def decode_heic(path: Path, data: bytes) -> Decoded:
    """pillow-heif turns the picture itself; codes of 10 and 12 bits come as the upper bits of 16."""
    from PIL import Image

    picture = open_heic(path, data)
    properties = heif_properties(data)
    find = ProfileOf(path, properties.icc, properties.cicp)
    bits = int(picture.info.get("bit_depth", 8))
    try:
        codes = np.asarray(picture)
    except (ValueError, RuntimeError, OSError, EOFError) as error:
        raise broken(path, error) from error
    if bits > 8:
        codes = codes >> (16 - bits)
    try:
        return split(codes, 2**bits - 1, find.space(1 if codes.ndim == 2 else 3))
    except TableProfile:
        if bits > 8:
            say(path, f"its colour profile is made of tables: read at 8 of its {bits} bits")
        codes, space = find.apply(Image.fromarray((codes >> (bits - 8)).astype(np.uint8)))
        return split(codes, 255, space)
