"""What a delighting answer is worth: pure functions of batches, without files.

Pictures and environments are N x 3 x H x W tensors of linear radiance, masks N x 1 x H x W in [0, 1]. Every function
gives a dictionary of named figures, each a float64 tensor of N; NaN where there is nothing to measure.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from src.data.stage.environments import mean_luminance
from src.data.stage.olat import LightCells
from src.evaluation.delit.spheres import SPHERES, peak_direction, render_spheres
from src.models.delit.flat_error import log_flat_error
from src.utils.color import linear_to_srgb
from src.utils.metrics import psnr_db, ssim

ERROR_BOUNDS = (0.0, 0.05, 0.1, 0.2, 0.4)  # of expected errors of log flat-lit, in nepers
_LOG_FLOOR = 1e-3  # of the mean true c_l, added before the logarithm: light that no picture shows does not count
# Percentiles between which the normalised RMSE stretches either picture (as DiffusionLight, after ExpandNet).
_NORMALISED_RANGE = (0.01, 99.9)


def align_colours(prediction: Tensor, truth: Tensor, mask: Tensor) -> Tensor:
    """The prediction times a scale plus a bias per channel: six numbers, by least squares within the mask.

    A constant channel becomes the truth's mean; with an empty mask nothing changes.
    """
    weight = mask.double().expand(-1, 1, -1, -1)
    total = weight.sum((2, 3), keepdim=True)
    p, t = prediction.double(), truth.double()

    def mean(values: Tensor) -> Tensor:
        return (weight * values).sum((2, 3), keepdim=True) / total.clamp_min(1e-12)

    p_mean, t_mean = mean(p), mean(t)
    variance, covariance = mean((p - p_mean).square()), mean((p - p_mean) * (t - t_mean))
    is_flat = variance <= 1e-12 * p_mean.square() + 1e-20
    scale = torch.where(is_flat, torch.zeros_like(variance), covariance / variance.clamp_min(1e-20))
    aligned = scale * (p - p_mean) + t_mean
    return torch.where(total > 0, aligned, p).to(prediction.dtype)


def flat_lit_metrics(
    prediction: Tensor, truth: Tensor, mask: Tensor, lpips: Callable[[Tensor, Tensor], Tensor] | None = None
) -> dict[str, Tensor]:
    """PSNR and SSIM within the mask, raw and after :func:`align_colours`, peak 1.

    ``srgb_*``: the pictures as shown, sRGB-encoded and clamped to [0, 1], aligned in these values: what published
    figures are. ``linear_*``: the same of linear radiance, aligned there, not clamped. ``lpips*`` (with ``lpips``, a
    distance ``(truth, prediction) -> N``): of the shown pictures with black outside the mask.
    """
    shown, shown_truth = linear_to_srgb(prediction.float()), linear_to_srgb(truth.float())
    shown_aligned = align_colours(shown, shown_truth, mask).clamp(0, 1)
    aligned = align_colours(prediction, truth, mask)
    figures = {}
    for domain, answers, target in (
        ("srgb", (shown, shown_aligned), shown_truth),
        ("linear", (prediction.float(), aligned.float()), truth.float()),
    ):
        for answer, suffix in zip(answers, ("", "_aligned"), strict=True):
            figures[f"{domain}_psnr_db{suffix}"] = psnr_db(target, answer, mask)
            figures[f"{domain}_ssim{suffix}"] = ssim(target, answer, mask).double()
    if lpips is not None:
        figures["lpips"] = lpips(shown_truth * mask, shown * mask).double()
        figures["lpips_aligned"] = lpips(shown_truth * mask, shown_aligned * mask).double()
    is_empty = (mask.sum((1, 2, 3)) <= 0).cpu()
    return {name: torch.where(is_empty, torch.nan, values.detach().cpu()) for name, values in figures.items()}


def environment_metrics(prediction: Tensor, truth: Tensor) -> dict[str, Tensor]:
    """Three spheres and the peak of environments of any size (N x 3 x h x w, at least 0).

    For ``diffuse_``, ``matte_`` and ``mirror_`` (:mod:`src.evaluation.delit.spheres`), as in DiffusionLight's and
    LuxDiT's evaluation, over the pixels of the sphere:

    - ``*_angular_deg``: mean angle between the RGB vectors; 90 where only one of them is black.
    - ``*_si_rmse``: root of (squared error summed over channels, mean over pixels) after the one best scale. The true
      environment's mean luminance counts as 1, so that the exposure of a data set does not matter.
    - ``*_normalised_rmse``: the same root, without scale, of pictures whose 0.01 and 99.9 percentile are made 0 and 1.

    ``peak_angle_deg``: angle between the brightest regions.
    """
    names = [f"{sphere}_{name}" for sphere in SPHERES for name in ("angular_deg", "si_rmse", "normalised_rmse")]
    figures: dict[str, list[float]] = {name: [] for name in (*names, "peak_angle_deg")}
    for p, t in zip(_maps(prediction), _maps(truth), strict=True):
        brightness = mean_luminance(t)
        unit = 1 / brightness if brightness > 0 else 1.0
        rendered_p, rendered_t = render_spheres(p), render_spheres(t)
        for sphere in SPHERES:
            a, b = rendered_p[sphere] * unit, rendered_t[sphere] * unit
            figures[f"{sphere}_angular_deg"].append(float(angles_deg(a, b).mean()))
            figures[f"{sphere}_si_rmse"].append(_scale_invariant_rmse(a, b))
            figures[f"{sphere}_normalised_rmse"].append(_rmse(_stretch(a), _stretch(b)))
        figures["peak_angle_deg"].append(float(angles_deg(peak_direction(p), peak_direction(t))))
    return {name: torch.tensor(values, dtype=torch.float64) for name, values in figures.items()}


def calibration(expected: Tensor, prediction: Tensor, truth: Tensor, mask: Tensor) -> dict[str, Tensor]:
    """How far the error that is ``expected`` (N x 1 x H x W) is the one that is found, within the mask.

    The error is the absolute difference of log radiance, mean over colours, after the one factor that fits best.
    ``flat_error_expected`` and ``flat_error_found``: means; ``flat_error_found_I``: the mean where what is expected is
    between the ``I``-th of :data:`ERROR_BOUNDS` and the next, NaN where that is nowhere.
    """
    found = log_flat_error(prediction.double(), truth.double(), mask.double())
    bounds = [*ERROR_BOUNDS, float("inf")]
    bins = {
        f"flat_error_found_{k}": (expected >= low) & (expected < high) for k, (low, high) in enumerate(pairwise(bounds))
    }
    figures = {
        "flat_error_expected": _mean_where(expected.double(), mask),
        "flat_error_found": _mean_where(found, mask),
    }
    return figures | {name: _mean_where(found, mask * inside) for name, inside in bins.items()}


def _mean_where(values: Tensor, weight: Tensor) -> Tensor:
    """N weighted means of N x 1 x H x W; NaN where there is no weight."""
    total = weight.double().sum((1, 2, 3))
    return ((values * weight).sum((1, 2, 3)) / total.where(total > 0, torch.nan)).detach().cpu()


def light_domain_error(prediction: Tensor, truth: Tensor, cells: LightCells) -> dict[str, Tensor]:
    """:func:`coefficient_error` of the light that the environments (N x 3 x h x w) give to each light's cell."""
    figures = [
        coefficient_error(cells.integrate(p), cells.integrate(t))
        for p, t in zip(_maps(prediction), _maps(truth), strict=True)
    ]
    return {name: torch.tensor([figure[name] for figure in figures], dtype=torch.float64) for name in figures[0]}


