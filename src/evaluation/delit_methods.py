"""What is measured side by side: models, written predictions, and the references that any of them has to beat.

A method answers an item (see :class:`src.data.delit_dataset.DelitItem`) as far as it can.
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

from src.data.captures import Stage, resize_area
from src.data.delit_dataset import DelitDataset, DelitItem, fit_square
from src.data.delit_layout import Pair
from src.data.environments import mean_luminance
from src.data.olat_stacks import read_planes
from src.evaluation.delit_metrics import oracle_coefficients
from src.models.delit_model import DelitModel, measure_exposure
from src.utils.cli import InputError
from src.utils.image_io import image_size, read_linear, read_mask

# Beyond it the system that the oracle solves grows, not what it finds out.
ORACLE_SIZE = 64


class Answer(NamedTuple):
    """What a method says about one picture; None where it says nothing."""

    flat_lit: Tensor | None = None  # 3 x S x S linear radiance
    environment: Tensor | None = None  # 3 x h x w linear radiance
    light: np.ndarray | None = None  # c_l, L x 3, where it knows nothing finer


@dataclass(frozen=True)
class Method:
    """``kind``: "model", "predictions" or "reference"."""

    name: str
    kind: str
    answer: Callable[[Pair, DelitItem], Answer]


def model_method(name: str, model: DelitModel, device: str | torch.device = "cpu") -> Method:
    """A model, which must be in evaluation mode on ``device``."""

    @torch.inference_mode()
    def answer(pair: Pair, item: DelitItem) -> Answer:
        output = model(item["relit"][None].to(device))
        return Answer(output.flat_lit[0].cpu(), model.environment(output)[0].cpu())

    return Method(name, "model", answer)


def input_method() -> Method:
    """The relit picture taken for the flat-lit one."""
    return Method("input", "reference", lambda pair, item: Answer(flat_lit=item["relit"]))


def mean_environment_method(train: DelitDataset) -> Method:
    """The mean of the training environments, as bright as they were, on average, for the picture's exposure.

    The mean is linear, as light adds up, of environments at mean luminance 1, so that the brightest is not the only
    one that counts. (A mean of logarithms is a few dB of light short of every sun and no better in colour.)
    """
    environments: dict[str, np.ndarray] = {}
    log_gains = []
    for index, pair in enumerate(train.pairs):
        item = train[index]
        environment = item["environment"].permute(1, 2, 0).numpy()
        brightness = mean_luminance(environment)
        if brightness <= 0:
            continue
        environments.setdefault(pair.environment_name, environment / brightness)
        log_gains.append(np.log(brightness / float(measure_exposure(item["relit"][None]))))
    if not environments:
        raise InputError("training environments", "all are black", "check env_maps")
    mean = torch.from_numpy(np.mean(list(environments.values()), axis=0, dtype=np.float64).astype(np.float32))
    mean = mean.permute(2, 0, 1) * float(np.exp(np.mean(log_gains)))

    def answer(pair: Pair, item: DelitItem) -> Answer:
        return Answer(environment=mean * measure_exposure(item["relit"][None])[0])

    return Method("mean environment", "reference", answer)


def oracle_method(stage: Stage) -> Method:
    """Non-negative least squares on the subject's true OLATs; silent about subjects that have none."""
    captures = {capture.name: capture for capture in stage.captures}

    @lru_cache(maxsize=1)  # pairs come subject by subject
    def olats_of(subject: str, mask_file: Path | None, size: int) -> np.ndarray:
        whole = None if mask_file is None else read_mask(mask_file)
        planes = read_planes(captures[subject], size, whole_mask=whole).astype(np.float32)
        return np.moveaxis(planes, 0, 2).reshape(-1, size, size, 3)

    def answer(pair: Pair, item: DelitItem) -> Answer:
        if pair.subject not in captures:
            return Answer()
        size = min(ORACLE_SIZE, item["relit"].shape[-1])
        relit = resize_area(item["relit"].permute(1, 2, 0).numpy(), size, size)
        # A pixel on the mask's edge has background in it, which no OLAT shows.
        mask = resize_area(item["mask"][0].numpy(), size, size) > 0.999
        return Answer(light=oracle_coefficients(relit, olats_of(pair.subject, pair.mask, size), mask))

    return Method("oracle", "reference", answer)


def predictions_method(folder: Path, pairs: Sequence[Pair], size: int) -> Method:
    """Pictures that inference wrote for ``subjects/ID/relit/NAME.*``: ``ID/relit/NAME_flat_lit.png`` (or .exr, which
    comes first) and ``NAME_env.hdr``, below ``folder`` or ``folder/subjects``.

    Raises InputError before anything is measured when a pair has neither.
    """
    found = {pair.name: (_flat_lit_file(folder, pair), _find(folder, pair, ("_env.hdr", "_env.exr"))) for pair in pairs}
    for pair in pairs:
        if found[pair.name] == (None, None):
            wanted = folder / pair.subject / "relit" / f"{pair.environment_name}_flat_lit.png"
            raise InputError(wanted, "no such file", "run inference_delit.py on the folder of subjects first")

    def answer(pair: Pair, item: DelitItem) -> Answer:
        flat_lit, environment = found[pair.name]
        return Answer(
            None if flat_lit is None else _planes(_cut(pair, flat_lit, size)),
            None if environment is None else _planes(read_linear(environment).clip(0, None)),
        )

    return Method(folder.name or str(folder), "predictions", answer)


def _flat_lit_file(folder: Path, pair: Pair) -> Path | None:
    path = _find(folder, pair, ("_flat_lit.exr", "_flat_lit.png"))
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
    return torch.from_numpy(np.ascontiguousarray(np.moveaxis(picture, 2, 0), np.float32))
