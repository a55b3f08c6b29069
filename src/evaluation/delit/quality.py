"""Methods measured on the same pairs: one row each, with the figures of every pair."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.pair_batch import PairBatch
from src.data.stage.olat import LightCells
from src.evaluation.delit.methods import Answer, Method
from src.evaluation.delit.metrics import (
    calibration,
    coefficient_error,
    environment_metrics,
    flat_lit_metrics,
    light_domain_error,
)
from src.utils.color import luminance

# Upper bounds of the median luminance of flat-lit skin, hair and clothes within the mask. As albedo, the tones of the
# Monk scale (src/data/stage/synthetic/complexion.py) have luminance .59 .56 .57 .50 .38 | .18 .11 | .073 .051 .041: the
# strata are its tones 8-10, 6-7 and 1-5, parted at the geometric means of the neighbours.
STRATA = (("dark", 0.091), ("medium", 0.262), ("light", math.inf))


@dataclass(frozen=True)
class PairFigures:
    """One pair measured; ``values`` holds what the method answered, NaN where it could not be measured."""

    name: str
    stratum: str | None
    values: dict[str, float]


@dataclass(frozen=True)
class Row:
    """One method over all pairs."""

    name: str
    kind: str
    pairs: list[PairFigures] = field(default_factory=list)

    def mean(self, figure: str, stratum: str | None = None) -> float | None:
        """Mean over the pairs (of one stratum) that have the figure; None where none has."""
        values = [
            pair.values[figure]
            for pair in self.pairs
            if figure in pair.values and stratum in (None, pair.stratum) and math.isfinite(pair.values[figure])
        ]
        return float(np.mean(values)) if values else None

    def means(self, stratum: str | None = None) -> dict[str, float]:
        """:meth:`mean` of every figure that some pair has."""
        names = dict.fromkeys(name for pair in self.pairs for name in pair.values)
        means = {name: self.mean(name, stratum) for name in names}
        return {name: value for name, value in means.items() if value is not None}


def measure_methods(
    methods: Sequence[Method],
    dataset: DelitDataset,
    cells: LightCells,
    lpips: Callable[[Tensor, Tensor], Tensor] | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] = lambda indices: indices,
) -> list[Row]:
    """Every method on every pair of ``dataset``, one pair in memory at a time."""
    rows = [Row(method.name, method.kind) for method in methods]
    for index in progress(range(len(dataset))):
        pair, item = dataset.pairs[index], dataset[index]
        stratum = skin_stratum(item.flat_lit[0], item.mask[0])
        for method, row in zip(methods, rows, strict=True):
            values = measure_answer(method.answer(pair, item), item, cells, lpips)
            row.pairs.append(PairFigures(pair.name, stratum, values))
    return rows


def measure_answer(
    answer: Answer, item: PairBatch, cells: LightCells, lpips: Callable[[Tensor, Tensor], Tensor] | None = None
) -> dict[str, float]:
    """All figures of one answer to one item; those of the environment where the true one is known."""
    values: dict[str, float] = {}
    if answer.flat_lit is not None:
        figures = flat_lit_metrics(answer.flat_lit, item.flat_lit, item.mask, lpips)
        values |= _numbers(figures)
        if answer.flat_error is not None:
            values |= _numbers(calibration(answer.flat_error, answer.flat_lit, item.flat_lit, item.mask))
    truth = item.environment
    if item.has_environment is not None and not item.has_environment.all():
        return values
    if answer.environment is not None:
        values |= _numbers(environment_metrics(answer.environment, truth))
        values |= _numbers(light_domain_error(answer.environment, truth, cells))
    elif answer.light is not None:
        values |= coefficient_error(answer.light, cells.integrate(truth[0].permute(1, 2, 0).numpy()))
    return values


def skin_stratum(flat_lit: Tensor, mask: Tensor) -> str | None:
    """Stratum of a true flat-lit picture, 3 x S x S, by its median luminance within the mask; None if that is empty."""
    inside = luminance(flat_lit.double())[mask[0] >= 0.5]
    if not inside.numel():
        return None
    median = float(inside.median())
    return next(name for name, bound in STRATA if median < bound)


def _numbers(figures: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value[0]) for name, value in figures.items()}
