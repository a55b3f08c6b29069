"""How the files that belong to a portrait or a video NAME are called: written by inference, read by evaluation."""

from __future__ import annotations

FLAT_LIT, FLAT_LIT_LINEAR = "_flat_lit.png", "_flat_lit.exr"
FLAT_LIT_VIDEO = "_flat_lit.mp4"
RELIT_VIDEO = "_relit.mp4"
ENV, ENV_PREVIEW, ENV_CONFIDENCE = "_env.hdr", "_env_preview.png", "_env_confidence.png"
FLAT_CONFIDENCE = "_flat_confidence.png"
ENV_AVERAGE = "_env_avg.hdr"  # of a video
ENV_FRAMES = "_env_frame_*.png"  # the pattern of :func:`env_frame`
REPORT = "_report.json"  # of the self-check
STILL_ENDINGS = (FLAT_LIT, FLAT_LIT_LINEAR, ENV, ENV_PREVIEW, ENV_CONFIDENCE, FLAT_CONFIDENCE, REPORT)
VIDEO_ENDINGS = (FLAT_LIT_VIDEO, ENV_AVERAGE, REPORT)  # and the environments of frames


def env_frame(frame: int) -> str:
    """The environment of one frame of a video."""
    return f"_env_frame_{frame:05d}.png"
