"""What a coded lightmap is worth: quality by the tile protocol, bits on disk and in memory, decoding time."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from src.utils.tile_metrics import TileMetrics, hprc_score, tile_metrics

HPRC_FRAMES = 24
RAW_TEXEL_BYTES = 3 * 4  # float32 RGB
DECODE_RUNS = 2


@dataclass(frozen=True)
class Coded:
    """A lightmap as a coder keeps it.

    ``size_bytes_disk`` are the bytes of the encoded data with everything that decoding needs. ``size_bytes_memory`` is
    what has to be resident for access to single texels, or None for a coder without random access. ``decode()`` gives
    all frames, T x H x W x 3 float32, in the units of the images. ``decode_at(hours)`` gives those of any M hours,
    M x H x W x 3; None for a coder that stores frames alone.
    """

    size_bytes_disk: int
    size_bytes_memory: int | None
    decode: Callable[[], np.ndarray]
    decode_at: Callable[[Sequence[float]], np.ndarray] | None = None


@dataclass(frozen=True)
class LightmapQuality:
    """One coded lightmap measured against its frames; ``decode_s`` is the time of all frames together."""

    name: str
    hours: tuple[float, ...]
    texels: int
    metrics: TileMetrics
    size_bytes_disk: int
    size_bytes_memory: int | None
    decode_s: float


@dataclass(frozen=True)
class Row:
    """One coder at one setting over a whole set of lightmaps: a line of the table.

    ``bpp_*`` are bits per texel of the map (valid or not) per frame. Quality means are over the frames of all
    lightmaps. ``hprc_points`` of ``hprc_attainable`` is the contest's score, None without random access.
    """

    coder: str
    setting: str
    psnr_db: float
    worst_psnr_db: float
    worst_hour: float
    ssim: float
    lpips: float | None
    bpp_memory: float | None
    bpp_disk: float
    size_bytes_memory: int | None
    size_bytes_disk: int
    decode_ms: float
    hprc_points: float | None
    hprc_attainable: float | None
    lightmaps: tuple[LightmapQuality, ...]


def measure(
    name: str,
    truth: np.ndarray,
    hours: Sequence[float],
    mask: np.ndarray,
    coded: Coded,
    lpips: Callable | None = None,
) -> LightmapQuality:
    """Decode ``coded`` and compare it with ``truth`` (T x H x W x 3) within ``mask`` (H x W bool).

    The time is the better of two runs: the first also pays for loading libraries.
    """
    seconds = []
    for _ in range(DECODE_RUNS):
        start = time.perf_counter()
        frames = coded.decode()
        seconds.append(time.perf_counter() - start)
    metrics = tile_metrics(truth, np.asarray(frames, np.float32), mask, lpips)
    return LightmapQuality(
        name, tuple(hours), mask.size, metrics, coded.size_bytes_disk, coded.size_bytes_memory, min(seconds)
    )


def summarise(coder: str, setting: str, lightmaps: Sequence[LightmapQuality]) -> Row:
    """Join the lightmaps of a set into one row."""
    frames = sum(len(lightmap.hours) for lightmap in lightmaps)
    texel_frames = sum(lightmap.texels * len(lightmap.hours) for lightmap in lightmaps)
    decode_s = sum(lightmap.decode_s for lightmap in lightmaps)
    disk = sum(lightmap.size_bytes_disk for lightmap in lightmaps)
    resident = [lightmap.size_bytes_memory for lightmap in lightmaps]
    memory = None if None in resident else sum(size or 0 for size in resident)
    quality = {name: _values(lightmaps, name) for name in ("psnr_db", "ssim", "lpips")}
    means = {name: None if values is None else float(np.mean(values)) for name, values in quality.items()}
    hours = np.concatenate([np.array(lightmap.hours)[lightmap.metrics.counted] for lightmap in lightmaps])
    psnr_db, ssim_mean = quality["psnr_db"], means["ssim"]
    assert psnr_db is not None and means["psnr_db"] is not None and ssim_mean is not None, "only LPIPS may be missing"
    worst = int(np.argmin(psnr_db))
    points = attainable = None
    if memory is not None:
        raw = sum(lightmap.texels for lightmap in lightmaps) * RAW_TEXEL_BYTES * HPRC_FRAMES
        points, attainable = hprc_score(**means, size_ratio=memory / raw, decode_s=decode_s)
    return Row(
        coder=coder,
        setting=setting,
        psnr_db=means["psnr_db"],
        worst_psnr_db=float(psnr_db[worst]),
        worst_hour=float(hours[worst]),
        ssim=ssim_mean,
        lpips=means["lpips"],
        bpp_memory=None if memory is None else 8 * memory / texel_frames,
        bpp_disk=8 * disk / texel_frames,
        size_bytes_memory=memory,
        size_bytes_disk=disk,
        decode_ms=1000 * decode_s / frames,
        hprc_points=points,
        hprc_attainable=attainable,
        lightmaps=tuple(lightmaps),
    )


def _values(lightmaps: Sequence[LightmapQuality], name: str) -> np.ndarray | None:
    """One metric of every frame that counts, over all lightmaps."""
    parts = [(getattr(lightmap.metrics, name), lightmap.metrics.counted) for lightmap in lightmaps]
    if any(values is None for values, _ in parts):
        return None
    return np.concatenate([values[counted] for values, counted in parts])
