"""Where a light stage's lights are: ``lights.json``, a text file of positions, and the spheres they lie on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from src.utils.cli import InputError
from src.utils.json_files import read_json


def read_lights(path: str | Path) -> np.ndarray:
    """Unit directions ``(L, 3)`` towards the lights.

    - ``.json``: ``{"directions": [[x, y, z], ...]}``, used as they are but for their length, or
      ``{"light_positions": ...}`` / ``{"positions": ...}``, see below.
    - any other text: one light a line, three numbers apart by blanks or commas; ``#`` starts a comment.

    Positions lie about the centre of the sphere that fits them best when they are not about the origin already.
    Raises InputError on anything else, on fewer than two lights and on two lights in one place.
    """
    path = Path(path)
    if path.suffix.lower() == ".json":
        return _read_json(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        rows = [line.split("#")[0].replace(",", " ").split() for line in lines]
        positions = [[float(number) for number in row] for row in rows if row]
    except UnicodeDecodeError:
        raise InputError(path, "is not text", "give lights.json or a text file of positions") from None
    except ValueError as error:
        raise InputError(path, str(error), "write three numbers a line") from None
    return directions_about_centre(path, _checked(path, positions))


def _read_json(path: Path) -> np.ndarray:
    content = read_json(path)
    if isinstance(content, dict):
        if "directions" in content:
            directions = _checked(path, content["directions"])
            return _distinct(path, directions / np.linalg.norm(directions, axis=1, keepdims=True))
        for key in ("light_positions", "positions"):
            if key in content:
                return directions_about_centre(path, _checked(path, content[key]))
    raise InputError(path, "has neither directions nor positions", 'write {"directions": [[x, y, z], ...]}')


def directions_about_centre(path: str | Path, positions: np.ndarray) -> np.ndarray:
    """Unit directions ``(L, 3)`` of positions from the centre of their sphere (the origin, if they lie about that)."""
    distances = np.linalg.norm(positions, axis=1)
    centre = np.zeros(3)
    if distances.max() > 1.02 * distances.min():
        centre, _, residual = fit_sphere(positions)
        if residual > 0.1:
            raise InputError(
                path,
                f"positions do not lie on a sphere (they miss it by {residual:.0%} of its radius)",
                "give directions instead",
            )
    offsets = positions - centre
    return _distinct(Path(path), offsets / np.linalg.norm(offsets, axis=1, keepdims=True))


def fit_sphere(positions: np.ndarray) -> tuple[np.ndarray, float, float]:
    """Least-squares sphere through ``(L, 3)`` points: centre ``(3,)``, radius, RMS residual over the radius.

    ``|x|^2 = 2 x.c + (r^2 - |c|^2)`` is linear in the centre c and the bracket. Fewer than four points, or points in a
    plane, have no sphere: their mean is the centre then.
    """
    offset = positions.mean(axis=0)
    local = positions - offset
    scale = np.abs(local).max()
    local = local / scale
    system = np.column_stack([2 * local, np.ones(len(local))])
    solution, _, rank, _ = np.linalg.lstsq(system, (local**2).sum(axis=1), rcond=1e-6)
    centre = solution[:3] if rank == 4 else np.zeros(3)
    distances = np.linalg.norm(local - centre, axis=1)
    radius = float(distances.mean())
    return centre * scale + offset, radius * scale, float(np.sqrt(np.mean((distances - radius) ** 2)) / radius)


def _checked(path: Path, rows: object) -> np.ndarray:
    try:
        array = np.asarray(rows, dtype=np.float64)
    except (TypeError, ValueError):
        array = np.empty(0)
    if array.ndim != 2 or array.shape[1] != 3 or len(array) < 2:
        raise InputError(path, "does not list at least two lights of three numbers each", "check the file")
    if not np.isfinite(array).all() or (np.linalg.norm(array, axis=1) < 1e-12).any():
        raise InputError(path, "has a light that is not finite or lies in the centre", "check the file")
    return array


def _distinct(path: Path, directions: np.ndarray) -> np.ndarray:
    cosines = directions @ directions.T
    np.fill_diagonal(cosines, -1)
    if cosines.max() > 1 - 1e-9:
        first, second = np.unravel_index(cosines.argmax(), cosines.shape)
        raise InputError(path, f"lights {first} and {second} have the same direction", "leave one of them out")
    return directions
