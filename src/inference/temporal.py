"""Steady video: where shots begin, and running averages of light that start anew there."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np

from src.inference.prediction import Prediction, mean_within
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

    def __init__(self, time_constant: float) -> None:
        """``time_constant``: seconds after which 1 - 1/e of a change has arrived."""
        self._time_constant = time_constant
        self.restart()

    def restart(self) -> None:
        self._mean: np.ndarray | None = None
        self._total = 0.0

    def __call__(self, value: np.ndarray, seconds: float, weight: float = 1.0) -> np.ndarray:
        """The average with ``value`` as the newest, shown for ``seconds``; a change of shape restarts it.

        ``weight``: above 0, how much it counts against a value of weight 1.
        """
        if self._mean is None or self._mean.shape != value.shape:
            self._mean, self._total = np.zeros_like(value), 0.0
        self._total += weight
        share = max(1 - float(np.exp(-seconds / self._time_constant)), 1 / self._total)
        self._mean = self._mean + min(weight * share, 1.0) * (value - self._mean)
        return self._mean


class Smoother:
    """Predictions of consecutive frames made steady: the environment in linear radiance, the gain's coarse part.

    Shading is coarse and moves slowly; the gain's detail belongs to the frame it came from and stays. How bright the
    person was shown is no part of what is averaged: through a fade the gain follows the light at once. Frames of
    nothing but noise are left alone, and leave nothing to others.
    """

    def __init__(self) -> None:
        self._environment = RunningAverage(_ENVIRONMENT_SECONDS)
        self._gain = RunningAverage(_GAIN_SECONDS)

    def __call__(self, prediction: Prediction, starts_anew: bool, seconds: float) -> Prediction:
        """``seconds``: how long the frame is shown."""
        if starts_anew:
            self._environment.restart()
            self._gain.restart()
        if prediction.trust == 0:
            return prediction
        height, width = prediction.log_gain.shape[:2]
        scale = min(1.0, _GAIN_CELLS / max(height, width))
        size = max(1, round(height * scale)), max(1, round(width * scale))
        coarse = resize_area(prediction.log_gain, *size) + np.float32(prediction.level)
        correction = resize_area(self._gain(coarse, seconds, prediction.trust) - coarse, height, width)
        exposure = prediction.exposure
        if exposure is not None:  # it keeps the picture's brightness: what the correction adds to that goes again
            exposure *= float(np.exp(-mean_within(correction.mean(axis=2), prediction.measured)))
        return replace(
            prediction,
            log_gain=prediction.log_gain + correction,
            exposure=exposure,
            environment=self._environment(prediction.environment, seconds, prediction.trust),
        )
