"""Decoders of png, jpg, webp, avif, heic and tiff behind :mod:`src.utils.image_io`; nothing else calls them.

Pillow decodes 8-bit files, OpenCV 16-bit PNG and TIFF and 10- and 12-bit AVIF, pillow-heif (if installed) HEIC. They
are imported on first use, so that importing this module stays quick.
"""

from __future__ import annotations

import io
import struct
import warnings
from pathlib import Path

import numpy as np

from src.utils import heif_format, opencv_images, png_chunks, tiff_format
from src.utils.cli import InputError
from src.utils.color_profile import GREY_MODES, ProfileOf
from src.utils.color_space import ADOBE_RGB
from src.utils.icc_profile import TableProfile
from src.utils.isobmff import heif_properties
from src.utils.picture_file import (
    Decoded,
    broken,
    check_pixel_count,
    not_a,
    read_bytes,
    say,
    split,
    truncated,
    turned,
)

_EXIF_ORIENTATION, _EXIF_INTEROPERABILITY = 0x0112, 0xA005
_BROKEN = (OSError, SyntaxError, ValueError, EOFError, struct.error)


def ldr_size(path: Path) -> tuple[int, int]:
    """(height, width) as shown."""
    data = read_bytes(path)
    if tiff_format.is_tiff(data):
        return tiff_format.tiff_size(path, data)
    if heif_format.is_heic(data):
        width, height = heif_format.open_heic(path, data).size
        return height, width
    picture = _open_with_pillow(path, data)
    if picture.format == "AVIF":
        is_on_its_side = heif_properties(data).is_on_its_side
    else:
        is_on_its_side = _orientation(path, data, picture) >= 5
    return (picture.width, picture.height) if is_on_its_side else (picture.height, picture.width)


def decode_ldr(path: Path) -> Decoded:
    """Codes over the largest possible one, upright, with the space that they are to be read in.

    What only a profile of tables can say of the colours, CMYK among it, is done already: the space is then sRGB.
    """
    data = read_bytes(path)
    if tiff_format.is_tiff(data):
        return tiff_format.decode_tiff(path, data)
    if heif_format.is_heic(data):
        return heif_format.decode_heic(path, data)
    picture = _open_with_pillow(path, data)
    try:
        picture.load()
    except _BROKEN as error:
        raise broken(path, error) from error
    if picture.format != "MPO" and getattr(picture, "n_frames", 1) > 1:
        say(path, f"holds {picture.n_frames} pictures: the first is taken")
    if picture.format == "AVIF":
        return heif_format.decode_avif(path, data, picture)
    if picture.format == "PNG":
        if png_chunks.END not in data:
            raise truncated(path)
        return _decode_png(path, data, picture)
    find = ProfileOf(path, picture.info.get("icc_profile"), default=ADOBE_RGB if _says_adobe_rgb(picture) else None)
    codes, space = find.apply(picture)
    return split(turned(codes, _orientation(path, data, picture)), 255, space)


def _decode_png(path: Path, data: bytes, picture) -> Decoded:
    chunks = png_chunks.chunks_before_pixels(data)
    find = ProfileOf(path, picture.info.get("icc_profile"), chunks=chunks)
    orientation, depth = _orientation(path, data, picture), png_chunks.bit_depth(chunks)
    transparent = png_chunks.grey_transparency(chunks)
    if depth == 16:  # Pillow would keep only the upper 8 of 16 bits of RGB
        try:
            codes = opencv_images.decode(path, data)
            if transparent is not None and codes.ndim == 2:
                codes = np.stack([codes, np.where(codes == transparent, 0, 65535).astype(codes.dtype)], axis=2)
            return split(turned(codes, orientation), 65535, find.space(1 if picture.mode in GREY_MODES else 3))
        except TableProfile:
            say(path, "its colour profile is made of tables: read at 8 of its 16 bits")
            picture = picture.convert("L") if picture.mode in ("I", "I;16") else picture
    elif transparent is not None and depth in (2, 4):
        picture.info["transparency"] = transparent * 255 // (2**depth - 1)  # Pillow leaves it as it is in the file
    codes, space = find.apply(picture)
    return split(turned(codes, orientation), 255, space)


def _open_with_pillow(path: Path, data: bytes):
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # check_pixel_count has the say
            picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP", "AVIF"))
    except UnidentifiedImageError:
        raise not_a("a picture (or its beginning is broken)", path) from None
    except Image.DecompressionBombError as error:
        raise InputError(path, str(error), "split it into smaller pictures") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise broken(path, error) from error
    check_pixel_count(path, picture.height, picture.width)
    return picture


def _orientation(path: Path, data: bytes, picture) -> int:
    """EXIF's orientation, 1 to 8. In a PNG it may stand behind the pixels."""
    if picture.format == "PNG" and not png_chunks.may_hold_exif(data):
        return 1
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Corrupt EXIF data")  # said below, with the file's name
            tags = picture.getexif()
        orientation = tags.get(_EXIF_ORIENTATION, 1)
        if not tags and picture.info.get("exif"):
            raise ValueError
    except _BROKEN:
        try:
            picture.load()
        except _BROKEN as error:
            raise broken(path, error) from error
        say(path, "its EXIF data is broken: taken for upright")
        return 1
    return orientation if orientation in range(1, 9) else 1


def _says_adobe_rgb(picture) -> bool:
    """Whether a camera says so the way DCF 2.0 does: by its file's interoperability index, without a profile."""
    try:
        return str(picture.getexif().get_ifd(_EXIF_INTEROPERABILITY).get(1, "")).startswith("R03")
    except (*_BROKEN, KeyError):  # Pillow 12.3 raises the latter where there is no Exif part at all
        return False
