"""The hours that file names show: ``lm_0630``, ``06h30``, ``06-30``, ``6pm``, ``t=6.5``, ``courtyard_0590`` (5.9 h).

A number alone may mean several things. Three or four digits are hour x 100, hours and minutes, or a counter:

- a last pair of digits of 60 or more (``0590``) is no minute: hour x 100;
- where only one of the two makes the frames evenly spaced, that one;
- else minutes when all are quarters of an hour, and hour x 100 for the rest;
- even steps from 0, from 1 or from the step itself (``frame_0010``, ``frame_0020``, ...) that are no whole hours and do
  not fill the day are a counter, as are steps below six minutes and numbers above 2400.

One or two digits are hours where they do not begin as counters do, or fill the day in even steps.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.utils.cli import InputError, some_names

HOUR_CODES, CLOCK, PLAIN_HOURS = "hour x 100", "hours and minutes", "hours"
_SMALLEST_MEAN_STEP = 10  # hundredths of an hour: closer frames are numbered, not timed
_REMEDY = "rename or remove what does not belong there, or give --hours or times.json"


@dataclass(frozen=True)
class NamedHours:
    """``hours``, one per file, in [0, 24], and what the names were taken for."""

    hours: tuple[float, ...]
    meaning: str


def hours_from_names(files: Sequence[Path]) -> NamedHours | None:
    """The hours that the names of ``files`` show, or None where they show none.

    Raises :class:`InputError` when most names show an hour but some do not, or do not follow the others' pattern: it
    names those, since one stray file must not move the hours of all the others.
    """
    stems = [file.stem.casefold() for file in files]
    for read, meaning in _NOTATIONS:
        hours = read(stems)
        known = [hour for hour in hours if hour is not None]
        if 2 * len(known) > len(files) and _are_hours(known):
            _require_all(files, hours)
            return NamedHours(tuple(known), meaning)
    numbers = _numbers(stems)
    found = _from_codes(files, numbers) or _from_small_numbers(files, numbers)
    if found is None:
        _require_one_pattern(files, stems)
    return found


def _require_all(files: Sequence[Path], hours: Sequence[float | None]) -> None:
    odd = [file.name for file, hour in zip(files, hours, strict=True) if hour is None]
    if odd:
        file, hour = next((file, hour) for file, hour in zip(files, hours, strict=True) if hour is not None)
        example = f"{file.name} is {hour:g} h"
        raise InputError(
            files[0].parent,
            f"{len(files) - len(odd)} of {len(files)} names show an hour ({example}), but not {some_names(odd)}",
            _REMEDY,
        )


def _require_one_pattern(files: Sequence[Path], stems: Sequence[str]) -> None:
    """Numbered files are taken in their order: a few of another name among them would move the others."""
    patterns = [re.sub(r"[0-9]+", "#", stem) for stem in stems]
    ((usual, _),) = Counter(patterns).most_common(1)
    odd = [file.name for file, pattern in zip(files, patterns, strict=True) if pattern != usual]
    if len(files) > 3 and 0 < len(odd) <= max(1, len(files) // 10):
        example = next(file.name for file, pattern in zip(files, patterns, strict=True) if pattern == usual)
        count = len(files) - len(odd)
        raise InputError(
            files[0].parent,
            f"{count} of {len(files)} images are named as {example}, but not {some_names(odd)}",
            _REMEDY,
        )


def _are_hours(hours: Sequence[float]) -> bool:
    """Whether they can be the hours of a day: what repeats in most names is a date or a version."""
    repeated = len(hours) - len({hour % 24 for hour in hours})
    bearable = max(1, len(hours) // 10) if len(hours) > 3 else 0  # two files of one hour are refused by name later
    return max(hours) <= 24 and repeated <= bearable


# ---- notations that only hours are written in


def _each(pattern: str, to_hour: Callable[[re.Match], float | None]) -> Callable[[Sequence[str]], list[float | None]]:
    """Reads one hour per stem: where a name holds several matches, the last of them that differs between the names."""

    def read(stems: Sequence[str]) -> list[float | None]:
        found = [[to_hour(match) for match in re.finditer(pattern, stem)] for stem in stems]
        most = max(map(len, found))
        for index in range(1, most + 1):
            hours = [values[-index] if len(values) >= index else None for values in found]
            known = [hour for hour in hours if hour is not None]
            if known and (_are_hours(known) or index == most):
                return hours
        return [None] * len(stems)

    return read


def _clock_time(match: re.Match) -> float | None:
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    return hour + minute / 60 if minute < 60 and hour * 60 + minute <= 24 * 60 else None


def _half_day_time(match: re.Match) -> float | None:
    hour, minute = int(match["hour"]), int(match["minute"] or 0)
    if not 1 <= hour <= 12 or minute > 59:
        return None
    return hour % 12 + minute / 60 + (12 if match["half"] == "p" else 0)


def _decimal(match: re.Match) -> float | None:
    hour = float(match["hour"].replace(",", "."))
    return hour if hour <= 24 else None


def _clock_times(stems: Sequence[str]) -> list[float | None]:
    """``06-30``, ``06_30``, ``06.30``: a point is that of a decimal where it does not look like a clock's."""
    hours = _each(r"(?<![0-9.])(?P<hour>[0-9]{1,2})[-:_.](?P<minute>[0-9]{2})(?![0-9.])", _clock_time)(stems)
    minutes = [round(hour * 60) % 60 for hour in hours if hour is not None]
    if not minutes or any(minute % 5 for minute in minutes):  # scene_12_01, scene_12_02, ...
        return [None] * len(stems)
    pointed = [match[1] for stem in stems if (match := re.search(r"(?<![0-9.])[0-9]{1,2}\.([0-9]{2})(?![0-9.])", stem))]
    are_decimals = any(int(part) >= 60 for part in pointed) or {"25", "50", "75"} & set(pointed)
    return [None] * len(stems) if are_decimals else hours


