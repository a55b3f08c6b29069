"""Light that arrives by way of the person: below the skin, and after one bounce."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

from src.data.stage.synthetic.camera import Samples, Surface
from src.data.stage.synthetic.meshes import Scene, unit

LIFT = 2e-3  # head units between a surface and the start of a ray that leaves it
# Share of each channel's light that has gone sideways, and how far: red 2 to 3 mm, blue hardly (Jensen et al. 2001).
SIDEWAYS = np.array([0.62, 0.30, 0.16], np.float32)
_REACH = 0.015
_MOST_PIXELS = 6
_RECEIVERS = 1000  # points at which bounced light is gathered
_RAYS = 32
_NEIGHBOURS = 6  # of them that a pixel interpolates between


def diffusion(position: np.ndarray, is_skin: np.ndarray, place: np.ndarray, size: int, pixel_width: float) -> csr_array:
    """``(P, P)`` rows that average the irradiance of skin around each shown pixel by ``exp(-distance / reach)``.

    position: ``(P, 3)`` of the pixels; place: ``(P,)`` their index in the picture. What is not skin keeps its own.
    """
    number = np.full(size * size, -1)
    number[place[is_skin]] = np.flatnonzero(is_skin)
    radius = int(np.ceil(2.5 * _REACH / pixel_width))
    stride = -(-radius // _MOST_PIXELS)
    steps = np.arange(-radius, radius + 1)
    steps = steps[steps % stride == 0]
    rows, columns, weights = [np.flatnonzero(~is_skin)], [np.flatnonzero(~is_skin)], [np.ones((~is_skin).sum())]
    skin = np.flatnonzero(is_skin)
    y, x = np.divmod(place[skin], size)
    for dy in steps:
        for dx in steps[np.hypot(steps, dy) <= radius]:
            ok = (y + dy >= 0) & (y + dy < size) & (x + dx >= 0) & (x + dx < size)
            there = number[(y[ok] + dy) * size + x[ok] + dx]
            here, there = skin[ok][there >= 0], there[there >= 0]
            weight = np.exp(-np.linalg.norm(position[here] - position[there], axis=1) / _REACH)
            near = weight > 0.03
            rows.append(here[near])
            columns.append(there[near])
            weights.append(weight[near])
    row, column, weight = (np.concatenate(part) for part in (rows, columns, weights))
    weight = weight / np.bincount(row, weight, len(position))[row]
    return csr_array((weight.astype(np.float32), (row, column)), shape=(len(position), len(position)))


class Bounce:
    """Diffuse light from one surface of the person onto another, gathered at some of the picture's points."""

    def __init__(self, scene: Scene, surface: Surface, samples: Samples, first: np.ndarray) -> None:
        """``first``: the sample that stands for each shown pixel."""
        chosen = first[:: max(1, len(first) // _RECEIVERS)]
        point, normal = samples.point[chosen], samples.smooth_normal[chosen]
        origin = (samples.shadow_origin[chosen] + LIFT * normal).repeat(_RAYS, axis=0)
        hits = scene.first_hits(origin, _cosine_rays(normal))
        self._scene = scene
        target = scene.interpolate(hits, scene.mesh.vertices)
        self._normal = unit(scene.interpolate(hits, scene.mesh.normals)).astype(np.float32)
        self._origin = scene.shadow_origins(hits, target) + LIFT * self._normal
        self._albedo = surface.shade(scene.interpolate(hits, scene.mesh.rest), scene.mesh.material[hits.face]).albedo
        # Radiance albedo / pi * E from a cosine-distributed direction stands for pi times itself in irradiance.
        share = np.full(len(hits.ray), 1 / _RAYS, np.float32)
        self._gather = csr_array((share, (hits.ray // _RAYS, np.arange(len(share)))), shape=(len(chosen), len(share)))
        self._spread = _interpolation(samples.point[first], samples.smooth_normal[first], point, normal)

    def irradiance(self, lights: np.ndarray) -> np.ndarray:
        """``(P, L, 3)`` at the shown pixels under lights ``(L, 3)`` of irradiance 1."""
        gathered = []
        for light in lights:
            cosine = self._normal @ light
            lit = np.flatnonzero(cosine > 0)
            seen = ~self._scene.occluded(self._origin[lit], np.broadcast_to(light, (len(lit), 3)))
            sent = np.zeros_like(self._albedo, np.float32)
            sent[lit] = self._albedo[lit] * (cosine[lit] * seen)[:, None]
            gathered.append(self._gather @ sent)
        return (self._spread @ np.concatenate(gathered, axis=1)).reshape(-1, len(lights), 3)


def _cosine_rays(normal: np.ndarray) -> np.ndarray:
    """``(G * rays, 3)`` directions, cosine-distributed about each normal, the same pattern turned differently."""
    index = np.arange(_RAYS)
    radius = np.sqrt((index + 0.5) / _RAYS)
    turn = np.random.default_rng(0).uniform(0, 2 * np.pi, (len(normal), 1))
    angle = index * np.pi * (3 - np.sqrt(5)) + turn
    tangent, bitangent = tangents(normal)
    rays = (radius * np.cos(angle))[..., None] * tangent[:, None] + (radius * np.sin(angle))[..., None] * bitangent[
        :, None
    ]
    return (rays + np.sqrt(1 - radius**2)[:, None] * normal[:, None]).reshape(-1, 3).astype(np.float32)


def tangents(normal: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two unit directions ``(N, 3)`` at right angles to unit normals ``(N, 3)`` and to each other."""
    helper = np.where(np.abs(normal[:, :1]) > 0.7, [[0.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]])
    tangent = unit(np.cross(helper, normal))
    return tangent.astype(np.float32), np.cross(normal, tangent).astype(np.float32)


def _interpolation(point: np.ndarray, normal: np.ndarray, at: np.ndarray, at_normal: np.ndarray) -> csr_array:
    """``(P, G)`` weights, each row summing to one, of the points that are close and face the same way."""
    count = min(_NEIGHBOURS, len(at))
    facing = 0.15  # a right angle counts as much as this many head units
    tree = cKDTree(np.concatenate([at, facing * at_normal], axis=1))
    distance, nearest = tree.query(np.concatenate([point, facing * normal], axis=1), count)
    distance, nearest = distance.reshape(-1, count), nearest.reshape(-1, count)
    weight = 1 / (distance**2 + 1e-4)
    weight /= weight.sum(axis=1, keepdims=True)
    rows = np.arange(len(point)).repeat(count)
    return csr_array((weight.ravel().astype(np.float32), (rows, nearest.ravel())), shape=(len(point), len(at)))
