"""One file for a day of lightmaps: quantised latents, F2, mask, and what they mean. Format: docs/bundle-format.md."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import struct
import zlib
from pathlib import Path

import numpy as np
import torch

from src.export import plane_codec
from src.export.entropy import CorruptStream
from src.models.grid.block_latents import BlockLatents
from src.models.grid.config import LATENT_BITS, GridConfig
from src.models.grid.decoder import GridDecoder
from src.models.grid.f2_weights import F2Weights
from src.models.grid.latent_levels import LatentLevels
from src.models.grid.packed_latents import block_mask
from src.utils.atomic import atomic_path
from src.utils.cli import InputError, describe_os_error

MAGIC = b"\x89TOD\r\n\x1a\n"  # as in PNG: a transfer that alters text, or 7-bit transport, shows at once
VERSION = 3  # 1 knew no coarser latents, 2 no blocks
VERSION_OF_ROWS = 2
DIGEST_BYTES = 32
MAX_TEXELS = 1 << 24
MAX_VALUES = 1 << 28  # latents in all planes
MAX_FRAMES = 1024
MAX_HEADER_BYTES = 1 << 20
MAX_WIDTH_F2 = 1024
MAX_LAYERS_F2 = 16
MAX_COARSE = 4  # levels
MAX_STRIDE = 256
_PREFIX = struct.Struct("<8sII")  # magic, version, header bytes
_REMEDY = "export it again"


def write_bundle(path: str | Path, decoder: GridDecoder) -> int:
    """Write a bundle atomically and return its size in bytes. Raises :class:`InputError` when the disk refuses."""
    content = encode_bundle(decoder)
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(content)
    except OSError as error:
        raise describe_os_error(error, path) from error
    return len(content)


def encode_bundle(decoder: GridDecoder) -> bytes:
    """The bytes of a bundle: prefix, JSON header, sections mask, F2 and planes, SHA-256 of all before it."""
    config = decoder.config
    mask = np.zeros(config.height * config.width, bool)
    mask[decoder.latents.valid[0].cpu().numpy()] = True
    valid = torch.from_numpy(mask.reshape(config.height, config.width))
    sections = {
        "mask": zlib.compress(np.packbits(mask).tobytes(), 9),
        "f2": b"".join(array.cpu().numpy().astype("<f2").tobytes() for array in decoder.f2.arrays()),
    }
    for name, values, blocks in zip(_plane_sections(config), *_planes(decoder, valid), strict=True):
        sections[name] = plane_codec.encode(values.cpu().numpy(), blocks.numpy(), config.latent_bits)
    header = {
        **config.to_dict(),
        "frame_scale": decoder.frame_scale.tolist(),
        "sections": {name: len(data) for name, data in sections.items()},
    }
    text = json.dumps(header, separators=(",", ":")).encode()
    version = VERSION if config.blocks else VERSION_OF_ROWS
    content = _PREFIX.pack(MAGIC, version, len(text)) + text + b"".join(sections.values())
    return content + hashlib.sha256(content).digest()


def read_bundle(path: str | Path, device: str | torch.device = "cpu") -> GridDecoder:
    """The decoder of a bundle. Raises :class:`InputError` when the file is missing, cut off, damaged or not a bundle.

    What is allocated is bounded by the limits above: some 50 bytes per texel and 12 per value.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except OSError as error:
        raise describe_os_error(error, path) from error
    try:
        return decode_bundle(content, device)
    except CorruptStream as error:
        raise InputError(path, f"cannot be read as a bundle ({error})", _REMEDY) from None


def decode_bundle(content: bytes, device: str | torch.device = "cpu") -> GridDecoder:
    """The inverse of :func:`encode_bundle`. Raises :class:`CorruptStream` for anything that it did not write."""
    if len(content) < _PREFIX.size + DIGEST_BYTES or not content.startswith(MAGIC):
        raise CorruptStream("it does not start as one")
    _, version, header_bytes = _PREFIX.unpack_from(content)
    body, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if version > VERSION:
        raise CorruptStream(f"version {version}, this code reads up to {VERSION}")
    if hashlib.sha256(body).digest() != digest:
        raise CorruptStream("the checksum does not fit: truncated or damaged")
    if header_bytes > MAX_HEADER_BYTES or _PREFIX.size + header_bytes > len(body):
        raise CorruptStream("the header has an impossible size")
    config, frame_scale, sizes = _parse_header(body[_PREFIX.size : _PREFIX.size + header_bytes])
    sections, first = {}, _PREFIX.size + header_bytes
    for name in ("mask", "f2", *_plane_sections(config)):
        sections[name] = body[first : first + sizes[name]]
        first += sizes[name]
    if first != len(body):
        raise CorruptStream("the sections do not fill the file")
    if config.blocks != (version >= VERSION):
        raise CorruptStream("the header does not go with the version")
    mask = torch.from_numpy(_read_mask(sections["mask"], config))
    f2 = F2Weights.from_arrays([torch.from_numpy(array).to(device) for array in _read_f2(sections["f2"], config)])
    levels = []
    for name, (stride, channels) in zip(_plane_sections(config), ((1, config.latent_dim), *config.coarse), strict=True):
        blocks = block_mask(mask, stride).numpy()
        values = plane_codec.decode(sections[name], blocks, channels, config.latent_bits)
        levels.append((stride, torch.from_numpy(values).to(device)))
    if config.blocks:
        latents: BlockLatents | LatentLevels = BlockLatents.pack(mask.to(device), levels[0][1], config.latent_bits)
    else:
        latents = LatentLevels(mask.to(device), levels, config.latent_bits)
    return GridDecoder(config, latents, f2, torch.tensor(frame_scale, device=device))


