"""Picture files made byte by byte, with what the libraries' writers cannot write."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

Chunk = tuple[bytes, bytes]


def random_image(height: int = 13, width: int = 17, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), dtype=np.float32)


def png_bytes(rows: Sequence[bytes], width: int, depth: int, colour_type: int, *chunks: Chunk) -> bytes:
    """A PNG of unfiltered rows, with ``chunks`` in front of the pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, len(rows), depth, colour_type, 0, 0, 0))
    body = chunk(b"IDAT", zlib.compress(b"".join(b"\0" + row for row in rows)))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(chunk(*c) for c in chunks) + body + chunk(b"IEND", b"")


def png_of(codes: np.ndarray, *chunks: Chunk) -> bytes:
    """A PNG of uint8 or uint16 codes, H x W (grey) or H x W x {2, 3, 4}."""
    channels = 1 if codes.ndim == 2 else codes.shape[2]
    depth = codes.dtype.itemsize * 8
    rows = [row.astype(f">u{codes.dtype.itemsize}").tobytes() for row in codes]
    return png_bytes(rows, codes.shape[1], depth, {1: 0, 2: 4, 3: 2, 4: 6}[channels], *chunks)


def icc_profile(tags: dict[bytes, bytes], kind: bytes = b"RGB ", connection: bytes = b"XYZ ") -> bytes:
    table, data, start = b"", b"", 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value + b"\0" * (-len(value) % 4)
    body = struct.pack(">I", len(tags)) + table + data
    head = struct.pack(">I4sI", 128 + len(body), b"none", 0x04000000) + b"mntr" + kind + connection + b"\0" * 12
    return head + b"acsp" + b"\0" * 28 + _fixed(0.9642, 1, 0.8249) + b"\0" * 48 + body


def rgb_profile(columns: np.ndarray, curves: Sequence[bytes]) -> bytes:
    """``columns``: XYZ (D50) of red, green and blue, as the columns of a 3 x 3 matrix."""
    tags = {b"desc": _text("made"), b"cprt": _text("none"), b"wtpt": xyz_tag(0.9642, 1, 0.8249)}
    for name, column, curve in zip((b"r", b"g", b"b"), columns.T, curves, strict=True):
        tags[name + b"XYZ"] = xyz_tag(*column)
        tags[name + b"TRC"] = curve
    return icc_profile(tags)


def grey_profile(curve: bytes) -> bytes:
    tags = {b"desc": _text("made"), b"cprt": _text("none"), b"wtpt": xyz_tag(0.9642, 1, 0.8249), b"kTRC": curve}
    return icc_profile(tags, b"GRAY")


def xyz_tag(*xyz: float) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*xyz)


def gamma_curve(gamma: float) -> bytes:
    """``curv`` with one value, an exponent in steps of 1 / 256."""
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def sampled_curve(values: np.ndarray) -> bytes:
    codes = np.rint(values * 65535).astype(">u2")
    return b"curv\0\0\0\0" + struct.pack(">I", len(codes)) + codes.tobytes()


def parametric_curve(kind: int, *parameters: float) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + _fixed(*parameters)


def _fixed(*values: float) -> bytes:
    return b"".join(struct.pack(">i", round(value * 65536)) for value in values)


def _text(words: str) -> bytes:
    data = words.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">IIHHII", 1, 12, 0x656E, 0x5553, len(data), 28) + data


def with_heif_properties(data: bytes, *properties: tuple[bytes, bytes]) -> bytes:
    """An AVIF or HEIC file with further properties of its primary item, for example ``(b"irot", bytes([1]))``."""
    added = b"".join(struct.pack(">I4s", 8 + len(body), kind) + body for kind, body in properties)
    meta_at, meta = _find_box(data, b"meta")
    primary = struct.unpack_from(">H", _find_box(meta[4:], b"pitm")[1], 4)[0]
    iprp = _find_box(meta[4:], b"iprp")[1]
    ipco, ipma = _find_box(iprp, b"ipco")[1], _find_box(iprp, b"ipma")[1]
    first = 1 + sum(1 for _ in _boxes(ipco))
    new_ipma, position = bytearray(ipma[:8]), 8
    for _ in range(struct.unpack_from(">I", ipma, 4)[0]):
        item, count = struct.unpack_from(">HB", ipma, position)
        own = ipma[position + 3 : position + 3 + count]
        position += 3 + count
        more = bytes(0x80 | (first + k) for k in range(len(properties))) if item == primary else b""
        new_ipma += struct.pack(">HB", item, count + len(more)) + own + more
    new_iprp = _box(b"ipco", ipco + added) + _box(b"ipma", bytes(new_ipma))
    growth = len(new_iprp) - len(iprp)
    new_meta = meta[:4]
    for kind, body in _boxes(meta[4:]):
        new_meta += _box(kind, new_iprp if kind == b"iprp" else _moved(body, growth) if kind == b"iloc" else body)
    return data[:meta_at] + _box(b"meta", new_meta) + data[meta_at + 8 + len(meta) :]


