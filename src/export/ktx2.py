"""KTX 2.0: a two-dimensional texture of plain numbers in one file, compressed by Zstandard.

Format: https://registry.khronos.org/KTX/specs/2.0/ktxspec.v2.html, data format descriptors:
https://registry.khronos.org/DataFormat/specs/1.3/dataformat.1.3.html (a basic block, version 2).
"""

from __future__ import annotations

import importlib.util
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from src.utils.atomic import atomic_path
from src.utils.cli import InputError, describe_os_error

IDENTIFIER = b"\xabKTX 20\xbb\r\n\x1a\n"
_HEADER = struct.Struct("<9I4I2Q")
_LEVEL = struct.Struct("<3Q")
_ZSTANDARD = 2  # supercompression scheme
_RGBSDA, _BT709, _LINEAR = 1, 1, 1  # colour model, primaries, transfer function
_CHANNELS = (0, 1, 2, 15)  # red, green, blue, alpha
_FLOAT_SIGNED = 0xC0
_WRITER = b"KTXwriter\0export_latent.py\0"


class _Format(NamedTuple):
    vulkan: int  # VkFormat
    qualifiers: int  # of each channel
    lower: int  # what its ends stand for, as bits
    upper: int


_FORMATS = {
    (np.dtype(np.uint32), 1): _Format(98, 0, 0, 1),  # R32_UINT
    (np.dtype(np.float32), 4): _Format(109, _FLOAT_SIGNED, 0xBF800000, 0x3F800000),  # R32G32B32A32_SFLOAT, -1 to 1
    (np.dtype(np.float16), 4): _Format(97, _FLOAT_SIGNED, 0xBF800000, 0x3F800000),  # R16G16B16A16_SFLOAT
}


def require_zstandard(flag: str) -> None:
    """Raises :class:`InputError` where the package that compresses is missing."""
    if importlib.util.find_spec("zstandard") is None:
        raise InputError(flag, "needs zstandard", "pip install zstandard")


def write_ktx2(path: Path, texels: np.ndarray) -> None:
    """Write :func:`encode_ktx2` atomically. Raises :class:`InputError` when the disk refuses."""
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(encode_ktx2(texels))
    except OSError as error:
        raise describe_os_error(error, path) from error


def encode_ktx2(texels: np.ndarray) -> bytes:
    """``texels`` H x W x 1 uint32, or H x W x 4 float32 or float16 -> the file. Raises ``KeyError`` for other types."""
    import zstandard

    height, width, channels = texels.shape
    format_ = _FORMATS[texels.dtype, channels]
    raw = np.ascontiguousarray(texels, texels.dtype.newbyteorder("<")).tobytes()
    packed = zstandard.ZstdCompressor(level=19).compress(raw)
    descriptor = _descriptor(format_, texels.dtype.itemsize, channels)
    values = struct.pack("<I", len(_WRITER)) + _WRITER + bytes(-len(_WRITER) % 4)
    descriptor_at = len(IDENTIFIER) + _HEADER.size + _LEVEL.size
    values_at = descriptor_at + len(descriptor)
    first = values_at + len(values)
    header = _HEADER.pack(
        *(format_.vulkan, texels.dtype.itemsize, width, height, 0, 0, 1, 1, _ZSTANDARD),
        *(descriptor_at, len(descriptor), values_at, len(values), 0, 0),
    )
    return IDENTIFIER + header + _LEVEL.pack(first, len(packed), len(raw)) + descriptor + values + packed


def _descriptor(format_: _Format, itemsize: int, channels: int) -> bytes:
    samples = b"".join(
        struct.pack("<HBB4xII", 8 * itemsize * k, 8 * itemsize - 1, channel | format_.qualifiers, *format_[2:])
        for k, channel in enumerate(_CHANNELS[:channels])
    )
    block_bytes = 24 + len(samples)
    planes = bytes([itemsize * channels, *[0] * 7])
    block = struct.pack("<IHH4B4x", 0, 2, block_bytes, _RGBSDA, _BT709, _LINEAR, 0) + planes + samples
    return struct.pack("<I", 4 + block_bytes) + block
