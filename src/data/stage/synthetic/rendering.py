"""Rendering of synthetic heads, one light at a time.

The surface is found once, by sphere tracing 2 x 2 rays a pixel through the analytic distance function. Shadows and the
bounce look distances up in a grid of it instead. Per light: Lambert + a GGX lobe (Walter et al. 2007; Schlick's Fresnel
and Smith-Schlick shadowing) under a directional light of irradiance 1, soft ray-marched shadows, and light that arrives
after one diffuse bounce on the head itself.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import grid_sample, interpolate, normalize

from src.data.stage.synthetic.heads import Head
from src.data.stage.synthetic.skin import Surface
from src.utils.sphere import perspective_directions

CAMERA_DISTANCE = 4.6
FOV_DEGREES = 30.0
_SAMPLES = 2  # per pixel and axis
_BOX_LOW, _BOX_HIGH = (-1.15, -1.35, -1.0), (1.15, 1.1, 0.95)
_VOXEL = 0.018
# A light stage's lamp seen from the middle has a radius of some 2 degrees: the width of the penumbra.
_PENUMBRA = 1 / math.tan(math.radians(2.0))
_BOUNCE_GRID = 32  # bounced light is gathered at every pixel of a picture this large, and interpolated
_BOUNCE_RAYS = 32
_CHUNK = 1 << 15  # points at a time: their intermediate values stay in the cache


@dataclass(frozen=True)
class GBuffer:
    """Surface samples of the picture: those of the rays that hit."""

    size: int
    sample: Tensor  # (N,) index of the ray: pixel * 4 + position inside the pixel
    point: Tensor  # (N, 3)
    normal: Tensor  # (N, 3), with fine relief
    smooth_normal: Tensor  # (N, 3), without
    view: Tensor  # (N, 3) towards the camera
    albedo: Tensor  # (N, 3)
    roughness: Tensor  # (N,)
    specular: Tensor  # (N,)

    def coverage(self) -> np.ndarray:
        """``(size, size)`` share of each pixel's rays that hit."""
        pixels = self.size * self.size
        count = torch.bincount(self.sample // _SAMPLES**2, minlength=pixels)
        return (count.reshape(self.size, self.size).float() / _SAMPLES**2).numpy()


class DistanceGrid:
    """A head's distance function sampled in a box, for many cheap look-ups."""

    def __init__(self, head: Head) -> None:
        axes = [torch.arange(low, high, _VOXEL) for low, high in zip(_BOX_LOW, _BOX_HIGH, strict=True)]
        self._low = torch.tensor([axis[0] for axis in axes])
        self._scale = 2 / torch.tensor([axis[-1] - axis[0] for axis in axes])
        # Far from the surface a coarse grid is as good: only the rest is worth the analytic function.
        coarse_axes = [torch.linspace(axis[0], axis[-1], len(axis) // 4 + 2) for axis in axes]
        coarse_points = _lattice(coarse_axes)
        coarse = head.distance(coarse_points.reshape(-1, 3)).reshape(1, 1, *coarse_points.shape[:3])
        points = _lattice(axes)
        self._values = interpolate(coarse, size=points.shape[:3], mode="trilinear", align_corners=True)
        flat = self._values.view(-1)
        near = torch.nonzero(flat.abs() < 5 * _VOXEL)[:, 0]
        flat[near] = torch.cat([head.distance(part) for part in points.reshape(-1, 3)[near].split(_CHUNK)])

    def __call__(self, points: Tensor) -> Tensor:
        """Interpolated distances ``(N,)``; outside the box those of its border."""
        grid = ((points - self._low) * self._scale - 1).reshape(1, -1, 1, 1, 3)
        return grid_sample(self._values, grid, align_corners=True, padding_mode="border").reshape(-1)

    def visibility(self, points: Tensor, directions: Tensor, softness: float = _PENUMBRA) -> Tensor:
        """How much of a small lamp along ``directions`` ``(N, 3)`` is seen from ``points``: ``(N,)`` in [0, 1].

        The narrowest gap along the ray, as an angle, against the lamp's (Quilez, "Soft shadows in raymarched SDFs").
        """
        result = torch.ones(len(points))
        active = torch.arange(len(points))
        travelled = torch.full((len(points),), 2.0 * _VOXEL)
        seen = torch.ones(len(points))
        low, high = points.new_tensor(_BOX_LOW), points.new_tensor(_BOX_HIGH)
        # The way out of the box, beyond which nothing is.
        leave = (torch.where(directions > 0, high, low) - points) / directions
        leave = leave.nan_to_num(nan=math.inf, posinf=math.inf, neginf=math.inf).amin(dim=1)
        for _ in range(40):
            gap = self(points + travelled[:, None] * directions)
            seen = torch.minimum(seen, 0.5 + 0.5 * softness * gap / travelled)
            travelled = travelled + torch.maximum(gap, (0.03 * travelled).clamp(min=0.6 * _VOXEL))
            is_open = torch.nonzero((seen > 0) & (travelled < leave))[:, 0]
            if len(is_open) < len(active):
                result[active] = seen
                active, points, directions = active[is_open], points[is_open], directions[is_open]
                travelled, seen, leave = travelled[is_open], seen[is_open], leave[is_open]
            if not len(active):
                break
        result[active] = seen
        seen = result
        seen = seen.clamp(0, 1)
        return seen * seen * (3 - 2 * seen)

    def march(
        self, origins: Tensor, directions: Tensor, start: float, reach: float, near: float
    ) -> tuple[Tensor, Tensor]:
        """(whether each ray comes as ``near`` to the surface between ``start`` and ``reach``, distance travelled)."""
        distance = torch.full((len(origins),), start)
        active = torch.arange(len(origins))
        hit = torch.zeros(len(origins), dtype=torch.bool)
        for _ in range(80):
            gap = self(origins[active] + distance[active, None] * directions[active])
            hit[active[gap < near]] = True
            distance[active] += torch.where(gap < near, 0.0, gap.clamp(min=0.3 * _VOXEL))
            active = active[(gap >= near) & (distance[active] < reach)]
            if not len(active):
                break
        return hit, distance


def _lattice(axes: list[Tensor]) -> Tensor:
    """``(Z, Y, X, 3)`` points of three axes in the order x, y, z."""
    z, y, x = torch.meshgrid(axes[2], axes[1], axes[0], indexing="ij")
    return torch.stack([x, y, z], dim=-1)


def trace(head: Head, surface: Surface, grid: DistanceGrid, size: int) -> GBuffer:
    """Find the surface behind ``2 x 2`` rays of each pixel of a square picture."""
    fine = size * _SAMPLES
    rays = torch.from_numpy(perspective_directions(fine, fine, FOV_DEGREES)).float()
    # Rays of one pixel next to each other, so that they can be averaged by reshaping.
    rays = rays.reshape(size, _SAMPLES, size, _SAMPLES, 3).transpose(1, 2).reshape(-1, 3)
    eye = torch.tensor([0.0, 0.0, CAMERA_DISTANCE])
    # Through the grid to within a voxel of the surface, then on with the analytic function.
    hit, distance = grid.march(eye.expand(len(rays), 3), rays, CAMERA_DISTANCE - 1.0, CAMERA_DISTANCE + 1.0, _VOXEL)
    active = torch.nonzero(hit)[:, 0]
    hit[:] = False
    for _ in range(60):
        gap = torch.cat(
            [
                head.distance(eye + d[:, None] * r)
                for d, r in zip(distance[active].split(_CHUNK), rays[active].split(_CHUNK), strict=True)
            ]
        )
        distance[active] += 0.9 * gap
        hit[active[gap.abs() < 5e-4]] = True
        # Those that only grazed the surface go on.
        going = (gap.abs() >= 5e-4) & (distance[active] < CAMERA_DISTANCE + 1.0)
        active, gap = active[going], gap[going]
        if not len(active):
            break
    hit[active[gap < 5e-3]] = True  # deep in a fold, where steps are short
    sample = torch.nonzero(hit)[:, 0]
    point = eye + distance[sample, None] * rays[sample]
    material = head.distances(point).argmin(dim=1)
    smooth_normal = _gradient(head.distance, point, 1.5e-3)
    relief = _raw_gradient(lambda p: surface.bump(p, material), point, 4e-3)
    relief = relief - (relief * smooth_normal).sum(1, keepdim=True) * smooth_normal
    normal = normalize(smooth_normal - relief, dim=1)
    albedo, roughness, specular = surface.shade(point, material)
    return GBuffer(size, sample, point, normal, smooth_normal, -rays[sample], albedo, roughness, specular)


def _raw_gradient(field, points: Tensor, step: float) -> Tensor:
    """Central differences on a tetrahedron: four evaluations."""
    corners = points.new_tensor([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]])
    return sum(field(points + step * corner)[:, None] * corner for corner in corners) / (4 * step)


def _gradient(field, points: Tensor, step: float) -> Tensor:
    return normalize(_raw_gradient(field, points, step), dim=1)


def render_olats(
    head: Head, surface: Surface, lights: np.ndarray, size: int
) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """(coverage ``(size, size)``, iterator over one ``(size, size, 3)`` linear picture per light direction)."""
    grid = DistanceGrid(head)
    buffer = trace(head, surface, grid, size)
    directions = torch.from_numpy(np.ascontiguousarray(lights)).float()
    return buffer.coverage(), _light_by_light(buffer, grid, surface, directions)


def _light_by_light(buffer: GBuffer, grid: DistanceGrid, surface: Surface, lights: Tensor) -> Iterator[np.ndarray]:
    pixels = buffer.size * buffer.size
    pixel = buffer.sample // _SAMPLES**2
    # Shadows vary slowly against pixels: one visibility per pixel, from its first sample, serves the others.
    owner = torch.full((pixels,), -1, dtype=torch.long)
    owner[pixel.flip(0)] = torch.arange(len(pixel)).flip(0)
    shown = torch.nonzero(owner >= 0)[:, 0]
    first = owner[shown]
    row_of = torch.zeros(pixels, dtype=torch.long)
    row_of[shown] = torch.arange(len(shown))
    start = buffer.point[first] + 1.2 * _VOXEL * buffer.smooth_normal[first]
    gathered, bounced = _bounce(buffer, grid, surface, lights)
    for light_block, bounced_block in zip(lights.split(16), bounced.split(16), strict=True):
        # One product for several lights: (pixels, G) x (G, lights x 3).
        irradiance = (gathered @ bounced_block.permute(1, 0, 2).flatten(1)).reshape(len(first), -1, 3)
        for index, light in enumerate(light_block):
            facing = torch.nonzero(buffer.smooth_normal[first] @ light > -0.03)[:, 0]
            seen = torch.zeros(len(first))
            seen[facing] = grid.visibility(start[facing], light.expand(len(facing), 3))
            radiance = _reflect(buffer, light) * seen[row_of[pixel], None]
            radiance += buffer.albedo * (irradiance[:, index] / math.pi)[row_of[pixel]]
            picture = torch.zeros(pixels, 3).index_add_(0, pixel, radiance)
            yield (picture / _SAMPLES**2).reshape(buffer.size, buffer.size, 3).numpy()


def _reflect(buffer: GBuffer, light: Tensor) -> Tensor:
    """Radiance ``(N, 3)`` towards the camera under irradiance 1 along ``light``, unshadowed."""
    n_l = (buffer.normal @ light).clamp(min=0)
    n_v = (buffer.normal * buffer.view).sum(1).clamp(min=0.05)
    half = normalize(buffer.view + light, dim=1)
    n_h = (buffer.normal * half).sum(1).clamp(0, 1)
    v_h = (buffer.view * half).sum(1).clamp(0, 1)
    alpha2 = buffer.roughness**4
    spread = alpha2 / (math.pi * (n_h**2 * (alpha2 - 1) + 1) ** 2)
    fresnel = buffer.specular + (1 - buffer.specular) * (1 - v_h) ** 5
    k = (buffer.roughness + 1) ** 2 / 8
    masking = 1 / ((n_l * (1 - k) + k) * (n_v * (1 - k) + k) * 4)
    lobe = spread * fresnel * masking
    return (buffer.albedo * ((1 - fresnel) / math.pi)[:, None] + lobe[:, None]) * n_l[:, None]


def _bounce(buffer: GBuffer, grid: DistanceGrid, surface: Surface, lights: Tensor) -> tuple[Tensor, Tensor]:
    """Irradiance after one diffuse bounce: interpolation weights ``(pixels shown, G)`` and ``(L, G, 3)`` at G points.

    From each of G surface points, cosine-distributed rays look for the surface that they hit; what each light makes
    that surface send back is averaged over the rays.
    """
    pixel = buffer.sample // _SAMPLES**2
    shown, inverse = torch.unique(pixel, return_inverse=True)
    first = torch.full((len(shown),), len(pixel), dtype=torch.long).scatter_reduce(
        0, inverse, torch.arange(len(pixel)), "amin"
    )
    step = max(1, buffer.size // _BOUNCE_GRID)
    on_grid = ((shown // buffer.size) % step == step // 2) & ((shown % buffer.size) % step == step // 2)
    chosen = first[on_grid]
    point, normal = buffer.point[chosen], buffer.smooth_normal[chosen]
    origin = (point + 1.5 * _VOXEL * normal)[:, None].expand(-1, _BOUNCE_RAYS, 3).reshape(-1, 3)
    rays = _cosine_rays(normal)
    hit, distance = grid.march(origin, rays, 2.5 * _VOXEL, 1.2, 0.25 * _VOXEL)
    index = torch.nonzero(hit)[:, 0]
    target = origin[index] + distance[index, None] * rays[index]
    target_normal = _gradient(grid, target, 0.75 * _VOXEL)
    material = surface.head.distances(target).argmin(dim=1)
    albedo, _, _ = surface.shade(target, material)
    start = target + 2.0 * _VOXEL * target_normal
    receiver = index // _BOUNCE_RAYS
    bounced = torch.zeros(len(lights), len(chosen), 3)
    for number, light in enumerate(lights):
        cosine = (target_normal @ light).clamp(min=0)
        lit = torch.nonzero(cosine > 0)[:, 0]
        seen = grid.visibility(start[lit], light.expand(len(lit), 3), softness=0.3 * _PENUMBRA)
        # Radiance albedo / pi * E from a cosine-distributed direction stands for pi times itself in irradiance.
        sent = albedo[lit] * (cosine[lit] * seen)[:, None]
        bounced[number].index_add_(0, receiver[lit], sent)
    weights = _interpolation(buffer.point[first], buffer.smooth_normal[first], point, normal)
    return weights, bounced / _BOUNCE_RAYS


def _cosine_rays(normal: Tensor) -> Tensor:
    """``(G * rays, 3)`` directions, cosine-distributed about each normal, the same pattern turned differently."""
    count = _BOUNCE_RAYS
    index = torch.arange(count)
    radius = torch.sqrt((index + 0.5) / count)
    turn = torch.rand(len(normal), 1, generator=torch.Generator().manual_seed(0)) * 2 * math.pi
    angle = index * math.pi * (3 - math.sqrt(5)) + turn
    helper = torch.where(normal[:, :1].abs() > 0.7, normal.new_tensor([0.0, 1.0, 0.0]), normal.new_tensor([1.0, 0, 0]))
    tangent = normalize(torch.linalg.cross(helper, normal), dim=1)
    bitangent = torch.linalg.cross(normal, tangent)
    across = radius * torch.cos(angle), radius * torch.sin(angle)
    up = torch.sqrt(1 - radius**2)[None, :, None] * normal[:, None]
    return (across[0][..., None] * tangent[:, None] + across[1][..., None] * bitangent[:, None] + up).reshape(-1, 3)


def _interpolation(point: Tensor, normal: Tensor, at: Tensor, at_normal: Tensor) -> Tensor:
    """``(N, G)`` weights, each row summing to one, of the grid points that are close and face the same way."""
    spacing = 2.6 / _BOUNCE_GRID
    rows = []
    for p, n in zip(point.split(4096), normal.split(4096), strict=True):
        weight = (
            torch.exp(-((torch.cdist(p, at) / spacing) ** 2)) * ((n @ at_normal.T).clamp(min=0) ** 4 + 1e-4) + 1e-30
        )
        rows.append(weight / weight.sum(1, keepdim=True))
    return torch.cat(rows)
