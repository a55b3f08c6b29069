"""Lit portraits -> flat-lit portraits and the environments that lit them.

    python inference_delit.py --input portrait.jpg
    python inference_delit.py --input folder --output_dir out --checkpoint runs/delit/checkpoint_best.pth

A picture (png, jpg, webp, avif, exr, hdr) gives NAME_flat_lit.png, NAME_env.hdr and NAME_env_preview.png, and how sure
the model is of them, NAME_flat_confidence.png and NAME_env_confidence.png; a video (mp4, mov, mkv, webm, with --frames
also a folder of pictures) NAME_flat_lit.mp4, NAME_env_frame_XXXXX.png once a second and NAME_env_avg.hdr. A folder
gives all for everything below, sub-folders kept. png, jpg and videos are taken as sRGB, exr and hdr as linear radiance.
--pseudo_labels makes training data of a folder of clips (videos, or a folder of frames each): docs/pseudo-labels.md.

The same command again continues: finished outputs are skipped, those of another picture, checkpoint or other flags are
made again. Exit status 1 when any input failed; the rest is done. Without --checkpoint weights/delit.pth does it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from src.inference.delit import label_arguments
from src.utils.cli import InputError, Parser, parse_shard, positive_float, positive_int, script

# What does not decide what a result holds: where things lie, how fast it goes, and which files there are.
NOT_OF_RESULTS = {"checkpoint", "input", "output_dir", "shard", "overwrite", "device", "frames"}
NOT_OF_RESULTS |= {"save_exr", "self_check", *label_arguments.NOT_OF_RESULTS}


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(__doc__)
    add = parser.add_argument
    add("--checkpoint", type=Path, help="of train_delit.py (default: weights/delit.pth of the repository)")
    add("--input", type=Path, required=True, help="picture, video, or folder of them")
    add("--output_dir", type=Path, default=Path("out"), help="(default: out)")
    add("--save_exr", action="store_true", help="pictures: NAME_flat_lit.exr in linear radiance too")
    add("--exposure", choices=("keep", "predicted"), help="the face as bright as in the input, or as the model takes "
        "the skin to be (default: keep; predicted for --pseudo_labels)")  # fmt: skip
    add("--mask", default="own", help="where people are: own (the model's), mediapipe, rembg, or a picture of it")
    add("--faces", choices=("auto", "cascade", "mediapipe"), default="auto", help="what finds them: scikit-image's "
        "cascade (frontal), or mediapipe (to the profile, aligned by the eyes) where it is installed")  # fmt: skip
    add("--no_crop", action="store_true", help="show the network whole pictures instead of the portrait about the face")
    add("--flat_size", type=positive_int, help="long side of pictures' flat-lit; tiles above image_size, the default")
    add("--exr_layer", metavar="NAME", help="of EXR files with several layers, the one to read")
    add("--frames", action="store_true", help="every folder of pictures is a video, its frames in natural order")
    add("--fps", type=positive_float, default=25.0, help="frames per second of such a folder")
    add("--temporal", choices=("none", "ema"), default="ema", help="videos: running averages between cuts")
    add("--batch_size", type=positive_int, default=8, help="frames that go through the network together")
    add("--self_check", action="store_true", help="render again under the predicted light: NAME_report.json")
    add("--olat_root", type=Path, help="--self_check by OLATs: a folder per subject, called like inputs or theirs")
    add("--lights", type=Path, help="of --olat_root (default: lights.json in it)")
    label_arguments.add_label_arguments(parser)
    add("--shard", type=parse_shard, default=(0, 1), metavar="I/N", help="do the I-th of N shares of the inputs")
    add("--overwrite", action="store_true", help="make finished outputs again")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    args = parser.parse_args(argv)
    if (args.olat_root and not args.self_check) or (args.lights and not args.olat_root):
        raise InputError("--lights, --olat_root", "belong to one another and to --self_check", "give that too")
    label_arguments.complete_label_arguments(args)
    return args


@script
def main(argv: Sequence[str] | None = None) -> int:
    args = parse_arguments(argv)

    from src.data.stage.captures import open_stage
    from src.inference.delit.clip_labels import LabelOptions
    from src.inference.delit.delighter import Delighter
    from src.inference.delit.files import delight_files
    from src.inference.delit.label_set import LabelSet
    from src.inference.delit.self_check import SelfCheck
    from src.inference.delit.stills import StillOutputs
    from src.inference.delit.video import VideoOptions
    from src.inference.faces import chosen_finder, face_finder
    from src.inference.masks import OWN, PersonMasks
    from src.inference.runner import Summary
    from src.inference.work_list import describe_passed_over, find_jobs, find_passed_over
    from src.models.delit_model import load
    from src.models.shipped import shipped_checkpoint
    from src.training.distributed import processes
    from src.utils.exr_layers import exr_layer

    args.checkpoint = args.checkpoint or shipped_checkpoint()
    masks = None if args.mask == OWN else PersonMasks(args.mask, args.input)
    args.faces = chosen_finder(args.faces)
    stage = open_stage(args.olat_root, args.lights) if args.olat_root else None
    check = SelfCheck(stage) if args.self_check else None
    decisive = {name: value for name, value in vars(args).items() if name not in NOT_OF_RESULTS}
    made_by = args.checkpoint, decisive | {"stage": stage and stage.stamp(), "mask": masks and masks.stamp()}

    with processes(args.device) as group, exr_layer(args.exr_layer):
        model = load(args.checkpoint, group.device)
        videos = VideoOptions(args.batch_size, args.temporal == "ema", args.fps, check)
        how = {"flat_size": args.flat_size, "crops": not args.no_crop, "keep_exposure": args.exposure == "keep"}
        how |= {"faces": face_finder(args.faces), "masks": masks}
        share = args.shard[0] + args.shard[1] * group.rank, args.shard[1] * group.count
        if args.pseudo_labels:
            options = LabelOptions(videos, args.frames_as == "png", args.env_per_frame)
            labels = LabelSet(args.input, args.output_dir, share, made_by, options, args.keep, args.overwrite)
            if args.dry_run:
                print(labels.dry_run(Delighter(model, **how)))
                return 0
            group.on_main(labels.begin)
            summary = labels.make(Delighter(model, **how), group.is_main)
        else:
            jobs = find_jobs(args.input, args.output_dir, args.frames)[share[0] :: share[1]]
            if group.is_main and (others := find_passed_over(args.input, args.output_dir)):
                print(describe_passed_over(others, args.input))
            stills = StillOutputs(args.save_exr, model.config.arch == "attention", check, model.config.flat_confidence)
            summary = delight_files(jobs, model, how, stills, videos, made_by, args.overwrite, group.is_main)
        total = sum(group.gather(summary), Summary())
    if group.is_main:
        print(f"{labels.finish()}\n{total}" if args.pseudo_labels else total)
    return 1 if total.failed else 0


if __name__ == "__main__":
    sys.exit(main())
