"""Triangle meshes of people, and rays against them (Embree).

A vertex has two places: where it stands in front of the camera, and where it rests on the unposed, unsmiling person.
What a surface is made of is a function of the second, so that freckles stay where they are when the head turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

SKIN, EYE, HAIR, CLOTH, TEETH, GUMS, LASH, FRAME, KNIT = range(9)  # materials


@dataclass(frozen=True)
class Mesh:
    """Triangles with smooth normals; lengths in head units (a head is some 1.45 high)."""

    vertices: np.ndarray  # (V, 3) float32, where they are
    faces: np.ndarray  # (F, 3) int32
    normals: np.ndarray  # (V, 3) float32, unit, outwards
    rest: np.ndarray  # (V, 3) float32, what the materials are a function of
    material: np.ndarray  # (F,) uint8

    def moved(self, rotation: np.ndarray, pivot: np.ndarray | None = None) -> Mesh:
        """Turned by a 3 x 3 rotation about ``pivot`` (default: the origin); at rest it stays where it was."""
        matrix = np.asarray(rotation, np.float32)
        centre = np.zeros(3, np.float32) if pivot is None else np.asarray(pivot, np.float32)
        turned = (self.vertices - centre) @ matrix.T + centre
        return replace(self, vertices=turned, normals=self.normals @ matrix.T)

    def shifted(self, by: np.ndarray) -> Mesh:
        """Moved by ``(3,)``; at rest it stays where it was."""
        return replace(self, vertices=self.vertices + np.asarray(by, np.float32))


def make_mesh(
    vertices: np.ndarray,
    faces: np.ndarray,
    material: int | np.ndarray,
    normals: np.ndarray | None = None,
    rest: np.ndarray | None = None,
) -> Mesh:
    """A :class:`Mesh`; ``normals`` default to those of the faces, averaged by area, ``rest`` to the vertices."""
    vertices = np.ascontiguousarray(vertices, np.float32)
    faces = np.ascontiguousarray(faces, np.int32)
    return Mesh(
        vertices=vertices,
        faces=faces,
        normals=(vertex_normals(vertices, faces) if normals is None else normals).astype(np.float32),
        rest=(vertices if rest is None else rest).astype(np.float32),
        material=np.broadcast_to(np.asarray(material, np.uint8), (len(faces),)),
    )


def join(meshes: Sequence[Mesh]) -> Mesh:
    """All triangles in one mesh."""
    starts = np.cumsum([0, *(len(mesh.vertices) for mesh in meshes[:-1])])
    return Mesh(
        vertices=np.concatenate([mesh.vertices for mesh in meshes]),
        faces=np.concatenate([mesh.faces + np.int32(start) for mesh, start in zip(meshes, starts, strict=True)]),
        normals=np.concatenate([mesh.normals for mesh in meshes]),
        rest=np.concatenate([mesh.rest for mesh in meshes]),
        material=np.concatenate([mesh.material for mesh in meshes]),
    )


def vertex_normals(vertices: np.ndarray, faces: np.ndarray) -> np.ndarray:
    """``(V, 3)`` unit normals, each the sum of those of the faces around it weighted by their area."""
    corners = vertices[faces].astype(np.float64)
    cross = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.stack(
        [np.bincount(faces.ravel(), np.repeat(cross[:, axis], 3), len(vertices)) for axis in range(3)], axis=1
    )
    return unit(total)


def unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors ``(..., 3)`` of length 1; a zero vector stays zero."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)


def smooth_step(value: np.ndarray, start: float | np.ndarray, end: float | np.ndarray) -> np.ndarray:
    """0 up to ``start``, 1 from ``end`` on, smooth between."""
    t = ((value - start) / (end - start)).clip(0, 1)
    return t * t * (3 - 2 * t)


def rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """3 x 3 of a head that is rolled, then nods, then turns; degrees. Yaw above 0 looks to the picture's right."""
    (cy, cp, cr), (sy, sp, sr) = (f(np.radians([yaw, pitch, roll])) for f in (np.cos, np.sin))
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_x = np.array([[1, 0, 0], [0, cp, -sp], [0, sp, cp]])
    about_z = np.array([[cr, -sr, 0], [sr, cr, 0], [0, 0, 1]])
    return about_y @ about_x @ about_z


@dataclass(frozen=True)
class Hits:
    """Where rays met triangles, for those that did."""

    ray: np.ndarray  # (N,) which ray
    face: np.ndarray  # (N,)
    weights: np.ndarray  # (N, 3) of the face's corners


class Scene:
    """A mesh that rays can be sent at."""

    def __init__(self, mesh: Mesh) -> None:
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self.mesh = mesh
        self._scene = EmbreeScene()
        # Kept: the scene refers to it.
        self._triangles = TriangleMesh(self._scene, mesh.vertices, mesh.faces)

    def first_hits(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """The nearest triangles along rays ``(N, 3)`` float32."""
        found = self._scene.run(_rows(origins), _rows(directions), output=True)
        ray = np.flatnonzero(found["geomID"] >= 0)
        u, v = found["u"][ray], found["v"][ray]
        return Hits(ray, found["primID"][ray], np.stack([1 - u - v, u, v], axis=1))

    def occluded(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """``(N,)`` whether anything is in the way of each ray."""
        return self._scene.run(_rows(origins), _rows(directions), query="OCCLUDED") >= 0

    def interpolate(self, hits: Hits, values: np.ndarray) -> np.ndarray:
        """``(N, 3)`` of per-vertex ``values``."""
        return np.einsum("nk,nkc->nc", hits.weights, values[self.mesh.faces[hits.face]])

    def shadow_origins(self, hits: Hits, points: np.ndarray) -> np.ndarray:
        """Points lifted onto the smooth surface that the normals describe, so that facets cast no shadow on themselves.

        Hanika, "Hacking the shadow terminator", Ray Tracing Gems II, 2021.
        """
        corners = self.mesh.faces[hits.face]
        normals = self.mesh.normals[corners]
        below = np.minimum(np.einsum("nkc,nkc->nk", points[:, None] - self.mesh.vertices[corners], normals), 0)
        return points - np.einsum("nk,nkc->nc", hits.weights * below, normals)


def _rows(vectors: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(vectors, np.float32)
