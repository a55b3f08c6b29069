"""Relit pictures as files: one picture, a video, or a folder of EXR frames."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

from tqdm import tqdm

from src.inference.relit.video import Picture
from src.utils.atomic import atomic_folder
from src.utils.cli import InputError
from src.utils.color import linear_to_srgb
from src.utils.image_io import HDR_SUFFIXES, WRITABLE_SUFFIXES, write_linear
from src.utils.video_io import VideoWriter

VIDEO_SUFFIX = ".mp4"


def is_linear(out: Path) -> bool:
    """Whether ``out`` will hold radiance as it is, rather than what a display shows."""
    return out.suffix.lower() in (*HDR_SUFFIXES, "")


def require_fitting(out: Path, is_sequence: bool) -> None:
    """Raises InputError where ``out`` cannot hold one picture, or a sequence of them."""
    suffix = out.suffix.lower()
    fitting = (VIDEO_SUFFIX, "") if is_sequence else (*WRITABLE_SUFFIXES, "")
    if suffix not in fitting:
        kind = "a video or a turntable" if is_sequence else "one picture"
        wanted = ", ".join(ending for ending in fitting if ending)
        raise InputError("--out", f"{out.name} cannot hold {kind}", f"end it in {wanted}, or name a folder for EXR")
    if suffix == "" and out.exists():
        raise InputError("--out", f"{out} is there already", "remove it or choose another name")


def write_pictures(
    out: Path,
    pictures: Iterable[Picture],
    count: int | None,
    fps: Fraction | float = 30,
    audio_from: Path | None = None,
    sample_aspect_ratio: Fraction = Fraction(1),
) -> int:
    """Write a picture, an mp4 or a folder ``out`` of ``00000.exr`` ...; nothing stands there before it is complete.

    ``count``: of pictures, for the progress bar. Returns how many there were.
    """
    shown = tqdm(pictures, out.name, total=count, unit="picture", disable=count == 1)
    written = 0
    if out.suffix.lower() == VIDEO_SUFFIX:
        with VideoWriter(out, fps, audio_from=audio_from, sample_aspect_ratio=sample_aspect_ratio) as video:
            for picture in shown:
                video.write(linear_to_srgb(picture.relit), picture.start, picture.duration)
            return video.frame_count
    if out.suffix:
        for picture in shown:
            write_linear(out, picture.relit)
        return 1
    with atomic_folder(out) as folder:
        for picture in shown:
            write_linear(folder / f"{written:05d}.exr", picture.relit)
            written += 1
    return written
