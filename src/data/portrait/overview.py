"""One picture that shows a training set: subjects by environments, tone-mapped, the environments on top."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from src.data.portrait.layout import known_environments
from src.data.stage.captures import subject_folders
from src.utils.color import linear_to_srgb
from src.utils.image_io import list_images, natural_key, read_linear, read_mask, write_display
from src.utils.resize import resize_area
from src.utils.sphere import resize_environment


def write_contact_sheet(
    data_root: Path, path: Path, max_subjects: int = 6, max_environments: int = 6, cell: int = 160
) -> None:
    """Flat-lit and relit pictures of evenly chosen subjects (rows) and environments (columns, shown on top).

    Where the subjects share no environment, each row has its own; there, and where it is unknown, nothing is on top.
    """
    subjects = _evenly(subject_folders(data_root / "subjects"), max_subjects)
    relit = [{file.stem: file for file in list_images(folder / "relit")} for folder in subjects]
    shared = sorted(set.intersection(*(set(files) for files in relit)), key=natural_key)
    chosen = [_evenly(shared or list(files), max_environments) for files in relit]
    count = min(len(stems) for stems in chosen)
    rows = []
    maps = known_environments(data_root)
    if shared and maps.keys() >= set(chosen[0]):
        top = [tone_map(resize_environment(read_linear(maps[stem]), cell // 2, cell)) for stem in chosen[0]]
        rows.append(np.concatenate([np.ones((cell // 2, cell, 3), np.float32), *top], axis=1))
    masks = [_mask(folder) for folder in subjects]
    columns = [[_find(folder, "flat_lit") for folder in subjects]]
    columns += [[files[stems[index]] for files, stems in zip(relit, chosen, strict=True)] for index in range(count)]
    cells = []
    for files in columns:
        pictures = [read_linear(file) for file in files]
        levels = [exposure_level(picture, mask) for picture, mask in zip(pictures, masks, strict=True)]
        # Halfway between one exposure for all, under which skin tones show, and one for each, under which all do.
        common = float(np.exp(np.mean(np.log(levels))))
        cells.append(
            [
                _square(tone_map(picture, (common * level) ** 0.5), cell)
                for picture, level in zip(pictures, levels, strict=True)
            ]
        )
    rows += [np.concatenate(row, axis=1) for row in zip(*cells, strict=True)]
    write_display(path, np.concatenate(rows, axis=0))


def exposure_level(radiance: np.ndarray, mask: np.ndarray | None = None) -> float:
    """The 75th percentile of brightness within the mask (or of all that is lit); above 0."""
    brightness = radiance.mean(axis=2)
    lit = brightness[brightness > 1e-4] if mask is None else brightness[mask > 0.5]
    return max(float(np.percentile(lit, 75)), 1e-6) if lit.size else 1.0


def tone_map(radiance: np.ndarray, level: float | None = None) -> np.ndarray:
    """sRGB in [0, 1] of linear radiance: ``level`` becomes a light mid-tone, highlights roll off (Reinhard 2002)."""
    exposed = radiance * np.float32(0.42 / (exposure_level(radiance) if level is None else level))
    return linear_to_srgb(exposed * (1 + exposed / 25) / (1 + 0.5 * exposed))


def _mask(folder: Path) -> np.ndarray | None:
    path = folder / "mask.png"
    return read_mask(path) if path.is_file() else None


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
