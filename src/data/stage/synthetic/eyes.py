"""Eyeballs with a cornea that catches highlights."""

from __future__ import annotations

import numpy as np

from src.data.stage.synthetic.meshes import EYE, Mesh, make_mesh, rotation

_RINGS, _SEGMENTS = 48, 64
_CORNEA_ANGLE, _CORNEA_HEIGHT = 0.52, 0.055  # radians from the axis; shares of the radius


def eyeball(centre: np.ndarray, radius: float, yaw: float, pitch: float) -> Mesh:
    """An eye that looks along +Z turned by ``yaw`` and ``pitch`` (degrees); at rest the unit sphere."""
    angle = np.pi * (np.linspace(0, 1, _RINGS) ** 1.5)  # rings close together on the cornea
    around = np.linspace(0, 2 * np.pi, _SEGMENTS, endpoint=False)
    theta, phi = (grid.ravel() for grid in np.meshgrid(angle, around, indexing="ij"))
    sphere = np.stack([np.sin(theta) * np.cos(phi), np.sin(theta) * np.sin(phi), np.cos(theta)], axis=1)
    bulge = _CORNEA_HEIGHT * (1 - (theta / _CORNEA_ANGLE) ** 2).clip(0) ** 1.5
    ring, segment = (grid.ravel() for grid in np.meshgrid(range(_RINGS - 1), range(_SEGMENTS), indexing="ij"))
    a, b = ring * _SEGMENTS + segment, ring * _SEGMENTS + (segment + 1) % _SEGMENTS
    faces = np.concatenate([np.stack([a, a + _SEGMENTS, b], 1), np.stack([b, a + _SEGMENTS, b + _SEGMENTS], 1)])
    shape = sphere * (1 + bulge)[:, None] * radius
    # The poles are rows of coinciding points: their normals are the axis.
    mesh = make_mesh(shape, faces, EYE, rest=sphere)
    mesh.normals[[*range(_SEGMENTS)]] = [0, 0, 1]
    mesh.normals[-_SEGMENTS:] = [0, 0, -1]
    moved = mesh.moved(rotation(yaw, pitch, 0))
    return make_mesh(moved.vertices + np.asarray(centre, np.float32), faces, EYE, moved.normals, sphere)
