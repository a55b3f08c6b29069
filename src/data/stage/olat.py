"""Image-based relighting: a picture under any environment is a weighted sum of one-light-at-a-time (OLAT) pictures.

``I_E = sum_l c_l OLAT_l``: ``OLAT_l`` is the linear picture under light ``l`` alone, of irradiance 1 on a surface that
faces it, and ``c_l`` the integral of the environment E over the part of the sphere that light ``l`` stands for
(Debevec et al. 2000, "Acquiring the Reflectance Field of a Human Face"). Flat-lit is the same with E = 1.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import numpy as np
from threadpoolctl import ThreadpoolController

from src.data.stage.settings import WEIGHTS
from src.utils.cli import InputError
from src.utils.sphere import nearest_lights, pixel_directions, pixel_solid_angles

# Pixels per matrix product: a tile of all lights and colours of this width streams through the caches at the highest
# rate (measured from 2,048 to the whole picture).
_TILE = 8192
_GIB = 1024**3
# An environment pixel is cut into parts of at most this size before it is dealt to cells.
_PART_DEGREES = 1.5


class LightCells:
    """The share of the sphere that each of ``L`` lights stands for, and environments integrated over it.

    ``directions``: ``(L, 3)`` towards the lights, any length but 0. ``weights``:

    - ``voronoi``: every direction belongs to its nearest light.
    - ``smooth``: to its three nearest ones, by ``1 / angle_i - 1 / angle_4`` (so that a light fades out before another
      takes its place), normalised to sum to one in every direction. A small bright source between lights then comes
      from its true mean direction.
    """

    def __init__(self, directions: np.ndarray, weights: str = "smooth") -> None:
        if weights not in WEIGHTS:
            raise ValueError(f"weights must be one of {WEIGHTS}, not {weights!r}")
        directions = np.asarray(directions, np.float64)
        self.directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
        # Three neighbours and a fourth to fade against are needed; fewer lights have no smooth version.
        self.weights = weights if len(directions) >= 4 else "voronoi"
        self._shares: dict[tuple[int, int], list[tuple[np.ndarray, np.ndarray, np.ndarray]]] = {}

    def __len__(self) -> int:
        return len(self.directions)

    def integrate(self, environment: np.ndarray) -> np.ndarray:
        """``c_l``, ``(L, 3)`` float32: the integral of an ``(H, W, 3)`` radiance map over each light's share."""
        sums = np.zeros((len(self), 3))
        flat = environment.reshape(-1, 3).astype(np.float64)
        for pixels, lights, solid_angles in self._dealt(*environment.shape[:2]):
            for channel in range(3):
                radiance = flat[:, channel] if pixels is None else flat[pixels, channel]
                sums[:, channel] += np.bincount(lights, solid_angles * radiance, minlength=len(self))
        return sums.astype(np.float32)

    def solid_angles(self, height: int = 256, width: int = 512) -> np.ndarray:
        """Each light's solid angle, ``(L,)`` float64 in steradians, on a map of the given size; they sum to 4 pi."""
        dealt = self._dealt(height, width)
        return np.sum(
            [np.bincount(lights, solid_angles, minlength=len(self)) for _, lights, solid_angles in dealt], axis=0
        )

    def matrix(self, height: int, width: int) -> np.ndarray:
        """``(L, height * width)`` float32 with ``integrate(E) == matrix @ E.reshape(-1, 3)``, for use in a network."""
        matrix = np.zeros((len(self), height * width))
        for pixels, lights, solid_angles in self._dealt(height, width):
            np.add.at(matrix, (lights, np.arange(height * width) if pixels is None else pixels), solid_angles)
        return matrix.astype(np.float32)

    def _dealt(self, height: int, width: int) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Triples (pixel index, light index, solid angle) of which each deals some of the sphere to lights."""
        if (height, width) not in self._shares:
            parts = max(1, int(np.ceil(180 / height / _PART_DEGREES)))
            fine = (height * parts, width * parts)
            rows, columns = np.divmod(np.arange(fine[0] * fine[1]), fine[1])
            pixels = (rows // parts * width + columns // parts).astype(np.int32)
            self._shares[height, width] = [
                (pixels, lights, solid_angles)
                for lights, solid_angles in self._deal(pixel_directions(*fine), pixel_solid_angles(*fine).ravel())
            ]
        return self._shares[height, width]

    def _deal(self, directions: np.ndarray, solid_angles: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
        directions = directions.reshape(-1, 3)
        if self.weights == "voronoi":
            indices, _ = nearest_lights(self.directions, directions)
            return [(indices[0], solid_angles)]
        indices, cosines = nearest_lights(self.directions, directions, count=4)
        inverse = 1 / np.arccos(cosines.clip(-1, 1)).clip(1e-6, None)
        shares = inverse[:3] - inverse[3]
        total = shares.sum(axis=0)
        # Four lights at the same distance leave nothing: then the three share alike.
        shares = np.where(total > 1e-9, shares / total.clip(1e-9, None), 1 / 3)
        return [(indices[rank], shares[rank] * solid_angles) for rank in range(3)]


def accumulate(sums: np.ndarray, coefficients: np.ndarray, olats: np.ndarray, fresh: bool = False) -> None:
    """Add the light of some OLAT pictures to pictures under environments: the streaming matrix product.

    ``sums`` ``(3, E, P)`` (in place), ``coefficients`` ``(3, E, l)`` and ``olats`` ``(3, l, P)``, all float32, for E
    environments, l lights and P pixels, colour by colour. ``fresh`` overwrites ``sums``, as the first block may.
    """

    def add(colour: int, start: int) -> None:
        tile = slice(start, start + _TILE)
        if fresh:
            np.matmul(coefficients[colour], olats[colour][:, tile], out=sums[colour][:, tile])
        else:
            sums[colour, :, tile] += coefficients[colour] @ olats[colour][:, tile]

    blas = ThreadpoolController().select(user_api="blas")
    threads = max((library["num_threads"] for library in blas.info()), default=1)
    # Tiles are independent: a thread each, rather than all threads in each, which would wait for one another
    # hundreds of times (three to eight times slower on a busy machine).
    tiles = [(colour, start) for colour in range(3) for start in range(0, sums.shape[2], _TILE)]
    with blas.limit(limits=1), ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(add, *tile) for tile in tiles]:
            done.result()


class Blocks(NamedTuple):
    """How many environments and lights are held at a time."""

    environments: int
    lights: int


def plan_blocks(height: int, width: int, environments: int, lights: int, memory_gb: float) -> Blocks:
    """The blocks that fit ``memory_gb``; fewer environments at a time mean reading the OLATs more than once.

    Raises InputError when not even one environment and one light fit.
    """
    picture = 3 * 4 * height * width
    # Beside the sums and the OLATs: the picture being decoded or encoded, some copies of it, the mask's maximum.
    available = int(memory_gb * _GIB / picture) - 6
    if available < 2:
        needed = 8 * picture / _GIB
        raise InputError(
            "--max_memory_gb",
            f"{memory_gb:g} is too little for {width} x {height} pictures",
            f"give at least {needed:.2g} per worker, or a smaller --image_size",
        )
    block_lights = min(lights, max(1, available // 4))
    block_environments = min(environments, available - block_lights)
    return Blocks(block_environments, min(lights, available - block_environments))
