"""One picture that shows a training set: subjects by environments, tone-mapped, the environments on top."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from src.data.captures import resize_area, subject_folders
from src.utils.cli import InputError
from src.utils.color import linear_to_srgb
from src.utils.image_io import list_images, read_linear, write_display
from src.utils.sphere import resize_environment


def write_contact_sheet(
    data_root: Path, path: Path, max_subjects: int = 6, max_environments: int = 6, cell: int = 160
) -> None:
    """Flat-lit and relit pictures of evenly chosen subjects (rows) and environments (columns)."""
    subjects = _evenly(subject_folders(data_root / "subjects"), max_subjects)
    common = set.intersection(*({file.stem for file in list_images(folder / "relit")} for folder in subjects))
    environments = _evenly([file for file in list_images(data_root / "env_maps") if file.stem in common],
                           max_environments)
    if not environments:
        raise InputError(data_root, "has no environment that all of its subjects share", "no contact sheet is written")
    top = [np.ones((cell // 2, cell, 3), np.float32)]
    top += [tone_map(resize_environment(read_linear(file), cell // 2, cell)) for file in environments]
    rows = [np.concatenate(top, axis=1)]
    for folder in subjects:
        pictures = [_find(folder, "flat_lit"), *(_find(folder / "relit", file.stem) for file in environments)]
        # One exposure per environment column, over all subjects, would hide dark ones: each picture has its own.
        rows.append(np.concatenate([_square(tone_map(read_linear(file)), cell) for file in pictures], axis=1))
    write_display(path, np.concatenate(rows, axis=0))


def tone_map(radiance: np.ndarray) -> np.ndarray:
    """sRGB in [0, 1] of linear radiance: exposed so that the mean of what is not black is mid-grey, then rolled off."""
    luminance = radiance.mean(axis=2)
    lit = luminance[luminance > 1e-4]
    exposed = radiance * (0.25 / max(float(np.median(lit)), 1e-6) if lit.size else 1.0)
    # Linear below, asymptotic to 1 above: highlights keep their shape (extended Reinhard with a white of 4).
    return linear_to_srgb(exposed * (1 + exposed / 16) / (1 + 0.6 * exposed))


def _square(picture: np.ndarray, size: int) -> np.ndarray:
    height, width = picture.shape[:2]
    scale = size / max(height, width)
    small = resize_area(picture, max(1, round(height * scale)), max(1, round(width * scale)))
    padded = np.zeros((size, size, 3), np.float32)
    top, left = (size - small.shape[0]) // 2, (size - small.shape[1]) // 2
    padded[top : top + small.shape[0], left : left + small.shape[1]] = small
    return padded


def _find(folder: Path, stem: str) -> Path:
    return next(file for file in list_images(folder) if file.stem == stem)


def _evenly(items: list, count: int) -> list:
    if len(items) <= count:
        return items
    return [items[round(index * (len(items) - 1) / (count - 1))] for index in range(count)]
