"""What a PNG's chunks say beyond its pixels (https://www.w3.org/TR/png-3/): bit depth, colour space, transparency."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.utils.cli import describe_os_error
from src.utils.color import srgb_to_linear
from src.utils.color_space import SRGB_PRIMARIES, ColorSpace, cicp_space, gamma_space, to_linear_srgb_matrix
from src.utils.icc_profile import icc_space

END = b"IEND\xaeB`\x82"
_SIGNATURE_BYTES = 8
_AFTER_IHDR = _SIGNATURE_BYTES + 4 + 4 + 13 + 4
_COMMENT = b"Comment\0"
_MOST_BEFORE_PIXELS = 1 << 16  # bytes in which a file of ours has its comment
_GREY = 0
_TEXTS = (b"tEXt", b"zTXt", b"iTXt")
_EXIF_KEYWORDS = (b"Raw profile type", b"XML:com.adobe.xmp")
# sRGB's stand-in for readers that know only gAMA is 1 / 2.2; libpng takes what is so near for sRGB too.
_SRGB_GAMMA = 1 / 2.2
_GAMMA_TOLERANCE = 0.05


def chunks_before_pixels(data: bytes) -> dict[bytes, bytes]:
    """IHDR and what stands before the first IDAT, by name."""
    chunks: dict[bytes, bytes] = {}
    position = _SIGNATURE_BYTES
    while position + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, position)
        if name in (b"IDAT", b"IEND"):
            break
        chunks.setdefault(name, data[position + 8 : position + 8 + size])
        position += size + 12
    return chunks


def with_comment(data: bytes, comment: str) -> bytes:
    """A PNG with a tEXt chunk "Comment" after its IHDR. ``comment``: Latin-1."""
    content = _COMMENT + comment.encode("latin-1")
    chunk = struct.pack(">I", len(content)) + b"tEXt" + content + struct.pack(">I", zlib.crc32(b"tEXt" + content))
    return data[:_AFTER_IHDR] + chunk + data[_AFTER_IHDR:]


def read_comment(path: str | Path) -> str | None:
    """The comment of a PNG that :func:`with_comment` made, from its beginning alone; None where there is none."""
    try:
        with open(path, "rb") as file:
            text = chunks_before_pixels(file.read(_MOST_BEFORE_PIXELS)).get(b"tEXt", b"")
    except OSError as error:
        raise describe_os_error(error, path) from error
    return text[len(_COMMENT) :].decode("latin-1") if text.startswith(_COMMENT) else None


def may_hold_exif(data: bytes) -> bool:
    """Whether a chunk, in front of the pixels or behind them, can hold EXIF or XMP: most files need not be decoded."""
    position = _SIGNATURE_BYTES
    while position + 8 <= len(data):
        size, name = struct.unpack_from(">I4s", data, position)
        if name == b"eXIf" or (name in _TEXTS and data.startswith(_EXIF_KEYWORDS, position + 8)):
            return True
        position += size + 12
    return False


def bit_depth(chunks: dict[bytes, bytes]) -> int:
    return chunks[b"IHDR"][8]


def grey_transparency(chunks: dict[bytes, bytes]) -> int | None:
    """The grey code, of the file's own depth, that a tRNS chunk makes transparent."""
    if b"tRNS" not in chunks or chunks[b"IHDR"][9] != _GREY:
        return None
    return struct.unpack_from(">H", chunks[b"tRNS"])[0]


def png_space(chunks: dict[bytes, bytes], profile: bytes | None, channels: int) -> ColorSpace | None:
    """The space of a PNG by the precedence cICP, iCCP, sRGB, gAMA with cHRM; None for sRGB, or where none says.

    ``profile`` is what iCCP holds. Raises ValueError (what is wrong), KeyError (what is not known), TableProfile.
    """
    if b"cICP" in chunks:
        primaries, transfer, matrix, full_range = chunks[b"cICP"][:4]
        if matrix != 0 or full_range != 1:
            raise ValueError("its cICP chunk is not for full-range RGB")
        return cicp_space(primaries, transfer)
    if b"iCCP" in chunks:
        if profile is None:
            raise ValueError("the profile is broken (it cannot be unpacked)")
        return icc_space(profile, channels)
    if b"sRGB" in chunks:
        return None
    own_primaries: Sequence[float] = SRGB_PRIMARIES
    if b"cHRM" in chunks and channels == 3:
        white_first = np.array(struct.unpack_from(">8I", chunks[b"cHRM"])) / 100000
        own_primaries = (*white_first[2:], *white_first[:2])
    gamma = struct.unpack_from(">I", chunks[b"gAMA"])[0] / 100000 if b"gAMA" in chunks else _SRGB_GAMMA
    if gamma <= 0:
        raise ValueError("its gAMA chunk is 0")
    is_srgb_like = abs(gamma / _SRGB_GAMMA - 1) < _GAMMA_TOLERANCE
    to_srgb = to_linear_srgb_matrix(own_primaries)
    if b"gAMA" in chunks and not (is_srgb_like and to_srgb is None):
        return gamma_space(1 / gamma, own_primaries)
    return None if to_srgb is None else ColorSpace((srgb_to_linear,), to_srgb)
