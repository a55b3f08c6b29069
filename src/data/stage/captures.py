"""Light-stage captures on disk: which picture shows which subject under which light."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import numpy as np

from src.data.stage.lights import read_lights
from src.data.stage.settings import Settings
from src.utils.cli import InputError
from src.utils.content_hash import combined_hash, file_stamp
from src.utils.image_io import HDR_SUFFIXES, image_size, list_images, natural_key, read_codes, read_linear
from src.utils.resize import resize_area

LIGHTS_FILE = "lights.json"
# Pictures that may lie beside the OLATs without being one.
_EXTRA_STEMS = ("mask", "full_light", "flat_lit")


@dataclass(frozen=True)
class Capture:
    """One subject seen by one camera: a picture per light, in the order of the lights."""

    name: str
    identity: str  # who it is: captures of one person never get into both training and validation
    images: tuple[Path, ...]
    light_set: str
    mask: Path | None = None
    full_light: Path | None = None


@dataclass(frozen=True)
class Stage:
    """Captures and, for each light set, the unit directions ``(L, 3)`` towards its lights in the camera's frame."""

    captures: tuple[Capture, ...]
    light_sets: dict[str, np.ndarray] = field(default_factory=dict)
    settings: Settings = field(default_factory=Settings)  # how they become pictures

    def describe(self) -> dict[str, object]:
        """What decides the pictures beside the captures: how they become pictures, and where the lights are."""
        lights = {name: combined_hash([directions.round(4).tolist()]) for name, directions in self.light_sets.items()}
        return {**asdict(self.settings), "light_sets": lights}

    def stamp(self) -> str:
        """Changes when a picture or light does; from sizes and times, so that nothing is read."""
        lights = [(name, directions.tolist()) for name, directions in self.light_sets.items()]
        captures = [(capture.name, [file_stamp(path) for path in capture.images]) for capture in self.captures]
        return combined_hash([lights, captures])


def lights_file(olat_root: Path, lights: Path | None) -> Path:
    """Where the lights of ``olat_root`` stand: ``lights`` if given, else ``lights.json`` beside the subjects."""
    return lights or olat_root / LIGHTS_FILE


def open_stage(
    olat_root: Path,
    lights: Path | None = None,
    mask_root: Path | None = None,
    only: Collection[str] | None = None,
) -> Stage:
    """:func:`find_captures` with the lights of :func:`lights_file`. Raises InputError where either is wrong."""
    return find_captures(olat_root, read_lights(lights_file(olat_root, lights)), mask_root, only)


def find_captures(
    olat_root: Path, lights: np.ndarray, mask_root: Path | None = None, only: Collection[str] | None = None
) -> Stage:
    """A folder per subject under ``olat_root``, with one picture per light, in natural order of their names.

    ``only``: subjects that are wanted; the folders of others are not looked into. ``mask_root`` holds ``NAME.png`` or
    ``NAME/mask.png``. Raises InputError when a folder does not hold as many pictures as there are lights.
    """
    folders = [folder for folder in subject_folders(olat_root) if only is None or folder.name in only]
    return Stage(tuple(read_folder(folder, len(lights), mask_root) for folder in folders), {"stage": lights})


def read_folder(folder: Path, light_count: int, mask_root: Path | None = None) -> Capture:
    """The capture in a folder: ``mask.*``, ``full_light.*`` and ``flat_lit.*`` beside the OLATs are none."""
    pictures = list_images(folder)
    extras = {path.stem: path for path in pictures if path.stem in _EXTRA_STEMS}
    images = [path for path in pictures if path.stem not in _EXTRA_STEMS]
    if len(images) != light_count:
        raise InputError(
            folder,
            f"holds {len(images)} pictures for {light_count} lights{_missing_number(images)}",
            "give every light exactly one picture, or the right --lights",
        )
    mask = extras.get("mask") if mask_root is None else find_mask(mask_root, folder.name)
    return Capture(folder.name, folder.name, tuple(images), "stage", mask, extras.get("full_light"))


def subject_folders(root: Path) -> list[Path]:
    """The sub-folders of ``root`` that hold anything, in natural order; at least one.

    Hidden folders and the ``__MACOSX`` of archives that were packed on a Mac are none.
    """
    if not root.is_dir():
        raise InputError(root, "no such folder", "give the folder that holds one folder per subject")
    named = [path for path in root.iterdir() if path.name[0] != "." and path.name != "__MACOSX"]
    folders = [path for path in named if path.is_dir() and any(path.iterdir())]
    if not folders:
        raise InputError(root, "holds no subject folders", "it needs one folder of pictures per subject")
    return sorted(folders, key=natural_key)


def find_mask(mask_root: Path, subject: str) -> Path:
    candidates = [mask_root / f"{subject}.png", mask_root / subject / "mask.png"]
    for path in candidates:
        if path.is_file():
            return path
    raise InputError(candidates[0], "no such mask", f"give it, or {candidates[1]}")


def _missing_number(images: Sequence[Path]) -> str:
    """Say which number is missing when the names are numbers in a row with a gap."""
    numbers = [int(match[1]) for path in images if (match := re.search(r"(\d+)$", path.stem))]
    if not numbers or len(numbers) != len(images):
        return ""
    gaps = sorted(set(range(min(numbers), max(numbers) + 1)) - set(numbers))
    return f" (number {', '.join(map(str, gaps[:5]))} is missing)" if gaps else ""


def check_sizes(capture: Capture) -> tuple[int, int]:
    """(height, width) of the capture's pictures, from their headers; InputError when two differ."""
    first = image_size(capture.images[0])
    for path in capture.images[1:]:
        size = image_size(path)
        if size != first:
            raise InputError(
                path,
                f"is {size[1]} x {size[0]}, {capture.images[0].name} is {first[1]} x {first[0]}",
                "all pictures of a subject must have one size",
            )
    return first


def read_picture(path: Path, transfer: str, height: int | None = None) -> np.ndarray:
    """Linear ``H x W x 3`` float32; exr and hdr are linear, ``transfer`` says how other pictures are encoded.

    With a smaller ``height`` the picture is reduced by area averaging, in linear light.
    """
    if path.suffix.lower() in HDR_SUFFIXES or transfer == "srgb":
        picture = read_linear(path)
    else:
        picture = read_codes(path)  # the user knows better than the file
        picture = picture if transfer == "linear" else picture**2.2
    rows, columns = picture.shape[:2]
    return picture if height is None else resize_area(picture, *reduced_size(rows, columns, height))


def reduced_size(height: int, width: int, new_height: int | None) -> tuple[int, int]:
    """The size with ``new_height`` rows and the same aspect; never larger than it was."""
    if new_height is None or new_height >= height:
        return height, width
    return new_height, max(1, round(width * new_height / height))


def read_blocks(
    images: Sequence[Path], block: int, transfer: str, size: tuple[int, int]
) -> Iterator[tuple[int, np.ndarray]]:
    """Yield (first light, ``(3, l, P)`` float32 planes of up to ``block`` pictures reduced to ``size``)."""
    height, width = size
    planes = np.empty((3, min(block, len(images)), height * width), np.float32)
    for first in range(0, len(images), block):
        part = images[first : first + block]
        for index, path in enumerate(part):
            planes[:, index] = read_picture(path, transfer, height).reshape(-1, 3).T
        yield first, planes[:, : len(part)]
