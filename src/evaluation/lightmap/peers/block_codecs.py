"""GPU block formats, one texture per frame: random access by hardware, the same bytes on disk and in memory."""

from __future__ import annotations

import numpy as np

from src.evaluation.lightmap.peers.coding import Peer, Transfer, fill_invalid, pad_to_multiple
from src.evaluation.lightmap.quality import Coded


def _bc7(frames: np.ndarray, mask: np.ndarray, is_radiance: bool, uber_level: int) -> Coded:
    import etcpak
    import imagecodecs

    transfer = Transfer.of(frames, is_radiance, per_frame=True)
    codes = pad_to_multiple(fill_invalid(transfer.to_codes(frames, 8), mask), 4)
    padded_height, padded_width = codes.shape[1:3]
    rgba = np.concatenate([codes, np.full_like(codes[..., :1], 255)], axis=-1)
    parameters = etcpak.BC7CompressBlockParams()
    parameters.init_linear_weights()
    parameters.m_uber_level = uber_level
    textures = [etcpak.compress_bc7(frame.tobytes(), padded_width, padded_height, parameters) for frame in rgba]
    height, width = mask.shape

    def decode() -> np.ndarray:
        shape = (padded_height, padded_width, 4)
        pictures = [imagecodecs.bcn_decode(texture, imagecodecs.BCN.FORMAT.BC7, shape=shape) for texture in textures]
        return transfer.from_codes(np.stack(pictures)[:, :height, :width, :3], 8)

    size = sum(map(len, textures)) + transfer.size_bytes
    return Coded(size, size, decode)


def _astc(frames: np.ndarray, mask: np.ndarray, is_radiance: bool, block: int) -> Coded:
    import astc_encoder as astc

    transfer = Transfer.of(frames, is_radiance, per_frame=True)
    unit = fill_invalid(transfer.to_unit(frames), mask).astype(np.float16)
    rgba = np.concatenate([unit, np.ones_like(unit[..., :1])], axis=-1)
    height, width = mask.shape
    config = astc.ASTCConfig(astc.ASTCProfile.LDR, block, block, quality=astc.ASTCQualityPreset.MEDIUM)
    context, swizzle = astc.ASTCContext(config), astc.ASTCSwizzle()
    textures = [
        context.compress(astc.ASTCImage(astc.ASTCType.F16, width, height, 1, frame.tobytes()), swizzle)
        for frame in rgba
    ]

    def decode() -> np.ndarray:
        empty = astc.ASTCImage(astc.ASTCType.F16, width, height, 1)
        pictures = [bytes(context.decompress(texture, empty, swizzle).data or b"") for texture in textures]
        shape = (len(textures), height, width, 4)
        return transfer.from_unit(
            np.frombuffer(b"".join(pictures), np.float16).reshape(shape)[..., :3].astype(np.float32)
        )

    size = sum(map(len, textures)) + transfer.size_bytes
    return Coded(size, size, decode)


BC7 = Peer("bc7", (1,), lambda level: f"per frame, uber level {level}", _bc7, ("etcpak", "imagecodecs"))
ASTC = Peer("astc", (12, 8, 6, 4), lambda block: f"per frame, {block} x {block} blocks", _astc, ("astc_encoder",))
