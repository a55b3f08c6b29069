"""The colours of one synthetic person: skin over the Monk scale, hair, eyes, cloth, and how strongly details show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from src.utils.color import srgb_to_linear

# Monk skin tone scale (Monk 2019, skintone.google), sRGB, lightest first.
MONK_TONES = ("f6ede4", "f3e7db", "f7ead0", "eadaba", "d7bd96", "a07e56", "825c43", "604134", "3a312a", "292420")
OUTFITS = ("one", "suit", "shirt")  # one kind of cloth; a jacket over a shirt; a shirt with buttons
PATTERNS = ("plain", "stripes", "checks", "dots", "print")
_HAIR_COLOURS = ("0f0c0a", "1b1410", "2e1f16", "4a3020", "6b4a2c", "9c7748", "7a3c1e", "8d8984", "c9c4bc")
_IRIS_COLOURS = ("3b2414", "5a3a1e", "6a6a3a", "4d6b5a", "4f6f8f", "7a8a94")
_CLOTH_COLOURS = ("22262e", "6e2b2b", "2e4a38", "c8c4ba", "35435e", "8a7a5a", "111111", "5b4a68", "e6e3dc", "a83232")
_EYESHADOWS = ("6b4a3a", "4a3550", "3c5a78", "8a5a50", "3a4a3e", "b07a60")
_BRIGHT_CLOTH = ("c99a3a", "3a6ea5", "7f8c8d", "4b5d3a", "d9b8b0", "1d2b4a")
_BASIC_CLOTH = ("0d0e10", "15181f", "1b2338", "2b2e34", "eceae6", "f6f5f3", "8a8d92", "3d4f6e")  # what most wear
_SUITS = ("0b0c0e", "14171d", "1a2136", "26292f", "3f4247", "33291f", "6f6c66")
_SHIRTS = ("f6f6f4", "f2f2f0", "f6f6f4", "dbe6f3", "c3d3ea", "eedfdd", "16171a")
# How much a unit more of each pigment darkens red, green and blue, as -log albedo (after Tsumura et al. 2003).
MELANIN = np.array([0.34, 0.62, 0.92], np.float32)
HAEMOGLOBIN = np.array([0.05, 0.46, 0.36], np.float32)
# What makes the Monk scale's swatches the colour of faces, for the lightest and the darkest tone.
REDDER_LIGHT = np.array([1.13, 0.83, 0.775], np.float32)
REDDER_DARK = np.array([1.20, 0.81, 0.70], np.float32)


@dataclass(frozen=True)
class Complexion:
    """Colours of one person, linear RGB, and how strongly the details show."""

    tone: int  # 0-9 on the Monk scale, lightest first
    skin: np.ndarray
    lipstick: np.ndarray | None
    eyeshadow: np.ndarray | None
    eyeliner: float
    hair: np.ndarray
    iris: np.ndarray
    cloth: np.ndarray
    second_cloth: np.ndarray
    pattern: str
    outfit: str  # of OUTFITS; the second cloth is the shirt below a suit
    tie: np.ndarray | None
    knit: np.ndarray  # hats and scarves
    blush: float
    freckles: float
    moles: float
    stubble: float
    brows: float
    scalp: float  # how much of the hair's colour shows where it is shaved
    unevenness: float  # of the pigments, as a factor
    lip_blood: float
    lip_melanin: float  # above the skin's; below 0 on many dark faces
    roughness: float
    specular: float  # reflectance of skin at normal incidence
    seed: int

    @property
    def blood(self) -> float:
        """How much haemoglobin shows through the melanin."""
        return 1 - 0.6 * self.tone / 9


def hex_to_linear(code: str) -> np.ndarray:
    """``'rrggbb'`` sRGB -> linear RGB float32."""
    return srgb_to_linear(np.array([int(code[i : i + 2], 16) for i in (0, 2, 4)], np.float32) / 255)


def _drawn(rng: np.random.Generator, codes: Sequence[str]) -> np.ndarray:
    return hex_to_linear(codes[int(rng.integers(len(codes)))])


def sample_complexion(rng: np.random.Generator, tone: int) -> Complexion:
    """Random colours around tone ``tone`` (0-9) of the Monk scale."""
    # The scale's swatches are skin as printed. As albedo they are compressed: skin reflects less than paper and,
    # with what scatters back from below the melanin, more than the darkest swatch.
    skin = hex_to_linear(MONK_TONES[tone]) * np.float32(0.68) + np.array([0.046, 0.027, 0.018], np.float32)
    # Blood under it makes it redder than paint of that tone: flat-lit faces come to what was measured on cheeks and
    # foreheads of four peoples (Xiao et al. 2017: a* 10.5 to 11.8, b* 14 to 18 at L* 56 to 61, a* varying by 2 to 3)
    # and of African-American ones (de Rigal et al. 2010: about a* 14, b* 19 at L* 44 to 48).
    redder = REDDER_LIGHT + (REDDER_DARK - REDDER_LIGHT) * np.float32(tone / 9)
    blood = np.exp(-HAEMOGLOBIN * np.float32(rng.normal(0, 0.12)))
    skin = skin * rng.uniform(0.94, 1.06, 3).astype(np.float32) * redder * blood
    darkest = 4 if tone >= 6 else len(_HAIR_COLOURS)
    hair = _drawn(rng, _HAIR_COLOURS[:darkest])
    outfit = str(rng.choice(OUTFITS, p=(0.55, 0.30, 0.15)))
    dyes = [*_CLOTH_COLOURS, *_BRIGHT_CLOTH, *_BASIC_CLOTH]
    cloth, second, knit = (_drawn(rng, dyes) for _ in range(3))
    is_patterned = rng.uniform() < (0.6 if outfit == "one" else 0.3)
    if outfit == "suit":
        cloth, second = _drawn(rng, _SUITS), _drawn(rng, _SHIRTS)
    elif outfit == "shirt":
        cloth = _drawn(rng, _SHIRTS)
    lipstick = np.array([0.30, 0.035, 0.05], np.float32) * np.float32(rng.uniform(0.5, 1.5))
    # Painted faces are mostly painted all over.
    is_painted = rng.uniform() < 0.2
    lip, lid, line, rouge = rng.uniform(size=4) < (0.75 if is_painted else 0.04)
    shadow = _drawn(rng, _EYESHADOWS) * (0.4 + 0.6 * skin.mean())
    return Complexion(
        tone=tone,
        skin=skin,
        lipstick=lipstick if lip else None,
        eyeshadow=shadow.astype(np.float32) if lid else None,
        eyeliner=float(rng.uniform(0.4, 0.9)) if line else 0.0,
        hair=hair * np.float32(rng.uniform(0.8, 1.2)),
        iris=_drawn(rng, _IRIS_COLOURS[:2] if tone >= 6 and rng.uniform() < 0.8 else _IRIS_COLOURS),
        cloth=cloth,
        second_cloth=second,
        knit=knit,
        pattern=PATTERNS[int(rng.integers(len(PATTERNS)))] if is_patterned else "plain",
        outfit=outfit,
        tie=_drawn(rng, [*_CLOTH_COLOURS, *_BRIGHT_CLOTH]) if rng.uniform() < 0.6 else None,
        blush=float(rng.uniform(0.3, 1.0)) + (0.8 if rouge else 0.0),
        freckles=float(rng.uniform(0, 1)) if tone < 5 and rng.uniform() < 0.35 else 0.0,
        moles=float(rng.uniform(0, 1)),
        stubble=float(rng.choice([0.0, 0.0, 0.0, 0.35, 0.8])),
        brows=float(rng.uniform(0.6, 1.0)),
        scalp=float(rng.uniform(0, 0.4)),
        unevenness=float(rng.uniform(0.6, 2.0)),
        lip_blood=float(rng.uniform(0.9, 1.9)),
        lip_melanin=float(rng.uniform(-0.3, 0.5) if tone >= 5 else rng.uniform(0, 0.25)),
        roughness=float(rng.uniform(0.40, 0.64)),
        specular=float(rng.uniform(0.020, 0.036)),
        seed=int(rng.integers(2**31)),
    )
