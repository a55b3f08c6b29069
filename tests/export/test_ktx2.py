"""KTX 2.0 files by a reader of their own, written from the specification: header, level index, descriptor, values."""

import struct

import numpy as np
import pytest

from src.export.ktx2 import encode_ktx2

zstandard = pytest.importorskip("zstandard")
imagecodecs = pytest.importorskip("imagecodecs")  # another decompressor than the one that compressed

CHANNELS = {0: "R", 1: "G", 2: "B", 15: "A"}


def read(content: bytes) -> tuple[dict, np.ndarray]:
    """What the file says, and its texels H x W x C as bytes."""
    assert content[:12] == bytes([0xAB, 0x4B, 0x54, 0x58, 0x20, 0x32, 0x30, 0xBB, 0x0D, 0x0A, 0x1A, 0x0A])
    names = ("format", "type_size", "width", "height", "depth", "layers", "faces", "levels", "scheme")
    header = dict(zip(names, struct.unpack_from("<9I", content, 12), strict=True))
    dfd_at, dfd_bytes, kvd_at, kvd_bytes = struct.unpack_from("<4I", content, 48)
    assert struct.unpack_from("<2Q", content, 64) == (0, 0), "no global data"
    level_at, level_bytes, raw_bytes = struct.unpack_from("<3Q", content, 80)
    assert (header["levels"], dfd_at) == (1, 80 + 24)
    assert dfd_at % 4 == 0 and dfd_at + dfd_bytes == kvd_at and kvd_at + kvd_bytes <= level_at
    assert level_at + level_bytes == len(content)

    total, vendor_type, version, block_bytes = struct.unpack_from("<IIHH", content, dfd_at)
    assert (total, vendor_type, version, block_bytes) == (dfd_bytes, 0, 2, dfd_bytes - 4)
    header["model"], header["primaries"], header["transfer"], flags = content[dfd_at + 12 : dfd_at + 16]
    assert flags == 0 and content[dfd_at + 16 : dfd_at + 20] == bytes(4), "blocks of one texel"
    texel_bytes, *other_planes = content[dfd_at + 20 : dfd_at + 28]
    assert not any(other_planes)
    samples = []
    for at in range(dfd_at + 28, dfd_at + dfd_bytes, 16):
        offset, length, channel = struct.unpack_from("<HBB", content, at)
        assert content[at + 4 : at + 8] == bytes(4), "at the texel's own place"
        lower, upper = struct.unpack_from("<II", content, at + 8)
        samples.append((CHANNELS[channel & 15], offset, length + 1, channel >> 4, lower, upper))
    header["samples"] = samples
    assert texel_bytes == sum(length for _, _, length, *_ in samples) // 8

    size = struct.unpack_from("<I", content, kvd_at)[0]
    key, value = content[kvd_at + 4 : kvd_at + 4 + size].split(b"\0", 1)
    assert key == b"KTXwriter" and value.endswith(b"\0") and -(-(4 + size) // 4) * 4 == kvd_bytes

    raw = imagecodecs.zstd_decode(content[level_at:])
    assert len(raw) == raw_bytes == header["width"] * header["height"] * texel_bytes
    return header, np.frombuffer(raw, np.uint8).reshape(header["height"], header["width"], texel_bytes)


def one(sign: int) -> int:
    return int(np.float32(sign).view(np.uint32))


@pytest.mark.parametrize(
    "type_, channels, vulkan_format, kind, ends",
    [  # VK_FORMAT_R32_UINT, R32G32B32A32_SFLOAT, R16G16B16A16_SFLOAT; 8 | 4: float, signed
        (np.uint32, 1, 98, 0, (0, 1)),
        (np.float32, 4, 109, 12, (one(-1), one(1))),
        (np.float16, 4, 97, 12, (one(-1), one(1))),
    ],
)
def test_texels_come_back_bit_by_bit(type_: type, channels: int, vulkan_format: int, kind: int, ends: tuple) -> None:
    texels = (np.random.default_rng(0).standard_normal((5, 7, channels)) * 1000).astype(type_)
    header, found = read(encode_ktx2(texels))
    bits = 8 * texels.itemsize
    assert header["samples"] == [("RGBA"[k], k * bits, bits, kind, *ends) for k in range(channels)]
    assert (header["format"], header["type_size"], header["scheme"]) == (vulkan_format, texels.itemsize, 2)
    assert (header["width"], header["height"], header["depth"], header["layers"], header["faces"]) == (7, 5, 0, 0, 1)
    assert (header["model"], header["primaries"], header["transfer"]) == (1, 1, 1)  # RGBSDA, BT.709, linear
    assert found.tobytes() == texels.tobytes()
