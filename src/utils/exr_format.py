"""OpenEXR pictures behind :mod:`src.utils.image_io` (https://openexr.com/en/latest/OpenEXRFileLayout.html)."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import numpy as np

from src.utils import image_formats as formats
from src.utils.cli import InputError, describe_os_error

HALF_MAX = 65504.0

_SIGNATURE = b"\x76\x2f\x31\x01"
_NOT_ONE_SCANLINE_PART = 0x200 | 0x800 | 0x1000  # version flags: tiled, deep, multi-part
_LINES_PER_CHUNK = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}


def exr_size(path: Path) -> tuple[int, int]:
    """(height, width) of the display window."""
    (x0, y0), (x1, y1) = _open_exr(path, header_only=True).header()["displayWindow"]
    return int(y1 - y0 + 1), int(x1 - x0 + 1)


def decode_exr(path: Path) -> formats.Decoded:
    """Channels R, G, B or Y, and A, of the first part, over the display window; what lies outside the data is 0."""
    header = _open_exr(path, header_only=True).header()
    _refuse_incomplete_exr(path, header)
    try:
        channels = {name: channel.pixels for name, channel in _open_exr(path, header_only=False).channels().items()}
    except (RuntimeError, ValueError) as error:
        raise InputError(path, f"is truncated or broken ({error})", formats.REMEDY) from error
    names = ("R", "G", "B") if "R" in channels else ("Y",)
    planes = [channels.get(name) for name in names]
    if any(plane is None for plane in planes) or len({plane.shape for plane in planes}) > 1 or "RY" in channels:
        raise InputError(path, f"has the channels {', '.join(channels)}", "save it with R, G, B or Y alone")
    colour = np.stack([plane.astype(np.float32) for plane in planes], axis=2)
    alpha = channels["A"].astype(np.float32) if "A" in channels else None
    data_window, display_window = (tuple(map(tuple, header[key])) for key in ("dataWindow", "displayWindow"))
    if data_window != display_window:
        colour = _place(colour, data_window, display_window)
        alpha = None if alpha is None else _place(alpha, data_window, display_window)
    return formats.Decoded(colour, alpha)


def _place(pixels: np.ndarray, data_window: tuple, display_window: tuple) -> np.ndarray:
    (left, top), (right, bottom) = display_window
    (x0, y0), (x1, y1) = data_window
    placed = np.zeros((bottom - top + 1, right - left + 1, *pixels.shape[2:]), dtype=pixels.dtype)
    rows = slice(max(y0, top), min(y1, bottom) + 1)
    columns = slice(max(x0, left), min(x1, right) + 1)
    if rows.start < rows.stop and columns.start < columns.stop:
        inside = pixels[rows.start - y0 : rows.stop - y0, columns.start - x0 : columns.stop - x0]
        placed[rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = inside
    return placed


def _open_exr(path: Path, header_only: bool):
    import OpenEXR

    try:
        if not path.is_file():
            formats.read_bytes(path)  # raises what is wrong
        with open(path, "rb") as file:
            signature = file.read(4)
    except OSError as error:
        raise describe_os_error(error, path) from error
    if not signature:
        raise InputError(path, "is empty (0 bytes)", formats.REMEDY)
    if signature != _SIGNATURE:
        raise formats.not_a("an OpenEXR picture", path)
    try:
        picture = OpenEXR.File(str(path), separate_channels=True, header_only=header_only)
        windows = [picture.header()[key] for key in ("dataWindow", "displayWindow")]
    except (RuntimeError, ValueError, KeyError) as error:
        raise InputError(path, f"is truncated or broken ({error})", formats.REMEDY) from error
    for (x0, y0), (x1, y1) in windows:
        formats.check_pixel_count(path, int(y1) - int(y0) + 1, int(x1) - int(x0) + 1)
    return picture


def _refuse_incomplete_exr(path: Path, header: dict) -> None:
    """Follow the chunk table of the usual kind of file (one part of scanlines) to the end of its last chunk.

    The library finds a truncation too, but writes a page on stderr about it.
    """
    with open(path, "rb") as file:
        head = file.read(2**20)
        lines = _LINES_PER_CHUNK.get(header["compression"].value)
        end_of_header = _end_of_exr_header(head)
        if struct.unpack_from("<I", head, 4)[0] & _NOT_ONE_SCANLINE_PART or not lines or not end_of_header:
            return
        (_, y0), (_, y1) = header["dataWindow"]
        chunk_count = -(-(int(y1) - int(y0) + 1) // lines)
        file.seek(end_of_header)
        table = file.read(8 * chunk_count)
        if len(table) < 8 * chunk_count:
            raise formats.truncated(path)
        offsets = np.frombuffer(table, dtype="<u8")
        file_size = path.stat().st_size
        if offsets.min() == 0 or offsets.max() + 8 > file_size:
            raise formats.truncated(path)
        file.seek(int(offsets.max()) + 4)
        (last_chunk_size,) = struct.unpack("<I", file.read(4))
        if int(offsets.max()) + 8 + last_chunk_size > file_size:
            raise formats.truncated(path)


def _end_of_exr_header(head: bytes) -> int | None:
    """Attributes are ``name 0 type 0 size:int32 value``; an empty name ends them. None where ``head`` is too short."""
    position = 8
    while position < len(head) and head[position] != 0:
        end_of_type = head.find(b"\0", head.find(b"\0", position) + 1)
        if end_of_type < 0 or end_of_type + 5 > len(head):
            return None
        position = end_of_type + 5 + struct.unpack_from("<I", head, end_of_type + 1)[0]
    return position + 1 if position < len(head) else None


def write_exr(path: Path, temporary: Path, channels: dict[str, np.ndarray]) -> None:
    """Write ``channels`` (float16 or float32; H x W or, for the name RGB, H x W x 3), ZIP, to ``temporary``.

    ``path`` is the name for error messages.
    """
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    try:
        OpenEXR.File(header, channels).write(str(temporary))
    except RuntimeError as error:  # the library turns errno into text
        for code in (errno.ENOSPC, errno.EFBIG, errno.EACCES, errno.EROFS):
            if os.strerror(code) in str(error):
                raise describe_os_error(OSError(code, os.strerror(code)), path) from error
        raise InputError(path, f"cannot be written ({error})", "check the disk") from error
