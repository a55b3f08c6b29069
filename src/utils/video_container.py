"""What a video file says of itself beside its frames: whether it is whole, when its picture ends, its comment.

Decoders play what is left of a truncated file and say nothing.

mp4 and mov are boxes (ISO/IEC 14496-12, 4.2), mkv and webm are EBML elements (RFC 8794, RFC 9559), avi is RIFF chunks.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import BinaryIO

from src.utils.cli import InputError, describe_os_error

_FIRST_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
_RIFF_ID = b"RIFF"
_EBML_ID, _SEGMENT_ID = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"


def require_complete(path: Path) -> None:
    """Raise InputError where ``path`` is missing, a folder, empty, or shorter than its own structure says."""
    try:
        if path.is_dir():
            raise InputError(path, "is a folder, not a video", "give a file")
        if not path.exists():
            raise InputError(path, "no such file", "check the name")
        size = path.stat().st_size
        if size == 0:
            raise InputError(path, "is empty (0 bytes)", "copy or export it again")
        with open(path, "rb") as file:
            end = _end_of_content(file, size)
    except OSError as error:
        raise describe_os_error(error, path) from error
    if end > size:
        raise InputError(path, f"is truncated: {size} of {end} bytes", "copy or export it again")


def read_video_comment(path: str | Path) -> str | None:
    """The comment that a ``VideoWriter`` stored; None where there is none. InputError for what is no video."""
    import av

    try:
        with av.open(str(path)) as container:
            return container.metadata.get("comment")
    except (av.FFmpegError, OSError) as error:
        raise InputError(path, f"cannot be opened as a video ({error})", "make it again") from error


def _end_of_content(file: BinaryIO, size: int) -> int:
    """Where the last top-level element ends; 0 for unknown kinds of files."""
    head = file.read(8)
    if head[4:8] in _FIRST_BOXES:
        return _end_of_boxes(file, size)
    if head[:4] == _EBML_ID:
        return _end_of_segment(file)
    if head[:4] == _RIFF_ID:
        return _end_of_chunks(file, size)
    return 0


def end_by_edit_list(path: Path) -> Fraction | None:
    """When the picture of an mp4 or mov ends, in seconds, by its edit list (ISO/IEC 14496-12, 8.6.6); None without one.

    The times of packets do not tell: they say when frames are decoded, and the last of those is rarely the last shown.
    """
    with open(path, "rb") as file:
        if file.read(8)[4:] not in _FIRST_BOXES:
            return None
        try:
            return _end_of_edits(file, path.stat().st_size)
        except (KeyError, struct.error):  # no such box, or one that is too short
            return None


def _end_of_edits(file: BinaryIO, size: int) -> Fraction | None:
    movie = _boxes_in(file, *_boxes_in(file, 0, size)[b"moov"][0])
    for track in movie[b"trak"]:
        inside = _boxes_in(file, *track)
        handler = _boxes_in(file, *inside[b"mdia"][0])[b"hdlr"][0]
        if _read_at(file, ">8x4s", handler) != (b"vide",):
            continue
        edits, header = _boxes_in(file, *inside[b"edts"][0])[b"elst"][0], movie[b"mvhd"][0]
        is_long, count = _read_at(file, ">B3xI", edits)
        entry = "Q12x" if is_long else "I8x"
        count = min(count, (edits[1] - edits[0]) // struct.calcsize(f">{entry}"))
        durations = _read_at(file, ">8x" + entry * count, edits)
        (units_per_second,) = _read_at(file, ">20xI" if _read_at(file, ">B", header)[0] else ">12xI", header)
        # A last one of 0 lasts as long as the track does.
        return Fraction(sum(durations), units_per_second) if units_per_second and durations and durations[-1] else None
    return None


def _boxes(file: BinaryIO, position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
    """(name, begin of the content, end) of the boxes from ``position`` on; the end may lie behind ``end``."""
    while position + 8 <= end:
        file.seek(position)
        head = file.read(16)
        begin, (length, name) = position + 8, struct.unpack_from(">I4s", head)
        if length == 1 and len(head) == 16:
            begin, (length,) = position + 16, struct.unpack_from(">Q", head, 8)
        if length == 0:  # to the end of the file
            length = end - position
        if length < 8:  # not a box: something was appended
            return
        position += length
        yield name, begin, position


def _boxes_in(file: BinaryIO, begin: int, end: int) -> dict[bytes, list[tuple[int, int]]]:
    """Where the contents of boxes lie, by their names."""
    found: dict[bytes, list[tuple[int, int]]] = {}
    for name, *place in _boxes(file, begin, end):
        found.setdefault(name, []).append((place[0], place[1]))
    return found


def _read_at(file: BinaryIO, layout: str, place: tuple[int, int]) -> tuple:
    file.seek(place[0])
    return struct.unpack(layout, file.read(struct.calcsize(layout)))


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    return max((end for _, _, end in _boxes(file, 0, size)), default=0)


def _end_of_chunks(file: BinaryIO, size: int) -> int:
    """Files above 1 GB are several RIFF chunks in a row."""
    position = 0
    while position + 8 <= size:
        file.seek(position)
        name, length = struct.unpack("<4sI", file.read(8))
        if name != _RIFF_ID:  # something was appended
            break
        if length in (0, 0xFFFFFFFF):  # was never filled in, as in live recordings
            return size
        position += 8 + length + length % 2
    return position


def _end_of_segment(file: BinaryIO) -> int:
    file.seek(len(_EBML_ID))
    header_size = _read_vint(file)
    if header_size is None:
        return 0
    file.seek(header_size, 1)
    if file.read(4) != _SEGMENT_ID:
        return 0
    segment_size = _read_vint(file)
    return 0 if segment_size is None else file.tell() + segment_size


def _read_vint(file: BinaryIO) -> int | None:
    """An EBML variable-length integer; None for the reserved value "unknown" (live recordings) and at the end."""
    first = file.read(1)
    if not first or not first[0]:
        return None
    length = 9 - first[0].bit_length()
    data = bytes([first[0] & (0xFF >> length)]) + file.read(length - 1)
    value = int.from_bytes(data, "big")
    return None if value == (1 << (7 * length)) - 1 else value
