"""Temporal PCA whose planes are GPU textures: BC4 or ASTC blocks, the basis a small table beside them.

Access to single texels is the hardware's: as many reads as there are textures, then a product with the basis' row of
the hour. The same bytes on disk and in memory.
"""

from __future__ import annotations

import numpy as np

from src.evaluation.lightmap.peers.coding import Peer, pad_to_multiple
from src.evaluation.lightmap.peers.temporal_pca import analyse
from src.evaluation.lightmap.quality import Coded

ASTC_CHANNELS = 4  # of a texture, RGBA


def _unit_planes(coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``H x W x K`` -> every plane stretched to [0, 1], and the K ranges and lowest values that undo it."""
    low = coefficients.min((0, 1))
    extent = np.maximum(coefficients.max((0, 1)) - low, np.float32(1e-12))
    return (coefficients - low) / extent, extent, low


def _pca_bc4(frames: np.ndarray, mask: np.ndarray, is_radiance: bool, count: int) -> Coded:
    """One texture per plane, 4 bits per texel."""
    import etcpak
    import imagecodecs

    basis, coefficients = analyse(frames, mask, is_radiance, count)
    unit, extent, low = _unit_planes(coefficients)
    codes = pad_to_multiple(np.round(unit * 255).astype(np.uint8), 4)
    height, width = codes.shape[:2]
    textures = [
        etcpak.compress_bc4(np.repeat(plane[..., None], 4, axis=-1).tobytes(), width, height)
        for plane in np.moveaxis(codes, -1, 0)
    ]

    def decode() -> np.ndarray:
        planes = [imagecodecs.bcn_decode(each, imagecodecs.BCN.FORMAT.BC4, shape=(height, width)) for each in textures]
        stored = np.stack(planes, -1)[: mask.shape[0], : mask.shape[1]].astype(np.float32) / 255
        return basis.decode(stored * extent + low)

    size = sum(map(len, textures)) + basis.size_bytes + extent.nbytes + low.nbytes
    return Coded(size, size, decode)


def _pca_astc(frames: np.ndarray, mask: np.ndarray, is_radiance: bool, blocks: tuple[int, ...]) -> Coded:
    """Four planes per texture. The encoder weighs a channel's error by the square of its plane's range."""
    import astc_encoder as astc

    basis, coefficients = analyse(frames, mask, is_radiance, ASTC_CHANNELS * len(blocks))
    unit, extent, low = _unit_planes(coefficients)
    height, width = mask.shape
    empty, swizzle = astc.ASTCImage(astc.ASTCType.F16, width, height, 1), astc.ASTCSwizzle()
    textures = []
    for first, block in zip(range(0, unit.shape[-1], ASTC_CHANNELS), blocks, strict=False):
        planes, extents = unit[..., first : first + ASTC_CHANNELS], extent[first : first + ASTC_CHANNELS]
        absent = ASTC_CHANNELS - len(extents)
        rgba = np.pad(planes, ((0, 0), (0, 0), (0, absent))).astype(np.float16)
        weights = np.pad((extents / extents.max()) ** 2, (0, absent))
        config = astc.ASTCConfig(astc.ASTCProfile.LDR, block, block, quality=astc.ASTCQualityPreset.MEDIUM)
        config.cw_r_weight, config.cw_g_weight, config.cw_b_weight, config.cw_a_weight = weights.tolist()
        context = astc.ASTCContext(config)
        image = astc.ASTCImage(astc.ASTCType.F16, width, height, 1, rgba.tobytes())
        textures.append((context, context.compress(image, swizzle)))

    def decode() -> np.ndarray:
        pictures = [bytes(context.decompress(data, empty, swizzle).data or b"") for context, data in textures]
        planes = np.frombuffer(b"".join(pictures), np.float16).reshape(-1, height, width, ASTC_CHANNELS)
        stored = np.concatenate(list(planes), -1)[..., : len(extent)].astype(np.float32)
        return basis.decode(stored * extent + low)

    size = sum(len(data) for _, data in textures) + basis.size_bytes + extent.nbytes + low.nbytes
    return Coded(size, size, decode)


PCA_BC4 = Peer("pca_bc4", (4, 8, 16, 24, 32), lambda count: f"{count} planes", _pca_bc4, ("etcpak", "imagecodecs"))
PCA_ASTC = Peer(
    "pca_astc",
    ((8,) * 4, (6,) * 5, (5,) * 6, (4,) * 8),
    lambda blocks: f"{ASTC_CHANNELS * len(blocks)} planes",
    _pca_astc,
    ("astc_encoder",),
)
