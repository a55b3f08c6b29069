"""Augmentation of delighting pairs that stays physically true.

Exposure and white balance act on the light: the relit picture and the environment change together, the flat-lit
picture does not. A horizontal flip mirrors all three, the environment about x = 0. A crop moves all pictures of the
person. Noise and JPEG belong to the camera: only the relit picture gets them.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from src.data.portrait.pair_batch import PairPictures
from src.utils.color import linear_to_srgb, srgb_to_linear
from src.utils.resize import resize_area
from src.utils.sphere import flip_environment


def augment(pair: PairPictures, rng: np.random.Generator) -> PairPictures:
    """All augmentations with random strengths from ``rng``."""
    if rng.uniform() < 0.5:
        pair = flip(pair)
    pair = scale_light(pair, light_gain(rng))
    pair = crop(pair, scale=float(rng.uniform(0.8, 1.0)), row=float(rng.uniform()), column=float(rng.uniform()))
    relit = pair.relit
    if rng.uniform() < 0.5:
        relit = camera_noise(relit, rng, photons=float(np.exp(rng.uniform(np.log(300), np.log(10_000)))))
    if rng.uniform() < 0.3:
        relit = jpeg(relit, quality=int(rng.integers(60, 96)))
    return replace(pair, relit=relit)


def flip(pair: PairPictures) -> PairPictures:
    """Mirror left to right: a picture under the mirrored environment of the mirrored person."""
    return replace(
        pair,
        relit=pair.relit[:, ::-1],
        flat_lit=pair.flat_lit[:, ::-1],
        mask=pair.mask[:, ::-1],
        environment=flip_environment(pair.environment),
    )


def light_gain(rng: np.random.Generator) -> np.ndarray:
    """A gain per colour: exposure within +-1 stop and a white balance along red-blue and a little green."""
    exposure = 2.0 ** rng.uniform(-1, 1)
    warmth, tint = rng.uniform(-0.15, 0.15), rng.uniform(-0.05, 0.05)
    return (exposure * np.array([1 + warmth, 1 + tint, 1 - warmth])).astype(np.float32)


def scale_light(pair: PairPictures, gain: np.ndarray) -> PairPictures:
    """Multiply the light by ``gain`` ``(3,)``: exact, as pictures are linear in it, colour by colour."""
    return replace(pair, relit=pair.relit * gain, environment=pair.environment * gain)


def crop(pair: PairPictures, scale: float, row: float, column: float) -> PairPictures:
    """Cut a square of ``scale`` times the side, at ``row`` and ``column`` in [0, 1] of what is left, and enlarge it."""
    size = pair.relit.shape[0]
    side = max(1, round(size * scale))
    top, left = round(row * (size - side)), round(column * (size - side))
    window = (slice(top, top + side), slice(left, left + side))
    return replace(
        pair,
        relit=resize_area(np.ascontiguousarray(pair.relit[window]), size, size),
        flat_lit=resize_area(np.ascontiguousarray(pair.flat_lit[window]), size, size),
        mask=resize_area(np.ascontiguousarray(pair.mask[window]), size, size),
    )


def camera_noise(relit: np.ndarray, rng: np.random.Generator, photons: float) -> np.ndarray:
    """Photon noise of a sensor that counts ``photons`` at the 99th percentile, and read noise of 2."""
    white = max(float(np.percentile(relit, 99)), 1e-6)
    counts = relit * (photons / white)
    noisy = counts + rng.normal(0, 1, relit.shape) * np.sqrt(counts.clip(0, None) + 4.0)
    return (noisy * (white / photons)).clip(0, None).astype(np.float32)


def jpeg(relit: np.ndarray, quality: int) -> np.ndarray:
    """JPEG at ``quality``, exposed so that the 99.5th percentile is white; what is brighter keeps its value."""
    import cv2

    white = max(float(np.percentile(relit, 99.5)), 1e-6)
    display = (linear_to_srgb(relit / white)[..., ::-1] * 255 + 0.5).astype(np.uint8)
    _, data = cv2.imencode(".jpg", display, [cv2.IMWRITE_JPEG_QUALITY, quality])
    decoded = np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR))[..., ::-1].astype(np.float32) / 255
    return np.where(relit > white, relit, srgb_to_linear(decoded) * white).astype(np.float32)
