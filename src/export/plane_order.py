"""In which order the values of latent planes are coded.

At step s, plane d handles the valid texels with x + 2 y = s - 3 d, by growing y. All that a value is predicted from was
handled in an earlier step, so a step is one vector operation, and a serial program may simply loop over it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

PLANE_LAG = 3  # plane d reads plane d-1 one row below: x + 2 (y + 1) = s + 2


class PlaneOrder:
    """Where the values of ``planes`` planes of the valid texels of ``mask`` H x W stand in the stream."""

    def __init__(self, mask: np.ndarray, planes: int) -> None:
        height, width = mask.shape
        keys = width + 2 * height
        seen = np.zeros(keys, np.int32)  # texels of each x + 2 y in the rows above
        rank = np.empty(mask.shape, np.int32)
        for top, row in enumerate(mask):
            rank[top] = seen[2 * top : 2 * top + width]
            seen[2 * top : 2 * top + width] += row
        y, x = np.nonzero(mask)
        self.rows, self.keys = y, x + 2 * y
        self.planes, self.count = planes, len(y)
        self.sizes = np.zeros(keys + PLANE_LAG * (planes - 1), np.int64)  # values of each step
        for d in range(planes):
            self.sizes[PLANE_LAG * d : PLANE_LAG * d + keys] += seen
        # Before a value there are, in its step, the texels of its key in the rows above, and of the planes before those
        # of every third key after its own, up to the step's number, which is the key of the first plane.
        thirds = np.zeros(-(-len(self.sizes) // PLANE_LAG) * PLANE_LAG, np.int64)
        thirds[:keys] = seen
        thirds = thirds.reshape(-1, PLANE_LAG).cumsum(axis=0).ravel()[: len(self.sizes)]
        self._of_step = np.cumsum(self.sizes) - self.sizes + thirds
        self._of_texel = rank[mask] - thirds[self.keys]
        self._texels_by_key = np.argsort(self.keys.astype(np.min_scalar_type(keys)), kind="stable")

    def places(self, plane: int | np.ndarray, texels: np.ndarray) -> np.ndarray:
        """Where values stand, by their planes and their texels' row-major numbers."""
        return self._of_step.take(self.keys[texels] + PLANE_LAG * plane) + self._of_texel[texels]

    def to_stream(self, values: np.ndarray) -> np.ndarray:
        """``values`` D x N, row-major -> D N, as they are coded."""
        stream = np.empty(values.size, values.dtype)
        for of_plane, places in zip(values, self._by_key(), strict=True):
            stream[places] = of_plane.take(self._texels_by_key)
        return stream

    def from_stream(self, stream: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`to_stream`."""
        values = np.empty((self.planes, self.count), stream.dtype)
        by_key, place_by_key = np.empty(self.count, stream.dtype), np.empty_like(self._texels_by_key)
        place_by_key[self._texels_by_key] = np.arange(self.count)
        for of_plane, places in zip(values, self._by_key(), strict=True):
            stream.take(places, out=by_key, mode="clip")
            by_key.take(place_by_key, out=of_plane, mode="clip")
        return values

    def _by_key(self) -> Iterator[np.ndarray]:
        """Of each plane, the places of its values by growing x + 2 y: nearly one after another. One array for all."""
        keys, of_texel = (part.take(self._texels_by_key) for part in (self.keys, self._of_texel))
        places = np.empty_like(keys)
        for d in range(self.planes):
            self._of_step[PLANE_LAG * d :].take(keys, out=places, mode="clip")
            places += of_texel
            yield places
