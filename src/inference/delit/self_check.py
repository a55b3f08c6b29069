"""Does the predicted light explain the picture? The picture is rendered again under it, and the residual reported.

With one-light-at-a-time pictures of the subject the rendering is physical: ``sum_l c_l OLAT_l``. Without them a
coarse stand-in is used: an ellipsoid in place of the head, lit by the environment's spherical harmonics of order 2
(Ramamoorthi and Hanrahan 2001), against the shading that flat-lit leaves, ``relit / flat_lit``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.data.stage.captures import Capture, Stage, check_sizes, read_blocks, reduced_size
from src.data.stage.olat import LightCells, accumulate
from src.inference.crops import Crop
from src.inference.delit.delighter import Delighted
from src.utils.cli import InputError, describe_os_error
from src.utils.color import linear_to_srgb, luminance
from src.utils.image_io import read_mask
from src.utils.json_files import write_json
from src.utils.resize import resize_area
from src.utils.sphere import sh_irradiance, sh_project

_LOG_FLOOR = 1e-2  # radiance added before logarithms, as a share of the mean within the mask
_LIGHTS_AT_A_TIME = 32
_OLAT_ROWS = 256  # pictures are compared at no more rows than this
_MASK_SHARE = 0.5
_DARK_SHARE = 0.02  # what no light makes brighter than this share of the brightest is background
# A portrait's head within its crop, as the training portraits have it: half axes in crop sides.
_HEAD_HALF_WIDTH, _HEAD_HALF_HEIGHT, _HEAD_ABOVE_CENTRE = 0.2, 0.29, 0.1
_RIM = 0.9  # of the ellipsoid's outline: beyond it the normals of a real head are anybody's guess


class SelfCheck:
    """``stage``: captures that may show the subjects of the inputs; without one every check is by spherical harmonics.

    png and avif OLATs are sRGB-decoded, as the inputs are.
    """

    def __init__(self, stage: Stage | None = None) -> None:
        self._captures = {capture.name: capture for capture in stage.captures} if stage else {}
        self._cells = {name: LightCells(lights) for name, lights in stage.light_sets.items()} if stage else {}

    def of_picture(self, source: Path, relit: np.ndarray, result: Delighted) -> dict:
        """The report on one picture: ``relit`` H x W x 3 as the network was shown it, before any crop."""
        environment = result.prediction.environment
        capture = self._capture_of(source)
        report = {
            "input": source.name,
            "shown": result.note,
            "environment_mean_radiance": environment.mean(axis=(0, 1)).tolist(),
            "flat_lit_exposure": 1.0 if result.prediction.exposure is None else result.prediction.exposure,
        }
        if capture is not None:
            return {**report, "method": "olat", "subject": capture.name, **self._olat(capture, relit, environment)}
        residual = shading_residual(relit, result)
        return {**report, "method": "sh" if residual else "none: nothing of a head to compare", **residual}

    def of_frames(self, source: Path, frames: Sequence[dict]) -> dict:
        """The report on a video from those on its sampled frames: the mean of every number, and all of them.

        Frames of nothing but noise have none.
        """
        if not frames:
            return {"input": source.name, "method": "none: every sampled frame is too dark", "frames": []}
        numbers = dict.fromkeys(key for frame in frames for key, value in frame.items() if isinstance(value, float))
        means = {f"mean_{key}": float(np.mean([frame[key] for frame in frames if key in frame])) for key in numbers}
        return {"input": source.name, "method": frames[0]["method"], **means, "frames": list(frames)}

    @staticmethod
    def write(path: Path, report: dict) -> None:
        try:
            write_json(path, report, indent=2)
        except OSError as error:
            raise describe_os_error(error, path) from error

    def _capture_of(self, source: Path) -> Capture | None:
        """The capture called like the file or one of the folders it lies in, the nearest first."""
        names = [source.stem, *(folder.name for folder in source.resolve().parents)]
        return next((self._captures[name] for name in names if name in self._captures), None)

    def _olat(self, capture: Capture, relit: np.ndarray, environment: np.ndarray) -> dict:
        coefficients = self._cells[capture.light_set].integrate(environment)
        height, width = reduced_size(*check_sizes(capture), _OLAT_ROWS)
        if abs(relit.shape[1] / relit.shape[0] - width / height) > 0.01:
            raise InputError(
                capture.images[0],
                f"the OLATs are {width} x {height}, the picture {relit.shape[1]} x {relit.shape[0]}",
                "--self_check needs pictures of the captures' own framing",
            )
        planes = np.ascontiguousarray(coefficients.T[:, None])  # 3 x 1 x L
        sums, brightest = np.zeros((3, 1, height * width), np.float32), np.zeros(height * width, np.float32)
        for first, olats in read_blocks(capture.images, _LIGHTS_AT_A_TIME, "srgb", (height, width)):
            part = np.ascontiguousarray(planes[..., first : first + olats.shape[1]])
            accumulate(sums, part, olats, fresh=first == 0)
            np.maximum(brightest, olats.max(axis=(0, 1)), out=brightest)
        rendered, maximum = sums[:, 0].T.reshape(height, width, 3), brightest.reshape(height, width)
        if capture.mask is not None:
            mask = resize_area(read_mask(capture.mask), height, width) > _MASK_SHARE
        else:
            mask = maximum > _DARK_SHARE * np.percentile(maximum, 99)
        return residuals(resize_area(relit, height, width), rendered, mask)


def residuals(truth: np.ndarray, rendered: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """How far ``rendered`` is from ``truth`` (H x W x 3 linear) where ``mask``.

    ``log_rmse``: of natural logarithms; ``log_rmse_scaled``: the same after the best common factor, ``exposure_ratio``;
    ``psnr_db``: of sRGB values, clipped at white.
    """
    truth, rendered = truth[mask].astype(np.float64), rendered[mask].astype(np.float64)
    floor = _LOG_FLOOR * max(float(truth.mean()), 1e-9)
    difference = np.log(rendered.clip(0, None) + floor) - np.log(truth + floor)
    offset = float(difference.mean())
    error = float(np.mean((linear_to_srgb(rendered) - linear_to_srgb(truth)) ** 2))
    return {
        "log_rmse": float(np.sqrt(np.mean(difference**2))),
        "log_rmse_scaled": float(np.sqrt(np.mean((difference - offset) ** 2))),
        "exposure_ratio": float(np.exp(offset)),
        "psnr_db": float(-10 * np.log10(max(error, 1e-20))),
    }


def shading_residual(relit: np.ndarray, result: Delighted) -> dict[str, float]:
    """Shading of the picture against that of an ellipsoid under the predicted environment, luminance only.

    ``correlation`` over the visible part; ``relative_residual``: RMS difference over mean shading;
    ``relative_residual_scaled``: the same after the best common factor. Empty where nothing is visible.
    """
    crop, prediction = result.crop, result.prediction
    picture = luminance(crop.cut(relit).astype(np.float64))
    flat_lit = luminance(crop.cut(result.flat_lit).astype(np.float64)) / (prediction.exposure or 1.0)
    height, width = picture.shape
    normals, inside = ellipsoid_normals(height, width, crop)
    if prediction.mask is not None:
        on_person = resize_area(prediction.mask, height, width) > _MASK_SHARE
        inside = inside & on_person if (inside & on_person).sum() >= 16 else inside
    inside &= flat_lit > 1e-3 * flat_lit.max()
    if not inside.any():
        return {}
    # Flat-lit is lit by irradiance pi.
    rendered = luminance(sh_irradiance(sh_project(prediction.environment), normals[inside])) / np.pi
    shading = picture[inside] / flat_lit[inside].clip(1e-9, None)
    mean = max(float(shading.mean()), 1e-9)
    factor = float(rendered @ shading) / max(float(rendered @ rendered), 1e-18)
    spread = float(rendered.std() * shading.std())
    covariance = float(((rendered - rendered.mean()) * (shading - shading.mean())).mean())
    return {
        "correlation": covariance / spread if spread > 1e-12 else 0.0,
        "relative_residual": float(np.sqrt(np.mean((rendered - shading) ** 2))) / mean,
        "relative_residual_scaled": float(np.sqrt(np.mean((factor * rendered - shading) ** 2))) / mean,
    }


def ellipsoid_normals(height: int, width: int, crop: Crop) -> tuple[np.ndarray, np.ndarray]:
    """Unit normals H x W x 3 (camera frame, +Z to the viewer) of a head-like ellipsoid, and where it is seen."""
    side = min(crop.height, crop.width)
    half_width, half_height = _HEAD_HALF_WIDTH * side, _HEAD_HALF_HEIGHT * side
    rows = (np.arange(height) + 0.5 - (height / 2 - _HEAD_ABOVE_CENTRE * side)) / half_height
    columns = (np.arange(width) + 0.5 - width / 2) / half_width
    x, y = np.broadcast_to(columns, (height, width)), np.broadcast_to(-rows[:, None], (height, width))
    depth = np.sqrt((1 - x * x - y * y).clip(0, None))
    # The gradient of (x/a)^2 + (y/b)^2 + (z/c)^2 with a depth half axis like the width's.
    normals = np.stack([x / half_width, y / half_height, depth / half_width], axis=-1)
    normals /= np.linalg.norm(normals, axis=-1, keepdims=True).clip(1e-12, None)
    return normals, x * x + y * y < _RIM**2
