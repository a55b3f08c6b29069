"""The command, and pictures and videos to give it."""

import numpy as np

import inference_delit
from src.utils.video_io import VideoWriter

STILL = ["_env.hdr", "_env_confidence.png", "_env_preview.png", "_flat_lit.png"]  # what every picture leaves


def run(checkpoint, source, output_dir, *flags):
    argv = ["--checkpoint", checkpoint, "--input", source, "--output_dir", output_dir, "--device", "cpu", *flags]
    return inference_delit.main([str(part) for part in argv])


def picture(seed=0, height=72, width=60):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.1, 0.9, (height // 4, width // 4, 3)).repeat(4, 0).repeat(4, 1).astype(np.float32)


def write_video(path, frames=9, fps=4, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps, **options) as video:
        for index in range(frames):
            video.write(np.roll(picture(), index, axis=1))
    return path


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
