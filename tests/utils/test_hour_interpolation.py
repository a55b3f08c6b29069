import numpy as np
import pytest

from src.utils.hour_interpolation import HourInterpolation, detect_events

HOURLY = [float(hour) for hour in range(24)]
WITH_LAMPS = sorted([*HOURLY, 5.9, 18.1])


def at(interpolation: HourInterpolation, hour: float) -> tuple[int, int, float]:
    first, second, share = interpolation(np.array([hour]))
    return int(first[0]), int(second[0]), float(share[0])


def test_a_baked_hour_is_itself_alone() -> None:
    interpolation = HourInterpolation(WITH_LAMPS, detect_events(WITH_LAMPS))
    for k, hour in enumerate(WITH_LAMPS):
        for stated in (hour, float(np.float32(hour)), hour + 24.0, hour - 24.0):
            first, _, share = at(interpolation, stated)
            assert (first, share) == (k, 0.0)


def test_between_hours_it_is_linear_and_crosses_midnight() -> None:
    interpolation = HourInterpolation(HOURLY)
    assert at(interpolation, 9.25) == (9, 10, pytest.approx(0.25))
    assert at(interpolation, 23.5) == (23, 0, pytest.approx(0.5))
    assert at(HourInterpolation([6.0, 18.0]), 0.0) == (1, 0, pytest.approx(0.5))
    assert at(HourInterpolation([7.0]), 3.0)[:2] == (0, 0)


def test_frames_baked_close_together_bracket_an_event_at_the_whole_hour() -> None:
    assert detect_events(WITH_LAMPS) == (6.0, 18.0)
    assert detect_events(HOURLY) == ()
    assert detect_events([0.0, 6.2, 6.4, 12.0, 18.0]) == (6.3,)


def test_light_switches_at_its_hour_without_fading() -> None:
    interpolation = HourInterpolation(WITH_LAMPS, (6.0, 18.0))
    lit_morning, unlit_morning = WITH_LAMPS.index(5.9), WITH_LAMPS.index(6.0)
    assert at(interpolation, 5.99) == (lit_morning, unlit_morning, 0.0)
    assert at(interpolation, 18.01) == (WITH_LAMPS.index(18.0), WITH_LAMPS.index(18.1), 1.0)
    assert at(interpolation, 6.5) == (unlit_morning, unlit_morning + 1, pytest.approx(0.5))


def test_an_event_inside_an_interval_is_a_step() -> None:
    interpolation = HourInterpolation([0.0, 6.0, 12.0, 18.0], (13.0,))
    assert at(interpolation, 12.9) == (2, 3, 0.0)
    assert at(interpolation, 13.0) == (2, 3, 1.0)
    assert at(interpolation, 9.0) == (1, 2, pytest.approx(0.5))
