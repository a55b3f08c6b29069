"""AVIF and JPEG XL, one picture per frame. No random access: a frame is decoded whole."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from src.evaluation.lightmap.peers.coding import Peer, Transfer, fill_invalid
from src.evaluation.lightmap.quality import Coded

AVIF_BITS = 10
AVIF_SPEED = 6
JXL_BITS = 16


def _encode_frames(
    frames: np.ndarray,
    mask: np.ndarray,
    is_radiance: bool,
    bits: int,
    encode: Callable[[np.ndarray], bytes],
    decode: Callable[[bytes], np.ndarray],
) -> Coded:
    transfer = Transfer.of(frames, is_radiance)
    pictures = [encode(codes) for codes in fill_invalid(transfer.to_codes(frames, bits), mask)]

    def decode_all() -> np.ndarray:
        return transfer.from_codes(np.stack([decode(picture) for picture in pictures]), bits)

    return Coded(sum(map(len, pictures)) + transfer.size_bytes, None, decode_all)


def _avif(frames: np.ndarray, mask: np.ndarray, is_radiance: bool, quality: int) -> Coded:
    import imagecodecs

    def encode(codes: np.ndarray) -> bytes:
        return bytes(
            imagecodecs.avif_encode(codes, level=quality, speed=AVIF_SPEED, bitspersample=AVIF_BITS, numthreads=1)
        )

    return _encode_frames(
        frames, mask, is_radiance, AVIF_BITS, encode, lambda picture: imagecodecs.avif_decode(picture, numthreads=1)
    )


def _jxl(frames: np.ndarray, mask: np.ndarray, is_radiance: bool, distance: float) -> Coded:
    import imagecodecs

    def encode(codes: np.ndarray) -> bytes:
        return bytes(imagecodecs.jpegxl_encode(codes, distance=distance, numthreads=1))

    return _encode_frames(
        frames, mask, is_radiance, JXL_BITS, encode, lambda picture: imagecodecs.jpegxl_decode(picture, numthreads=1)
    )


def _described(word: str) -> Callable[[Any], str]:
    return lambda setting: f"{word} {setting:g}"


AVIF = Peer("avif", (30, 50, 75, 90), _described("10 bit, q"), _avif, ("imagecodecs",))
JXL = Peer("jxl", (2.5, 1.0, 0.3), _described("16 bit, distance"), _jxl, ("imagecodecs",))
