"""OpenEXR pictures behind :mod:`src.utils.image_io` (https://openexr.com/en/latest/OpenEXRFileLayout.html)."""

from __future__ import annotations

import errno
import os
import struct
from pathlib import Path

import numpy as np

from src.utils.cli import InputError, describe_os_error
from src.utils.color_space import SRGB_PRIMARIES, rgb_to_xyz, to_linear_srgb_matrix
from src.utils.exr_layers import Layer, pick_layer
from src.utils.picture_file import REMEDY, Decoded, broken, check_pixel_count, not_a, read_bytes, say, truncated

HALF_MAX = 65504.0
# Below it halves of a whole picture have lost too many of their 11 bits.
HALF_DARKEST_PEAK = 2.0**-10

_SIGNATURE = b"\x76\x2f\x31\x01"
_NOT_ONE_SCANLINE_PART = 0x200 | 0x800 | 0x1000  # version flags: tiled, deep, multi-part
_LINES_PER_CHUNK = {0: 1, 1: 1, 2: 1, 3: 16, 4: 32, 5: 16, 6: 32, 7: 32, 8: 32, 9: 256}


def exr_size(path: Path) -> tuple[int, int]:
    """(height, width) of the display window."""
    file = _open_exr(path, header_only=True)
    (x0, y0), (x1, y1) = file.parts[_pick(path, file).part].header["displayWindow"]
    return int(y1 - y0 + 1), int(x1 - x0 + 1)


def decode_exr(path: Path) -> Decoded:
    """The layer that :func:`~src.utils.exr_layers.pick_layer` picks, over the display window, premultiplied by alpha.

    Colours of other ``chromaticities`` become those of Rec. 709, white to white; values below 0 stay. What lies
    outside the data window is 0.
    """
    file = _open_exr(path, header_only=True)
    layer = _pick(path, file)
    header = file.parts[layer.part].header
    if header["pixelAspectRatio"] != 1:
        say(path, f"its pixels are {header['pixelAspectRatio']:g} times as wide as high: taken for square")
    if len(file.parts) == 1:
        _refuse_incomplete_exr(path, header)
    try:
        parts = _open_exr(path, header_only=False).parts
        if len(parts) != len(file.parts):  # the library leaves parts out that it cannot read
            raise truncated(path)
        channels = parts[layer.part].channels
        planes = [_full_size(channels[name], header["dataWindow"]) for name in layer.colour()]
        alpha = _full_size(channels[layer.channels["A"]], header["dataWindow"]) if "A" in layer.channels else None
    except (RuntimeError, ValueError) as error:
        raise broken(path, error) from error
    colour = np.stack(planes, axis=2)
    if colour.shape[2] == 3:
        colour = _to_rec709(path, colour, header, is_chroma="RY" in layer.channels and not layer.is_rgb)
    data_window, display_window = (tuple(map(tuple, header[key])) for key in ("dataWindow", "displayWindow"))
    if data_window != display_window:
        colour = _place(colour, data_window, display_window)
        alpha = None if alpha is None else _place(alpha, data_window, display_window)
    return Decoded(colour, alpha, is_linear=True, is_premultiplied=True)


def _pick(path: Path, file) -> Layer:
    parts = [(part.header.get("name", ""), [c.name for c in part.header["channels"]]) for part in file.parts]
    layer = pick_layer(path, parts)
    if "deep" in str(file.parts[layer.part].header["type"]):
        raise InputError(path, "holds deep data (many samples per pixel)", "flatten it")
    return layer


def _full_size(channel, data_window) -> np.ndarray:
    """A channel's plane as H x W float32; one that is sampled every few pixels is interpolated between them."""
    pixels = channel.pixels.astype(np.float32)
    for axis, sampling in enumerate((channel.ySampling, channel.xSampling)):
        if sampling > 1:
            first, last = (int(corner[1 - axis]) for corner in data_window)
            at = (np.arange(first, last + 1) - first) / sampling  # the format wants ``first`` to be a multiple
            below = np.minimum(at.astype(int), pixels.shape[axis] - 1)
            above = np.minimum(below + 1, pixels.shape[axis] - 1)
            share = (at - below).astype(np.float32).reshape((-1, 1) if axis == 0 else (1, -1))
            pixels = pixels.take(below, axis) * (1 - share) + pixels.take(above, axis) * share
    return pixels


def _to_rec709(path: Path, colour: np.ndarray, header: dict, is_chroma: bool) -> np.ndarray:
    """Linear RGB, or Y, RY, BY (``RY = (R - Y) / Y``), of the file's primaries as linear RGB of Rec. 709."""
    primaries = _primaries(header)
    try:
        if is_chroma:
            luminance, red, blue = np.moveaxis(colour, 2, 0)
            red, blue = (red + 1) * luminance, (blue + 1) * luminance
            weights = rgb_to_xyz(primaries)[1].astype(np.float32)
            green = (luminance - weights[0] * red - weights[2] * blue) / weights[1]
            colour = np.stack([red, green, blue], axis=2)
        matrix = to_linear_srgb_matrix(primaries)
    except ValueError as error:
        say(path, f"its chromaticities are not applied ({error}): Rec. 709 is assumed")
        return colour
    return colour if matrix is None else colour @ matrix.T.astype(np.float32)


def _primaries(header: dict) -> tuple[float, ...]:
    """x and y of red, green, blue, white: of ``chromaticities``, or ``colorInteropID`` (OpenEXR 3.4), or Rec. 709."""
    import OpenEXR

    if "chromaticities" in header:
        return tuple(header["chromaticities"])
    named = header.get("colorInteropID")
    if named is not None and hasattr(OpenEXR, "colorInteropIDToChromaticities"):
        return OpenEXR.colorInteropIDToChromaticities(named) or SRGB_PRIMARIES
    return SRGB_PRIMARIES


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
            read_bytes(path)  # raises what is wrong
        with open(path, "rb") as file:
            signature = file.read(4)
    except OSError as error:
        raise describe_os_error(error, path) from error
    if not signature:
        raise InputError(path, "is empty (0 bytes)", REMEDY)
    if signature != _SIGNATURE:
        raise not_a("an OpenEXR picture", path)
    try:
        picture = OpenEXR.File(str(path), separate_channels=True, header_only=header_only)
        windows = [part.header[key] for part in picture.parts for key in ("dataWindow", "displayWindow")]
    except (RuntimeError, ValueError, KeyError) as error:
        raise broken(path, error) from error
    for (x0, y0), (x1, y1) in windows:
        check_pixel_count(path, int(y1) - int(y0) + 1, int(x1) - int(x0) + 1)
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
            raise truncated(path)
        offsets = np.frombuffer(table, dtype="<u8")
        file_size = path.stat().st_size
        if offsets.min() == 0 or offsets.max() + 8 > file_size:
            raise truncated(path)
        file.seek(int(offsets.max()) + 4)
        (last_chunk_size,) = struct.unpack("<I", file.read(4))
        if int(offsets.max()) + 8 + last_chunk_size > file_size:
            raise truncated(path)


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
