"""The manifest of a set of pseudo-labelled clips: one line of JSON per clip, safe against kills, written by many.

Every process appends to a file of its own, ``manifest.jsonl`` or ``manifest.I-of-N.jsonl``, and readers take all of
them together. A clip's line follows its folder, which takes its name in one step; so a kill loses the clip in hand, and
what a killed process tore off at the end of its file is passed over.
"""

from __future__ import annotations

import json
import operator
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from src.utils.atomic import atomic_path
from src.utils.cli import InputError
from src.utils.image_io import natural_key
from src.utils.json_files import read_json, write_json

MANIFEST = "manifest.jsonl"
SETTINGS = "set.json"
CLIPS = "clips"
REPORT = "report.json"
FORMAT = "pseudo labels"

# Figures of a clip, with what they say; in reports, in the picture of histograms, and for --keep.
FIGURES = {
    "frames": "frames",
    "cuts": "cuts between shots",
    "face_share": "share of frames with a face",
    "face_pixels": "side of the face in pixels (median)",
    "yaw_deg": "turn of the head from the camera in degrees (mean)",
    "sharpness": "detail of the portrait (input)",
    "sharpness_ratio": "detail of flat-lit over the input's",
    "e_warp_ratio": "warping error of flat-lit over the input's",
    "self_check_residual": "shading not explained by the light (relative)",
    "self_check_correlation": "correlation of shading and light",
    "confidence": "confidence in flat-lit (mean)",
    "env_confidence": "confidence in the environment (mean)",
}
_COMPARISONS = {"<": operator.lt, ">": operator.gt}


@dataclass(frozen=True)
class Clip:
    """What is known of one labelled clip; its files lie in ``clips/NAME/``."""

    name: str  # sub-folders kept, with /
    source: str  # relative to the input of the set, with /
    frames: int
    fps: str  # a fraction as text, "30000/1001"
    height: int
    width: int
    portrait: tuple[int, int, int]  # top, left, side of the square about the head, inside the frame
    shots: tuple[int, ...]  # the first frame of every shot
    files: dict[str, str]  # what there is, by kind: flat_lit, mask, env ...; relative to the clip's folder
    figures: dict[str, float | None]  # of FIGURES; None where one cannot be told
    origin: dict[str, object]  # what it was made from
    seconds: float  # that it took to make
    finished: float  # when, in seconds since 1970

    @staticmethod
    def from_json(content: object) -> Clip:
        """Raises ValueError for what is no line of a manifest."""
        if not isinstance(content, dict) or not {field.name for field in fields(Clip)} <= content.keys():
            raise ValueError("not a clip")
        known = {field.name: content[field.name] for field in fields(Clip)}
        top, left, side = known["portrait"]
        return Clip(**{**known, "portrait": (top, left, side), "shots": tuple(known["shots"])})

    def to_json(self) -> dict:
        return asdict(self)


@dataclass(frozen=True)
class Threshold:
    """``figure < value`` or ``figure > value``. A figure that cannot be told of a clip does not speak against it."""

    figure: str
    comparison: str
    value: float

    def holds(self, clip: Clip) -> bool:
        figure = clip.figures.get(self.figure)
        return figure is None or _COMPARISONS[self.comparison](figure, self.value)

    def __str__(self) -> str:
        return f"{self.figure}{self.comparison}{self.value:g}"


def parse_threshold(text: str) -> Threshold:
    """``'e_warp_ratio<1.3'`` -> Threshold; InputError about ``--keep`` where it is none."""
    match = re.fullmatch(r"(\w+)\s*([<>])\s*([-+.\deE]+)", text.strip())
    try:
        value = float(match[3]) if match else None
    except ValueError:
        value = None
    if match is None or value is None:
        raise InputError("--keep", f"{text!r} is not FIGURE<VALUE or FIGURE>VALUE", "quote it: 'e_warp_ratio<1.5'")
    if match[1] not in FIGURES:
        raise InputError("--keep", f"{match[1]!r} is no figure of a clip", f"use one of {', '.join(FIGURES)}")
    return Threshold(match[1], match[2], value)


@dataclass(frozen=True)
class Settings:
    """``set.json``: what all clips of a set have in common."""

    input: str  # the folder that the clips' sources lie in
    keep: tuple[Threshold, ...]

    @staticmethod
    def read(folder: Path) -> Settings:
        """Raises InputError where ``folder`` holds no pseudo labels."""
        path = folder / SETTINGS
        if not path.is_file():
            raise InputError(folder, "holds no pseudo labels", "make them: inference_delit.py --pseudo_labels")
        content = read_json(path)
        if not isinstance(content, dict) or content.get("format") != FORMAT:
            raise InputError(path, "is not the settings of pseudo labels", "make them again")
        return Settings(str(content["input"]), tuple(parse_threshold(text) for text in content["keep"]))

    def write(self, folder: Path) -> None:
        content = {"format": FORMAT, "input": self.input, "keep": [str(rule) for rule in self.keep]}
        path = folder / SETTINGS
        if not path.is_file() or read_json(path) != content:
            write_json(path, content, indent=1)


def manifest_name(index: int, count: int) -> str:
    """Of the process that does the ``index``-th of ``count`` shares of a set."""
    return MANIFEST if count == 1 else f"manifest.{index}-of-{count}.jsonl"


def append_clip(path: Path, clip: Clip) -> None:
    """One more line, on the disk when this returns. What a kill left of the line before is ended first."""
    line = json.dumps(clip.to_json(), ensure_ascii=True).encode("ascii") + b"\n"
    with open(path, "ab+") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = b"\n" + line
        file.write(line)
        file.flush()
        os.fsync(file.fileno())


def read_clips(folder: Path) -> list[Clip]:
    """The clips of all manifests of a set by name, in natural order; of several lines on one, the one made last.

    Clips without a folder (someone deleted them) are left out.
    """
    latest: dict[str, Clip] = {}
    for path in sorted(folder.glob("manifest*.jsonl")):
        for clip in _lines(path):
            other = latest.get(clip.name)
            if other is None or other.finished <= clip.finished:
                latest[clip.name] = clip
    found = [clip for clip in latest.values() if clip_report(folder, clip.name).is_file()]
    return sorted(found, key=lambda clip: natural_key(clip.name))


def clip_report(folder: Path, name: str) -> Path:
    """The file of a clip that holds its line and what was found on single frames."""
    return folder / CLIPS / name / REPORT


def write_merged(folder: Path) -> list[Clip]:
    """Bring what all processes have done so far together in ``manifest.jsonl``; returns :func:`read_clips`."""
    clips = read_clips(folder)
    with atomic_path(folder / MANIFEST) as temporary:
        temporary.write_text("".join(json.dumps(clip.to_json()) + "\n" for clip in clips), encoding="ascii")
    return clips


def kept(clips: Iterable[Clip], thresholds: Iterable[Threshold]) -> list[Clip]:
    """Those that all thresholds hold for."""
    rules = list(thresholds)
    return [clip for clip in clips if all(rule.holds(clip) for rule in rules)]


def _lines(path: Path) -> Iterator[Clip]:
    """The clips of one file; a line that is torn or no clip is passed over."""
    with open(path, "rb") as file:
        for line in file:
            try:
                yield Clip.from_json(json.loads(line))
            except (ValueError, TypeError):
                continue
