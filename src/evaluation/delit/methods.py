"""What is measured side by side: models, written predictions, and the references that any of them has to beat.

A method answers an item (a :class:`src.data.portrait.pair_batch.PairBatch` of one) as far as it can.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from src.data.portrait import names
from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.layout import Pair
from src.data.portrait.olat_stacks import read_planes
from src.data.portrait.pair_batch import PairBatch
from src.data.stage.captures import Stage
from src.data.stage.environments import mean_luminance
from src.data.stage.olat import LightCells
from src.evaluation.delit.metrics import oracle_coefficients
from src.inference.delit.delighter import Delighter
from src.inference.prediction import predicted_flat_lit
from src.models.delit_model import DelitModel, measure_exposure
from src.utils.cli import InputError
from src.utils.image_io import image_size, read_linear, read_mask
from src.utils.resize import fit_square, resize_area

# Beyond it the system that the oracle solves grows, not what it finds out.
ORACLE_SIZE = 64
_PRIOR_STRENGTHS = (0.0, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
_LOG_FLOOR = 1e-4  # of an environment's mean luminance, below which all is black


class Answer(NamedTuple):
    """What a method says about one picture; None where it says nothing."""

    flat_lit: Tensor | None = None  # 1 x 3 x S x S linear radiance
    environment: Tensor | None = None  # 1 x 3 x h x w linear radiance
    light: np.ndarray | None = None  # c_l, L x 3, where it knows nothing finer
    flat_error: Tensor | None = None  # 1 x 1 x S x S: how wrong it expects the logarithm of flat-lit to be


@dataclass(frozen=True)
class Method:
    """``kind``: "model", "predictions" or "reference"."""

    name: str
    kind: str
    answer: Callable[[Pair, PairBatch], Answer]


def model_method(name: str, model: DelitModel) -> Method:
    """A model, which must be in evaluation mode on its device, asked as for stills at inference."""
    delighter = Delighter(model)

    def answer(pair: Pair, item: PairBatch) -> Answer:
        relit = _picture(item.relit)
        said = delighter.look(relit)
        error = said.flat_error
        return Answer(
            _planes(predicted_flat_lit(relit, said)),
            _planes(said.environment),
            flat_error=None if error is None else _planes(resize_area(error, *relit.shape[:2])[..., None]),
        )

    return Method(name, "model", answer)


def input_method() -> Method:
    """The relit picture taken for the flat-lit one."""
    return Method("input", "reference", lambda pair, item: Answer(flat_lit=item.relit))


def mean_environment_methods(train: DelitDataset) -> list[Method]:
    """Two means of the training environments, as bright as they were, on average, for the picture's exposure.

    Environments count at mean luminance 1, so that the brightest is not the only one. ``linear``: as light adds up;
    its spheres are the mean spheres, hence small RMSE. ``log``: mean of logarithms, which no sun dominates, and what a
    network learns whose loss is in log radiance and that sees nothing in the picture. Which of the two is closer in
    colour depends on the environments held out, so both have to be beaten. None where no pair has an environment.
    """
    of_environment: dict[str, list[int]] = {}
    for index, pair in enumerate(train.pairs):
        if pair.environment is None:
            continue
        of_environment.setdefault(pair.environment_name, []).append(index)
    environments, log_gains = [], []
    for turn, indices in enumerate(of_environment.values()):
        item = train[indices[turn % len(indices)]]  # one picture of each environment, of one person after another
        environment = _picture(item.environment).astype(np.float64)
        brightness = mean_luminance(environment)
        if brightness > 0:
            environments.append(environment / brightness)
            log_gains.append(np.log(brightness / float(measure_exposure(item.relit))))
    if not of_environment:
        return []
    if not environments:
        raise InputError("training environments", "all are black", "check env_maps")
    gain, stack = np.exp(np.mean(log_gains)), np.stack(environments)
    log_mean = np.exp(np.log(stack + _LOG_FLOOR).mean(axis=0))
    means = {"linear": stack.mean(axis=0), "log": log_mean / mean_luminance(log_mean)}
    return [_constant_environment(f"mean environment, {name}", gain * mean) for name, mean in means.items()]


def _constant_environment(name: str, environment: np.ndarray) -> Method:
    """The same environment for every picture, times the picture's exposure."""
    planes = _planes(environment)
    return Method(name, "reference", lambda pair, item: Answer(environment=planes * measure_exposure(item.relit)))


