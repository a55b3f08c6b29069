"""The ICT-FaceKit's morphable head: a neutral mesh, shapes of identity and of expression.

Li et al., "Learning formation of physically-based face attributes", CVPR 2020; github.com/ICT-VGL/ICT-FaceKit, MIT.

FaceXModel/{generic_neutral_mesh.obj, identity000.obj ..., jawOpen.obj ..., vertex_indices.json}
Of the shapes only the ``v`` lines are read: all have the neutral mesh's vertices, in its order, in centimetres.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import cast

import numpy as np

from src.utils.cli import InputError
from src.utils.json_files import read_json

_FLAG = "--head_model"
_HINT = "give a clone of github.com/ICT-VGL/ICT-FaceKit"
UNITS_PER_CM = 0.062
_ORIGIN_CM = np.array([0.0, 3.12, 1.45], np.float32)  # of head units; puts the eyes where procedural heads have them


@dataclass(frozen=True)
class HeadModel:
    """Vertices in head units, in the order of the files."""

    folder: Path
    neutral: np.ndarray  # (V, 3) float32
    faces: dict[str, np.ndarray]  # material -> (F, 3) int32
    identities: np.ndarray  # (K, V, 3) float32 offsets, each one standard deviation
    landmarks: np.ndarray  # (68,) vertices, in the order of the 300-W annotation

    def expression(self, name: str) -> np.ndarray:
        """Offsets ``(V, 3)`` of an expression at its full strength; its ``name`` is ARKit's."""
        return _offsets(self.folder / f"{name}.obj", self.neutral.tobytes())

    def mark(self, *numbers: int) -> np.ndarray:
        """``(len(numbers), 3)`` of landmarks on the neutral head."""
        return self.neutral[self.landmarks[list(numbers)]]


def check_head_model(folder: Path) -> None:
    """Raises InputError where ``folder`` is no ICT-FaceKit."""
    if not folder.is_dir():
        raise InputError(_FLAG, f"{folder}: no such folder", _HINT)
    inner = _inner(folder)
    for name in ("generic_neutral_mesh.obj", "identity000.obj", "jawOpen.obj", "vertex_indices.json"):
        if not (inner / name).is_file():
            raise InputError(_FLAG, f"{folder} has no FaceXModel/{name}", _HINT)


@lru_cache(maxsize=1)
def read_head_model(folder: Path) -> HeadModel:
    """The model below ``folder``, which :func:`check_head_model` has passed; kept, for the next head."""
    inner = _inner(folder)
    base = inner / "generic_neutral_mesh.obj"
    neutral = _vertices(base)
    paths = sorted(inner.glob("identity*.obj"))
    identities = np.stack([_vertices(path, len(neutral)) - neutral for path in paths])
    indices = cast(dict[str, list[int]], read_json(inner / "vertex_indices.json"))
    landmarks = np.array(indices["idx_to_landmark_verts"])
    return HeadModel(inner, neutral, _faces(base), identities, landmarks)


def _inner(folder: Path) -> Path:
    return folder / "FaceXModel" if (folder / "FaceXModel").is_dir() else folder


@lru_cache(maxsize=64)
def _offsets(path: Path, neutral: bytes) -> np.ndarray:
    base = np.frombuffer(neutral, np.float32).reshape(-1, 3)
    return _vertices(path, len(base)) - base


def _vertices(path: Path, count: int | None = None) -> np.ndarray:
    try:
        lines = [line[2:] for line in path.read_bytes().split(b"\n") if line.startswith(b"v ")]
        points = np.array(b" ".join(lines).split(), dtype=np.float32).reshape(-1, 3)
    except (OSError, ValueError) as error:
        raise InputError(path, f"cannot be read as a mesh ({error})", _HINT) from None
    if count is not None and len(points) != count:
        raise InputError(path, f"has {len(points)} vertices, not {count}", _HINT)
    return (points - _ORIGIN_CM) * np.float32(UNITS_PER_CM)


def _faces(path: Path) -> dict[str, np.ndarray]:
    """Triangles of each material, polygons cut into fans."""
    triangles: dict[str, list[tuple[int, int, int]]] = {}
    current: list[tuple[int, int, int]] = []
    for line in path.read_text(encoding="ascii", errors="replace").splitlines():
        if line.startswith("usemtl"):
            current = triangles.setdefault(line.split()[1], [])
        elif line.startswith("f "):
            corners = [int(part.split("/", 1)[0]) - 1 for part in line.split()[1:]]
            current.extend((corners[0], a, b) for a, b in pairwise(corners[1:]))
    return {name: np.array(rows, np.int32) for name, rows in triangles.items()}
