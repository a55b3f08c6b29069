"""A folder of lightmap images as a sequence in time: which files, at which hours, with which mask.

Hours come from the first of these that is there:

1. the hours that the caller gives (``--hours``), one per file in natural order;
2. ``times.json`` in the folder: a list of hours in natural order of the files, or ``{file name: hour}``;
3. file names that all end in ``_<hour * 100>`` with 3 or 4 digits (``courtyard_0590.exr`` is 5.9 h);
4. the index in natural order, the first file being 0 h.
"""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.utils.cli import InputError
from src.utils.image_io import natural_key

DISPLAY_SUFFIXES = (".png", ".jpg", ".jpeg")
RADIANCE_SUFFIXES = (".exr", ".hdr")
MASK_NAME = "mask.png"
TIMES_NAME = "times.json"
FRAMES_PER_DAY = 24

# Names that end in plain frame numbers count up by one or a few; an hour code moves by 100 per hour. Bakes closer
# than six minutes on average are taken for frame numbers: they need explicit hours.
_SMALLEST_MEAN_CODE_STEP = 10


@dataclass(frozen=True)
class LightmapSequence:
    """The images of one lightmap, sorted by hour.

    ``files[i]`` shows hour ``hours[i]``, in [0, 24), strictly increasing. ``is_radiance`` says that the files hold
    linear radiance (EXR, HDR) rather than display-referred values. ``mask_file`` is white where texels are valid, or
    None when the folder has no mask of its own.
    """

    files: tuple[Path, ...]
    hours: tuple[float, ...]
    is_radiance: bool
    mask_file: Path | None


def find_sequence(folder: str | Path, hours: Sequence[float] | None = None) -> LightmapSequence:
    """Find the images in ``folder`` and the hour of each.

    ``hours`` overrides every other source; hour 24 is hour 0. A number of images other than 24 without explicit hours
    (sources 1 and 2) is answered with a warning that lists the hour of each file. More than 24 images without any
    hours are spread evenly over the day, since plain indices would not fit in it.

    Raises :class:`InputError` when the folder or its images are missing, display images and radiance images are mixed,
    or hours are malformed, out of range, repeated or not as many as the files.
    """
    folder = Path(folder)
    files, mask_file = _list_files(folder)
    times_file = folder / TIMES_NAME
    if hours is not None:
        found = _check_hours(files, list(hours), "--hours")
    elif times_file.exists():
        found = _check_hours(files, _read_times(times_file, files), times_file)
    else:
        from_names = _hours_from_names(files)
        indices = [float(index * min(1.0, FRAMES_PER_DAY / len(files))) for index in range(len(files))]
        found = _check_hours(files, from_names or indices, folder)
        if len(files) != FRAMES_PER_DAY:
            _warn_of_hours(folder, files, found, "file names" if from_names else "natural order")
    by_hour = sorted(zip(found, files, strict=True))
    return LightmapSequence(
        files=tuple(file for _, file in by_hour),
        hours=tuple(hour for hour, _ in by_hour),
        is_radiance=files[0].suffix.lower() in RADIANCE_SUFFIXES,
        mask_file=mask_file,
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


def _list_files(folder: Path) -> tuple[list[Path], Path | None]:
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "no such folder"
        raise InputError(folder, problem, "--data_dir wants a folder of lightmap images")
    visible = [path for path in folder.iterdir() if path.is_file() and not path.name.startswith(".")]
    mask_file = next((path for path in visible if path.name.lower() == MASK_NAME), None)
    images = [path for path in visible if path.suffix.lower() in DISPLAY_SUFFIXES + RADIANCE_SUFFIXES]
    files = sorted((path for path in images if path != mask_file), key=natural_key)
    if not files:
        others = sorted({path.suffix for path in visible if path != mask_file and path.suffix})
        found = f" (found {', '.join(others)})" if others else ""
        known = ", ".join(suffix[1:] for suffix in DISPLAY_SUFFIXES + RADIANCE_SUFFIXES)
        raise InputError(folder, f"no lightmap images{found}", f"known are {known}")
    radiance = [file for file in files if file.suffix.lower() in RADIANCE_SUFFIXES]
    display = [file for file in files if file.suffix.lower() in DISPLAY_SUFFIXES]
    if radiance and display:
        raise InputError(
            folder,
            f"mixes radiance images ({radiance[0].name}) and display images ({display[0].name})",
            "keep one kind in a folder",
        )
    return files, mask_file


def _hours_from_names(files: Sequence[Path]) -> list[float] | None:
    """Hours when every name ends in ``_<hour * 100>``, else None (see ``_SMALLEST_MEAN_CODE_STEP``)."""
    matches = [re.search(r"_([0-9]{3,4})$", file.stem) for file in files]
    codes = [int(match[1]) for match in matches if match]
    if len(codes) != len(files) or max(codes) > 2400 or len(set(codes)) != len(codes):
        return None
    if max(codes) - min(codes) < _SMALLEST_MEAN_CODE_STEP * (len(codes) - 1) or codes == [0]:
        return None
    return [code / 100 for code in codes]


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


def _warn_of_hours(folder: Path, files: Sequence[Path], hours: Sequence[float], source: str) -> None:
    listing = ", ".join(f"{file.name} = {hour:g}" for file, hour in zip(files, hours, strict=True))
    warnings.warn(
        f"{folder}: {len(files)} images, not {FRAMES_PER_DAY}; hours taken from {source}: {listing} "
        f"(--hours or {TIMES_NAME} sets them explicitly)",
        stacklevel=3,
    )
