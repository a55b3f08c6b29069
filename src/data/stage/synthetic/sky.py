"""Made-up HDR environments: suns and skies, rooms with windows, photo studios, nights."""

from __future__ import annotations

import numpy as np

from src.utils.sphere import pixel_directions, pixel_solid_angles

KINDS = ("sun", "window", "studio", "night")
# A sun pixel's radiance; the map's codec ends at 22,025.
_SUN_RADIANCE = 2e4


def make_environment(rng: np.random.Generator, kind: str, height: int = 128) -> np.ndarray:
    """A random environment of a kind, ``(height, 2 * height, 3)`` float32 linear radiance, at least 0."""
    directions = pixel_directions(height, 2 * height)
    make = {"sun": _sun_and_sky, "window": _windows, "studio": _studio, "night": _night}[kind]
    return make(rng, directions).clip(0, _SUN_RADIANCE).astype(np.float32)


def _direction(azimuth: float, elevation: float) -> np.ndarray:
    """Degrees; azimuth 0 is the map's centre column, behind the camera, 90 the camera's right."""
    a, e = np.deg2rad(azimuth), np.deg2rad(elevation)
    return np.array([np.cos(e) * np.sin(a), np.sin(e), np.cos(e) * np.cos(a)])


def _noise(rng: np.random.Generator, directions: np.ndarray, frequency: float, octaves: int = 4) -> np.ndarray:
    """Smooth noise on the sphere, about 0, about +-1: plane waves of random direction; no seam, no poles."""
    value = np.zeros(directions.shape[:2])
    for octave in range(octaves):
        waves = rng.normal(0, frequency * 2**octave, (10, 3))
        phases = rng.uniform(0, 2 * np.pi, 10)
        value += np.sin(directions @ waves.T + phases).sum(axis=2) / 4 / 1.8**octave
    return value


def _ground(rng: np.random.Generator, directions: np.ndarray, colour: np.ndarray) -> np.ndarray:
    texture = 1 + 0.25 * _noise(rng, directions / np.abs(directions[..., 1:2]).clip(0.15, None), 3)
    return texture[..., None].clip(0.2, None) * colour


def _sun_and_sky(rng: np.random.Generator, directions: np.ndarray) -> np.ndarray:
    """A sun of solar energy in one or a few pixels, a sky that brightens towards it and the horizon, clouds, ground."""
    elevation = rng.uniform(8, 65)
    sun = _direction(rng.uniform(-180, 180), elevation)
    low = np.clip(1 - elevation / 40, 0, 1)  # red when low
    sun_colour = np.array([1.0, 0.96 - 0.30 * low, 0.90 - 0.58 * low])
    y = directions[..., 1]
    cosine = directions @ sun
    zenith, horizon = np.array([0.18, 0.36, 0.80]), np.array([0.62, 0.72, 0.86]) * (1 - low) + 0.8 * low * sun_colour
    blend = np.exp(-4.0 * y.clip(0, 1))[..., None]
    sky = zenith * (1 - blend) + horizon * blend
    sky = sky + 0.9 * np.exp((cosine - 1) * 12)[..., None] * sun_colour + 6 * np.exp((cosine - 1) * 400)[..., None]
    cover = rng.uniform(-1.2, 0.8)
    cloud = (0.5 + 0.8 * (_noise(rng, directions * [1, 2.5, 1], 2.5) + cover)).clip(0, 1)[..., None]
    sky = sky * (1 - cloud) + cloud * (0.55 + 0.9 * (cosine[..., None].clip(0, 1) ** 4)) * [1.0, 0.99, 0.97]
    tint = np.array([[0.10, 0.13, 0.05], [0.24, 0.20, 0.15], [0.22, 0.22, 0.22]])[rng.integers(3)]
    image = np.where(y[..., None] > 0, sky, _ground(rng, directions, tint * (0.6 + elevation / 60)))
    # What the real sun sends through its half degree falls into the pixels that it covers here.
    veil = 1 - 0.97 * float(cloud.reshape(-1)[cosine.argmax()])
    return image + _disc(directions, sun, 1.1, 4.5 * veil * (0.35 + 0.65 * (1 - low)) * sun_colour)


def _disc(directions: np.ndarray, centre: np.ndarray, degrees: float, irradiance: np.ndarray) -> np.ndarray:
    """A disc of angular radius ``degrees`` that sends ``irradiance`` (pi is a full white sphere's worth)."""
    cosine = directions @ centre
    inside = (cosine > np.cos(np.deg2rad(degrees))) | (cosine == cosine.max())
    solid_angle = float((pixel_solid_angles(*directions.shape[:2]) * inside).sum())
    return inside[..., None] * np.minimum(irradiance / solid_angle, _SUN_RADIANCE)


