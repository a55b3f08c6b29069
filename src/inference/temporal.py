"""Steady video: where shots begin, and running averages of light that start anew there."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from src.inference.delit.delighter import Prediction
from src.utils.resize import resize_area

# Cuts: mean absolute difference of frames reduced to this size, in sRGB values of [0, 1], and its ratio to the shot's
# usual difference, so that fast motion is not one.
_CUT_SIZE = (32, 18)  # width, height
_CUT_DIFFERENCE = 0.1
_CUT_RATIO = 4.0
# Seconds after which 1 - 1/e of a change has arrived. Rooms change their light more slowly than heads turn in it.
_ENVIRONMENT_SECONDS = 0.5
_GAIN_SECONDS = 0.2
_GAIN_CELLS = 16  # cells of the smoothed part of the gain along the long side; what is finer is left as it is


class CutDetector:
    """Says of each frame in turn whether it begins a shot; the first one does."""

    def __init__(self) -> None:
        self._last: np.ndarray | None = None
        self._usual = 0.0

    def is_cut(self, frame: np.ndarray) -> bool:
        """``frame``: H x W x 3 uint8 sRGB."""
        reduced = cv2.resize(frame, _CUT_SIZE, interpolation=cv2.INTER_AREA).astype(np.float32) / 255
        last, self._last = self._last, reduced
        if last is None:
            return True
        difference = float(np.abs(reduced - last).mean())
        if difference > _CUT_DIFFERENCE and difference > _CUT_RATIO * self._usual:
            self._usual = 0.0
            return True
        self._usual += 0.2 * (difference - self._usual)
        return False


class RunningAverage:
    """Exponential moving average over frames whose first values are plain means: it never begins with a lag."""

    def __init__(self, seconds: float, fps: float) -> None:
        self._share = 1 - float(np.exp(-1 / max(seconds * fps, 1e-6)))
        self.restart()

    def restart(self) -> None:
        self._mean: np.ndarray | None = None
        self._count = 0

    def __call__(self, value: np.ndarray) -> np.ndarray:
        """The average with ``value`` as the newest; a change of shape restarts it."""
        if self._mean is None or self._mean.shape != value.shape:
            self._mean, self._count = np.zeros_like(value), 0
        self._count += 1
        self._mean = self._mean + max(self._share, 1 / self._count) * (value - self._mean)
        return self._mean


class Smoother:
    """Predictions of consecutive frames made steady: the environment in linear radiance, the gain's coarse part.

    Shading is coarse and moves slowly; the gain's detail belongs to the frame it came from and stays.
    """

    def __init__(self, fps: float) -> None:
        self._environment = RunningAverage(_ENVIRONMENT_SECONDS, fps)
        self._gain = RunningAverage(_GAIN_SECONDS, fps)

    def __call__(self, prediction: Prediction, starts_anew: bool) -> Prediction:
        if starts_anew:
            self._environment.restart()
            self._gain.restart()
        height, width = prediction.log_gain.shape[:2]
        scale = min(1.0, _GAIN_CELLS / max(height, width))
        coarse = resize_area(prediction.log_gain, max(1, round(height * scale)), max(1, round(width * scale)))
        correction = resize_area(self._gain(coarse) - coarse, height, width)
        return replace(
            prediction,
            log_gain=prediction.log_gain + correction,
            environment=self._environment(prediction.environment),
        )
