"""Pseudo-labelled clips as training data: lit and flat-lit frames, masks and the light, cut to the portrait.

``inference_delit.py --pseudo_labels`` writes the set (see docs/pseudo-labels.md for its layout);
:mod:`src.data.portrait.manifest` says which clips there are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from src.data.portrait.manifest import CLIPS, Clip, Settings, kept, read_clips
from src.utils.cli import InputError
from src.utils.image_io import list_images, read_linear
from src.utils.resize import resize_area
from src.utils.video_io import FrameFolder, open_frames


@dataclass(frozen=True)
class ClipFrames:
    """T frames of one clip, all cut to the same square about the head."""

    relit: np.ndarray  # T x S x S x 3 uint8 sRGB, as filmed
    flat_lit: np.ndarray  # T x S x S x 3 uint8 sRGB
    mask: np.ndarray  # T x S x S uint8, 255: person
    confidence: np.ndarray | None  # T x S x S uint8, 255: certain of flat-lit; None: the model does not say
    environment: np.ndarray  # T x h x w x 3 float32 linear radiance: lights flat_lit as relit is lit
    begins_shot: np.ndarray  # T bool: nothing of the frame before is to be seen


class PseudoLabels:
    """The clips in ``folder`` that the set's thresholds keep, for training: ``clips``, and the frames of each.

    ``source_dir``: where the filmed clips lie now, if it is not where they were labelled from.
    Raises InputError where there are none.
    """

    def __init__(self, folder: Path, source_dir: Path | None = None) -> None:
        self.folder = folder
        settings = Settings.read(folder)
        self.source_dir = source_dir or Path(settings.input)
        clips = read_clips(folder)
        self.clips = kept(clips, settings.keep)
        if not self.clips:
            rules = " ".join(map(str, settings.keep))
            raise InputError(folder, f"none of its {len(clips)} clips is kept by {rules or '--keep'}", "choose others")

    def read(self, clip: Clip, size: int, first: int = 0, count: int | None = None) -> ClipFrames:
        """``count`` frames (default: all) from ``first`` on, at ``size`` x ``size``.

        Raises InputError where a file is missing, broken, or shorter than the manifest says.
        """
        count = clip.frames - first if count is None else count
        if not 0 <= first < first + count <= clip.frames:
            raise ValueError(f"frames {first} to {first + count} of {clip.frames}")
        source = self.source_dir / clip.source
        if not source.exists():
            raise InputError(source, "no such clip", "say where the filmed clips lie now")
        here = self.folder / CLIPS / clip.name

        def frames_of(path: Path) -> np.ndarray:
            frames = list(islice(_portraits(path, clip.portrait, size, first), count))
            if len(frames) < count:
                raise InputError(path, f"holds fewer than {first + count} frames", "label the clip again")
            return np.stack(frames)

        certain = clip.files.get("confidence")
        begins_shot = np.zeros(count, bool)
        begins_shot[[shot - first for shot in clip.shots if first <= shot < first + count]] = True
        return ClipFrames(
            relit=frames_of(source),
            flat_lit=frames_of(here / clip.files["flat_lit"]),
            mask=np.ascontiguousarray(frames_of(here / clip.files["mask"])[..., 1]),
            confidence=None if certain is None else np.ascontiguousarray(frames_of(here / certain)[..., 1]),
            environment=self._environments(clip, first, count),
            begins_shot=begins_shot,
        )

    def _environments(self, clip: Clip, first: int, count: int) -> np.ndarray:
        here = self.folder / CLIPS / clip.name
        if "env_frames" not in clip.files:
            environment = read_linear(here / clip.files["env"])
            return np.broadcast_to(environment, (count, *environment.shape))
        paths = list_images(here / clip.files["env_frames"])[first : first + count]
        if len(paths) < count:
            raise InputError(here, f"holds fewer than {first + count} environments", "label the clip again")
        return np.stack([read_linear(path) for path in paths])


def _portraits(path: Path, portrait: tuple[int, int, int], size: int, first: int) -> Iterator[np.ndarray]:
    """The square ``portrait`` of every frame of a video or folder from ``first`` on, ``size`` x ``size`` x 3 uint8."""
    top, left, side = portrait
    frames = open_frames(path)
    for frame in frames.since(first) if isinstance(frames, FrameFolder) else islice(frames, first, None):
        yield resize_area(np.ascontiguousarray(frame[top : top + side, left : left + side]), size, size)