def _panel(directions: np.ndarray, towards: tuple[float, float], half_width: float, half_height: float) -> np.ndarray:
    """Coverage in [0, 1] of a rectangle that faces the middle: azimuth and elevation in degrees, sizes as tangents."""
    softness = 0.02
    centre = _direction(*towards)
    right = np.cross([0, 1, 0], centre)
    right /= np.linalg.norm(right)
    up = np.cross(centre, right)
    ahead = directions @ centre
    x = np.abs(directions @ right) / ahead.clip(1e-3, None) - half_width
    y = np.abs(directions @ up) / ahead.clip(1e-3, None) - half_height
    return ((0.5 - np.maximum(x, y) / softness).clip(0, 1) * (ahead > 0))[..., None]


def _room(rng: np.random.Generator, directions: np.ndarray, level: float) -> np.ndarray:
    """Walls, a floor and a ceiling, seen from the middle of a box."""
    size = np.array([rng.uniform(1, 2), 0.7, rng.uniform(1, 2)])
    reach = np.abs(directions) / size
    side = reach.argmax(axis=2)
    wall = np.array([0.50, 0.46, 0.40]) * rng.uniform(0.7, 1.1, 3)
    colours = np.stack([wall, np.array([0.6, 0.6, 0.58]), wall * rng.uniform(0.7, 1.2)])
    image = colours[side]
    floor = (side == 1) & (directions[..., 1] < 0)
    image = np.where(floor[..., None], np.array([0.30, 0.20, 0.12]) * rng.uniform(0.6, 1.2), image)
    corner = np.sort(reach, axis=2)
    shade = (1 - 0.5 * (corner[..., 1] / corner[..., 2]) ** 6) * (1 + 0.12 * _noise(rng, directions, 6))
    return level * image * shade[..., None]


def _windows(rng: np.random.Generator, directions: np.ndarray) -> np.ndarray:
    image = _room(rng, directions, rng.uniform(0.10, 0.3))
    light = np.array([0.85, 0.95, 1.1]) * rng.uniform(4, 14)
    start = rng.uniform(-180, 180)
    for index in range(int(rng.integers(1, 4))):
        azimuth, width = start + 42 * index, rng.uniform(0.2, 0.4)
        window = _panel(directions, (azimuth, rng.uniform(5, 18)), width, rng.uniform(0.3, 0.5))
        bars = 1 - 0.9 * _panel(directions, (azimuth, 10), 0.018, 1.0)
        outside = light * (0.8 + 0.5 * directions[..., 1:2] + 0.1 * _noise(rng, directions, 8)[..., None])
        image = image * (1 - window) + window * outside * bars
    lamp = _direction(rng.uniform(-180, 180), rng.uniform(10, 60))
    return image + _disc(directions, lamp, 4, rng.uniform(0, 0.5) * np.array([1.0, 0.75, 0.45]))


def _studio(rng: np.random.Generator, directions: np.ndarray) -> np.ndarray:
    image = _room(rng, directions, rng.uniform(0.03, 0.12)) * [1, 1.02, 1.05]
    key = rng.choice([-1, 1]) * rng.uniform(25, 75)
    for azimuth, elevation, size, power in (
        (key, rng.uniform(15, 50), rng.uniform(0.25, 0.5), rng.uniform(6, 14)),
        (-key * rng.uniform(0.8, 1.3), rng.uniform(0, 25), rng.uniform(0.25, 0.6), rng.uniform(0.8, 3)),
        (180 - key, rng.uniform(20, 50), rng.uniform(0.10, 0.2), rng.uniform(5, 20)),
    ):
        tint = np.array([1.0, 1.0, 1.0]) + rng.uniform(-0.12, 0.12) * np.array([1, 0, -1])
        if rng.uniform() < 0.25:  # a coloured gel
            tint = np.array([[1.0, 0.25, 0.35], [0.2, 0.5, 1.0], [0.9, 0.3, 1.0], [0.25, 1.0, 0.6]])[rng.integers(4)]
        panel = _panel(directions, (azimuth, elevation), size, size * rng.uniform(0.6, 1.6))
        image = image * (1 - panel) + panel * power * tint
    return image


def _night(rng: np.random.Generator, directions: np.ndarray) -> np.ndarray:
    y = directions[..., 1:2]
    glow = np.exp(-6 * np.abs(y)) * np.array([0.10, 0.06, 0.03]) * rng.uniform(0.5, 2)
    image = np.where(y > 0, np.array([0.004, 0.006, 0.015]) + glow, 0.5 * glow + 0.006)
    skyline = 0.08 + 0.12 * np.abs(_noise(rng, directions * [1, 0, 1], 6))[..., None]
    building = (y > 0) & (y < skyline)
    lit = (_noise(rng, directions, 60, 1)[..., None] > 0.8) & building
    image = np.where(building, 0.01, image) + lit * rng.uniform(0.5, 3) * np.array([1.0, 0.75, 0.4])
    for _ in range(int(rng.integers(2, 7))):
        tints = np.array([[1.0, 0.55, 0.2], [1.0, 0.85, 0.6], [0.5, 0.7, 1.0], [1.0, 0.15, 0.35], [0.2, 1.0, 0.7]])
        lamp = _direction(rng.uniform(-180, 180), rng.uniform(-2, 50))
        image = image + _disc(directions, lamp, rng.uniform(1.2, 6), rng.uniform(0.05, 0.9) * tints[rng.integers(5)])
    return image