def _moved(iloc: bytes, growth: int) -> bytes:
    """Every extent ``growth`` bytes further on; version 0, offsets and lengths of 4 bytes, no base offset."""
    assert iloc[0] == 0 and iloc[4] == 0x44 and iloc[5] >> 4 in (0, 4), iloc[:8].hex()
    result, position = bytearray(iloc), 8
    for _ in range(struct.unpack_from(">H", iloc, 6)[0]):
        position += 4 + (iloc[5] >> 4)
        (extents,) = struct.unpack_from(">H", iloc, position)
        position += 2
        for _ in range(extents):
            struct.pack_into(">I", result, position, struct.unpack_from(">I", iloc, position)[0] + growth)
            position += 8
    return bytes(result)


def _box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I4s", 8 + len(body), kind) + body


def _boxes(data: bytes):
    position = 0
    while position < len(data):
        size, kind = struct.unpack_from(">I4s", data, position)
        yield kind, data[position + 8 : position + size]
        position += size


def _find_box(data: bytes, wanted: bytes) -> tuple[int, bytes]:
    position = 0
    for kind, body in _boxes(data):
        if kind == wanted:
            return position, body
        position += 8 + len(body)
    raise LookupError(wanted)


def write_raw_exr(
    path: Path,
    channels: dict[str, tuple[np.ndarray, int]],
    size: tuple[int, int],
    origin: tuple[int, int] = (0, 0),
    **attributes: tuple[str, bytes],
) -> None:
    """Uncompressed scanlines. ``channels``: name -> (plane of float16, float32 or uint32, its sampling in x and y).

    ``size`` is (height, width) of the data window, ``origin`` its upper left corner (x, y); ``attributes`` are
    (type, value) pairs; those of the same name are replaced.
    """
    x0, y0 = origin
    window = struct.pack("<4i", x0, y0, x0 + size[1] - 1, y0 + size[0] - 1)
    kinds = {"uint32": 0, "float16": 1, "float32": 2}
    ordered = sorted(channels.items())
    listed = b"".join(
        name.encode() + b"\0" + struct.pack("<IIII", kinds[plane.dtype.name], 0, sampling, sampling)
        for name, (plane, sampling) in ordered
    )
    header = {
        "channels": ("chlist", listed + b"\0"),
        "compression": ("compression", b"\0"),
        "dataWindow": ("box2i", window),
        "displayWindow": ("box2i", window),
        "lineOrder": ("lineOrder", b"\0"),
        "pixelAspectRatio": ("float", struct.pack("<f", 1)),
        "screenWindowCenter": ("v2f", bytes(8)),
        "screenWindowWidth": ("float", struct.pack("<f", 1)),
        **attributes,
    }
    head = b"\x76\x2f\x31\x01" + struct.pack("<I", 2)
    for name, (kind, value) in header.items():
        head += name.encode() + b"\0" + kind.encode() + b"\0" + struct.pack("<I", len(value)) + value
    head += b"\0"
    lines = []
    for row in range(size[0]):
        data = b"".join(plane[row // step].tobytes() for _, (plane, step) in ordered if row % step == 0)
        lines.append(struct.pack("<iI", y0 + row, len(data)) + data)
    starts = len(head) + 8 * len(lines) + np.cumsum([0, *map(len, lines[:-1])])
    path.write_bytes(head + starts.astype("<u8").tobytes() + b"".join(lines))
