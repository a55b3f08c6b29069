"""A folder's pictures and videos delighted into files, what is finished left as it is."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from src.inference.delit.delighter import Delighter
from src.inference.delit.stills import StillOutputs, delight_still
from src.inference.delit.video import VideoOptions, delight_video
from src.inference.origin import Origins
from src.inference.runner import Summary, run_jobs, still_workers
from src.inference.work_list import Job
from src.models.delit_model import DelitModel

# Options of inference_delit.py that mean nothing to pictures, or to videos.
_NOT_OF_STILLS, _NOT_OF_VIDEOS = {"fps", "temporal", "batch_size"}, {"flat_size"}


def delight_files(
    jobs: list[Job],
    model: DelitModel,
    how: Mapping[str, Any],
    stills: StillOutputs,
    videos: VideoOptions,
    made_by: tuple[Path, Mapping[str, object]],
    overwrite: bool = False,
    show_progress: bool = False,
) -> Summary:
    """Write the outputs of every picture and video of ``jobs`` that are not there yet.

    ``how``: options of :class:`Delighter`; ``made_by``: the file of ``model``, and all options that decide what
    results hold.
    """
    by_stills, by_videos = (
        Origins(made_by[0], {name: value for name, value in made_by[1].items() if name not in without})
        for without in (_NOT_OF_STILLS, _NOT_OF_VIDEOS)
    )
    summary, pictures, clips = Summary(), list[Job](), list[Job]()
    for job in jobs:
        origin, endings = (by_videos, videos.endings()) if job.is_video else (by_stills, stills.endings())
        is_finished = not overwrite and origin.is_finished(job, endings)
        (summary.skipped if is_finished else clips if job.is_video else pictures).append(job)

    device = next(model.parameters()).device
    at_a_time = min(still_workers(device), max(1, len(pictures)))
    # Pictures that are worked on side by side have a core each already.
    beside = Delighter(model, **how, slices=1 if at_a_time > 1 else None)
    alone = Delighter(model, **how)

    def work_on_picture(job: Job) -> str:
        return delight_still(job, beside, stills, by_stills.begin(job))

    def work_on_clip(job: Job) -> str:
        return delight_video(job, alone, videos, by_videos.begin(job), show_progress)

    summary += run_jobs(pictures, work_on_picture, at_a_time, show_progress)
    return summary + run_jobs(clips, work_on_clip, 1, show_progress)
