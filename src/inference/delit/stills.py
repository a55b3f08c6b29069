"""Pictures without their light, and the light, as files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.data.portrait import names
from src.inference.delit.delighter import Delighted, Delighter
from src.inference.delit.self_check import SelfCheck
from src.inference.work_list import Job
from src.utils.color import linear_to_srgb, luminance
from src.utils.image_io import LDR_SUFFIXES, read_linear, read_premultiplied, write_display, write_linear
from src.utils.resize import resize_area

# The preview shows radiance up to this percentile of its luminance; what is brighter clips.
_PREVIEW_PERCENTILE = 95


@dataclass(frozen=True)
class StillOutputs:
    """Which files a picture gives beside ``NAME_flat_lit.png``, ``NAME_env.hdr`` and ``NAME_env_preview.png``."""

    linear: bool = False  # NAME_flat_lit.exr
    confidence: bool = True  # NAME_env_confidence.png, from models that have one
    self_check: SelfCheck | None = None  # NAME_report.json
    flat_confidence: bool = False  # NAME_flat_confidence.png, from models that have one

    def endings(self) -> list[str]:
        endings = [names.FLAT_LIT, names.ENV, names.ENV_PREVIEW]
        optional = (
            (self.linear, names.FLAT_LIT_LINEAR),
            (self.confidence, names.ENV_CONFIDENCE),
            (self.flat_confidence, names.FLAT_CONFIDENCE),
            (self.self_check is not None, names.REPORT),
        )
        return endings + [ending for wanted, ending in optional if wanted]


def delight_still(job: Job, delighter: Delighter, outputs: StillOutputs, origin: str | None = None) -> str:
    """Write the outputs of one picture; the returned note says what the network was shown.

    ``origin`` goes into ``NAME_flat_lit.png``, which is written last: see :mod:`src.inference.origin`.

    Alpha is kept; what it hides is black, to the network and in the outputs.
    Raises InputError on unreadable files and full disks.
    """
    shown, alpha = read_premultiplied(job.source)
    shown = shown.clip(0, None)
    result = delighter(shown, is_coded=job.source.suffix.lower() in LDR_SUFFIXES)
    flat_lit = result.flat_lit
    if alpha is not None:
        relit = read_linear(job.source).clip(0, None)
        relit[alpha == 0] = 0
        flat_lit = delighter.put_back(relit, result.parts)
    prediction = result.prediction
    if outputs.self_check is not None:
        report = outputs.self_check.of_picture(job.source, shown, result)
        outputs.self_check.write(job.output(names.REPORT), report)
    if outputs.confidence and prediction.confidence is not None:
        write_display(job.output(names.ENV_CONFIDENCE), prediction.confidence)
    if outputs.flat_confidence and prediction.flat_error is not None:
        write_display(job.output(names.FLAT_CONFIDENCE), flat_confidence(shown.shape[:2], result))
    write_linear(job.output(names.ENV), prediction.environment)
    write_preview(job.output(names.ENV_PREVIEW), prediction.environment)
    if outputs.linear:
        write_linear(job.output(names.FLAT_LIT_LINEAR), flat_lit, alpha=alpha)
    write_linear(job.output(names.FLAT_LIT), flat_lit, alpha=alpha, comment=origin)
    return result.note


def flat_confidence(size: tuple[int, int], result: Delighted) -> np.ndarray:
    """``exp(-expected error)`` of log flat-lit at the picture's (height, width); 1 where nothing was changed.

    Of models that expect an error.
    """
    certain = np.ones((*size, 1), np.float32)
    for crop, prediction in result.parts:
        assert prediction.flat_error is not None
        content = crop.cut(certain)
        confidence = np.exp(-resize_area(prediction.flat_error, *content.shape[:2]))
        certain = crop.put_back(certain, np.minimum(content, confidence[..., None]))
    return certain[..., 0]


def write_preview(path: Path, environment: np.ndarray) -> None:
    """:func:`preview` as a picture."""
    write_display(path, preview(environment))


def preview(environment: np.ndarray) -> np.ndarray:
    """An environment for display: at the exposure that its 95th percentile asks for, sRGB-encoded."""
    bright = float(np.percentile(luminance(environment), _PREVIEW_PERCENTILE))
    return linear_to_srgb(environment / np.float32(max(bright, 1e-6)))
