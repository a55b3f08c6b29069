"""The rule for hours has two forms, numpy for this project and exportable torch for engines: they are one rule."""

import numpy as np
import torch
from hypothesis import assume, example, given
from hypothesis import strategies as st

from src.models.hour_lookup import HourLookup
from src.utils.hour_interpolation import HourInterpolation, detect_events

MINUTES = st.integers(0, 24 * 60 - 1)
BAKED = st.lists(MINUTES, min_size=1, max_size=12, unique=True).map(lambda found: [m / 60 for m in sorted(found)])


def both(baked: list[float], events: list[float], asked: list[float], dtype: torch.dtype) -> list[list[np.ndarray]]:
    asked = torch.tensor(asked, dtype=dtype)
    ours = HourInterpolation(baked, events)(asked.double().numpy())
    return [list(ours), [values.numpy() for values in HourLookup(baked, events)(asked)]]


@given(
    BAKED,
    st.lists(MINUTES.map(lambda minute: minute / 60), max_size=3, unique=True),
    st.lists(st.floats(-50, 50), max_size=8),
    st.sampled_from([torch.float32, torch.float64]),
)
@example([0.0, 5.9, 6.0, 12.0, 18.0, 18.1], [6.0, 18.0], [24.0, 23.999999999], torch.float32)
def test_both_forms_answer_alike(baked: list[float], events: list[float], asked: list[float], dtype: torch.dtype):
    """At any hour, at midnight, at every baked hour and event and right beside them, from the day before and after."""
    marks = [mark + day for mark in (*baked, *events, 0.0) for day in (-24.0, 0.0, 24.0)]
    asked = [*asked, *(mark + beside for mark in marks for beside in (0.0, -1e-3, 1e-3, -1e-9, 1e-9))]
    (first, second, share), theirs = both(baked, events, asked, dtype)
    assert np.array_equal(first, theirs[0]) and np.array_equal(second, theirs[1])
    np.testing.assert_allclose(theirs[2], share, rtol=0, atol=1e-9)
    assert ((share >= 0) & (share <= 1)).all()
    assert np.array_equal(second, (first + 1) % len(baked))


@given(BAKED, st.floats(0, 1))
def test_both_forms_fade_linearly_and_around_midnight(baked: list[float], part: float):
    assume(len(baked) > 1)
    ends = [*baked[1:], baked[0] + 24]
    asked = [start + part * (end - start) for start, end in zip(baked, ends, strict=True)]
    for first, second, share in both(baked, [], asked, torch.float64):
        # where in the day's circle: independent of which of two neighbours is called the first at a baked hour
        place = np.array(baked)[first] + share * ((np.array(baked)[second] - np.array(baked)[first]) % 24)
        np.testing.assert_allclose((place - asked + 12) % 24, 12, atol=5e-6)


@given(st.sampled_from([5.9, 5.5, 5.75]), st.floats(0.01, 0.99))
def test_a_bracketed_switch_is_no_fade_in_either_form(before: float, part: float):
    baked = sorted([*map(float, range(24)), before])
    events = detect_events(baked)
    assume(len(events) == 1)
    asked = [before + part * (6.0 - before), 6.0]
    for first, _, share in both(baked, list(events), asked, torch.float64):
        assert [baked[k] for k in first] == [before, 6.0] and share.tolist() == [0.0, 0.0]
