"""The light that pictures are relit by: an environment, turned about +Y as often as is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from src.inference.relit.relighter import PortraitTransport, Relighter
from src.utils.color import luminance
from src.utils.sphere import resize_environment, rotate_environment_y

_LIGHT_ROWS = 256  # of the map that is turned: finer than any model sees
_DARKEST = 1e-6


@dataclass(frozen=True)
class Lighting:
    """An environment H x W x 3 of linear radiance, with a gain, at ``rotations`` in degrees, one after another.

    Light turns counter-clockwise seen from above: what came from the camera comes from its right after 90 degrees.
    """

    environment: np.ndarray
    rotations: Sequence[float] = (0.0,)
    gain: float = 1.0

    @staticmethod
    def of(environment: np.ndarray, rotations: Sequence[float] = (0.0,)) -> Lighting:
        """With the map brought to the size that light is turned at."""
        if environment.shape[0] > _LIGHT_ROWS:
            environment = resize_environment(environment, _LIGHT_ROWS, 2 * _LIGHT_ROWS)
        return Lighting(environment, tuple(rotations))

    def at(self, index: int) -> np.ndarray:
        """The light of the ``index``-th picture; after the last rotation comes the first."""
        degrees = self.rotations[index % len(self.rotations)]
        return rotate_environment_y(self.environment, degrees) * np.float32(self.gain)

    def exposed(self, relighter: Relighter, portrait: PortraitTransport) -> Lighting:
        """With the gain that makes the portrait as bright on average over the rotations as it is flat-lit.

        Light adds up, so that the mean of the pictures is the picture in the mean light.
        """
        mean = np.mean([self.at(index) for index in range(len(self.rotations))], axis=0)
        relit = relighter.relight(portrait, mean)
        weight = portrait.mask
        flat, lit = (float((luminance(picture) * weight).sum()) for picture in (portrait.picture, relit))
        return replace(self, gain=self.gain * flat / lit) if min(flat, lit) > _DARKEST else self
