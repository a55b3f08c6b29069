"""Reading a lightmap's valid texels hour by hour, repaired where one texel would spoil the others."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import numpy as np

from src.data.lightmap.coverage import Coverage
from src.utils.cli import InputError

# A path tracer's fireflies: this many times as bright as all but the brightest few of their frame, and alone. A lamp's
# own chart can be as bright, but covers more than so many texels that touch. What is brighter still is no light.
FIREFLY_FACTOR, LARGEST_FIREFLY = 10.0, 4
BRIGHTEST_SHARE, FEWEST_BRIGHTEST = 1 / 4096, 4
NO_LIGHT_FACTOR, NO_LIGHT_SHARE = 1e4, 1 / 16
MOST_RADIANCE = 1e15  # its square is far from the end of float32


class ReadableLightmap(Protocol):
    """A lightmap as :func:`src.data.lightmap.sources.open_lightmaps` gives it."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    @property
    def files(self) -> tuple[Path, ...]: ...

    @property
    def hours(self) -> tuple[float, ...]: ...

    @property
    def is_radiance(self) -> bool: ...

    def read_coverage(self) -> Coverage: ...

    def read_frame(self, t: int) -> np.ndarray: ...


class DayReader:
    """``mask`` H x W bool, and by :meth:`valid_texels` the frames. Of radiance

    - what is negative becomes 0;
    - texels far brighter than all but a few others of their frame (fireflies) become as bright as the brightest of the
      others. Everything is relative to a frame's peak: quantisation, the errors' weights, PSNR and previews.

    NaN and infinity are refused at valid texels and mean nothing elsewhere. ``remarks`` says what was found.
    """

    def __init__(self, lightmap: ReadableLightmap) -> None:
        """Reads the mask. Raises :class:`InputError` when it cannot be read or leaves no texel."""
        self._lightmap = lightmap
        self._coverage = lightmap.read_coverage()
        self.mask = self._coverage.mask
        self._rows = np.flatnonzero(self.mask)
        self._negative: list[tuple[float, int, str]] = []  # lowest, count, where; of each frame
        self._hot: list[tuple[float, int, str]] = []  # times the next brightest, count, where and what

    def valid_texels(self, t: int) -> np.ndarray:
        """The valid texels of the t-th frame, row-major, N x 3 float32.

        Raises :class:`InputError` naming the file and the texel where one is NaN, infinite or beyond all light.
        """
        values = self._lightmap.read_frame(t)[self.mask]
        finite = np.isfinite(values).all(axis=1)
        if not finite.all():
            count, first = int((~finite).sum()), int(np.argmin(finite))
            texels = "1 valid texel" if count == 1 else f"{count} valid texels"
            problem = f"holds NaN or infinite values at {texels}, the first of them {self._place(first)}"
            raise InputError(self._lightmap.files[t], problem, "bake it again, or leave them out in a mask.png")
        if self._lightmap.is_radiance:
            self._clip_negative(values, t)
            self._dim_fireflies(values, t)
        return values

    @property
    def remarks(self) -> list[str]:
        """What was found in the mask and in the frames read so far, a line each."""
        lines = [str(self._coverage), *(f"warning: {remark}" for remark in self._coverage.remarks)]
        if self._negative:
            lowest, _, where = min(self._negative)
            count = sum(count for _, count, _ in self._negative)
            lines.append(
                f"{count} values in {len(self._negative)} frames are negative, the lowest {lowest:.3g} at {where}: "
                "taken as 0"
            )
        if self._hot:
            _, _, hottest = max(self._hot)
            count = sum(count for _, count, _ in self._hot)
            lines.append(
                f"warning: {count} hot texel{'s' if count > 1 else ''} in {len(self._hot)} "
                f"frame{'s' if len(self._hot) > 1 else ''}, the hottest {hottest}: taken as that bright"
            )
        return lines

    def _clip_negative(self, values: np.ndarray, t: int) -> None:
        below = values < 0
        if below.any():
            row = int(values.min(axis=1).argmin())
            where = f"{self._place(row)} of {self._lightmap.files[t].name}"
            self._negative.append((float(values[row].min()), int(below.sum()), where))
            np.maximum(values, 0.0, out=values)

    def _dim_fireflies(self, values: np.ndarray, t: int) -> None:
        red, green, blue = values.T
        brightness = np.maximum(np.maximum(red, green), blue)  # several times as fast as along the short axis
        few = max(FEWEST_BRIGHTEST, int(len(values) * BRIGHTEST_SHARE))
        hot = self._isolated(_far_above(brightness, few, FIREFLY_FACTOR))
        hot |= _far_above(brightness, int(len(values) * NO_LIGHT_SHARE), NO_LIGHT_FACTOR)
        file = self._lightmap.files[t]
        if hot.any():
            row, peak = int(brightness.argmax()), float(brightness[~hot].max())
            where = f"{brightness[row]:.4g} at {self._place(row)} of {file.name}, where the others reach {peak:.4g}"
            self._hot.append((float(brightness[row]) / peak, int(hot.sum()), where))
            values[hot] *= (peak / brightness[hot])[:, None]
        if not hot.all() and brightness[~hot].max() > MOST_RADIANCE:
            row = int(np.where(hot, 0.0, brightness).argmax())
            problem = f"radiance {brightness[row]:.3g} at {self._place(row)} is beyond all light"
            raise InputError(file, problem, "bake it again, or leave it out in a mask.png")

    def _isolated(self, candidates: np.ndarray) -> np.ndarray:
        """Those of ``candidates`` N bool that touch few others of them."""
        if not candidates.any():
            return candidates
        from scipy import ndimage  # few days have fireflies, and nobody waits for it elsewhere

        places = np.zeros(self.mask.size, bool)
        places[self._rows[candidates]] = True
        groups, _ = ndimage.label(places.reshape(self.mask.shape), np.ones((3, 3)))
        groups = groups.ravel()[self._rows]
        return candidates & (np.bincount(groups)[groups] <= LARGEST_FIREFLY)

    def _place(self, row: int) -> str:
        y, x = divmod(int(self._rows[row]), self.mask.shape[1])
        return f"texel ({x}, {y})"


def load_frames(
    lightmap: ReadableLightmap, remarks: list[str] | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``(frames T x H x W x 3 float32, hours T float64, mask H x W bool)``; frames are 0 at invalid texels.

    What the reader remarks is appended to ``remarks``.
    """
    reader = DayReader(lightmap)
    frames = np.zeros((len(lightmap.files), *reader.mask.shape, 3), np.float32)
    for t, frame in enumerate(frames):
        frame[reader.mask] = reader.valid_texels(t)
    if remarks is not None:
        remarks += reader.remarks
    return frames, np.array(lightmap.hours), reader.mask


def _far_above(brightness: np.ndarray, most: int, factor: float) -> np.ndarray:
    """Which of N values are above ``factor`` x the brightest but ``most``; of very few values none is an exception."""
    most = min(most, len(brightness) // 16)
    if most == 0:
        return np.zeros(len(brightness), bool)
    usual = np.partition(brightness, -1 - most)[-1 - most]
    return (brightness > factor * usual) & (usual > 0)