def _planes(decoder: GridDecoder, mask: torch.Tensor) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """The values N x D of each level's valid texels or blocks, row-major, and which of them are valid."""
    latents = decoder.latents
    if isinstance(latents, BlockLatents):
        return [latents.unpack([slice(None)])[latents.valid[0].argsort()]], [mask]
    blocks = [block_mask(mask, level.stride) for level in latents.levels]
    return [level.latents.unpack(slice(None)) for level in latents.levels], blocks


def _plane_sections(config: GridConfig) -> list[str]:
    """Names of the sections that hold the latents, full resolution first."""
    return ["planes", *(f"planes_{stride}" for stride, _ in config.coarse)]


def _parse_header(data: bytes) -> tuple[GridConfig, list[float], dict[str, int]]:
    try:
        header = json.loads(data)
        config = GridConfig.from_dict(header)
        frame_scale, sizes = header["frame_scale"], header["sections"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CorruptStream("the header is not understood") from error
    counts = (config.height, config.width, config.latent_dim, config.hidden_f2, config.layers_f2)
    hours = config.hours
    fits = (
        all(_is_count(value) for value in counts)
        and config.height * config.width <= MAX_TEXELS
        and _are_coarse_levels(config)
        and _value_count(config) <= MAX_VALUES
        and config.latent_bits in LATENT_BITS
        and isinstance(config.is_radiance, bool)
        and isinstance(config.blocks, bool)
        and not (config.blocks and config.coarse)
        and 1 <= len(hours) <= MAX_FRAMES
        and config.latent_dim <= 3 * len(hours)
        and config.hidden_f2 <= MAX_WIDTH_F2
        and config.layers_f2 <= MAX_LAYERS_F2
        and _are_hours(hours)
        and all(a < b for a, b in itertools.pairwise(hours))
        and len(config.events) <= MAX_FRAMES
        and _are_hours(config.events)
        and all(_is_region(region, config) for region in config.regions)
        and isinstance(frame_scale, list)
        and len(frame_scale) == len(hours)
        and all(_is_number(value) and value > 0 for value in frame_scale)
        and isinstance(sizes, dict)
        and all(_is_count(sizes.get(name)) for name in ("mask", "f2", *_plane_sections(config)))
    )
    if not fits:
        raise CorruptStream("the header holds impossible values")
    return config, frame_scale, sizes


def _are_coarse_levels(config: GridConfig) -> bool:
    """Whether strides grow, and no level has more channels than a day has values."""
    strides = [1]
    for level in config.coarse:
        if len(level) != 2 or not all(_is_count(value) for value in level):
            return False
        if not strides[-1] < level[0] <= MAX_STRIDE or level[1] > 3 * len(config.hours):
            return False
        strides.append(level[0])
    return len(config.coarse) <= MAX_COARSE


def _value_count(config: GridConfig) -> int:
    """Latents of all levels, were every texel valid."""
    levels = ((1, config.latent_dim), *config.coarse)
    return sum(-(-config.height // stride) * -(-config.width // stride) * channels for stride, channels in levels)


def _is_region(region: tuple, config: GridConfig) -> bool:
    """Whether ``region`` is (name, first row, height, width) inside the map."""
    if len(region) != 4 or not isinstance(region[0], str):
        return False
    _, row, height, width = region
    inside = (row == 0 and isinstance(row, int)) or _is_count(row)
    return inside and _is_count(height) and _is_count(width) and row + height <= config.height and width <= config.width


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= MAX_TEXELS * 8


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _are_hours(values: tuple) -> bool:
    return all(_is_number(value) and 0 <= value < 24 for value in values)


def _read_mask(data: bytes, config: GridConfig) -> np.ndarray:
    texels = config.height * config.width
    packed_bytes = -(-texels // 8)
    try:
        raw = zlib.decompressobj().decompress(data, packed_bytes + 1)
    except zlib.error as error:
        raise CorruptStream("the mask is damaged") from error
    if len(raw) != packed_bytes:
        raise CorruptStream("the mask has the wrong size")
    mask = np.unpackbits(np.frombuffer(raw, np.uint8), count=texels).astype(bool)
    if not mask.any():
        raise CorruptStream("no texel is valid")
    return mask.reshape(config.height, config.width)


def _read_f2(data: bytes, config: GridConfig) -> list[np.ndarray]:
    shapes = config.f2_shapes
    sizes = [math.prod(shape) for shape in shapes]
    if len(data) != 2 * sum(sizes):
        raise CorruptStream("F2 has the wrong size")
    values = np.frombuffer(data, "<f2")
    if not np.isfinite(values).all():
        raise CorruptStream("F2 holds values that are not finite")
    ends = np.cumsum(sizes)
    return [
        values[end - size : end].reshape(shape).copy() for end, size, shape in zip(ends, sizes, shapes, strict=True)
    ]
