"""The sphere of directions: the one place that says how an environment map's pixels lie on it.

Frame: right-handed, +Y up, the camera on +Z looking towards -Z. Pixel (row ``v``, column ``u``) of an ``H x W``
equirectangular map looks along ``(sin t sin p, cos t, -sin t cos p)`` with ``t = pi (v + 0.5) / H`` and
``p = 2 pi (u + 0.5) / W``: row 0 is the zenith; light from the map's centre column comes from behind the camera.
Directions point towards the light. Everything here is numpy and returns float64 geometry or float32 images.
"""

from __future__ import annotations

import numpy as np

# Real spherical harmonics up to order 2 and the cosine lobe's convolution weights
# (Ramamoorthi and Hanrahan 2001, "An Efficient Representation for Irradiance Environment Maps").
_COSINE_LOBE = np.array([np.pi] + 3 * [2 * np.pi / 3] + 5 * [np.pi / 4])


def pixel_directions(height: int, width: int) -> np.ndarray:
    """Unit directions ``(height, width, 3)`` of the pixel centres of an equirectangular map."""
    theta = np.pi * (np.arange(height) + 0.5) / height
    phi = 2 * np.pi * (np.arange(width) + 0.5) / width
    sin_theta = np.sin(theta)[:, None]
    y = np.broadcast_to(np.cos(theta)[:, None], (height, width))
    return np.stack([sin_theta * np.sin(phi), y, -sin_theta * np.cos(phi)], axis=-1)


def pixel_solid_angles(height: int, width: int) -> np.ndarray:
    """Solid angle ``(height, width)`` of each pixel in steradians; they sum to 4 pi exactly at every size.

    The exact integral over the pixel, ``2 sin(t) sin(pi / 2H) * 2 pi / W``; ``sin(t) * pi/H * 2 pi/W`` is its limit
    for many rows and is 0.3 % too large at 12.
    """
    theta = np.pi * (np.arange(height) + 0.5) / height
    bands = 2 * np.sin(theta) * np.sin(np.pi / (2 * height)) * (2 * np.pi / width)
    return np.repeat(bands[:, None], width, axis=1)


