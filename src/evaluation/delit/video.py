"""Delighted videos and what they were made from: which file belongs to which, and how steady each is."""

from __future__ import annotations

from pathlib import Path

from src.data.portrait.names import FLAT_LIT_VIDEO
from src.utils.cli import InputError
from src.utils.video_io import VIDEO_SUFFIXES, open_frames
from src.utils.warp_error import VideoFigures, measure_video


def find_videos(folder: Path, input_folder: Path | None, ending: str = FLAT_LIT_VIDEO) -> list[tuple[str, Path, Path]]:
    """(name, input, result) for every ``NAME`` with the ``ending`` in ``folder``.

    The input is a video or folder of frames ``NAME`` in ``input_folder`` (the same folder if None).
    """
    if not folder.is_dir():
        raise InputError(folder, "no such folder", "give the folder that holds the results")
    results = sorted(path for path in folder.rglob(f"*{ending}") if path.name != ending)
    if not results:
        script = "inference_delit.py" if ending == FLAT_LIT_VIDEO else "inference_relit.py"
        raise InputError(folder, f"holds no NAME{ending}", f"write some with {script}")
    names = [path.relative_to(folder).as_posix().removesuffix(ending) for path in results]
    return [
        (name, _input_of(path, name, folder, input_folder), path) for name, path in zip(names, results, strict=True)
    ]


def measure_videos(
    folder: Path, input_folder: Path | None = None, ending: str = FLAT_LIT_VIDEO
) -> dict[str, VideoFigures]:
    """:func:`measure_video` for all videos of :func:`find_videos`, by name. Raises InputError naming the file."""
    figures = {}
    for name, source, result in find_videos(folder, input_folder, ending):
        try:
            figures[name] = measure_video(open_frames(source), open_frames(result))
        except InputError as error:
            raise InputError(result, *error.args[1:]) if error.args[0] == "video" else error from None
    return figures


def _input_of(result: Path, name: str, folder: Path, input_folder: Path | None) -> Path:
    base = (input_folder or folder) / name
    candidates = [base.with_name(base.name + suffix) for suffix in VIDEO_SUFFIXES]
    for path in (*candidates, base):
        if path.is_file() or (path == base and path.is_dir()):
            return path
    raise InputError(result, f"its input {base}.mp4 (mov, mkv, webm or a folder) is missing", "give --video_inputs")
