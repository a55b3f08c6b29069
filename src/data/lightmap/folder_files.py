"""What lies in a folder of lightmap images: frames, masks, copies, and what is passed over."""

from __future__ import annotations

import filecmp
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from src.utils.cli import InputError, some_names
from src.utils.image_io import natural_key

DISPLAY_SUFFIXES = (".png", ".jpg", ".jpeg")
RADIANCE_SUFFIXES = (".exr", ".hdr")
TIMES_NAME = "times.json"

_MASK_WORD = re.compile(
    r"(?:^|[^a-z])(?:(?:lm|lightmap|uv|texel|valid|alpha)?masks?|coverage|validity)(?:$|[^a-z])", re.IGNORECASE
)
# As file managers and browsers name a second copy: "x - Copy", "x - Copy (2)", "x copy 2", "x (1)", "Copy of x".
_COPY_WORD = r"(?:copy|copie|kopie|copia|cópia|kopia|copy of|副本|拷贝|コピー|копия)"
_COPY_AFTER = re.compile(rf"^(.+?)(?:(?: - |[ _-]){_COPY_WORD}(?: ?\(?[0-9]+\)?)?| ?\([0-9]+\))$", re.IGNORECASE)
_COPY_BEFORE = re.compile(rf"^{_COPY_WORD}(?: [0-9]+)? (?:of |von |de )?(.+)$", re.IGNORECASE)


@dataclass(frozen=True)
class FolderFiles:
    """``frames`` in natural order, the ``masks`` of the folder, and the names of what was ``passed_over``."""

    frames: tuple[Path, ...]
    masks: tuple[Path, ...]
    passed_over: tuple[str, ...]


def list_folder(folder: Path) -> FolderFiles:
    """Tell the images in ``folder`` apart by their names.

    A mask is called ``mask``, ``coverage`` or ``validity``, alone or as a word of its name (``lm_mask.png``); where
    most images have that word it is part of the level's name. A copy that a file manager made is left out when it
    holds what its original holds. Raises :class:`InputError` when the folder or its images are missing, when display
    images and radiance images are mixed, and when a copy differs from its original.
    """
    if not folder.is_dir():
        problem = "is not a folder" if folder.exists() else "no such folder"
        raise InputError(folder, problem, "--data_dir wants a folder of lightmap images")
    entries = sorted((path for path in folder.iterdir() if path.name != TIMES_NAME), key=natural_key)
    images = [path for path in entries if _is_image(path)]
    masks = [path for path in images if _MASK_WORD.search(path.stem)]
    frames = [path for path in images if path not in masks]
    if len(masks) > len(frames):  # then the word is part of the level's name
        masks = [path for path in images if _stem(path).casefold() in ("mask", "masks", "coverage", "validity")]
        frames = [path for path in images if path not in masks]
    frames, frame_copies = _without_copies(frames)
    masks, mask_copies = _without_copies(masks)
    left = {*frames, *masks}
    passed_over = tuple(path.name + ("/" if path.is_dir() else "") for path in entries if path not in left)
    if not frames:
        found = f" (found {some_names(passed_over)})" if passed_over else ""
        known = ", ".join(suffix[1:] for suffix in DISPLAY_SUFFIXES + RADIANCE_SUFFIXES)
        raise InputError(folder, f"no lightmap images{found}", f"known are {known}")
    radiance = [path for path in frames if path.suffix.lower() in RADIANCE_SUFFIXES]
    display = [path for path in frames if path.suffix.lower() in DISPLAY_SUFFIXES]
    if radiance and display:
        raise InputError(
            folder,
            f"mixes radiance images ({radiance[0].name}) and display images ({display[0].name})",
            "keep one kind in a folder",
        )
    copies = {path.name for path in (*frame_copies, *mask_copies)}
    passed_over = tuple(f"{name} (a copy)" if name in copies else name for name in passed_over)
    return FolderFiles(tuple(frames), tuple(masks), passed_over)


def _is_image(path: Path) -> bool:
    is_known = path.suffix.lower() in DISPLAY_SUFFIXES + RADIANCE_SUFFIXES
    return is_known and not path.name.startswith(".") and path.is_file()


def _stem(path: Path) -> str:
    return path.name.partition(".")[0]


def _without_copies(files: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """``files`` without copies of others of them, and the copies. Numbers in brackets alone make no copy: where most
    files have them (``day (1).png``, ``day (2).png``, ...) they are the names."""
    by_stem = {path.stem.casefold(): path for path in files}
    originals = {}
    for path in files:
        match = _COPY_AFTER.match(path.stem) or _COPY_BEFORE.match(path.stem)
        original = match and by_stem.get(match[1].casefold())
        if original and original.suffix == path.suffix:
            originals[path] = original
    if 2 * len(originals) > len(files):
        return list(files), []
    for copy, original in originals.items():
        if not filecmp.cmp(copy, original, shallow=False):
            raise InputError(copy, f"is named as a copy of {original.name} but differs from it", "keep one of the two")
    return [path for path in files if path not in originals], list(originals)
