"""What an AVIF or HEIF file says of its primary picture (ISO/IEC 23008-12; boxes by ISO/IEC 14496-12)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np


@dataclass(frozen=True)
class HeifProperties:
    """``turns``: ('irot', quarter turns to the left) and ('imir', axis), in the order in which they apply.

    ``bits`` per channel. ``cicp``: (primaries, transfer) of an nclx colr box, ``icc`` a profile; None without.
    ``is_cropped``: a clean aperture is declared.
    """

    bits: int = 8
    turns: tuple[tuple[str, int], ...] = ()
    cicp: tuple[int, int] | None = None
    icc: bytes | None = None
    is_cropped: bool = False

    def turn(self, pixels: np.ndarray) -> np.ndarray:
        """``pixels`` (rows, columns, ...) as they are to be shown."""
        for kind, value in self.turns:
            # Axis 0 exchanges top and bottom, 1 left and right.
            pixels = np.rot90(pixels, value) if kind == "irot" else np.flip(pixels, value)
        return np.ascontiguousarray(pixels)

    @property
    def is_on_its_side(self) -> bool:
        return sum(value for kind, value in self.turns if kind == "irot") % 2 == 1


def heif_properties(data: bytes) -> HeifProperties:
    """The properties of the primary item; the defaults where the boxes are missing or broken."""
    try:
        return _properties(data)
    except (struct.error, IndexError, StopIteration):
        return HeifProperties()


def _properties(data: bytes) -> HeifProperties:
    meta = next(body for kind, body in _boxes(data) if kind == b"meta")[4:]
    boxes = dict(_boxes(meta))
    primary = struct.unpack_from(">H" if boxes[b"pitm"][0] == 0 else ">I", boxes[b"pitm"], 4)[0]
    properties = list(_boxes(dict(_boxes(boxes[b"iprp"]))[b"ipco"]))
    associations = [body for kind, body in _boxes(boxes[b"iprp"]) if kind == b"ipma"]
    own = [properties[index - 1] for body in associations for index in _associated(body, primary) if index]
    found = HeifProperties(turns=tuple(_turns(own)))
    for kind, body in own:
        if kind == b"pixi":
            found = replace(found, bits=body[5])
        elif kind == b"av1C" and not any(other == b"pixi" for other, _ in own):
            found = replace(found, bits=8 if not body[2] & 0x40 else 12 if body[2] & 0x20 else 10)
        elif kind == b"colr" and body[:4] == b"nclx":
            primaries, transfer = struct.unpack_from(">HH", body, 4)
            found = replace(found, cicp=(primaries, transfer))
        elif kind == b"colr" and body[:4] in (b"prof", b"rICC"):
            found = replace(found, icc=body[4:])
        elif kind == b"clap":
            found = replace(found, is_cropped=True)
    return found


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    position = 0
    while position + 8 <= len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        header = 8
        if size == 1:
            (size,) = struct.unpack_from(">Q", data, position + 8)
            header = 16
        end = len(data) if size == 0 else position + size
        if end < position + header:
            return
        yield kind, data[position + header : end]
        position = end


def _associated(ipma: bytes, item: int) -> list[int]:
    """The numbers of the item's properties, from 1, in the order in which they apply."""
    version, is_wide = ipma[0], ipma[3] & 1
    (count,) = struct.unpack_from(">I", ipma, 4)
    position = 8
    for _ in range(count):
        (found,) = struct.unpack_from(">I" if version else ">H", ipma, position)
        position += 4 if version else 2
        length = ipma[position]
        width = 2 if is_wide else 1
        indices = struct.unpack_from(f">{length}{'H' if is_wide else 'B'}", ipma, position + 1)
        position += 1 + length * width
        if found == item:
            return [index & (0x7FFF if is_wide else 0x7F) for index in indices]
    return []


def _turns(properties: list[tuple[bytes, bytes]]) -> Iterator[tuple[str, int]]:
    for kind, body in properties:
        if kind == b"irot":
            yield "irot", body[0] & 3
        elif kind == b"imir":
            yield "imir", body[0] & 1
