"""A tiny light stage for tests: convex Lambertian balls, whose picture under any light is known in closed form."""

from pathlib import Path

import numpy as np

import prepare_olat
from src.data.stage.olat import accumulate
from src.utils.image_io import write_display, write_linear
from src.utils.json_files import write_json
from src.utils.sphere import fibonacci_sphere

HEIGHT, WIDTH = 12, 10


def ball_normals(height: int = HEIGHT, width: int = WIDTH) -> tuple[np.ndarray, np.ndarray]:
    """(normals (H, W, 3), mask (H, W)) of a ball seen from +Z."""
    y, x = np.meshgrid(np.linspace(1.1, -1.1, height), np.linspace(-1.1, 1.1, width), indexing="ij")
    radius2 = x**2 + y**2
    mask = (radius2 < 1).astype(np.float32)
    return np.stack([x, y, np.sqrt((1 - radius2).clip(0, None))], axis=-1) * mask[..., None], mask


def ball_olats(lights: np.ndarray, albedo: tuple = (0.7, 0.5, 0.4), height: int = HEIGHT, width: int = WIDTH):
    """(L, H, W, 3) pictures of a Lambertian ball under directional lights of irradiance 1."""
    normals, _ = ball_normals(height, width)
    cosine = np.einsum("hwk,lk->lhw", normals, lights).clip(0, None)
    return (cosine[..., None] / np.pi * np.array(albedo)).astype(np.float32)


def relight(olats: np.ndarray, coefficients: np.ndarray) -> np.ndarray:
    """Pictures ``(E, H, W, 3)`` under E environments from ``(L, H, W, 3)`` OLATs and ``(E, L, 3)`` ``c_l``, float32."""
    lights, height, width, _ = olats.shape
    planes = np.ascontiguousarray(np.moveaxis(olats.astype(np.float32, copy=False).reshape(lights, -1, 3), 2, 0))
    sums = np.empty((3, len(coefficients), height * width), np.float32)
    accumulate(sums, np.ascontiguousarray(np.moveaxis(coefficients.astype(np.float32), 2, 0)), planes, fresh=True)
    return np.moveaxis(sums, 0, 2).reshape(len(coefficients), height, width, 3)


def write_stage(root: Path, subjects: int = 2, lights: int = 24, environments: int = 3, suffix: str = ".exr") -> Path:
    """``root/olat`` with lights.json and ``root/envs``; returns root."""
    directions = fibonacci_sphere(lights)
    write_json(root / "olat" / "lights.json", {"directions": directions.tolist()})
    rng = np.random.default_rng(0)
    for index in range(subjects):
        folder = root / "olat" / f"ID{index + 1:03d}"
        for light, picture in enumerate(ball_olats(directions, tuple(rng.uniform(0.2, 0.9, 3)))):
            write_linear(folder / f"{light:03d}{suffix}", picture)
        write_display(folder / "mask.png", ball_normals()[1])
    for index in range(environments):
        write_linear(root / "envs" / f"env_{index + 1:03d}.hdr", rng.gamma(0.5, 2.0, (16, 32, 3)).astype(np.float32))
    return root


def write_set(root: Path, *flags: str, out: Path | None = None) -> Path:
    """The training set ``root/set`` of a stage, or ``out``; returns its folder."""
    out = out or root / "set"
    folders = ["--olat_root", str(root / "olat"), "--env_dir", str(root / "envs"), "--out_root", str(out)]
    assert prepare_olat.main([*folders, "--workers", "1", *flags]) == 0
    return out
