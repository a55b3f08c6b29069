"""TIFF pictures behind :mod:`src.utils.image_io`: 8 bits by Pillow, 16 bits and floats by OpenCV, tags by tifffile."""

from __future__ import annotations

import io
import logging
import struct
from pathlib import Path

import numpy as np

from src.utils import opencv_images
from src.utils.cli import InputError
from src.utils.color_profile import ProfileOf
from src.utils.icc_profile import TableProfile
from src.utils.picture_file import REMEDY, Decoded, broken, check_pixel_count, say, split

_SIGNATURES = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_ICC, _ORIENTATION = 34675, 274
_GREY, _RGB = 1, 2
_PREMULTIPLIED = 1  # of ExtraSamples: "associated alpha"
_TAG_ERRORS = (ValueError, KeyError, IndexError, TypeError, OverflowError, OSError, struct.error)


def is_tiff(data: bytes) -> bool:
    return data.startswith(_SIGNATURES)


def tiff_size(path: Path, data: bytes) -> tuple[int, int]:
    """(height, width) as shown."""
    page = _first_page(path, data)
    size = page.imagelength, page.imagewidth
    return size[::-1] if page.tags.valueof(_ORIENTATION, 1) >= 5 else size


def decode_tiff(path: Path, data: bytes) -> Decoded:
    """The first picture, upright: codes of 8 or 16 bits, or floats, which are linear radiance."""
    page = _first_page(path, data)
    find = ProfileOf(path, page.tags.valueof(_ICC))
    if page.dtype == np.uint8 or page.bitspersample < 8:
        codes, space = find.apply(_open_with_pillow(path, data))
        return split(codes, 255, space)
    if page.dtype not in (np.uint16, np.float32, np.float64) or page.photometric not in (_GREY, _RGB):
        kind = f"{page.dtype} values" if page.photometric in (_GREY, _RGB) else f"{page.photometric.name} colours"
        raise InputError(path, f"holds {kind}, which are not read", "save it as RGB of 8 or 16 bits or 32-bit floats")
    codes = opencv_images.decode(path, data)
    is_premultiplied = page.extrasamples[:1] == (_PREMULTIPLIED,)
    if page.dtype != np.uint16:
        if find.profile is not None:
            say(path, "its colour profile is not applied to floats: linear sRGB is assumed")
        codes = codes.astype(np.float32)
        codes = codes if codes.ndim == 3 else codes[..., None]
        alpha = np.ascontiguousarray(codes[..., -1]) if codes.shape[2] in (2, 4) else None
        colour = codes if alpha is None else np.ascontiguousarray(codes[..., :-1])
        return Decoded(colour, alpha, is_linear=True, is_premultiplied=is_premultiplied)
    if is_premultiplied and codes.ndim == 3:
        alpha = codes[..., -1:].astype(np.float64)
        straight = np.divide(codes[..., :-1] * 65535.0, alpha, out=np.zeros(codes[..., :-1].shape), where=alpha > 0)
        codes = np.concatenate([np.rint(straight.clip(0, 65535)), alpha], axis=2).astype(np.uint16)
    try:
        return split(codes, 65535, find.space(1 if page.photometric == _GREY else 3))
    except TableProfile:
        say(path, "its colour profile is made of tables, which are not read at 16 bits: sRGB is assumed")
        return split(codes, 65535, None)


def _first_page(path: Path, data: bytes):
    import tifffile

    logging.getLogger("tifffile").setLevel(logging.CRITICAL)  # it logs beside the error that we raise
    try:
        pages = tifffile.TiffFile(io.BytesIO(data)).pages
        page = pages.first
        is_whole = all(
            offset + count <= len(data) for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True)
        )
        others = sum(not other.aspage().is_reduced for other in pages) - 1
    except (tifffile.TiffFileError, *_TAG_ERRORS) as error:
        raise broken(path, error) from error
    if not is_whole or not page.dataoffsets:
        raise InputError(path, "is truncated: its end is missing", REMEDY)
    check_pixel_count(path, page.imagelength, page.imagewidth)
    if others > 0:
        say(path, f"holds {others + 1} pictures: the first is taken")
    return page


def _open_with_pillow(path: Path, data: bytes):
    """Upright: Pillow turns TIFF pictures itself."""
    from PIL import Image

    try:
        picture = Image.open(io.BytesIO(data), formats=("TIFF",))
        picture.load()
    except Exception as error:  # Pillow's TIFF reader raises whatever a broken tag leads to
        raise broken(path, error) from error
    return picture
