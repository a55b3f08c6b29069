"""Signed distance fields: shapes, their blends, and triangles on their surface.

A field is a function from points ``(N, 3)`` float32 to distance bounds ``(N,)``, below zero inside. Blends (Quilez,
"Smooth minimum") of ellipsoids are bounds, not exact.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from src.data.stage.synthetic.meshes import Mesh, make_mesh, unit

Field = Callable[[Tensor], Tensor]
_CHUNK = 1 << 15  # points at a time: their intermediate values stay in the cache
_COARSE = 4  # voxels


def isosurface(field: Field, low: tuple, high: tuple, voxel: float, material: int) -> Mesh | None:
    """The triangles where ``field`` is zero within a box, sampled every ``voxel``; None where it has no surface.

    Lorensen and Cline, "Marching cubes", 1987; the vertices are then moved onto the surface itself.
    """
    from skimage.measure import marching_cubes

    axes = [torch.arange(start, end, voxel) for start, end in zip(low, high, strict=True)]
    # Far from the surface a coarse grid is as good: only the rest is worth the field.
    coarse_axes = [torch.linspace(axis[0], axis[-1], len(axis) // _COARSE + 2) for axis in axes]
    lattice = _lattice(coarse_axes)
    coarse = _evaluate(field, lattice.reshape(-1, 3)).reshape(1, 1, *lattice.shape[:3])
    lattice = _lattice(axes)
    values = interpolate(coarse, size=lattice.shape[:3], mode="trilinear", align_corners=True)[0, 0]
    flat = values.view(-1)
    near = torch.nonzero(flat.abs() < 1.2 * _COARSE * voxel)[:, 0]
    flat[near] = _evaluate(field, lattice.reshape(-1, 3)[near])
    if not values.min() < 0 < values.max():
        return None
    corners, faces, _, _ = marching_cubes(values.numpy(), 0.0, spacing=(voxel,) * 3)
    points = torch.from_numpy(np.ascontiguousarray(corners + np.asarray(low), np.float32))
    normals = gradient(field, points, 0.2 * voxel)
    points = points - (_evaluate(field, points).clamp(-voxel / 2, voxel / 2))[:, None] * normals
    return make_mesh(points.numpy(), faces, material, gradient(field, points, 0.2 * voxel).numpy())


def gradient(field: Field, points: Tensor, step: float) -> Tensor:
    """Unit gradient ``(N, 3)``: central differences on a tetrahedron, four evaluations."""
    corners = points.new_tensor([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
    total = sum(_evaluate(field, points + step * corner)[:, None] * corner for corner in corners)
    return torch.from_numpy(unit(total.numpy()))


def _evaluate(field: Field, points: Tensor) -> Tensor:
    return torch.cat([field(part) for part in points.split(_CHUNK)])


def _lattice(axes: list[Tensor]) -> Tensor:
    """``(X, Y, Z, 3)`` points of three axes."""
    return torch.stack(torch.meshgrid(*axes, indexing="ij"), dim=-1)


def sphere(p: Tensor, centre: tuple, radius: float) -> Tensor:
    return (p - p.new_tensor(centre)).norm(dim=1) - radius


def ellipsoid(p: Tensor, centre: tuple, radii: tuple) -> Tensor:
    """Distance bound of an ellipsoid by its gradient (first order: exact at the surface)."""
    q = p - p.new_tensor(centre)
    inverse = 1 / p.new_tensor(radii)
    k0 = (q * inverse).norm(dim=1)
    k1 = (q * inverse**2).norm(dim=1)
    return k0 * (k0 - 1) / k1.clamp(min=1e-6)


def capsule(p: Tensor, start: tuple, end: tuple, radius: float) -> Tensor:
    return cone(p, start, end, radius, radius)


def cone(p: Tensor, start: tuple, end: tuple, radius_start: float, radius_end: float) -> Tensor:
    """A capsule whose radius changes from one end to the other."""
    a, axis = p.new_tensor(start), p.new_tensor(end) - p.new_tensor(start)
    along = (((p - a) @ axis) / axis.dot(axis)).clamp(0, 1)
    return (p - a - along[:, None] * axis).norm(dim=1) - (radius_start + along * (radius_end - radius_start))


def union(a: Tensor, b: Tensor, k: float) -> Tensor:
    """Smooth minimum (quadratic polynomial, blend radius ``k``)."""
    h = (k - (a - b).abs()).clamp(min=0) / k
    return torch.minimum(a, b) - h * h * (0.25 * k)


def smooth_max(a: Tensor, b: Tensor, k: float) -> Tensor:
    return -union(-a, -b, k)


def difference(a: Tensor, b: Tensor, k: float) -> Tensor:
    return smooth_max(a, -b, k)
