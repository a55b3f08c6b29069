"""What there is to do: which files belong to which output names, and which of them are finished."""

from __future__ import annotations

import glob
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.data.portrait import names
from src.utils.cli import InputError, some_names
from src.utils.image_io import HEIC_SUFFIXES, IMAGE_SUFFIXES, natural_key
from src.utils.video_io import VIDEO_SUFFIXES

_MOST_NAMED = 8  # files that were passed over


@dataclass(frozen=True)
class Job:
    """One picture or video (a file, or a folder of frames) and what its outputs' names begin with."""

    source: Path
    prefix: Path  # output_dir / sub-folders / NAME
    is_video: bool

    def output(self, ending: str) -> Path:
        return self.prefix.with_name(self.prefix.name + ending)

    def has_results(self, endings: Sequence[str]) -> bool:
        return all(self.output(ending).is_file() for ending in endings)

    def remove_results(self) -> None:
        """Everything that an earlier run made under this name, with other flags too."""
        for ending in names.VIDEO_ENDINGS if self.is_video else names.STILL_ENDINGS:
            self.output(ending).unlink(missing_ok=True)
        if self.is_video:
            for path in self.prefix.parent.glob(glob.escape(self.prefix.name) + names.ENV_FRAMES):
                path.unlink()


def is_video(source: Path) -> bool:
    """Whether a file, or a folder of frames, is taken for a video."""
    return source.is_dir() or source.suffix.lower() in VIDEO_SUFFIXES


def find_jobs(source: Path, output_dir: Path, folders_are_videos: bool = False) -> list[Job]:
    """A file, or all pictures and videos below a folder, in natural order; hidden files and folders are left out.

    With ``folders_are_videos`` every folder of pictures is one video. Names are the files' stems. Inputs of one folder
    that differ only in their suffix are told apart by it: ``a.png`` and ``a.mp4`` become ``a_png`` and ``a_mp4``.
    Raises InputError when there is nothing, or the outputs would lie among the inputs.
    """
    if not source.exists():
        raise InputError(source, "no such file or folder", "check the name")
    if source.is_file():
        if source.suffix.lower() not in IMAGE_SUFFIXES + VIDEO_SUFFIXES:
            known = ", ".join(IMAGE_SUFFIXES + VIDEO_SUFFIXES)
            remedy = "pip install pillow-heif" if source.suffix.lower() in HEIC_SUFFIXES else f"use one of {known}"
            raise InputError(source, f"cannot be read: unknown extension {source.suffix!r}", remedy)
        sources, root = [source], source.parent
    else:
        if output_dir.resolve() == source.resolve():
            raise InputError("--output_dir", "is the folder of the inputs", "give another one")
        sources, root = list(_below(source, output_dir.resolve(), folders_are_videos)), source
        if not sources:
            others = describe_passed_over(find_passed_over(source, output_dir), source)
            raise InputError(
                source, f"holds no pictures and no videos{others and f' ({others})'}", "give a folder that does"
            )
    prefixes = _prefixes(sources, root, output_dir)
    return [Job(path, prefix, is_video(path)) for path, prefix in zip(sources, prefixes, strict=True)]


def find_passed_over(source: Path, output_dir: Path) -> list[Path]:
    """What :func:`find_jobs` takes nothing from: other kinds of files, what is hidden, and a Mac's ``__MACOSX``."""
    if source.is_file():
        return []
    passed_over = []
    for path in sorted(source.iterdir(), key=natural_key):
        if _is_junk(path) or (path.is_file() and path.suffix.lower() not in IMAGE_SUFFIXES + VIDEO_SUFFIXES):
            passed_over.append(path)
        elif path.is_dir() and path.resolve() != output_dir.resolve():
            passed_over += find_passed_over(path, output_dir)
    return passed_over


def describe_passed_over(paths: Sequence[Path], root: Path) -> str:
    """One line; empty where there is nothing to say."""
    if not paths:
        return ""
    named = [path.relative_to(root).as_posix() + ("/" if path.is_dir() else "") for path in paths]
    is_heic = any(path.suffix.lower() in HEIC_SUFFIXES for path in paths)
    return f"passed over: {some_names(named, _MOST_NAMED)}{'; pip install pillow-heif to read HEIC' if is_heic else ''}"


def _is_junk(path: Path) -> bool:
    return path.name[0] == "." or path.name == "__MACOSX"


def _below(folder: Path, excluded: Path, folders_are_videos: bool) -> Iterator[Path]:
    entries = sorted((path for path in folder.iterdir() if not _is_junk(path)), key=natural_key)
    pictures = [path for path in entries if path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES]
    if folders_are_videos and pictures:
        yield folder
        pictures = []
    videos = [path for path in entries if path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES]
    yield from sorted(pictures + videos, key=natural_key)
    for path in entries:
        if path.is_dir() and path.resolve() != excluded:
            yield from _below(path, excluded, folders_are_videos)


def _prefixes(sources: Sequence[Path], root: Path, output_dir: Path) -> list[Path]:
    """Where each source's outputs go; file systems may not tell letter cases apart, so neither does this."""
    plain = [_relative(path, root) for path in sources]
    plain = [path if source.is_dir() else path.with_suffix("") for source, path in zip(sources, plain, strict=True)]
    count = Counter(str(path).casefold() for path in plain)
    prefixes = []
    for source, path in zip(sources, plain, strict=True):
        is_shared = count[str(path).casefold()] > 1
        kind = "frames" if source.is_dir() else source.suffix[1:].lower()
        prefixes.append(output_dir / (path.with_name(f"{path.name}_{kind}") if is_shared else path))
    taken: dict[str, Path] = {}
    for source, prefix in zip(sources, prefixes, strict=True):
        other = taken.setdefault(str(prefix).casefold(), source)
        if other is not source:
            raise InputError(source, f"its outputs would have the names of those of {other}", "rename one of them")
    return prefixes


def _relative(path: Path, root: Path) -> Path:
    """``path`` below ``root``; the root itself, as a video, goes by its own name."""
    return Path(path.resolve().name) if path == root else path.relative_to(root)
