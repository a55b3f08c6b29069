from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.data.lightmap.hours_in_names import CLOCK, HOUR_CODES, hours_from_names
from src.utils.cli import InputError

HALF_HOURS = [(6 + i // 2, i % 2 * 30) for i in range(24)]  # 6:00 to 17:30
QUARTERS = [(i // 4, i % 4 * 15) for i in range(96)]
WHOLE = [(hour, 0) for hour in range(24)]


def files(stems):
    return [Path("day") / f"{stem}.png" for stem in stems]


def clock(hour, minute):
    return float(Fraction(hour) + Fraction(minute, 60))


WRITTEN = {
    "four digits": lambda h, m: f"lm_{h:02d}{m:02d}",
    "four digits in front": lambda h, m: f"{h:02d}{m:02d}_room2_lightmap",
    "a date before": lambda h, m: f"2024-06-21_{h:02d}{m:02d}",
    "06h30": lambda h, m: f"lm_{h:02d}h{m:02d}",
    "6H30": lambda h, m: f"Bake {h}H{m:02d}",
    "06-30": lambda h, m: f"lm_{h:02d}-{m:02d}",
    "06_30": lambda h, m: f"lm_{h:02d}_{m:02d}",
    "06.30": lambda h, m: f"lm_{h:02d}.{m:02d}",
    "iso": lambda h, m: f"2024-06-21T{h:02d}-{m:02d}",
    "seconds": lambda h, m: f"lm_{h:02d}{m:02d}00",
    "am and pm": lambda h, m: f"lm {(h - 1) % 12 + 1:02d}.{m:02d} {'AP'[h >= 12]}M",
    "t=6.5": lambda h, m: f"t={h + m / 60:g}",
    "hour_6.5": lambda h, m: f"hour_{h + m / 60}",
    "6.5h": lambda h, m: f"room1 {h + m / 60:g}h",
    "lm_6.5": lambda h, m: f"lm_{h + m / 60:g}",
    "lm_6.50": lambda h, m: f"lm_{h + m / 60:.2f}",
    "hour x 100": lambda h, m: f"lm_{h * 100 + m * 100 // 60:04d}",
}


@pytest.mark.parametrize("write", WRITTEN.values(), ids=WRITTEN.keys())
@pytest.mark.parametrize("times", [HALF_HOURS, QUARTERS, [(5, 30), (6, 0), (12, 0), (18, 30)]], ids=["24", "96", "4"])
def test_every_usual_way_to_write_a_time(write, times):
    found = hours_from_names(files([write(hour, minute) for hour, minute in times]))
    assert found.hours == pytest.approx([clock(*time) for time in times], abs=0.006)


@pytest.mark.parametrize(
    ("stems", "hours"),
    [
        ([f"lm_{hour * 100:04d}" for hour in range(24)], list(range(24))),
        ([f"lm_{hour * 100}" for hour in range(24)], list(range(24))),
        (["a_0500", "a_0590", "a_0600", "a_1800", "a_1810"], [5, 5.9, 6, 18, 18.1]),
        (["a_0500", "a_0525", "a_0550", "a_0600", "a_1200"], [5, 5.25, 5.5, 6, 12]),
        ([f"a_{m // 60:02d}{m % 60:02d}" for m in range(0, 1440, 50)], [m / 60 for m in range(0, 1440, 50)]),
        ([f"lm_{hour:02d}" for hour in range(6, 18)], list(range(6, 18))),
        ([f"lm_{hour}" for hour in range(0, 24, 3)], list(range(0, 24, 3))),
        (["dawn_0600", "noon_1200", "dusk_1800"], [6, 12, 18]),
        (["lm_12am", "lm_1am", "lm_12pm", "lm_11pm"], [0, 1, 12, 23]),
        (["lm_1200"], [12]),
    ],
)  # fmt: skip
def test_numbers_that_are_hours(stems, hours):
    assert hours_from_names(files(stems)).hours == pytest.approx(hours)


@pytest.mark.parametrize("first", [0, 1, 10, 1001])
@pytest.mark.parametrize("step", [1, 10, 50])
@pytest.mark.parametrize("count", [12, 23, 24])
def test_counters_show_no_hour(first, step, count):
    first = step if first == 10 else first
    numbers = [first + step * index for index in range(count)]
    if first == 1001 and step > 1:
        numbers = [number + 4000 for number in numbers]
    assert hours_from_names(files([f"frame_{number:04d}" for number in numbers])) is None


def test_what_a_number_was_taken_for_is_said():
    assert hours_from_names(files(["a_0600", "a_0630", "a_0700"])).meaning == CLOCK
    assert hours_from_names(files(["a_0600", "a_0650", "a_0700"])).meaning == HOUR_CODES


@given(st.sets(st.integers(0, 1439), min_size=2, max_size=40))
def test_any_times_written_with_an_h_are_read_back(minutes):
    times = [divmod(minute, 60) for minute in sorted(minutes)]
    found = hours_from_names(files([f"x{h:02d}h{m:02d}" for h, m in times]))
    assert found.hours == pytest.approx([clock(*time) for time in times])


@given(st.sets(st.integers(1, 2399), min_size=2, max_size=40))
def test_any_codes_are_hour_x_100_once_one_of_them_is_no_clock_time(codes):
    codes = sorted({*codes, 590, 600, 1777})
    if codes[-1] - codes[0] >= 10 * (len(codes) - 1):
        found = hours_from_names(files([f"x_{code:04d}" for code in codes]))
        assert found.hours == pytest.approx([code / 100 for code in codes])


@pytest.mark.parametrize("stray", ["preview", "lm_1200 - Copy (2)", "thumb", "lm_ao", "lightmap_final"])
@pytest.mark.parametrize("written", ["four digits", "06h30", "06-30", "t=6.5", "hour x 100"])
def test_one_stray_file_is_refused_by_name(stray, written):
    stems = [WRITTEN[written](*time) for time in HALF_HOURS]
    with pytest.raises(InputError, match=r"24 of 25 .*, but not ") as error:
        hours_from_names(files([*stems, stray]))
    assert f"{stray}.png" in str(error.value)
    assert len(str(error.value)) < 300


@pytest.mark.parametrize("stems", [[f"lm_{i}" for i in range(24)], [f"frame_{10 * i:04d}" for i in range(24)]])
def test_a_stray_among_numbered_files_is_refused_by_name(stems):
    with pytest.raises(InputError, match=r"24 of 25 images are named as .*, but not preview.png"):
        hours_from_names(files([*stems, "preview"]))


def test_most_but_not_all_names_with_an_hour():
    with pytest.raises(InputError, match=r"2 of 3 names show an hour \(a_0100.png is 1 h\), but not start.png"):
        hours_from_names(files(["a_0100", "a_0200", "start"]))


@pytest.mark.parametrize("stems", [["a", "b", "c"], ["a_0100", "b_0100", "c_0300"], ["a_01", "a_02", "a_10"]])
def test_names_without_hours(stems):
    assert hours_from_names(files(stems)) is None
