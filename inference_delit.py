"""Lit portraits -> flat-lit portraits and the environments that lit them.

    python inference_delit.py --checkpoint runs/delit/checkpoint_best.pth --input portrait.jpg --output_dir out
    python inference_delit.py --checkpoint runs/delit/checkpoint_best.pth --input clip.mp4 --output_dir out
    python inference_delit.py --checkpoint runs/delit/checkpoint_best.pth --input folder --output_dir out

A picture (png, jpg, webp, avif, exr, hdr) gives NAME_flat_lit.png, NAME_env.hdr and NAME_env_preview.png, and how sure
the model is of them, NAME_flat_confidence.png and NAME_env_confidence.png; a video
(mp4, mov, mkv, webm, with --frames also a folder of pictures) NAME_flat_lit.mp4, NAME_env_frame_XXXXX.png once a second
and NAME_env_avg.hdr. A folder gives all of it for everything below, sub-folders kept. png, jpg and videos are taken as
sRGB, exr and hdr as linear radiance.

The same command again continues: finished outputs are skipped, those of another picture, checkpoint or other flags are
made again. Exit status 1 when any input failed; the rest is done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from src.utils.cli import InputError, Parser, parse_shard, positive_float, positive_int, script

# What does not decide what a result holds: where things lie, how fast it goes, and which files there are.
NOT_OF_RESULTS = {"checkpoint", "input", "output_dir", "shard", "overwrite", "device", "frames"}
NOT_OF_RESULTS |= {"save_exr", "self_check"}
NOT_OF_STILLS, NOT_OF_VIDEOS = {"fps", "temporal", "batch_size"}, {"flat_size"}


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--checkpoint", type=Path, required=True, help="of train_delit.py")
    add("--input", type=Path, required=True, help="picture, video, or folder of them")
    add("--output_dir", type=Path, required=True)
    add("--save_exr", action="store_true", help="pictures: NAME_flat_lit.exr in linear radiance too")
    add("--exposure", choices=("keep", "predicted"), default="keep", help="flat-lit as bright as the input within the "
        "mask, or as the model takes the skin to be")  # fmt: skip
    add("--no_crop", action="store_true", help="show the network whole pictures instead of the portrait about the face")
    add("--flat_size", type=positive_int, help="long side at which flat-lit is predicted for pictures; above the "
        "model's image_size overlapping tiles add the detail (default: image_size)")  # fmt: skip
    add("--exr_layer", metavar="NAME", help="of EXR files with several layers, the one to read")
    add("--frames", action="store_true", help="every folder of pictures is a video, its frames in natural order")
    add("--fps", type=positive_float, default=25.0, help="frames per second of such a folder")
    add("--temporal", choices=("none", "ema"), default="ema", help="videos: running averages between cuts")
    add("--batch_size", type=positive_int, default=8, help="frames that go through the network together")
    add("--self_check", action="store_true", help="render again under the predicted light: NAME_report.json")
    add("--olat_root", type=Path, help="--self_check by OLATs: a folder per subject, called like the input or a folder "
        "it lies in")  # fmt: skip
    add("--lights", type=Path, help="of --olat_root (default: lights.json in it)")
    add("--shard", type=parse_shard, default=(0, 1), metavar="I/N", help="do the I-th of N shares of the inputs")
    add("--overwrite", action="store_true", help="make finished outputs again")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    args = parser.parse_args(argv)
    if (args.olat_root or args.lights) and not args.self_check:
        raise InputError("--olat_root, --lights", "are for --self_check", "give that too, or leave them out")
    if args.lights and not args.olat_root:
        raise InputError("--lights", "belongs to --olat_root", "give both")
    return args


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parse_arguments(argv)

    from src.data.stage.captures import open_stage
    from src.inference.delit.delighter import Delighter
    from src.inference.delit.self_check import SelfCheck
    from src.inference.delit.stills import StillOutputs, delight_still
    from src.inference.delit.video import VideoOptions, delight_video
    from src.inference.origin import Origins
    from src.inference.runner import Summary, run_jobs, still_workers
    from src.inference.work_list import Job, describe_passed_over, find_jobs, find_passed_over
    from src.models.delit_model import load
    from src.training.distributed import processes
    from src.utils.exr_layers import exr_layer

    jobs = find_jobs(args.input, args.output_dir, args.frames)[args.shard[0] :: args.shard[1]]
    others = describe_passed_over(find_passed_over(args.input, args.output_dir), args.input)
    stage = open_stage(args.olat_root, args.lights) if args.olat_root else None
    check = SelfCheck(stage) if args.self_check else None

    with processes(args.device) as group, exr_layer(args.exr_layer):
        model = load(args.checkpoint, group.device)
        stills = StillOutputs(args.save_exr, model.config.arch == "attention", check, model.config.flat_confidence)
        videos = VideoOptions(args.batch_size, args.temporal == "ema", args.fps, check)
        show = group.is_main
        if show and others:
            print(others)

        decisive = {name: value for name, value in vars(args).items() if name not in NOT_OF_RESULTS}
        decisive["stage"] = stage and stage.stamp()
        by_stills = Origins(args.checkpoint, {name: decisive[name] for name in decisive.keys() - NOT_OF_STILLS})
        by_videos = Origins(args.checkpoint, {name: decisive[name] for name in decisive.keys() - NOT_OF_VIDEOS})
        summary, pictures, clips = Summary(), list[Job](), list[Job]()
        for job in jobs[group.rank :: group.count]:
            origins, endings = (by_videos, videos.endings()) if job.is_video else (by_stills, stills.endings())
            is_finished = not args.overwrite and origins.is_finished(job, endings)
            (summary.skipped if is_finished else clips if job.is_video else pictures).append(job)

        at_a_time = min(still_workers(group.device), max(1, len(pictures)))
        options = {"flat_size": args.flat_size, "crops": not args.no_crop, "keep_exposure": args.exposure == "keep"}
        # Pictures that are worked on side by side have a core each already.
        beside = Delighter(model, **options, slices=1 if at_a_time > 1 else None)
        alone = Delighter(model, **options)

        def work_on_picture(job: Job) -> str:
            origin = by_stills.begin(job)
            return delight_still(job, beside, stills, origin)

        def work_on_clip(job: Job) -> str:
            origin = by_videos.begin(job)
            return delight_video(job, alone, videos, origin, show)

        summary += run_jobs(pictures, work_on_picture, at_a_time, show)
        summary += run_jobs(clips, work_on_clip, 1, show)
        total = sum(group.gather(summary), Summary())
    if show:
        print(total)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
