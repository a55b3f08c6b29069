"""A folder of lightmap images as a sequence in time: which files, at which hours, with which masks.

Hours come from the first of these that is there:

1. the hours that the caller gives (``--hours``), one per file in natural order;
2. ``times.json`` in the folder: a list of hours in natural order of the files, or ``{file name: hour}``;
3. file names that show them (see :mod:`src.data.lightmap.hours_in_names`);
4. the index in natural order, the first file being 0 h.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.data.lightmap.folder_files import RADIANCE_SUFFIXES, TIMES_NAME, list_folder
from src.data.lightmap.hours_in_names import hours_from_names
from src.utils.cli import InputError, some_names

FRAMES_PER_DAY = 24
MOST_PASSED_OVER = 20


@dataclass(frozen=True)
class LightmapSequence:
    """The images of one lightmap, sorted by hour.

    ``files[i]`` shows hour ``hours[i]``, in [0, 24), strictly increasing. ``hours_from`` says how they are known.
    ``is_radiance`` says that the files hold linear radiance (EXR, HDR) rather than display-referred values.
    ``mask_files`` are white where texels are valid. ``passed_over`` names what else lies in the folder.
    """

    files: tuple[Path, ...]
    hours: tuple[float, ...]
    hours_from: str
    is_radiance: bool
    mask_files: tuple[Path, ...]
    passed_over: tuple[str, ...]

    def describe(self) -> list[str]:
        """What was taken from the folder, a line each: every file's hour, and what was passed over."""
        listed = ", ".join(f"{file.name} = {hour:g}" for file, hour in zip(self.files, self.hours, strict=True))
        lines = [
            f"hours of {len(self.files)} images from {self.hours_from} (--hours or {TIMES_NAME} sets them): {listed}"
        ]
        if self.passed_over:
            lines.append(f"passed over: {some_names(self.passed_over, MOST_PASSED_OVER)}")
        return lines


def find_sequence(folder: str | Path, hours: Sequence[float] | None = None) -> LightmapSequence:
    """Find the images in ``folder`` and the hour of each.

    ``hours`` overrides every other source; hour 24 is hour 0. More than 24 images without any hours are spread evenly
    over the day, since plain indices would not fit in it.

    Raises :class:`InputError` when the folder or its images are missing, display images and radiance images are mixed,
    hours are malformed, out of range, repeated or not as many as the files, or most names show an hour but not all.
    """
    folder = Path(folder)
    listed = list_folder(folder)
    files = listed.frames
    times_file = folder / TIMES_NAME
    if hours is not None:
        found, source = _check_hours(files, list(hours), "--hours"), "--hours"
    elif times_file.exists():
        found, source = _check_hours(files, _read_times(times_file, files), times_file), TIMES_NAME
    elif named := hours_from_names(files):
        found, source = _check_hours(files, named.hours, folder), f"file names, read as {named.meaning}"
    else:
        indices = [index * min(1.0, FRAMES_PER_DAY / len(files)) for index in range(len(files))]
        found, source = _check_hours(files, indices, folder), "their natural order, since the names show none"
    by_hour = sorted(zip(found, files, strict=True))
    return LightmapSequence(
        files=tuple(file for _, file in by_hour),
        hours=tuple(hour for hour, _ in by_hour),
        hours_from=source,
        is_radiance=files[0].suffix.lower() in RADIANCE_SUFFIXES,
        mask_files=listed.masks,
        passed_over=listed.passed_over,
    )


def require_same_size(sizes: Mapping[Path, tuple[int, int]]) -> tuple[int, int]:
    """The one (height, width) of all images; :class:`InputError` names an image that differs and what most have."""
    counts: dict[tuple[int, int], int] = {}
    for size in sizes.values():
        counts[size] = counts.get(size, 0) + 1
    common = max(counts, key=lambda size: counts[size])
    reference = next(file for file, size in sizes.items() if size == common)
    for file, (height, width) in sizes.items():
        if (height, width) != common:
            raise InputError(
                file,
                f"is {width} x {height} (width x height) but {reference} is {common[1]} x {common[0]}",
                "all images of a lightmap need one size",
            )
    return common


def _read_times(path: Path, files: Sequence[Path]) -> list[object]:
    """The hours of ``files`` as ``times.json`` gives them, not checked yet."""
    try:
        times = json.loads(path.read_text(encoding="utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"is not JSON ({error})", "it holds a list of hours or {file name: hour}") from None
    if isinstance(times, list):
        return times
    if not isinstance(times, dict):
        raise InputError(path, "holds neither a list nor an object", "it holds a list of hours or {file name: hour}")
    names = {file.name for file in files}
    for name in times:
        if name not in names:
            raise InputError(path, f"names {name!r}, which is not an image in this folder")
    for file in files:
        if file.name not in times:
            raise InputError(path, f"gives no hour for {file.name}")
    return [times[file.name] for file in files]


def _check_hours(files: Sequence[Path], hours: Sequence[object], subject: object) -> list[float]:
    """Hours in [0, 24), all different, one per file; 24 becomes 0."""
    if len(hours) != len(files):
        raise InputError(subject, f"{len(hours)} hours for {len(files)} images", "give one hour per image")
    owner: dict[float, Path] = {}
    for file, hour in zip(files, hours, strict=True):
        if isinstance(hour, bool) or not isinstance(hour, int | float):
            raise InputError(subject, f"{hour!r} for {file.name} is not a number", "hours are numbers from 0 to 24")
        if not 0 <= hour <= 24:  # NaN fails this too
            raise InputError(subject, f"hour {hour} for {file.name} is out of range", "hours are numbers from 0 to 24")
        wrapped = float(hour) % 24
        if wrapped in owner:
            remark = " (24 is 0)" if wrapped == 0 else ""
            raise InputError(
                subject, f"{owner[wrapped].name} and {file.name} have the same hour {wrapped:g}{remark}", "remove one"
            )
        owner[wrapped] = file
    return list(owner)