def coefficient_error(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Errors of ``c_l``, both ``(L, 3)``.

    ``c_l_relative_l2``: ``|c - c'| / |c|``, dominated by bright lights. ``c_l_log_rmse``: root mean square of
    ``ln((c' + e) / (c + e))`` over lights and colours, e = 0.001 of the mean c: dim lights count alike.
    """
    p, t = prediction.astype(np.float64), truth.astype(np.float64)
    floor = _LOG_FLOOR * t.mean()
    if floor <= 0:
        return {"c_l_relative_l2": float("nan"), "c_l_log_rmse": float("nan")}
    log_ratio = np.log((p + floor) / (t + floor))
    return {
        "c_l_relative_l2": float(np.linalg.norm(p - t) / np.linalg.norm(t)),
        "c_l_log_rmse": float(np.sqrt(np.mean(log_ratio**2))),
    }


def oracle_coefficients(
    relit: np.ndarray, olats: np.ndarray, mask: np.ndarray, prior: np.ndarray | None = None, strength: float = 0.0
) -> np.ndarray:
    """``c_l`` ``(L, 3)`` float32, at least 0, that best explain a picture when its person's true OLATs are known.

    Non-negative least squares, colour by colour, of ``mean((OLATs c - relit)^2) / mean(relit^2)`` over the pixels, plus
    ``strength * mean((c / prior - 1)^2)`` over the lights. ``relit`` ``(H, W, 3)``, ``olats`` ``(L, H, W, 3)``, linear;
    ``mask`` ``(H, W)``: pixels of at least 0.5 count; ``prior`` ``(L, 3)``: light to expect where the picture says
    little. Zeros for a colour that the picture does not have.
    """
    from scipy.optimize import nnls

    inside, lights = mask >= 0.5, len(olats)
    solution = np.zeros((lights, 3), np.float32)
    for colour in range(3):
        system = olats[:, inside, colour].T.astype(np.float64)
        wanted = relit[inside, colour].astype(np.float64)
        power = np.linalg.norm(wanted)
        if power == 0:
            continue
        system, wanted = system / power, wanted / power
        if len(system) > lights:  # the same residual up to a constant, with far fewer rows
            basis, system = np.linalg.qr(system)
            wanted = basis.T @ wanted
        if prior is not None and strength > 0:
            expected = prior[:, colour].astype(np.float64)
            weight = np.sqrt(strength / lights) / expected.clip(max(1e-3 * expected.mean(), 1e-12), None)
            system = np.vstack([system, np.diag(weight)])
            wanted = np.concatenate([wanted, weight * expected])
        solution[:, colour] = nnls(system, wanted, maxiter=30 * lights)[0]
    return solution


def angles_deg(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Angles in degrees between vectors ``(..., 3)`` of any length; 0 between two zeros, 90 when one is zero."""
    angle = np.rad2deg(np.arctan2(np.linalg.norm(np.cross(a, b), axis=-1), (a * b).sum(axis=-1)))
    a_is_zero, b_is_zero = (~v.any(axis=-1) for v in (a, b))
    return np.where(a_is_zero != b_is_zero, 90.0, angle)


def _maps(environments: Tensor) -> list[np.ndarray]:
    """N x 3 x h x w -> h x w x 3 float32 arrays."""
    return [np.ascontiguousarray(e.detach().float().cpu().permute(1, 2, 0).numpy()) for e in environments]


def _rmse(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.sqrt(((a - b) ** 2).sum(axis=1).mean()))


def _scale_invariant_rmse(prediction: np.ndarray, truth: np.ndarray) -> float:
    power = (prediction**2).sum()
    scale = (prediction * truth).sum() / power if power > 0 else 0.0
    return _rmse(scale * prediction, truth)


def _stretch(pixels: np.ndarray) -> np.ndarray:
    low, high = np.percentile(pixels, _NORMALISED_RANGE)
    return (pixels - low) / max(high - low, 1e-12)
