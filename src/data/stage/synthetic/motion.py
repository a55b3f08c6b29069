"""How a synthetic person moves through a clip: the head turns and nods, moods come and go, eyes wander and blink."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from src.data.stage.synthetic.expressions import blink_shapes, look_shapes, sample_gaze, sample_mood
from src.data.stage.synthetic.people import Framing, Pose, sample_pose

FRAMES_PER_SECOND = 24
_MOST_NECK_YAW = 45.0
_TALK_CHANCE = 0.5
_BLINK = (0.35, 0.9, 1.0, 0.75, 0.45, 0.15)  # how far the lids are shut, frame by frame
_SECONDS_BETWEEN_BLINKS, _SECONDS_OF_A_LOOK, _SECONDS_OF_A_MOOD = 2.0, 0.9, 1.2


@dataclass(frozen=True)
class Moment:
    """One frame of a motion."""

    pose: Pose
    sway: tuple[float, float, float]  # head units that the whole person is moved by
    strengths: dict[str, float]  # of expression shapes
    gaze: tuple[float, float]  # yaw and pitch in degrees


def sample_motion(rng: np.random.Generator, framing: Framing, frames: int) -> list[Moment]:
    """A random motion about a random pose. The body sways but a little; frame after frame is 1/24 s later."""
    middle = sample_pose(rng, framing)
    yaw = _wander(rng, frames, rng.uniform(4, 20))
    body = middle.body_yaw + _wander(rng, frames, 2)
    neck = (0.6 * middle.neck_yaw + yaw).clip(-_MOST_NECK_YAW, _MOST_NECK_YAW)
    neck = neck.clip(-framing.max_yaw - body, framing.max_yaw - body)
    pitch, roll = _wander(rng, frames, rng.uniform(2, 8)), _wander(rng, frames, rng.uniform(1, 5))
    sway = np.stack([_wander(rng, frames, spread) for spread in (0.03, 0.015, 0.02)], axis=1)
    moods = _moods(rng, frames)
    talk = _talk(rng, frames) if rng.uniform() < _TALK_CHANCE else np.zeros(frames)
    gazes, shut = _gazes(rng, frames), _blinks(rng, frames)
    moments = []
    for frame in range(frames):
        pose = Pose(
            yaw=float(body[frame] + neck[frame]),
            neck_yaw=float(neck[frame]),
            pitch=float(middle.pitch + pitch[frame]),
            roll=float(middle.roll + roll[frame]),
        )
        gaze = (float(gazes[frame, 0]), float(gazes[frame, 1]))
        strengths = moods[frame] | look_shapes(gaze) | blink_shapes(float(shut[frame]))
        if talk[frame]:
            strengths["jawOpen"] = strengths.get("jawOpen", 0.0) + float(talk[frame])
        across, up, ahead = sway[frame].tolist()
        moments.append(Moment(pose, (across, up, ahead), strengths, gaze))
    return moments


def _wander(rng: np.random.Generator, frames: int, spread: float) -> np.ndarray:
    """``(frames,)`` smooth movement about 0 that mostly stays within +- ``spread``: three slow waves."""
    seconds = np.arange(frames)[:, None] / FRAMES_PER_SECOND
    periods, phases = rng.uniform(0.9, 4, 3), rng.uniform(0, 2 * np.pi, 3)
    return spread * (np.sin(2 * np.pi * seconds / periods + phases) * [0.55, 0.3, 0.15]).sum(axis=1)


def _steps(rng: np.random.Generator, frames: int, seconds: float) -> np.ndarray:
    """Frames, rising from 0, at which something new begins, ``seconds`` apart on average; the last is after the end."""
    mean = seconds * FRAMES_PER_SECOND
    gaps = np.round(mean * rng.uniform(0.5, 1.5, 2 + int(2 * frames / mean))).astype(int)
    starts = np.cumsum([0, *gaps])
    return starts[: int(np.searchsorted(starts, frames)) + 1]


def _moods(rng: np.random.Generator, frames: int) -> list[dict[str, float]]:
    """Strengths of each frame: one mood passes into the next within the time that it lasts."""
    starts = _steps(rng, frames, _SECONDS_OF_A_MOOD)
    keys = [sample_mood(rng)[1] for _ in starts]
    names = sorted({name for key in keys for name in key})
    values = np.array([[key.get(name, 0.0) for name in names] for key in keys]).reshape(len(keys), len(names))
    moods = []
    for frame in range(frames):
        index = int(np.searchsorted(starts, frame, side="right")) - 1
        share = (frame - starts[index]) / (starts[index + 1] - starts[index])
        share = share * share * (3 - 2 * share)
        mixed = values[index] + share * (values[index + 1] - values[index])
        moods.append({name: float(value) for name, value in zip(names, mixed, strict=True) if value})
    return moods


def _talk(rng: np.random.Generator, frames: int) -> np.ndarray:
    """How far the jaw opens for each frame's syllable, some four a second."""
    seconds = np.arange(frames) / FRAMES_PER_SECOND
    waves = [np.sin(2 * np.pi * rate * seconds + rng.uniform(0, 2 * np.pi)) for rate in (4.1, 2.7, 1.1)]
    return rng.uniform(0.12, 0.3) * np.clip(0.3 + 0.5 * np.sum(waves, axis=0), 0, 1.4)


def _gazes(rng: np.random.Generator, frames: int) -> np.ndarray:
    """``(frames, 2)`` yaw and pitch in degrees: looks that last, and one frame on the way between two."""
    gazes = np.empty((frames, 2))
    for start in _steps(rng, frames, _SECONDS_OF_A_LOOK)[:-1]:
        look = np.array(sample_gaze(rng))
        gazes[start:] = look
        if start:
            gazes[start] = (gazes[start - 1] + look) / 2
    return gazes


def _blinks(rng: np.random.Generator, frames: int) -> np.ndarray:
    """``(frames,)`` how far the lids are shut."""
    shut = np.zeros(frames + FRAMES_PER_SECOND + len(_BLINK))
    offset = int(rng.integers(1, FRAMES_PER_SECOND))
    for start in _steps(rng, frames, _SECONDS_BETWEEN_BLINKS)[:-1] + offset:
        shut[start : start + len(_BLINK)] = _BLINK
    return shut[:frames]
