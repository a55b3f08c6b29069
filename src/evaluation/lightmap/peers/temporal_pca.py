"""Temporal PCA: every texel's T x 3 values as K coefficients of a basis that the whole lightmap shares.

It is the linear counterpart of a latent map with a decoder: the same access to single texels, the same memory per
coefficient. The basis is that of gamma 2.2 values under one scale for all frames, which weights frames by brightness.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np

from src.evaluation.lightmap.peers.coding import GAMMA, Peer, fill_invalid
from src.evaluation.lightmap.peers.video_codec import decode_hevc, encode_hevc, x265_is_absent
from src.evaluation.lightmap.quality import Coded

PLANE_BITS_X265 = 12


@dataclass(frozen=True)
class _Basis:
    """``mean`` (3T) and ``vectors`` (3T x K), float32, of gamma values divided by ``scale``."""

    mean: np.ndarray
    vectors: np.ndarray
    scale: float
    gamma: float

    @property
    def size_bytes(self) -> int:
        return self.mean.nbytes + self.vectors.nbytes + 4

    def decode(self, coefficients: np.ndarray) -> np.ndarray:
        """``H x W x K`` -> ``T x H x W x 3``."""
        unit = np.maximum(coefficients @ self.vectors.T + self.mean, 0)
        frames = unit ** np.float32(self.gamma) * np.float32(self.scale)
        return frames.reshape(*coefficients.shape[:2], -1, 3).transpose(2, 0, 1, 3)


def analyse(frames: np.ndarray, mask: np.ndarray, is_radiance: bool, count: int) -> tuple[_Basis, np.ndarray]:
    """The basis of ``count`` vectors and the coefficients, ``H x W x count``, invalid texels filled."""
    scale, gamma = (float(frames.max()) or 1.0, GAMMA) if is_radiance else (1.0, 1.0)
    unit = (np.maximum(frames, 0) / np.float32(scale)) ** np.float32(1 / gamma)
    samples = unit.transpose(1, 2, 0, 3)[mask].reshape(int(mask.sum()), -1)
    mean = samples.mean(0)
    covariance = np.cov((samples - mean).T)
    vectors = np.linalg.eigh(covariance)[1][:, ::-1][:, :count].astype(np.float32)
    coefficients = np.zeros((*mask.shape, vectors.shape[1]), np.float32)
    coefficients[mask] = (samples - mean) @ vectors
    return _Basis(mean, vectors, scale, gamma), fill_invalid(coefficients, mask)


def _pca(frames: np.ndarray, mask: np.ndarray, is_radiance: bool, count: int) -> Coded:
    """8-bit coefficients, each over its own range; on disk deflated plane by plane."""
    basis, coefficients = analyse(frames, mask, is_radiance, count)
    low = coefficients.min((0, 1))
    step = np.maximum(coefficients.max((0, 1)) - low, np.float32(1e-12)) / 255
    codes = np.round((coefficients - low) / step).astype(np.uint8)
    planes = [zlib.compress(plane.tobytes(), 9) for plane in np.moveaxis(codes, -1, 0)]
    side = basis.size_bytes + low.nbytes + step.nbytes

    def decode() -> np.ndarray:
        stored = [np.frombuffer(zlib.decompress(plane), np.uint8).reshape(mask.shape) for plane in planes]
        return basis.decode(np.stack(stored, -1) * step + low)

    return Coded(sum(map(len, planes)) + side, codes.nbytes + side, decode)


def _pca_x265(frames: np.ndarray, mask: np.ndarray, is_radiance: bool, setting: tuple[int, int]) -> Coded:
    """Coefficient planes as 12-bit intra pictures of x265; one step size for all, so that one qp serves all.

    Random access is per texel after all planes have been decoded into memory, as 16-bit integers.
    """
    count, qp = setting
    basis, coefficients = analyse(frames, mask, is_radiance, count)
    low = coefficients.min((0, 1))
    step = max(float((coefficients.max((0, 1)) - low).max()), 1e-12) / (2**PLANE_BITS_X265 - 1)
    codes = np.round((coefficients - low) / step).astype(np.uint16)
    data = encode_hevc(np.moveaxis(codes, -1, 0)[..., None], "gray12le", f"qp={qp}:keyint=1", {})
    side = basis.size_bytes + low.nbytes + 4
    height, width = mask.shape

    def decode() -> np.ndarray:
        planes = decode_hevc(data)[:, :height, :width, 0]
        return basis.decode(np.moveaxis(planes, 0, -1) * np.float32(step) + low)

    return Coded(len(data) + side, 2 * codes.size + side, decode)


PCA = Peer("pca", (4, 8, 12, 16), lambda count: f"{count} planes of 8 bit", _pca)
PCA_X265 = Peer(
    "pca_x265",
    ((20, 32), (24, 26), (32, 20), (40, 14)),
    lambda setting: f"{setting[0]} planes, 12 bit intra, qp {setting[1]}",
    _pca_x265,
    ("av",),
    x265_is_absent,
)