def direction_to_pixel(directions: np.ndarray, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Continuous (rows, columns) of ``(..., 3)`` directions of any length: pixel centres are whole numbers.

    Rows lie in [-0.5, height - 0.5], columns in [-0.5, width - 0.5).
    """
    x, y, z = np.moveaxis(np.asarray(directions, np.float64), -1, 0)
    theta = np.arctan2(np.hypot(x, z), y)
    phi = np.arctan2(x, -z) % (2 * np.pi)
    return theta / np.pi * height - 0.5, phi / (2 * np.pi) * width - 0.5


def sample_environment(environment: np.ndarray, directions: np.ndarray) -> np.ndarray:
    """Radiance ``(..., C)`` of an ``(H, W, C)`` map along ``(..., 3)`` directions, bilinear in the map.

    Columns wrap around; beyond a pole comes the pole row seen from the opposite meridian, so there is no seam.
    """
    height, width = environment.shape[:2]
    rows, columns = direction_to_pixel(directions, height, width)
    above = np.floor(rows).astype(np.int64)
    down = (rows - above)[..., None]
    upper, lower = _sample_row(environment, above, columns), _sample_row(environment, above + 1, columns)
    return (upper * (1 - down) + lower * down).astype(np.float32)


def _sample_row(environment: np.ndarray, rows: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Linear interpolation along whole ``rows``, of which -1 and H are the pole rows half a turn away."""
    height, width = environment.shape[:2]
    is_beyond = (rows < 0) | (rows >= height)
    columns = np.where(is_beyond, columns + width / 2, columns)
    rows = rows.clip(0, height - 1)
    left = np.floor(columns).astype(np.int64)
    right = (columns - left)[..., None]
    return environment[rows, left % width] * (1 - right) + environment[rows, (left + 1) % width] * right


def rotation_y(degrees: float) -> np.ndarray:
    """The 3 x 3 matrix that turns directions counter-clockwise (seen from above) about +Y."""
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def rotate_environment(environment: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """The environment turned by a 3 x 3 rotation: what came from direction ``d`` comes from ``rotation @ d``."""
    height, width = environment.shape[:2]
    return sample_environment(environment, pixel_directions(height, width) @ np.asarray(rotation, np.float64))


def rotate_environment_y(environment: np.ndarray, degrees: float) -> np.ndarray:
    """:func:`rotate_environment` by ``rotation_y(degrees)``, done along the rows: their energy is conserved exactly."""
    width = environment.shape[1]
    # The column grows with p, and turning about +Y by a moves the direction at p to p - a.
    shift = -degrees / 360.0 * width
    whole = int(np.floor(shift))
    part = np.float32(shift - whole)
    near = np.roll(environment, whole, axis=1)
    return near if part == 0 else (1 - part) * near + part * np.roll(near, 1, axis=1)


def flip_environment(environment: np.ndarray) -> np.ndarray:
    """The environment mirrored left to right (x -> -x), as it must be when the picture it lights is mirrored."""
    return environment[:, ::-1]


def resize_environment(environment: np.ndarray, height: int, width: int) -> np.ndarray:
    """Mean radiance ``(height, width, C)`` over each new pixel: the integral over the sphere stays exactly the same.

    Pixels are patches of constant radiance, weighted by the solid angle of their overlap, for enlarging too.
    """
    if environment.shape[:2] == (height, width):
        return environment
    old_rows = -np.cos(np.pi * np.arange(environment.shape[0] + 1) / environment.shape[0])
    new_rows = -np.cos(np.pi * np.arange(height + 1) / height)
    old_columns, new_columns = np.linspace(0, 1, environment.shape[1] + 1), np.linspace(0, 1, width + 1)
    rows, columns = _overlap(old_rows, new_rows), _overlap(old_columns, new_columns)
    resized = np.einsum("vV,VUc->vUc", rows, environment.astype(np.float64), optimize=True)
    return np.einsum("uU,vUc->vuc", columns, resized, optimize=True).astype(np.float32)


def _overlap(old_edges: np.ndarray, new_edges: np.ndarray) -> np.ndarray:
    """Share ``(new, old)`` of each new interval that each old interval covers."""
    low = np.maximum(old_edges[None, :-1], new_edges[:-1, None])
    high = np.minimum(old_edges[None, 1:], new_edges[1:, None])
    return np.maximum(high - low, 0.0) / (new_edges[1:] - new_edges[:-1])[:, None]


def nearest_lights(lights: np.ndarray, directions: np.ndarray, count: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """The ``count`` lights nearest to each direction: indices ``(count, N)`` int32 and cosines ``(count, N)``.

    ``lights`` is ``(L, 3)``, ``directions`` ``(N, 3)``, both of unit length; nearest first, ties to the lower index.
    The first row is the direction's cell in the spherical Voronoi diagram of the lights.
    """
    lights = np.asarray(lights, np.float64)
    indices = np.empty((count, len(directions)), np.int32)
    cosines = np.empty((count, len(directions)))
    block = max(1, 4_000_000 // len(lights))  # some 32 MB of cosines at a time
    for start in range(0, len(directions), block):
        part = directions[start : start + block] @ lights.T
        rows = np.arange(len(part))
        for rank in range(count):
            best = part.argmax(axis=1)
            indices[rank, start : start + block] = best
            cosines[rank, start : start + block] = part[rows, best]
            part[rows, best] = -np.inf
    return indices, cosines


def voronoi_cells(lights: np.ndarray, height: int, width: int) -> np.ndarray:
    """Index ``(height, width)`` int32 of the light nearest to each pixel's direction."""
    indices, _ = nearest_lights(lights, pixel_directions(height, width).reshape(-1, 3))
    return indices[0].reshape(height, width)


def sh_basis(directions: np.ndarray) -> np.ndarray:
    """The nine real spherical harmonics of order 0-2, ``(..., 9)``, of unit directions ``(..., 3)``."""
    x, y, z = np.moveaxis(np.asarray(directions, np.float64), -1, 0)
    return np.stack(
        [
            np.full_like(x, 0.5 * np.sqrt(1 / np.pi)),
            np.sqrt(3 / (4 * np.pi)) * y,
            np.sqrt(3 / (4 * np.pi)) * z,
            np.sqrt(3 / (4 * np.pi)) * x,
            0.5 * np.sqrt(15 / np.pi) * x * y,
            0.5 * np.sqrt(15 / np.pi) * y * z,
            0.25 * np.sqrt(5 / np.pi) * (3 * z * z - 1),
            0.5 * np.sqrt(15 / np.pi) * x * z,
            0.25 * np.sqrt(15 / np.pi) * (x * x - y * y),
        ],
        axis=-1,
    )


def sh_project(environment: np.ndarray) -> np.ndarray:
    """Coefficients ``(9, C)`` of an ``(H, W, C)`` map: its integral over the sphere against :func:`sh_basis`."""
    height, width = environment.shape[:2]
    weighted = sh_basis(pixel_directions(height, width)) * pixel_solid_angles(height, width)[..., None]
    return np.einsum("vuk,vuc->kc", weighted, environment.astype(np.float64), optimize=True)


def sh_irradiance(coefficients: np.ndarray, normals: np.ndarray) -> np.ndarray:
    """Irradiance ``(..., C)`` on surfaces of unit ``normals`` ``(..., 3)`` from radiance coefficients ``(9, C)``.

    Within 9 % of the exact cosine integral for any positive environment, some 1 % on average (ibid.).
    """
    return (sh_basis(normals) * _COSINE_LOBE) @ coefficients


def perspective_directions(height: int, width: int, fov_degrees: float) -> np.ndarray:
    """Unit viewing directions ``(height, width, 3)`` of a pinhole camera on +Z looking to -Z; the fov is vertical."""
    half = np.tan(np.deg2rad(fov_degrees) / 2)
    y = half * (1 - 2 * (np.arange(height) + 0.5) / height)
    x = half * (2 * (np.arange(width) + 0.5) / width - 1) * (width / height)
    rays = np.stack([*np.meshgrid(x, y), np.full((height, width), -1.0)], axis=-1)
    return rays / np.linalg.norm(rays, axis=-1, keepdims=True)


def fibonacci_sphere(count: int) -> np.ndarray:
    """``(count, 3)`` unit directions spread evenly over the sphere, from the zenith down."""
    y = 1 - 2 * (np.arange(count) + 0.5) / count
    azimuth = np.pi * (3 - np.sqrt(5)) * np.arange(count)
    radius = np.sqrt(1 - y**2)
    return np.stack([radius * np.cos(azimuth), y, radius * np.sin(azimuth)], axis=1)
