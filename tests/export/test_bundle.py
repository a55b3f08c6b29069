import hashlib
import json
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch

from src.export import bundle
from src.export.bundle import decode_bundle, encode_bundle, read_bundle, write_bundle
from src.export.entropy import CorruptStream
from src.models.grid.decoder import GridDecoder
from src.utils.cli import InputError
from src.utils.texel_grid import texel_xy
from tests.lightmap_example import HOURS, started_grid

STORED = Path(__file__).parent / "day_v1.tod"
STORED_2 = STORED.with_name("day_v2.tod")
STORED_3 = STORED.with_name("day_v3.tod")
STORED_HOURS = (0.0, 5.95, 10.5, 18.1)


def example_decoder(
    latent_dim: int = 3, latent_bits: int = 6, coarse: tuple = ((2, 2), (4, 3)), blocks: bool = False
) -> GridDecoder:
    grid, _ = started_grid(latent_dim, latent_bits, coarse, blocks)
    torch.nn.init.normal_(grid.f2_weights.hour_weight[grid.config.z_dim :].detach(), std=0.02)
    return grid.decoder()


def reseal(content: bytes, header: dict | None = None, **sections: bytes) -> bytes:
    """A bundle with another header or other sections whose checksum is right: what a hostile writer makes."""
    size = struct.unpack_from("<I", content, 12)[0]
    old = json.loads(content[16 : 16 + size])
    parts, first = {}, 16 + size
    for name, length in old["sections"].items():
        parts[name] = sections.get(name, content[first : first + length])
        first += length
    new = {**old, "sections": {name: len(part) for name, part in parts.items()}, **(header or {})}
    text = json.dumps(new).encode()
    body = content[:12] + struct.pack("<I", len(text)) + text + b"".join(parts.values())
    return body + hashlib.sha256(body).digest()


@pytest.mark.parametrize(
    "latent_bits, coarse, blocks",
    [(4, (), False), (6, ((3, 2),), False), (8, ((2, 2), (4, 3)), False), (6, (), True), (8, (), True)],
)
def test_a_bundle_gives_back_the_decoder_bit_for_bit(
    tmp_path: Path, latent_bits: int, coarse: tuple, blocks: bool
) -> None:
    decoder = example_decoder(latent_bits=latent_bits, coarse=coarse, blocks=blocks)
    size_bytes = write_bundle(tmp_path / "täg 日.tod", decoder)
    stored = read_bundle(tmp_path / "täg 日.tod")
    assert size_bytes == (tmp_path / "täg 日.tod").stat().st_size
    assert stored.config == decoder.config
    assert stored.resident_bytes == decoder.resident_bytes
    assert size_bytes < decoder.resident_bytes
    assert np.array_equal(stored.render([0.0, 5.95, 12.3]), decoder.render([0.0, 5.95, 12.3]))
    xy = texel_xy(torch.tensor([500, 1200]), decoder.height, decoder.width)
    assert torch.equal(stored.decode(xy, 12.3), decoder.decode(xy, 12.3))


def test_every_flipped_byte_and_every_cut_is_found(tmp_path: Path) -> None:
    content = encode_bundle(example_decoder())
    for position in range(len(content)):
        damaged = bytearray(content)
        damaged[position] ^= 1 << (position % 8)
        with pytest.raises(CorruptStream):
            decode_bundle(bytes(damaged))
    for length in range(0, len(content), 13):
        with pytest.raises(CorruptStream):
            decode_bundle(content[:length])
    path = tmp_path / "cut.tod"
    path.write_bytes(content[:-1])
    with pytest.raises(InputError, match="truncated or damaged"):
        read_bundle(path)
    with pytest.raises(InputError, match=r"(?i)no such file"):
        read_bundle(tmp_path / "missing.tod")


