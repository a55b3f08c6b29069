"""Three spheres under an environment, and where an environment is brightest.

The spheres of StyleLight (Wang et al. 2022) and DiffusionLight (Phongthawee et al. 2024), by which lighting estimates
are compared: diffuse, matte (a rough metal) and mirror, seen by an orthographic camera on +Z. Here they are an exact
matrix product instead of a path tracer's noisy picture, and white: a uniform environment of radiance 1 makes every
pixel of each 1. Environments of any size are first brought to ``MAP_SIZE``, so that figures do not depend on it.
"""

from __future__ import annotations

from functools import cache

import numpy as np

from src.utils.color import luminance
from src.utils.sphere import pixel_directions, pixel_solid_angles, resize_environment, sample_environment

SPHERES = ("diffuse", "matte", "mirror")
MAP_SIZE = (64, 128)  # 2.8 degrees a pixel
SPHERE_SIZE = 32  # pixels across; on a mirror each shows 7.2 x 7.2 degrees of the environment, at every place
MATTE_ROUGHNESS = 0.33  # of those papers' metal; GGX with alpha = roughness^2, as Blender has it
_SUBPIXELS = 4  # a side; the mirror's pixels are means over so many rays
_PEAK_MAP_SIZE = (32, 64)
STAGE_DEGREES = 12.6  # between neighbouring lights of a stage of 331: finer than that nobody can measure the truth
_PEAK_STEPS = 20


def render_spheres(environment: np.ndarray) -> dict[str, np.ndarray]:
    """``(P, C)`` float64 pixels inside the disc of each sphere of ``SPHERES`` under ``(H, W, C)`` radiance."""
    resized = resize_environment(environment, *MAP_SIZE)
    flat = resized.reshape(-1, resized.shape[-1])
    rendered = {name: (_matrix(name) @ flat).astype(np.float64) for name in ("diffuse", "matte")}
    rendered["mirror"] = sample_environment(resized, _mirror_rays()).mean(axis=1, dtype=np.float64)
    return rendered


def peak_direction(environment: np.ndarray) -> np.ndarray:
    """Unit direction ``(3,)`` of the brightest region of an ``(H, W, 3)`` radiance map.

    Brightest after a blur as wide as the distance of a light stage's lights (von Mises-Fisher, that full width at half
    maximum), so that one noisy pixel decides nothing; then moved to the region's centre of light by mean shift.
    """
    brightness = luminance(environment.astype(np.float64))
    coarse = resize_environment(brightness[..., None].astype(np.float32), *_PEAK_MAP_SIZE).ravel()
    peak = pixel_directions(*_PEAK_MAP_SIZE).reshape(-1, 3)[int((_blur_matrix() @ coarse).argmax())]
    directions = pixel_directions(*brightness.shape).reshape(-1, 3)
    power = (brightness * pixel_solid_angles(*brightness.shape)).ravel()
    for _ in range(_PEAK_STEPS):
        centre = (power * _blur_lobe(directions @ peak)) @ directions
        length = np.linalg.norm(centre)
        if length == 0:
            break
        peak = centre / length
    return peak


def _normals(subpixels: int) -> np.ndarray:
    """``(SPHERE_SIZE, SPHERE_SIZE, subpixels^2, 3)``; z is NaN beyond the sphere's edge."""
    count = SPHERE_SIZE * subpixels
    x = 2 * (np.arange(count) + 0.5) / count - 1
    x, y = np.meshgrid(x, -x)
    with np.errstate(invalid="ignore"):
        normals = np.stack([x, y, np.sqrt(1 - x**2 - y**2)], axis=-1)
    shape = (SPHERE_SIZE, subpixels, SPHERE_SIZE, subpixels, 3)
    return normals.reshape(shape).swapaxes(1, 2).reshape(SPHERE_SIZE, SPHERE_SIZE, -1, 3)


@cache
def _disc() -> np.ndarray:
    """Which pixels lie wholly on the sphere, ``(SPHERE_SIZE, SPHERE_SIZE)`` bool."""
    return np.isfinite(_normals(_SUBPIXELS)[..., 2]).all(axis=-1)


@cache
def _mirror_rays() -> np.ndarray:
    """``(P, subpixels^2, 3)`` directions that the mirror shows."""
    normals = _normals(_SUBPIXELS)[_disc()]
    return 2 * normals[..., 2:] * normals - np.array([0.0, 0.0, 1.0])


@cache
def _matrix(sphere: str) -> np.ndarray:
    """``(P, map pixels)`` float32: a sphere's pixels are this times the map's. Rows sum to one."""
    normals = _normals(1)[_disc()][:, 0]
    lights = pixel_directions(*MAP_SIZE).reshape(-1, 3)
    n_l = (normals @ lights.T).clip(0, None)
    reflectance = 1 if sphere == "diffuse" else _ggx(normals, lights, n_l, MATTE_ROUGHNESS**2)
    weights = n_l * reflectance * pixel_solid_angles(*MAP_SIZE).ravel()
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _ggx(normals: np.ndarray, lights: np.ndarray, n_l: np.ndarray, alpha: float) -> np.ndarray:
    """GGX reflectance (Walter et al. 2007) of a metal of Fresnel 1 with height-correlated Smith shadowing, view +Z."""
    n_v = normals[:, 2:]
    half_length = np.sqrt((2 + 2 * lights[:, 2]).clip(1e-12, None))  # |light + view|
    n_h = (n_l + n_v) / half_length
    distribution = alpha**2 / (np.pi * (n_h**2 * (alpha**2 - 1) + 1) ** 2)
    masked_v = n_l * np.sqrt(n_v**2 * (1 - alpha**2) + alpha**2)
    masked_l = n_v * np.sqrt(n_l**2 * (1 - alpha**2) + alpha**2)
    return distribution * 0.5 / (masked_v + masked_l)


@cache
def _blur_matrix() -> np.ndarray:
    directions = pixel_directions(*_PEAK_MAP_SIZE).reshape(-1, 3)
    return (_blur_lobe(directions @ directions.T) * pixel_solid_angles(*_PEAK_MAP_SIZE).ravel()).astype(np.float32)


def _blur_lobe(cosine: np.ndarray) -> np.ndarray:
    """1 in the middle, 1/2 at half of ``STAGE_DEGREES`` from it."""
    sharpness = np.log(2) / (1 - np.cos(np.deg2rad(STAGE_DEGREES / 2)))
    return np.exp(sharpness * (cosine - 1))
