"""What is measured side by side: relighting models, and the references that any of them has to beat."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
import torch
from scipy.sparse import diags
from scipy.sparse.linalg import spsolve
from torch import Tensor

from src.data.portrait.relit_batches import RelitBatch
from src.evaluation.relit.turned_light import StagePictures
from src.models.relit_model import RelitModel
from src.utils.resize import resize_area
from src.utils.sphere import pixel_solid_angles, sh_irradiance, sh_project

_INFLATED_SIDE = 64  # of the masks that are given a form
_ROUNDNESS = 4.0  # of the form's slopes: a head of half a picture's width is as deep as wide


@dataclass(frozen=True)
class Method:
    """``kind``: "model", "control" or "reference"; ``answer``: a batch of one -> relit 1 x 3 x S x S."""

    name: str
    kind: str
    answer: Callable[[RelitBatch], Tensor]


def model_methods(name: str, model: RelitModel, device: str | torch.device = "cpu") -> list[Method]:
    """A model, in evaluation mode on ``device``; and as a control the same in light that is not the picture's: turned
    by half a turn and mirrored. A model that does not look at its light would lose nothing.

    The person is shown before black, as a ``Relighter`` does where masks are known."""

    def answer(item: RelitBatch) -> Tensor:
        light = model.fit_environment(_picture(item.environment[0]))
        return model(item.flat_lit.to(device), light)[0][:, 0].cpu()

    def scrambled(item: RelitBatch) -> Tensor:
        environment = item.environment.flip(-1)
        return answer(replace(item, environment=environment.roll(environment.shape[-1] // 2, dims=-1)))

    return [Method(name, "model", answer), Method(f"{name}, scrambled light", "control", scrambled)]


def reference_methods(stage: StagePictures | None) -> list[Method]:
    """Flat-lit in the mean colour of the light; and shaded by the light's spherical harmonics of order 2 (Ramamoorthi
    and Hanrahan 2001) with the best normals that can be had without learning: those of the mask inflated, and with
    OLATs those that the person's own OLATs show, which nobody has who relights a photo."""
    methods = [
        Method("mean colour", "reference", _in_mean_colour),
        Method("SH-2, normals of the mask", "reference", lambda item: _by_harmonics(item, inflated_normals(item))),
    ]
    if stage is not None:
        known = lru_cache(maxsize=1)(stage.normals)  # pairs come subject by subject

        def with_true_normals(item: RelitBatch) -> Tensor:
            return _by_harmonics(item, known(item.name[0].partition("/")[0], item.mask.shape[-1]))

        methods.append(Method("SH-2, normals of the OLATs", "reference", with_true_normals))
    return methods


def _in_mean_colour(item: RelitBatch) -> Tensor:
    environment = _picture(item.environment[0])
    weights = pixel_solid_angles(*environment.shape[:2])[..., None]
    mean = (environment * weights).sum((0, 1)) / weights.sum()
    return item.flat_lit * torch.from_numpy(mean).float().view(1, 3, 1, 1)


def _by_harmonics(item: RelitBatch, normals: np.ndarray) -> Tensor:
    irradiance = sh_irradiance(sh_project(_picture(item.environment[0])), normals).clip(0, None)
    shading = torch.from_numpy((irradiance / np.pi).transpose(2, 0, 1)[None]).float()
    return item.flat_lit * shading


def inflated_normals(item: RelitBatch) -> np.ndarray:
    """S x S x 3 unit normals of the form that a mask gets when it is blown up like a balloon.

    Its height is the root of the solution of Poisson's equation with a constant source within the mask, 0 outside: for
    a disc that is a half sphere.
    """
    mask = item.mask[0, 0].numpy()
    side = min(_INFLATED_SIDE, mask.shape[0])
    inside = np.pad(resize_area(mask, side, side) > 0.5, 1)
    height = np.sqrt(_poisson(inside).clip(0, None) * _ROUNDNESS)[1:-1, 1:-1]
    down, across = np.gradient(height)
    normals = np.stack([-across, down, np.ones_like(height)], axis=-1).astype(np.float32)
    normals = resize_area(normals, *mask.shape)
    return normals / np.linalg.norm(normals, axis=-1, keepdims=True)


def _poisson(inside: np.ndarray) -> np.ndarray:
    """The solution of ``-laplace u = 1`` in pixels inside, 0 elsewhere; H x W."""
    height, width = inside.shape
    flat = inside.ravel().astype(float)
    neighbours = [1, -1, width, -width]
    links = [-(flat * np.roll(flat, -step)) for step in neighbours]
    bands = [link[:-step] if step > 0 else link[-step:] for link, step in zip(links, neighbours, strict=True)]
    system = diags([*bands, np.full(flat.size, 4.0)], [*neighbours, 0], format="csc")
    return spsolve(system, flat).reshape(height, width)


def _picture(planes: Tensor) -> np.ndarray:
    """1 x 3 x H x W -> H x W x 3."""
    return np.ascontiguousarray(planes[0].permute(1, 2, 0).cpu().numpy())