def _decimals(stems: Sequence[str]) -> list[float | None]:
    """``6``, ``6.5``: at least one of the names has a point."""
    if not any(re.search(r"(?<![0-9.])[0-9]{1,2}\.[0-9]+(?![0-9.])", stem) for stem in stems):
        return [None] * len(stems)
    return _each(r"(?<![0-9.])(?P<hour>[0-9]{1,2}(?:\.[0-9]+)?)(?![0-9.])", _decimal)(stems)


_NOTATIONS = (
    (
        _each(
            r"(?<![0-9])(?P<hour>[0-9]{1,2}?)(?:[-:_.h]?(?P<minute>[0-9]{2}))?[ _-]?(?P<half>[ap])\.?m(?![a-z])",
            _half_day_time,
        ),
        "am and pm",
    ),
    (
        _each(r"(?<![0-9.,])(?P<hour>[0-9]{1,2})h(?P<minute>[0-9]{2})?(?:m|min)?(?![0-9a-z])", _clock_time),
        CLOCK,
    ),
    (
        _each(r"(?<![0-9.,])(?P<hour>[0-9]{1,2}(?:[.,][0-9]+)?)[ _]?(?:h|hrs?|hours?)(?![0-9a-z])", _decimal),
        PLAIN_HOURS,
    ),
    (
        _each(
            r"(?<![a-z])(?:t|time|h|hr|hours?)[ =_-]*(?P<hour>[0-9]{1,2}(?:[.,][0-9]+)?)(?![0-9.,_h:-]+[0-9]|[0-9])",
            _decimal,
        ),
        PLAIN_HOURS,
    ),
    (_clock_times, CLOCK),
    (_decimals, PLAIN_HOURS),
)


# ---- numbers that may mean several things


def _numbers(stems: Sequence[str]) -> list[str]:
    """The digits of each stem that tell it from the others ('' where it has none): the last that do."""
    runs = [re.findall(r"[0-9]+", stem) for stem in stems]
    ((usual, _),) = Counter(map(len, runs)).most_common(1)
    alike = [found for found in runs if len(found) == usual]
    for index in reversed(range(usual)):
        if len({int(found[index]) for found in alike}) == len(alike):
            return [found[index] if len(found) == usual else (found or [""])[-1] for found in runs]
    return [(found or [""])[-1] for found in runs]


def _from_codes(files: Sequence[Path], numbers: Sequence[str]) -> NamedHours | None:
    """Hours from three or four digits, or from six, which are a clock's with seconds."""
    for digits, read in (((6,), _seconds_time), ((3, 4), None)):
        is_padded = any(len(number) in digits and number.startswith("0") for number in numbers)
        codes = [
            int(number) if len(number) in digits or (not is_padded and 0 < len(number) < 3 and read is None) else None
            for number in numbers
        ]
        known = [code for code in codes if code is not None]
        if 2 * len(known) <= len(files) or max(known) < 100:
            continue
        meaning = _clock_or_code(known) if read is None else CLOCK
        if meaning is None:
            continue
        to_hour = read or (_minutes_time if meaning == CLOCK else _code_time)
        hours = [None if code is None else to_hour(code) for code in codes]
        times = [hour for hour in hours if hour is not None]
        if len(times) < len(known) or not _are_hours(times):
            continue
        _require_all(files, hours)
        return NamedHours(tuple(times), meaning)
    return None


def _clock_or_code(codes: Sequence[int]) -> str | None:
    """Whether ``codes`` are hour x 100 or hours and minutes; None for a counter."""
    ordered = sorted(set(codes))
    count, span = len(ordered), ordered[-1] - ordered[0]
    if ordered[-1] > 2400 or span < _SMALLEST_MEAN_STEP * (count - 1) or ordered == [0]:
        return None
    step = ordered[1] - ordered[0] if count > 1 else 0
    if count > 2 and _are_even(ordered) and step % 100 and step * count != 2400 and ordered[0] in (0, 1, step):
        return None
    if any(code % 100 >= 60 for code in ordered):
        return HOUR_CODES
    if all(code % 100 == 0 for code in ordered):
        return HOUR_CODES
    even_codes, even_clock = _are_even(ordered), _are_even([round(_minutes_time(code) * 60) for code in ordered])
    if count > 2 and even_codes != even_clock:
        return HOUR_CODES if even_codes else CLOCK
    return CLOCK if all(code % 100 % 15 == 0 for code in ordered) else HOUR_CODES


def _from_small_numbers(files: Sequence[Path], numbers: Sequence[str]) -> NamedHours | None:
    """Hours from one or two digits."""
    values = [int(number) for number in numbers if 0 < len(number) < 3]
    ordered = sorted(set(values))
    if len(ordered) < len(files) or len(ordered) < 2 or ordered[-1] > 24:
        return None
    step = ordered[1] - ordered[0]
    fills_day = _are_even(ordered) and step * len(ordered) == 24 and step > 1
    is_counter = ordered[0] in (0, 1) or (_are_even(ordered) and ordered[0] == step)
    return NamedHours(tuple(map(float, values)), PLAIN_HOURS) if fills_day or not is_counter else None


def _are_even(ordered: Sequence[int]) -> bool:
    return len({after - before for before, after in itertools.pairwise(ordered)}) == 1


def _code_time(code: int) -> float:
    return code / 100


def _minutes_time(code: int) -> float:
    return code // 100 + code % 100 / 60


def _seconds_time(code: int) -> float | None:
    if code // 100 % 100 > 59 or code % 100 > 59 or code > 240000:
        return None
    return code // 10000 + code // 100 % 100 / 60 + code % 100 / 3600
