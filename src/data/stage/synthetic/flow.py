"""Where what a frame of a clip shows was in the frame before: exact optical flow, with what was hidden known."""

from __future__ import annotations

import numpy as np

from src.data.stage.synthetic.camera import View
from src.data.stage.synthetic.meshes import Scene
from src.utils.sphere import perspective_directions

_SAME_PLACE = 0.01  # head units between a point and what the camera saw in its direction


def backward_flow(now: Scene, before: Scene, view: View, size: int) -> np.ndarray:
    """``(size, size, 3)`` float32 for two poses of one person, whose meshes have the same triangles.

    Channels 0 and 1: columns and rows from a pixel to the place in the frame before of what the pixel's centre shows
    now. Channel 2: 1 where the camera saw that place then. All are 0 where the pixel shows no person.
    """
    rays = perspective_directions(size, size, view.fov_degrees).reshape(-1, 3).astype(np.float32)
    hits = now.first_hits(np.broadcast_to(view.eye, rays.shape), rays)
    point = before.interpolate(hits, before.mesh.vertices)
    flow = np.zeros((size * size, 3), np.float32)
    row, column = np.divmod(hits.ray, size)
    place = view.project(point, size)
    flow[hits.ray, :2] = place - np.stack([column, row], axis=1)
    flow[hits.ray, 2] = _was_seen(before, view, point) & ((place > -0.5) & (place < size - 0.5)).all(axis=1)
    return flow.reshape(size, size, 3)


def _was_seen(scene: Scene, view: View, point: np.ndarray) -> np.ndarray:
    towards = point - view.eye
    distance = np.linalg.norm(towards, axis=1)
    hits = scene.first_hits(np.broadcast_to(view.eye, towards.shape), towards / distance[:, None])
    nearest = np.full(len(point), np.inf)
    found = scene.interpolate(hits, scene.mesh.vertices)
    nearest[hits.ray] = np.linalg.norm(found - view.eye, axis=1)
    return np.abs(nearest - distance) < _SAME_PLACE