@pytest.mark.parametrize(
    "lie",
    [
        {"height": 1 << 30},
        {"width": -1},
        {"height": 41},
        {"latent_dim": 10**9},
        {"latent_dim": 2},
        {"latent_bits": 5},
        {"latent_bits": 8},
        {"hidden_f2": 10**6},
        {"layers_f2": 10**6},
        {"layers_f2": 0},
        {"hours": []},
        {"hours": [0.0, 30.0]},
        {"hours": list(reversed(HOURS))},
        {"hours": "noon"},
        {"events": [float("nan")]},
        {"events": [None]},
        {"frame_scale": [1.0]},
        {"frame_scale": [float("inf")] * len(HOURS)},
        {"is_radiance": "yes"},
        {"regions": [["a", 0, 99, 5]]},
        {"regions": [["a", 0, 5]]},
        {"regions": [7]},
        {"coarse": 3},
        {"coarse": [7]},
        {"coarse": ["ab"]},
        {"coarse": [[2, 2]]},
        {"coarse": [[4, 3], [2, 2]]},
        {"coarse": [[2, 2], [4, 31]]},
        {"coarse": [[2, 2], [1 << 20, 3]]},
        {"coarse": [[2, 2], [4, 2.5]]},
        {"coarse": [[2, 2]] * 1000},
        {"sections": {"mask": 1, "f2": 1, "planes": 1}},
        {"sections": {"mask": 1 << 60, "f2": 1, "planes": 1}},
        {"sections": None},
        {"height": True},
    ],
    ids=str,
)
def test_sizes_that_lie_are_refused_though_the_checksum_fits(lie: dict) -> None:
    with pytest.raises(CorruptStream):
        decode_bundle(reseal(encode_bundle(example_decoder()), lie))


def test_hostile_sections_are_refused_though_the_checksum_fits() -> None:
    content = encode_bundle(example_decoder())
    assert decode_bundle(reseal(content)).config.latent_dim == 3
    bomb = zlib.compress(bytes(1 << 24))
    for sections in ({"mask": bomb}, {"mask": b"?"}, {"planes": bomb}, {"planes": b"\0" * 40}, {"f2": b"\0" * 12}):
        with pytest.raises(CorruptStream):
            decode_bundle(reseal(content, **sections))
    f2 = encode_bundle(example_decoder())
    size = json.loads(f2[16 : 16 + struct.unpack_from("<I", f2, 12)[0]])["sections"]["f2"]
    with pytest.raises(CorruptStream, match="finite"):
        decode_bundle(reseal(content, f2=b"\xff" * size))


def test_a_newer_version_is_named() -> None:
    content = bytearray(encode_bundle(example_decoder()))
    content[8] = bundle.VERSION + 1
    with pytest.raises(CorruptStream, match="version 4, this code reads up to 3"):
        decode_bundle(bytes(content))


def test_the_stored_bundle_of_version_1_still_decodes() -> None:
    expected = np.load(STORED.with_suffix(".npy"))
    decoded = read_bundle(STORED).render(STORED_HOURS)[:, ::4, ::4]
    assert decoded.shape == expected.shape
    assert np.abs(decoded - expected).max() < 1e-5 * expected.max() + 1e-6


def test_the_stored_bundle_of_version_2_still_decodes() -> None:
    expected = np.load(STORED_2.with_suffix(".npy"))
    decoder = read_bundle(STORED_2)
    assert decoder.config.coarse == ((2, 2), (4, 3))
    decoded = decoder.render(STORED_HOURS)[:, ::4, ::4]
    assert decoded.shape == expected.shape
    assert np.abs(decoded - expected).max() < 1e-5 * expected.max() + 1e-6


def test_the_stored_bundle_of_version_3_still_decodes() -> None:
    expected = np.load(STORED_3.with_suffix(".npy"))
    decoder = read_bundle(STORED_3)
    assert decoder.config.blocks and decoder.resident_bytes == 8900
    decoded = decoder.render(STORED_HOURS)[:, ::4, ::4]
    assert decoded.shape == expected.shape
    assert np.abs(decoded - expected).max() < 1e-5 * expected.max() + 1e-6


@pytest.mark.parametrize("header", [{"blocks": False}, {"blocks": 1}, {"coarse": [[2, 2]]}, {"latent_bits": 9}])
def test_a_header_that_version_3_cannot_have_is_refused(header: dict) -> None:
    content = encode_bundle(example_decoder(coarse=(), blocks=True))
    with pytest.raises(CorruptStream):
        decode_bundle(reseal(content, header))
    older = bytearray(reseal(content))
    older[8] = 2
    with pytest.raises(CorruptStream, match="version"):
        decode_bundle(bytes(older[:-32]) + hashlib.sha256(bytes(older[:-32])).digest())