def oracle_methods(stage: Stage, cells: LightCells, expected: Method) -> list[Method]:
    """What is known of the light by someone who has the subject's true OLATs; silent about subjects without.

    ``oracle``: non-negative least squares. It explains the picture best, but where the picture hardly shows a light,
    its noise decides. ``oracle with prior``: lights are drawn to those of the ``expected`` environment, as strongly
    as brings them closest to the truth, chosen knowing it for every pair: the bound for estimates of that kind.
    """
    captures = {capture.name: capture for capture in stage.captures}

    @lru_cache(maxsize=1)  # pairs come subject by subject
    def olats_of(subject: str, mask_file: Path | None, size: int) -> np.ndarray:
        whole = None if mask_file is None else read_mask(mask_file)
        planes = read_planes(captures[subject], size, stage.settings.transfer, whole)
        planes *= np.float32(stage.settings.exposure)
        return np.moveaxis(planes, 0, 2).reshape(-1, size, size, 3)

    def solve(pair: Pair, item: PairBatch, prior: np.ndarray | None, strength: float) -> np.ndarray:
        size = min(ORACLE_SIZE, item.relit.shape[-1])
        relit = resize_area(_picture(item.relit), size, size)
        # A pixel on the mask's edge has background in it, which no OLAT shows.
        mask = resize_area(item.mask[0, 0].numpy(), size, size) > 0.999
        return oracle_coefficients(relit, olats_of(pair.subject, pair.mask, size), mask, prior, strength)

    def plain(pair: Pair, item: PairBatch) -> Answer:
        return Answer(light=solve(pair, item, None, 0.0)) if pair.subject in captures else Answer()

    def with_prior(pair: Pair, item: PairBatch) -> Answer:
        if pair.subject not in captures or pair.environment is None:
            return Answer()
        truth = cells.integrate(_picture(item.environment))
        environment = expected.answer(pair, item).environment
        assert environment is not None, "what a mean environment answers"
        prior = cells.integrate(_picture(environment))
        solutions = [solve(pair, item, prior, strength) for strength in _PRIOR_STRENGTHS]
        return Answer(light=min(solutions, key=lambda light: np.linalg.norm(light - truth)))

    return [Method("oracle", "reference", plain), Method("oracle with prior", "reference", with_prior)]


def predictions_method(folder: Path, pairs: Sequence[Pair], size: int) -> Method:
    """Pictures that inference wrote for ``subjects/ID/relit/NAME.*``: ``ID/relit/NAME_flat_lit.png`` (or .exr, which
    comes first) and ``NAME_env.hdr``, below ``folder`` or ``folder/subjects``.

    Raises InputError before anything is measured when a pair has neither.
    """
    found = {pair.name: (_flat_lit_file(folder, pair), _find(folder, pair, (names.ENV, "_env.exr"))) for pair in pairs}
    for pair in pairs:
        if found[pair.name] == (None, None):
            wanted = folder / pair.subject / "relit" / f"{pair.environment_name}{names.FLAT_LIT}"
            raise InputError(wanted, "no such file", "run inference_delit.py on the folder of subjects first")

    def answer(pair: Pair, item: PairBatch) -> Answer:
        flat_lit, environment = found[pair.name]
        return Answer(
            None if flat_lit is None else _planes(_cut(pair, flat_lit, size)),
            None if environment is None else _planes(read_linear(environment).clip(0, None)),
        )

    return Method(folder.name or str(folder), "predictions", answer)


def _flat_lit_file(folder: Path, pair: Pair) -> Path | None:
    path = _find(folder, pair, (names.FLAT_LIT_LINEAR, names.FLAT_LIT))
    if path is not None and image_size(path) != image_size(pair.relit):
        (height, width), (h, w) = image_size(path), image_size(pair.relit)
        raise InputError(path, f"is {width} x {height}, {pair.relit.name} is {w} x {h}", "run inference on that file")
    return path


def _find(folder: Path, pair: Pair, endings: Sequence[str]) -> Path | None:
    for parent in (folder / pair.subject / "relit", folder / "subjects" / pair.subject / "relit"):
        for ending in endings:
            path = parent / f"{pair.environment_name}{ending}"
            if path.is_file():
                return path
    return None


def _cut(pair: Pair, path: Path, size: int) -> np.ndarray:
    """The same square that the data set cuts."""
    return fit_square(read_linear(path), size, None if pair.mask is None else read_mask(pair.mask))


def _planes(picture: np.ndarray) -> Tensor:
    """H x W x 3 -> 1 x 3 x H x W."""
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(picture, 2, 0), np.float32))[None]


def _picture(planes: Tensor) -> np.ndarray:
    """1 x 3 x H x W -> H x W x 3."""
    return planes[0].permute(1, 2, 0).numpy()
