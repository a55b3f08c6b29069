"""Pictures of a synthetic person, one light at a time.

Per light: Lambert and two specular lobes under a directional light of irradiance 1 whose shadows have the penumbra of a
lamp, what of it goes sideways below the skin, and what arrives after one bounce on the person. Everything is linear in
the light, so that sums of these pictures are pictures under sums of lights.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.sparse import csr_array

from src.data.stage.synthetic.camera import Samples, Surface, View, look
from src.data.stage.synthetic.meshes import Scene
from src.data.stage.synthetic.transport import LIFT, SIDEWAYS, Bounce, diffusion, tangents

LAMP_RADIUS_DEGREES = 1.5  # a light stage's lamp seen from the middle
_BLOCK = 16  # lights at a time


def render_olats(
    scene: Scene,
    surface: Surface,
    view: View,
    lights: np.ndarray,
    size: int,
    *,
    lamp_radius: float = LAMP_RADIUS_DEGREES,
    indirect: bool = True,
) -> tuple[np.ndarray, Iterator[np.ndarray]]:
    """(coverage ``(size, size)``, iterator over one ``(size, size, 3)`` linear picture per light direction ``(L, 3)``).

    lamp_radius: degrees; 0 has sharp shadows. Without ``indirect`` light neither bounces nor goes below the skin.
    """
    samples = look(scene, surface, view, size)
    pictures = _Pictures(scene, surface, view, samples, np.radians(lamp_radius), indirect)
    return samples.coverage(), pictures.under(np.asarray(lights, np.float32))


class _Pictures:
    def __init__(
        self, scene: Scene, surface: Surface, view: View, samples: Samples, lamp_radius: float, indirect: bool
    ) -> None:
        self._scene, self._samples = scene, samples
        # The picture's pixels that show something, and sums over their samples.
        self._shown, first, owner = np.unique(samples.pixel, return_index=True, return_inverse=True)
        count = len(self._shown)
        self._sum = csr_array((samples.weight, (owner, np.arange(len(owner)))), shape=(count, len(owner)))
        self._origin = samples.shadow_origin + np.float32(LIFT) * samples.smooth_normal
        self._lamp = lamp_radius * _lamp_points(owner, first)
        self._albedo = self._sum @ samples.albedo
        self._indirect = indirect and count > 0
        if self._indirect:
            self._covered = np.asarray(self._sum.sum(axis=1)).clip(1e-6)[:, None]
            is_skin = samples.is_skin[first]
            width = view.frame_height / samples.size
            self._diffusion = diffusion(samples.point[first], is_skin, self._shown, samples.size, width)
            self._bounce = Bounce(scene, surface, samples, first)

    def under(self, lights: np.ndarray) -> Iterator[np.ndarray]:
        for start in range(0, len(lights), _BLOCK):
            block = lights[start : start + _BLOCK]
            direct, received = [], []
            for light in block:
                irradiance, gloss = self._direct(light)
                radiance = self._samples.albedo * (irradiance / np.pi)[:, None] + gloss[:, None]
                direct.append(self._sum @ radiance)
                received.append(self._sum @ irradiance)
            if self._indirect:
                bounced = self._bounce.irradiance(block)
                level = np.stack(received, axis=1) / self._covered
                moved = self._diffusion @ level - level
                extra = self._albedo[:, None] / np.pi * (moved[..., None] * SIDEWAYS + bounced)
                direct = [radiance + extra[:, index] for index, radiance in enumerate(direct)]
            for radiance in direct:
                picture = np.zeros((self._samples.size**2, 3), np.float32)
                picture[self._shown] = radiance.clip(0, None)
                yield picture.reshape(self._samples.size, self._samples.size, 3)

    def _direct(self, light: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(irradiance ``(N,)``, specular radiance ``(N,)``) of the samples, shadows included."""
        samples = self._samples
        cosine = samples.diffuse_normal @ light
        facing = np.flatnonzero((cosine > 0) | (samples.gloss.normal @ light > 0))
        along, across = tangents(light[None])
        offset = self._lamp[facing]
        rays = light + offset[:, :1] * along + offset[:, 1:] * across
        seen = ~self._scene.occluded(self._origin[facing], rays)
        lit = facing[seen]
        irradiance, gloss = np.zeros_like(cosine), np.zeros_like(cosine)
        irradiance[lit] = cosine[lit].clip(0)
        gloss[lit] = samples.gloss.radiance(lit, light)
        return irradiance, gloss


def _lamp_points(owner: np.ndarray, first: np.ndarray) -> np.ndarray:
    """``(N, 2)`` points spread over the unit disc, those of one pixel apart from each other."""
    number = np.arange(len(owner)) - first[owner]
    count = np.bincount(owner)[owner] if len(owner) else number
    turn = np.random.default_rng(1).uniform(0, 2 * np.pi, len(first))
    radius = np.sqrt((number + 0.5) / count)
    angle = number * np.pi * (3 - np.sqrt(5)) + turn[owner]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1).astype(np.float32)
