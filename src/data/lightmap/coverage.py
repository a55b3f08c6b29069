"""Which texels of a lightmap are valid: by masks, or by the alpha of its frames where that is coverage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.utils import image_io
from src.utils.cli import InputError

VALID_FROM = 0.5  # of a mask or of alpha
# Of a frame's texels whose alpha is neither 0 nor 1. A mask has such texels along its edges alone; RGBM, where alpha is
# a factor, nearly everywhere, and other ones from hour to hour.
MOST_BETWEEN, MOST_BETWEEN_IF_CHANGING = 0.25, 0.05
_CLEAR, _OPAQUE = 0.02, 0.98


@dataclass(frozen=True)
class Coverage:
    """``mask`` H x W bool, True where a texel is valid; ``source`` says what that was taken from.

    ``remarks`` are about masks or alpha that differ from what is expected.
    """

    mask: np.ndarray
    source: str
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{int(self.mask.sum())} of {self.mask.size} texels valid, {self.source}"


def coverage_from_masks(files: Sequence[Path], masks: Sequence[np.ndarray], shape: tuple[int, int]) -> Coverage:
    """Valid where all of ``masks`` (H x W bool each, from ``files``) are. Raises :class:`InputError` if nowhere."""
    mask, anywhere = np.ones(shape, bool), np.zeros(shape, bool)
    fewest, fewest_file = mask.size + 1, files[0]
    for file, one in zip(files, masks, strict=True):
        mask &= one
        anywhere |= one
        if one.sum() < fewest:
            fewest, fewest_file = int(one.sum()), file
    if not mask.any():
        problem = (
            "the mask leaves no valid texel" if len(files) == 1 else "the masks leave no texel valid in all of them"
        )
        raise InputError(files[0], problem, "valid texels are white")
    source = f"from {files[0].name}" if len(files) == 1 else f"from {len(files)} masks, as {files[0].name}"
    differing = int((anywhere & ~mask).sum())
    remark = f"masks differ between hours: {differing} texels are valid in some only, fewest in {fewest_file.name}"
    return Coverage(mask, source, (f"{remark}: left out",) if differing else ())


def coverage_from_alpha(files: Sequence[Path], shape: tuple[int, int]) -> Coverage:
    """Valid where the alpha of every frame is at least one half, if alpha is coverage; else everywhere.

    An alpha channel that is opaque nowhere, or that takes values between 0 and 1 at many texels, says nothing about
    coverage: what it may be is said in a remark.
    """
    mask, anywhere = np.ones(shape, bool), np.zeros(shape, bool)
    between, between_file, fewest, fewest_file, with_alpha = 0.0, files[0], mask.size + 1, files[0], 0
    for file in files:
        alpha = image_io.read_alpha(file)
        valid = np.ones(shape, bool) if alpha is None else alpha >= VALID_FROM
        mask &= valid
        anywhere |= valid
        if valid.sum() < fewest:
            fewest, fewest_file = int(valid.sum()), file
        if alpha is not None:
            with_alpha += 1
            share = float(((alpha > _CLEAR) & (alpha < _OPAQUE)).mean())
            between, between_file = max((between, between_file), (share, file), key=lambda pair: pair[0])
    everywhere = np.ones(shape, bool)
    if with_alpha == 0:
        return Coverage(everywhere, "there is neither a mask nor alpha")
    is_changing = bool((mask != anywhere).any())
    if between > (MOST_BETWEEN_IF_CHANGING if is_changing else MOST_BETWEEN):
        remark = (
            f"alpha is not taken for a mask: {between:.0%} of {between_file.name} lie between 0 and 1, as a factor in "
            "RGBM does, which is not applied; a mask.png beside the images sets the valid texels"
        )
        return Coverage(everywhere, "alpha left aside", (remark,))
    if not mask.any():
        remark = "alpha is opaque at no texel at all hours: it is not taken for a mask"
        return Coverage(everywhere, "alpha left aside", (remark,))
    differing = int((anywhere & ~mask).sum())
    remark = (
        f"alpha differs between hours: {differing} texels are transparent in some frames only, most of all in "
        f"{fewest_file.name}: left out; a mask.png beside the images sets the valid texels"
    )
    return Coverage(mask, "from alpha", (remark,) if differing else ())
