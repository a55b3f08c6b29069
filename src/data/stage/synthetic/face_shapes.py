"""What expressions do to a procedural face: offsets of its vertices, under the names of ARKit's blend shapes."""

from __future__ import annotations

import numpy as np

from src.data.stage.synthetic.head_shapes import EYE_CENTRE, EYE_RADIUS, HeadShape
from src.data.stage.synthetic.meshes import smooth_step

_CORNER, _CHEEK, _MOUTH_Y = (0.145, -0.303), (0.24, -0.10), -0.303
_INNER_BROW, _OUTER_BROW = (0.10, 0.13), (0.25, 0.13)
# Where a face moves (x, y), how far about that (standard deviation), and by what, in head units; on its left side.
_PULLS: dict[str, tuple[tuple[tuple[float, float], float, tuple[float, float, float]], ...]] = {
    "mouthSmile": ((_CORNER, 0.060, (0.028, 0.034, -0.012)), (_CHEEK, 0.07, (0.004, 0.018, 0.016))),
    "mouthFrown": ((_CORNER, 0.055, (0.006, -0.032, -0.004)),),
    "mouthStretch": ((_CORNER, 0.060, (0.030, -0.012, -0.010)),),
    "mouthDimple": ((_CORNER, 0.035, (0.008, 0.004, -0.014)),),
    "cheekSquint": (((0.24, -0.05), 0.06, (0.0, 0.016, 0.008)),),
    "noseSneer": (((0.07, -0.07), 0.045, (0.004, 0.018, 0.004)),),
    "browInnerUp": ((_INNER_BROW, 0.055, (0.0, 0.036, 0.004)),),
    "browOuterUp": ((_OUTER_BROW, 0.06, (0.0, 0.032, 0.0)),),
    "browDown": ((_INNER_BROW, 0.06, (-0.012, -0.030, 0.006)),),
}
_LIDS = {"eyeBlink": 1.0, "eyeSquint": 0.35, "eyeLookDown": 0.45, "eyeLookUp": -0.15, "eyeWide": -0.35}
_UPPER_LID = 0.88  # share of the way that the upper one goes
_JAW_DEGREES, _JAW_HINGE = 11.0, (-0.08, 0.0)  # y and z of the axis
_POCKET = 0.10  # head units that an open mouth is deep


class FaceShapes:
    """The shapes of one face, from its vertices at rest ``(V, 3)``."""

    def __init__(self, vertices: np.ndarray, shape: HeadShape) -> None:
        self._vertices, self._shape = vertices, shape
        self._made: dict[str, np.ndarray | None] = {}

    def __call__(self, name: str) -> np.ndarray | None:
        """Offsets ``(V, 3)`` float32 of an expression at its full strength; None for one that the face lacks."""
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> np.ndarray | None:
        kind, side = (name[:-2], name[-1]) if name.endswith(("_L", "_R")) else (name, "")
        if kind in _PULLS:
            sides = {"L": (1,), "R": (-1,), "": (1, -1)}[side]
            return np.stack([self._pulled(kind, sign) for sign in sides]).sum(axis=0, dtype=np.float32)
        if kind in _LIDS and side:
            return (_LIDS[kind] * self._lids(1 if side == "L" else -1)).astype(np.float32)
        if kind in ("mouthPucker", "mouthFunnel"):
            return self._pucker(0.030 if kind == "mouthPucker" else 0.022).astype(np.float32)
        return self._jaw().astype(np.float32) if kind == "jawOpen" else None

    def _pulled(self, kind: str, sign: int) -> np.ndarray:
        x, y, z = self._vertices.T
        front = smooth_step(z, 0.1, 0.3)
        total = np.zeros_like(self._vertices)
        for (cx, cy), spread, (dx, dy, dz) in _PULLS[kind]:
            near = front * np.exp(-((x - sign * cx) ** 2 + (y - cy) ** 2) / (2 * spread**2))
            total += near[:, None] * np.array([sign * dx, dy, dz], np.float32)
        return total

    def _lids(self, sign: int) -> np.ndarray:
        """Lids that meet: turned over the eyeball about its horizontal axis."""
        x, y, z = (self._vertices * np.array([sign, 1, 1], np.float32) - np.array(EYE_CENTRE, np.float32)).T
        radius = np.hypot(y, z)
        angle = np.arctan2(y, z)
        across = x / EYE_RADIUS
        # Half the slit's height and its middle, as the head's distance function has them, as angles.
        half = 0.0285 * self._shape.eye_opening * (1 - 0.85 * across**2).clip(0) / EYE_RADIUS
        middle = 0.008 * across / EYE_RADIUS
        above = angle - middle
        is_lid = (1 - smooth_step(np.hypot(radius, x), 0.125, 0.17)) * smooth_step(z, -0.02, 0.03)
        upper = _UPPER_LID * 2 * half * (1 - smooth_step(above, half, half + 1.1))
        lower = (1 - _UPPER_LID) * 2 * half * (1 - smooth_step(-above, half, half + 0.6))
        turn = is_lid * np.where(above > 0, -upper, lower)
        after = np.stack([np.zeros_like(x), radius * np.sin(angle + turn) - y, radius * np.cos(angle + turn) - z], 1)
        return after

    def _pucker(self, forwards: float) -> np.ndarray:
        x, y, z = self._vertices.T
        near = smooth_step(z, 0.1, 0.3) * np.exp(-((x / 0.13) ** 2) - ((y - _MOUTH_Y) / 0.09) ** 2)
        return np.stack([-0.42 * x * near, 0.1 * (y - _MOUTH_Y) * near, forwards * near], axis=1)

    def _jaw(self) -> np.ndarray:
        """The lower jaw turned down; between the lips, which part, the mouth is a pocket."""
        x, y, z = self._vertices.T
        across = (x / (0.155 * self._shape.mouth_width)).clip(-1.3, 1.3)
        below = _MOUTH_Y + 0.007 * across**2 - y
        mouth = np.sqrt((1 - across**2).clip(0)) * smooth_step(z, 0.25, 0.4)
        width = 0.006 + 0.13 * (1 - mouth) ** 2
        jaw = smooth_step(below, -width, width) * smooth_step(z, -0.15, 0.2) * (1 - smooth_step(-y, 0.56, 0.80))
        angle = np.radians(_JAW_DEGREES) * jaw
        hinge_y, hinge_z = _JAW_HINGE
        turned_y = hinge_y + (y - hinge_y) * np.cos(angle) - (z - hinge_z) * np.sin(angle)
        turned_z = hinge_z + (y - hinge_y) * np.sin(angle) + (z - hinge_z) * np.cos(angle)
        pocket = _POCKET * mouth * (1 - smooth_step(np.abs(below), 0.004, 0.014))
        return np.stack([np.zeros_like(x), turned_y - y, turned_z - z - pocket], axis=1)
