"""Random faces that people make, as strengths of the ICT-FaceKit's expression shapes (those of ARKit)."""

from __future__ import annotations

import numpy as np

_SIDES = ("_L", "_R")
_GAZE_FULL_DEGREES = 32.0  # at which a look shape has its full strength
_LONG_SHUT = 0.12  # share of people with their eyes shut
# Shapes that go together, with their strength at the most; a name without a side stands for both.
_MOODS: dict[str, dict[str, float]] = {
    "neutral": {},
    "smile": {"mouthSmile": 0.9, "cheekSquint": 0.7, "mouthDimple": 0.4},
    "laugh": {"mouthSmile": 0.9, "cheekSquint": 0.8, "jawOpen": 0.45, "mouthUpperUp": 0.4, "eyeSquint": 0.5},
    "grin": {"mouthSmile": 0.85, "cheekSquint": 0.5, "mouthUpperUp": 0.7, "mouthLowerDown": 0.35, "jawOpen": 0.08},
    "talk": {"jawOpen": 0.4, "mouthLowerDown": 0.5, "mouthUpperUp": 0.3},
    "surprise": {"browInnerUp": 0.9, "browOuterUp": 0.9, "eyeWide": 0.9, "jawOpen": 0.6},
    "anger": {"browDown": 1.0, "eyeSquint": 0.5, "noseSneer": 0.6, "mouthPress": 0.6},
    "sorrow": {"browInnerUp": 0.9, "mouthFrown": 0.9, "mouthShrugLower": 0.5},
    "kiss": {"mouthPucker": 0.9},
    "round": {"mouthFunnel": 0.8, "jawOpen": 0.2},
    "grimace": {"mouthStretch": 0.8, "mouthLowerDown": 0.6, "mouthUpperUp": 0.5},
    "lips": {"mouthRollLower": 0.6, "mouthRollUpper": 0.6},
}
_UNPAIRED = {"jawOpen", "mouthShrugLower", "mouthPucker", "mouthFunnel", "mouthRollLower", "mouthRollUpper"}


def sample_expression(rng: np.random.Generator) -> tuple[str, dict[str, float], tuple[float, float]]:
    """(name of the mood, strength of each shape, yaw and pitch of the gaze in degrees; above 0 is right and down)."""
    mood, strengths = sample_mood(rng)
    gaze = sample_gaze(rng)
    strengths |= look_shapes(gaze)
    shut = 1.0 if rng.uniform() < _LONG_SHUT else float(rng.choice([0.0, 0.0, rng.uniform(0, 0.6)]))
    return mood, strengths | blink_shapes(shut), gaze


def sample_mood(rng: np.random.Generator) -> tuple[str, dict[str, float]]:
    """(name of the mood, strength of each shape); eyes open."""
    mood = str(rng.choice(list(_MOODS), p=_frequencies()))
    strengths: dict[str, float] = {}
    amount = rng.uniform(0.35, 1.0)
    for name, most in _MOODS[mood].items():
        for side in ("",) if name in _UNPAIRED else _SIDES:
            strengths[name + side] = float(np.clip(amount * most * (1 + 0.15 * rng.normal()), 0, 1.1))
    return mood, strengths


def sample_gaze(rng: np.random.Generator) -> tuple[float, float]:
    """Yaw and pitch in degrees; above 0 is right and down."""
    return float(np.clip(rng.normal(0, 10), -28, 28)), float(np.clip(rng.normal(0, 6), -18, 18))


def look_shapes(gaze: tuple[float, float]) -> dict[str, float]:
    """Strengths of the shapes by which lids follow the eye."""
    across, down = gaze[0] / _GAZE_FULL_DEGREES, gaze[1] / _GAZE_FULL_DEGREES
    strengths: dict[str, float] = {}
    for side, outwards in (("_L", across), ("_R", -across)):
        strengths["eyeLook" + ("Out" if outwards > 0 else "In") + side] = abs(outwards)
        strengths["eyeLook" + ("Down" if down > 0 else "Up") + side] = abs(down)
    return strengths


def blink_shapes(shut: float) -> dict[str, float]:
    """Strengths of the shapes of lids that are ``shut``, 0 to 1."""
    return {f"eyeBlink{side}": shut for side in _SIDES} if shut else {}


def _frequencies() -> np.ndarray:
    """A third neutral, the rest alike."""
    others = (1 - 1 / 3) / (len(_MOODS) - 1)
    return np.array([1 / 3 if mood == "neutral" else others for mood in _MOODS])
