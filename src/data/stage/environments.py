"""HDR environments of a training set: read, rotated, brought to one exposure and written beside their subjects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from src.utils.cli import InputError
from src.utils.color import luminance
from src.utils.image_io import HDR_SUFFIXES, image_size, list_images, read_linear, write_linear
from src.utils.sphere import pixel_solid_angles, rotate_environment_y


@dataclass(frozen=True)
class EnvironmentPlan:
    """One environment to write: a file, turned about +Y."""

    name: str
    source: Path
    rotation_degrees: float


def list_environments(env_dir: Path) -> list[Path]:
    """The .hdr and .exr files of a folder; InputError unless each is 2:1 and their names differ beyond the suffix."""
    paths = list_images(env_dir, HDR_SUFFIXES)
    seen: dict[str, Path] = {}
    for path in paths:
        height, width = image_size(path)
        if width != 2 * height:
            raise InputError(path, f"is {width} x {height}", "an equirectangular environment is twice as wide as high")
        if path.stem in seen:
            raise InputError(path, f"has the same name as {seen[path.stem].name}", "rename one of them")
        seen[path.stem] = path
    return paths


def plan_environments(paths: Sequence[Path], rotations: int) -> list[EnvironmentPlan]:
    """``rotations`` evenly turned versions of each file; with more than one, the angle is added to the name."""
    angles = [360.0 * index / rotations for index in range(rotations)]
    suffixes = [""] if rotations == 1 else [f"_r{round(angle):03d}" for angle in angles]
    if len(set(suffixes)) < rotations:
        raise InputError("--rotations", f"{rotations} are less than a degree apart", "give at most 360")
    return [
        EnvironmentPlan(path.stem + suffix, path, angle)
        for path in paths
        for angle, suffix in zip(angles, suffixes, strict=True)
    ]


def read_environment(path: str | Path) -> np.ndarray:
    """Radiance ``(H, 2H, 3)`` float32, at least 0; a trace of negative values, as resampling leaves, becomes 0.

    Raises InputError on other shapes and where negative values make up more than 0.1 % of the light.
    """
    environment = read_linear(path)
    height, width = environment.shape[:2]
    if width != 2 * height:
        raise InputError(path, f"is {width} x {height}", "an equirectangular environment is twice as wide as high")
    negative = -environment.clip(None, 0).sum(dtype=np.float64)
    if negative > 1e-3 * environment.clip(0, None).sum(dtype=np.float64):
        raise InputError(path, "holds negative radiance", "repair the file")
    return environment.clip(0, None)


def write_environment(plan: EnvironmentPlan, path: Path, normalize_exposure: bool) -> float:
    """Write the turned environment as ``path``; returns the factor that its radiance was multiplied by.

    ``normalize_exposure`` makes its mean luminance over the sphere 1, as bright on the whole as the flat-lit E = 1.
    """
    environment = rotate_environment_y(read_environment(plan.source), plan.rotation_degrees)
    gain = 1.0
    if normalize_exposure:
        mean = mean_luminance(environment)
        if mean <= 0:
            raise InputError(plan.source, "is black", "leave it out, or do without --normalize_exposure")
        gain = 1.0 / mean
    write_linear(path, environment * np.float32(gain))
    return gain


def mean_luminance(environment: np.ndarray) -> float:
    """Rec. 709 luminance averaged over the sphere."""
    solid_angles = pixel_solid_angles(*environment.shape[:2])
    return float((solid_angles * luminance(environment.astype(np.float64))).sum() / (4 * np.pi))
