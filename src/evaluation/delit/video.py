"""Delighted videos and what they were made from: which file belongs to which, and how steady each is."""

from __future__ import annotations

from pathlib import Path

from src.data.portrait.names import FLAT_LIT_VIDEO
from src.utils.cli import InputError
from src.utils.video_io import VIDEO_SUFFIXES, open_frames
from src.utils.warp_error import VideoFigures, measure_video


def find_videos(folder: Path, input_folder: Path | None) -> list[tuple[str, Path, Path]]:
    """(name, input, result) for every ``NAME_flat_lit.mp4`` in ``folder``.

    The input is a video or folder of frames ``NAME`` in ``input_folder`` (the same folder if None).
    """
    if not folder.is_dir():
        raise InputError(folder, "no such folder", "give the folder that holds the results")
    results = sorted(path for path in folder.rglob(f"*{FLAT_LIT_VIDEO}") if path.name != FLAT_LIT_VIDEO)
    if not results:
        raise InputError(folder, f"holds no NAME{FLAT_LIT_VIDEO}", "write some with inference_delit.py")
    return [(_name(path, folder), _input_of(path, folder, input_folder), path) for path in results]


def measure_videos(folder: Path, input_folder: Path | None = None) -> dict[str, VideoFigures]:
    """:func:`measure_video` for all videos of :func:`find_videos`, by name. Raises InputError naming the file."""
    figures = {}
    for name, source, result in find_videos(folder, input_folder):
        try:
            figures[name] = measure_video(open_frames(source), open_frames(result))
        except InputError as error:
            raise InputError(result, *error.args[1:]) if error.args[0] == "video" else error from None
    return figures


def _name(result: Path, folder: Path) -> str:
    return result.relative_to(folder).as_posix().removesuffix(FLAT_LIT_VIDEO)


def _input_of(result: Path, folder: Path, input_folder: Path | None) -> Path:
    base = (input_folder or folder) / _name(result, folder)
    candidates = [base.with_name(base.name + suffix) for suffix in VIDEO_SUFFIXES]
    for path in (*candidates, base):
        if path.is_file() or (path == base and path.is_dir()):
            return path
    raise InputError(result, f"its input {base}.mp4 (mov, mkv, webm or a folder) is missing", "give --video_inputs")
