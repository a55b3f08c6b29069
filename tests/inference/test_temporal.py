"""Cuts and running averages."""

import numpy as np
import pytest

from src.inference.delit.delighter import Prediction
from src.inference.temporal import CutDetector, RunningAverage, Smoother


def predictions(rng, count, level=0.0, noise=0.1):
    """Log gains with one fixed detail and flickering coarse parts, environments that flicker."""
    detail = rng.normal(0, 0.3, (64, 64, 3)).astype(np.float32)
    for _ in range(count):
        flicker = np.float32(level + noise * rng.normal())
        environment = np.full((4, 8, 3), np.exp(level + noise * rng.normal()), np.float32)
        yield Prediction(detail + flicker, 0.01, None, environment, None)


def test_cuts_are_found_and_motion_is_none():
    rng = np.random.default_rng(0)
    first, second = (rng.integers(0, 255, (18, 32, 3)).repeat(10, 0).repeat(10, 1).astype(np.uint8) for _ in range(2))
    frames = [np.roll(first, 2 * k, axis=1) for k in range(6)] + [np.roll(second, 2 * k, axis=1) for k in range(6)]
    detector = CutDetector()
    assert [detector.is_cut(frame) for frame in frames] == [k in (0, 6) for k in range(12)]


def test_the_average_is_of_what_came_since_the_restart():
    average = RunningAverage(seconds=100.0, fps=100.0)
    for value in (1.0, 2.0, 6.0):
        result = average(np.array([value]))
    assert result == pytest.approx(3.0)
    average.restart()
    assert average(np.array([10.0])) == 10.0


def test_the_average_follows_with_its_time_constant():
    average = RunningAverage(seconds=1.0, fps=10.0)
    for _ in range(200):
        average(np.array([0.0]))
    for _ in range(10):
        result = average(np.array([1.0]))
    assert result == pytest.approx(1 - np.exp(-1), abs=1e-6)


def test_flicker_shrinks_and_detail_stays():
    rng = np.random.default_rng(1)
    raw = list(predictions(rng, 60))
    smoother = Smoother(fps=25)
    smooth = [smoother(prediction, index == 0) for index, prediction in enumerate(raw)]

    def flicker(series):
        return np.abs(np.diff([float(np.mean(value)) for value in series[20:]])).mean()

    assert flicker([p.log_gain for p in smooth]) < 0.4 * flicker([p.log_gain for p in raw])
    assert flicker([p.environment for p in smooth]) < 0.2 * flicker([p.environment for p in raw])
    for before, after in zip(raw, smooth, strict=True):
        detail = after.log_gain - after.log_gain.mean()
        np.testing.assert_allclose(detail, before.log_gain - before.log_gain.mean(), atol=1e-4)


def test_a_cut_takes_nothing_over():
    rng = np.random.default_rng(2)
    smoother = Smoother(fps=25)
    for prediction in predictions(rng, 20, level=0.0):
        smoother(prediction, False)
    (after,) = predictions(rng, 1, level=3.0)
    result = smoother(after, True)
    np.testing.assert_allclose(result.log_gain, after.log_gain, atol=1e-5)
    np.testing.assert_allclose(result.environment, after.environment, rtol=1e-5)
