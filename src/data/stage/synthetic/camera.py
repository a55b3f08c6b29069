"""The camera's view of a synthetic person, and which surface every picture element shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from src.data.stage.synthetic.meshes import CLOTH, EYE, GUMS, KNIT, SKIN, TEETH, Hits, Scene, unit
from src.data.stage.synthetic.shading import Gloss, Reflectance, diffuse_albedo
from src.utils.sphere import perspective_directions

_FINE = 4  # rays per pixel and axis that look for the surface
_INSIDE = (1, 7, 8, 14)  # of these 16, those that are shaded where all hit: one in each row and column
_BAND_RAYS = 1 << 20  # at a time
_RELIEF_STEP = 0.004
_SOFT_RELIEF = 0.4  # of the relief's tilt that the diffuse part sees, which comes from below it
_CLOSED = (SKIN, EYE, CLOTH, TEETH, GUMS, KNIT)  # materials of which only the outside is seen


class Surface(Protocol):
    """What a person is made of."""

    def shade(self, rest: np.ndarray, material: np.ndarray) -> Reflectance:
        """At rest positions ``(N, 3)`` of materials ``(N,)``."""

    def relief(self, rest: np.ndarray, material: np.ndarray) -> np.ndarray:
        """Height ``(N,)`` of the fine relief in head units."""


@dataclass(frozen=True)
class View:
    """A pinhole camera on +Z that looks to -Z; a square picture."""

    fov_degrees: float
    frame_height: float  # head units that the picture shows at depth 0
    centre: tuple[float, float] = (0.0, 0.0)  # x and y at depth 0 of the picture's middle

    @property
    def eye(self) -> np.ndarray:
        distance = self.frame_height / 2 / np.tan(np.radians(self.fov_degrees) / 2)
        return np.array([*self.centre, distance], np.float32)

    def project(self, points: np.ndarray, size: int) -> np.ndarray:
        """``(N, 2)`` columns and rows, pixel centres whole numbers, of points ``(N, 3)`` before the camera."""
        relative = points - self.eye
        scale = size / 2 / np.tan(np.radians(self.fov_degrees) / 2)
        return relative[:, :2] * [1, -1] * (scale / -relative[:, 2:]) + (size / 2 - 0.5)


@dataclass(frozen=True)
class Samples:
    """The shaded points of a picture; those of a pixel are neighbours."""

    size: int
    pixel: np.ndarray  # (N,) ascending
    weight: np.ndarray  # (N,) share of its pixel
    point: np.ndarray  # (N, 3)
    shadow_origin: np.ndarray  # (N, 3) where rays towards lights start
    smooth_normal: np.ndarray  # (N, 3)
    diffuse_normal: np.ndarray  # (N, 3)
    albedo: np.ndarray  # (N, 3) of the diffuse part
    gloss: Gloss
    is_skin: np.ndarray  # (N,)

    def coverage(self) -> np.ndarray:
        """``(size, size)`` share of each pixel that the person covers."""
        share = np.bincount(self.pixel, self.weight, self.size**2)
        return share.reshape(self.size, self.size).astype(np.float32).clip(0, 1)


def look(scene: Scene, surface: Surface, view: View, size: int) -> Samples:
    """Find and describe what each pixel of a ``size`` x ``size`` picture shows.

    16 rays a pixel find the surface, which is the mask's precision. Where all hit, 4 of them are shaded, else all.
    """
    rays = perspective_directions(size * _FINE, size * _FINE, view.fov_degrees).astype(np.float32)
    rays = rays.reshape(size, _FINE, size, _FINE, 3).transpose(0, 2, 1, 3, 4).reshape(-1, 3)
    inside = np.zeros(_FINE**2, bool)
    inside[list(_INSIDE)] = True
    parts, kept = [], []
    band = _BAND_RAYS // _FINE**2 * _FINE**2
    for start in range(0, len(rays), band):
        part = rays[start : start + band]
        hits = scene.first_hits(np.broadcast_to(view.eye, part.shape), part)
        hit = np.zeros(len(part), bool)
        hit[hits.ray] = True
        full = hit.reshape(-1, _FINE**2).all(axis=1).repeat(_FINE**2)
        keep = (~full | np.tile(inside, len(part) // _FINE**2))[hits.ray]
        parts.append(Hits(hits.ray[keep] + start, hits.face[keep], hits.weights[keep]))
        kept.append(np.where(full[hits.ray[keep]], 1 / len(_INSIDE), 1 / _FINE**2))
    hits = Hits(*(np.concatenate([getattr(part, name) for part in parts]) for name in ("ray", "face", "weights")))
    towards_eye = -rays[hits.ray]
    return _describe(scene, surface, hits, towards_eye, size, np.concatenate(kept).astype(np.float32))


def _describe(scene: Scene, surface: Surface, hits: Hits, view: np.ndarray, size: int, weight: np.ndarray) -> Samples:
    mesh = scene.mesh
    material = mesh.material[hits.face]
    rest = scene.interpolate(hits, mesh.rest)
    point = scene.interpolate(hits, mesh.vertices)
    smooth = _turned_to(unit(scene.interpolate(hits, mesh.normals)), view, np.isin(material, _CLOSED))
    relief = _relief_gradient(scene, surface, hits, rest, material, smooth)
    normal = unit(smooth - relief).astype(np.float32)
    reflectance = surface.shade(rest, material)
    return Samples(
        size=size,
        pixel=hits.ray // _FINE**2,
        weight=weight,
        point=point,
        shadow_origin=scene.shadow_origins(hits, point),
        smooth_normal=smooth,
        diffuse_normal=unit(smooth - _SOFT_RELIEF * relief).astype(np.float32),
        albedo=diffuse_albedo(reflectance, smooth, view).astype(np.float32),
        gloss=Gloss(normal, view, reflectance.roughness.astype(np.float32), reflectance.specular.astype(np.float32)),
        is_skin=material == SKIN,
    )


def _turned_to(normal: np.ndarray, view: np.ndarray, closed: np.ndarray) -> np.ndarray:
    """Normals that face the camera: of sheets turned round, of closed bodies bent up to the horizon."""
    cosine = np.einsum("nc,nc->n", normal, view)[:, None]
    bent = normal + view * (0.02 - cosine).clip(0, None)
    turned = np.where(cosine < 0, -normal, normal)
    return unit(np.where(closed[:, None], bent, turned)).astype(np.float32)


def _relief_gradient(
    scene: Scene, surface: Surface, hits: Hits, rest: np.ndarray, material: np.ndarray, normal: np.ndarray
) -> np.ndarray:
    """Surface gradient ``(N, 3)`` of the relief: its slope along two edges of the face, as they lie at rest and here.

    Mikkelsen, "Bump mapping unparametrized surfaces on the GPU", 2010.
    """
    corners = scene.mesh.faces[hits.face]
    here, there = scene.mesh.vertices[corners], scene.mesh.rest[corners]
    height = surface.relief(rest, material)
    slopes, edges = [], []
    for corner in (1, 2):
        edge, at_rest = here[:, corner] - here[:, 0], there[:, corner] - there[:, 0]
        step = _RELIEF_STEP / np.linalg.norm(at_rest, axis=1).clip(1e-6)
        slopes.append((surface.relief(rest + step[:, None] * at_rest, material) - height) / step)
        edges.append(edge)
    across_first, across_second = np.cross(edges[1], normal), np.cross(normal, edges[0])
    volume = np.einsum("nc,nc->n", edges[0], across_first)
    volume = np.where(np.abs(volume) < 1e-12, np.inf, volume)
    gradient = (slopes[0][:, None] * across_first + slopes[1][:, None] * across_second) / volume[:, None]
    # A fold seen edge-on has slopes without end.
    return gradient / np.linalg.norm(gradient, axis=1, keepdims=True).clip(1)
