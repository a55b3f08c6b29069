"""What a result was made from, written into the result itself: a comment in the png or mp4 that is finished last.

So the same command knows what is done, and gives out no old result for a new picture, checkpoint or option. No file is
added to the results, and where one of them goes its origin goes along.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from src.data.portrait import names
from src.inference.work_list import Job
from src.utils.cli import InputError
from src.utils.content_hash import combined_hash, content_hash, record_files
from src.utils.image_io import list_images
from src.utils.png_chunks import read_comment
from src.utils.video_container import read_video_comment


class Origins:
    """``checkpoint``: of the model; ``options``: what else decides the results, by name."""

    def __init__(self, checkpoint: Path, options: Mapping[str, object]) -> None:
        self._made_by = {"checkpoint": content_hash(checkpoint), "options": combined_hash(sorted(options.items()))}

    def of(self, job: Job, known: Mapping | None = None) -> str:
        """The comment for the results of a job. ``known``: an earlier one, which may save reading the source."""
        files = list_images(job.source) if job.source.is_dir() else [job.source]
        return json.dumps({"source": record_files(files, (known or {}).get("source")), **self._made_by})

    def begin(self, job: Job) -> str:
        """:meth:`of`, and nothing that was made from something else stays under the job's name."""
        origin = self.of(job)
        if not self.is_same(job):
            job.remove_results()
        return origin

    def is_finished(self, job: Job, endings: Sequence[str]) -> bool:
        """Whether all results are there, made from what the job would make them from now."""
        return job.has_results(endings) and self.is_same(job)

    def is_same(self, job: Job) -> bool:
        """Whether what is there was made from what the job would make it from now, whether or not all of it is."""
        try:
            return self.matches(job, json.loads(_read_comment(job) or "{}"))
        except (InputError, ValueError):  # nothing there, or broken: said when it is worked on
            return False

    def matches(self, job: Job, known: Mapping) -> bool:
        """Whether an origin, as :meth:`of` gave it before, is what it would give now."""
        try:
            now = json.loads(self.of(job, known))
        except InputError:  # a source that is broken: said when it is worked on
            return False
        contents = [origin.get("source", {}).get("content") for origin in (known, now)]
        return contents[0] == contents[1] and all(known.get(key) == value for key, value in self._made_by.items())


def _read_comment(job: Job) -> str | None:
    """What stands in the result that is written last; None where nothing does."""
    if job.is_video:
        return read_video_comment(job.output(names.FLAT_LIT_VIDEO))
    return read_comment(job.output(names.FLAT_LIT))
