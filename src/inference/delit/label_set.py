"""A set of clips labelled by any number of processes, which may be killed and started again at any time.

A clip is made in a hidden folder of its process's own and takes its name in ``clips/`` in one step; then its line is
appended to the process's manifest. So a clip is there whole or not at all, and one that is there is not made again.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from src.data.portrait.manifest import (
    CLIPS,
    Clip,
    Settings,
    append_clip,
    clip_report,
    kept,
    manifest_name,
    parse_threshold,
    read_clips,
    write_merged,
)
from src.inference.delit.clip_labels import LabelOptions, label_clip
from src.inference.delit.delighter import Delighter
from src.inference.delit.label_histograms import write_histograms
from src.inference.origin import Origins
from src.inference.runner import Summary, run_jobs
from src.inference.work_list import Job, find_jobs
from src.utils.cli import InputError
from src.utils.json_files import read_json

_WORK = ".partial"
_ABANDONED_SECONDS = 3600.0  # since a process of another machine last wrote anything
_PROBED = 3


class LabelSet:
    """``share``: (index, count) of this process among all that label the set; it does every count-th clip.

    ``made_by``: the checkpoint, and all other options that decide what labels hold.
    """

    def __init__(
        self,
        source: Path,
        folder: Path,
        share: tuple[int, int],
        made_by: tuple[Path, Mapping[str, object]],
        options: LabelOptions,
        keep: Sequence[str] = (),
        overwrite: bool = False,
    ) -> None:
        """Raises InputError where the input holds no clips, or two of them would lie in one another."""
        self.source, self.folder, self.share = source, folder, share
        self.options, self.overwrite = options, overwrite
        checkpoint, decisive = made_by
        self.origins = Origins(checkpoint, {**decisive, "frames": options.as_png, "envs": options.env_per_frame})
        self.keep = tuple(parse_threshold(text) for text in keep)
        found = find_jobs(source, folder / CLIPS, folders_are_videos=True)
        self.jobs = [job for job in found if job.is_video]
        if not self.jobs:
            raise InputError(source, "holds no clips", "give videos, or folders of the frames of each")
        names = {self.name(job) for job in self.jobs}
        for name in names:
            if above := next((parent for parent in _parents(name) if parent in names), None):
                raise InputError(self.source, f"the labels of {name} would lie in those of {above}", "rename one")
        self._root = source if source.is_dir() and self.jobs[0].source != source else source.parent
        self._known = {clip.name: clip for clip in read_clips(folder)} if folder.is_dir() else {}
        self._manifest = folder / manifest_name(*share)
        self._work = folder / _WORK / f"{socket.gethostname()}.{os.getpid()}"

    def name(self, job: Job) -> str:
        return job.prefix.relative_to(self.folder / CLIPS).as_posix()

    def begin(self) -> None:
        """Write down what the whole set has in common, and clear away what killed processes left. By one of several."""
        self.folder.mkdir(parents=True, exist_ok=True)
        Settings(str(self._root.resolve()), tuple(self.keep)).write(self.folder)
        for path in (self.folder / _WORK).glob("*"):
            if _is_abandoned(path):
                shutil.rmtree(path, ignore_errors=True)

    def to_do(self) -> tuple[list[Job], list[Job]]:
        """This process's clips: those to be made, and those that are finished."""
        fresh, finished = list[Job](), list[Job]()
        for job in self.jobs[self.share[0] :: self.share[1]]:
            (finished if not self.overwrite and self._is_finished(job) else fresh).append(job)
        return fresh, finished

    def make(self, delighter: Delighter, show_progress: bool) -> Summary:
        """Label this process's clips, one after another; every clip's line says how fast it went and what is left."""
        fresh, finished = self.to_do()
        sizes = {job: _size_bytes(job.source) for job in fresh}
        total, began, done = sum(sizes.values()), time.perf_counter(), list[int]()

        def work_on(job: Job) -> str:
            clip = self._label(job, delighter)
            done.append(sizes[job])
            left = (time.perf_counter() - began) * (total - sum(done)) / max(sum(done), 1)
            speed = clip.frames / max(clip.seconds, 1e-9)
            return f"{clip.frames} frames, {speed:.1f} per second; {len(done)} of {len(fresh)}, {duration(left)} left"

        return Summary(skipped=finished) + run_jobs(fresh, work_on, 1, show_progress)

    def finish(self) -> str:
        """Bring all manifests and figures together, as far as the set is made; what is kept, in a few lines."""
        clips = write_merged(self.folder)
        write_histograms(self.folder / "histograms.png", clips, self.keep)
        rules = " ".join(map(str, self.keep)) or "no thresholds"
        refused = Counter(str(rule) for rule in self.keep for clip in clips if not rule.holds(clip))
        lines = [f"{len(clips)} of {len(self.jobs)} clips labelled, {len(kept(clips, self.keep))} kept by {rules}"]
        return "\n".join([*lines, *(f"{rule} does not hold for {count}" for rule, count in refused.most_common())])

    def dry_run(self, delighter: Delighter) -> str:
        """Label three clips, of a small, a middling and a large size, into nowhere: what all of them would take."""
        fresh, finished = self.to_do()
        everywhere = sum(_size_bytes(job.source) for job in self.jobs)
        plan = (
            f"plan: {len(self.jobs)} clips, {megabytes(everywhere)}; of them {len(fresh) + len(finished)} in share "
            f"{self.share[0]}/{self.share[1]}: {len(finished)} finished, {len(fresh)} to do"
        )
        if not fresh:
            return plan
        sizes = {job: _size_bytes(job.source) for job in fresh}
        ordered = sorted(fresh, key=sizes.__getitem__)
        probed = {ordered[(2 * k + 1) * len(ordered) // (2 * _PROBED)] for k in range(_PROBED)}
        seconds, frames, written = 0.0, 0, 0
        for job in probed:
            with TemporaryDirectory() as made:
                clip = label_clip(job, Path(made), self.name(job), "", {}, delighter, self.options)
                written += _size_bytes(Path(made))
            seconds, frames = seconds + clip.seconds, frames + clip.frames
        factor = sum(sizes.values()) / max(sum(sizes[job] for job in probed), 1)
        existing = next(path for path in (self.folder, *self.folder.resolve().parents) if path.is_dir())
        free = shutil.disk_usage(existing).free
        wanted = written * factor
        return "\n".join(
            [
                plan,
                f"probe: {len(probed)} clips, {frames} frames, {frames / max(seconds, 1e-9):.1f} per second",
                f"time: {duration(seconds * factor)} for this share",
                f"disk: {megabytes(wanted)} for this share, {megabytes(free)} free"
                + (": NOT ENOUGH" if wanted > free else ""),
            ]
        )

    def _is_finished(self, job: Job) -> bool:
        """Whether a clip is there, made as it would be now; its line is written where a kill came before that."""
        name = self.name(job)
        clip = self._known.get(name)
        if clip is None:
            try:
                clip = Clip.from_json(read_json(clip_report(self.folder, name)))
            except (InputError, ValueError, TypeError):
                return False
            append_clip(self._manifest, clip)
        return self.origins.matches(job, clip.origin)

    def _label(self, job: Job, delighter: Delighter) -> Clip:
        name, source = self.name(job), job.source.relative_to(self._root).as_posix()
        origin = json.loads(self.origins.of(job))
        made, final = self._work / "clip", self.folder / CLIPS / name
        shutil.rmtree(self._work, ignore_errors=True)
        made.mkdir(parents=True)
        final.parent.mkdir(parents=True, exist_ok=True)
        try:
            clip = label_clip(job, made, name, source, origin, delighter, self.options)
            if final.exists():
                os.replace(final, self._work / "before")
            os.replace(made, final)
            append_clip(self._manifest, clip)
        finally:
            shutil.rmtree(self._work, ignore_errors=True)
        return clip


def duration(seconds: float) -> str:
    """``'2 h 05 min'``, under an hour ``'5 min 07 s'``."""
    whole = round(seconds)
    hours, minutes = whole // 3600, whole % 3600 // 60
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {whole % 60:02d} s"


def megabytes(size_bytes: float) -> str:
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{size_bytes / 1e6:.1f} MB"


def _parents(name: str) -> list[str]:
    parts = name.split("/")
    return ["/".join(parts[:count]) for count in range(1, len(parts))]


def _size_bytes(path: Path) -> int:
    """Of a file, or of all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _is_abandoned(path: Path) -> bool:
    """Whether the process that works in this folder has ended, or (on another machine) seems to have."""
    host, _, process = path.name.rpartition(".")
    if host == socket.gethostname() and os.name == "posix":
        try:
            os.kill(int(process), 0)
        except (ProcessLookupError, ValueError):
            return True
        except PermissionError:
            return False
        return False
    newest = max((entry.stat().st_mtime for entry in [path, *path.rglob("*")] if entry.exists()), default=0.0)
    return time.time() - newest > _ABANDONED_SECONDS
