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
        self._rank = rank[mask]
        self._keys = x + 2 * y
        self._of_key = seen.astype(np.int64)
        self.planes = planes
        self.count = len(self._rank)
        self.sizes = np.zeros(keys + PLANE_LAG * (planes - 1), np.int64)  # values of each step
        for d in range(planes):
            self.sizes[PLANE_LAG * d : PLANE_LAG * d + keys] += self._of_key

    def places(self) -> Iterator[np.ndarray]:
        """Of each plane, the places of its N values, row-major."""
        keys = len(self._of_key)
        first = np.cumsum(self.sizes) - self.sizes
        ahead = np.concatenate((self._of_key, np.zeros(PLANE_LAG * self.planes, np.int64)))
        before = np.zeros(keys, np.int64)  # values of the planes before, in the step that handles a key of this one
        for d in range(self.planes):
            if d:
                before += ahead[PLANE_LAG * d : PLANE_LAG * d + keys]
            yield (first[PLANE_LAG * d : PLANE_LAG * d + keys] + before)[self._keys] + self._rank

    def to_stream(self, values: np.ndarray) -> np.ndarray:
        """``values`` D x N, row-major -> D N, as they are coded."""
        stream = np.empty(values.size, values.dtype)
        for of_plane, place in zip(values, self.places(), strict=True):
            stream[place] = of_plane
        return stream

    def from_stream(self, stream: np.ndarray) -> np.ndarray:
        """The inverse of :meth:`to_stream`."""
        values = np.empty((self.planes, self.count), stream.dtype)
        for of_plane, place in zip(values, self.places(), strict=True):
            stream.take(place, out=of_plane, mode="clip")
        return values
