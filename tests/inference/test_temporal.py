"""Cuts and running averages."""

from dataclasses import replace

import numpy as np
import pytest

from src.inference.prediction import Prediction
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
    average = RunningAverage(100.0)
    for value in (1.0, 2.0, 6.0):
        result = average(np.array([value]), 0.01)
    assert result == pytest.approx(3.0)
    average.restart()
    assert average(np.array([10.0]), 0.01) == 10.0


def test_weights_count_in_the_first_mean():
    average = RunningAverage(100.0)
    for value, weight in ((1.0, 0.1), (2.0, 0.4), (6.0, 0.5)):
        result = average(np.array([value]), 0.01, weight)
    assert result == pytest.approx(0.1 * 1 + 0.4 * 2 + 0.5 * 6)


def test_the_average_follows_with_its_time_constant():
    for step in (0.1, 0.25):
        average = RunningAverage(1.0)
        for _ in range(200):
            average(np.array([0.0]), step)
        for _ in range(round(1 / step)):
            result = average(np.array([1.0]), step)
        assert result == pytest.approx(1 - np.exp(-1), abs=1e-6)


def test_flicker_shrinks_and_detail_stays():
    rng = np.random.default_rng(1)
    raw = list(predictions(rng, 60))
    smoother = Smoother()
    smooth = [smoother(prediction, index == 0, 0.04) for index, prediction in enumerate(raw)]

    def flicker(series):
        return np.abs(np.diff([float(np.mean(value)) for value in series[20:]])).mean()

    assert flicker([p.log_gain for p in smooth]) < 0.4 * flicker([p.log_gain for p in raw])
    assert flicker([p.environment for p in smooth]) < 0.2 * flicker([p.environment for p in raw])
    for before, after in zip(raw, smooth, strict=True):
        detail = after.log_gain - after.log_gain.mean()
        np.testing.assert_allclose(detail, before.log_gain - before.log_gain.mean(), atol=1e-4)


def test_a_cut_takes_nothing_over():
    rng = np.random.default_rng(2)
    smoother = Smoother()
    for prediction in predictions(rng, 20, level=0.0):
        smoother(prediction, False, 0.04)
    (after,) = predictions(rng, 1, level=3.0)
    result = smoother(after, True, 0.04)
    np.testing.assert_allclose(result.log_gain, after.log_gain, atol=1e-5)
    np.testing.assert_allclose(result.environment, after.environment, rtol=1e-5)


def test_the_gain_follows_a_fade_at_once():
    """A person of even colour under light that grows 100-fold is flat-lit alike in every frame."""
    smoother = Smoother()
    for index in range(50):
        radiance = 0.005 * 100 ** (index / 49)
        gain = np.full((32, 32, 3), np.log(0.4 / radiance), np.float32)
        shown = Prediction(gain, 0.0, None, np.ones((4, 8, 3), np.float32), None, level=np.log(radiance))
        result = smoother(shown, index == 0, 0.04)
        np.testing.assert_allclose(radiance * np.exp(result.log_gain), 0.4, rtol=1e-3)


def test_frames_of_noise_are_left_alone_and_leave_nothing():
    rng = np.random.default_rng(3)
    lit, dark = list(predictions(rng, 10)), list(predictions(rng, 5, level=4.0))
    alone, among = Smoother(), Smoother()
    expected = [alone(prediction, False, 0.04) for prediction in lit]
    for prediction in lit[:5]:
        among(prediction, False, 0.04)
    for prediction in dark:
        noise = replace(prediction, trust=0.0)
        assert among(noise, False, 0.04) is noise
    for prediction, wanted in zip(lit[5:], expected[5:], strict=True):
        result = among(prediction, False, 0.04)
        np.testing.assert_allclose(result.log_gain, wanted.log_gain, atol=1e-6)
        np.testing.assert_allclose(result.environment, wanted.environment, rtol=1e-6)


def test_smoothing_leaves_brightness_that_is_kept():
    """Guesses of how bright skin is change from frame to frame, and the factors that keep the picture's undo them."""
    rng = np.random.default_rng(4)
    smoother = Smoother()
    environment = np.ones((4, 8, 3), np.float32)
    for index in range(20):
        guess = float(rng.uniform(-1, 1))
        shown = Prediction(np.full((32, 32, 3), guess, np.float32), 0.01, None, environment, None)
        result = smoother(replace(shown, exposure=np.exp(-guess)), index == 0, 0.04)
        np.testing.assert_allclose(result.exposure * np.exp(result.log_gain), 1.0, rtol=1e-3)
    assert smoother(shown, False, 0.04).exposure is None
