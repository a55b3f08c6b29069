"""A person who can be posed: the head turns on a neck that bends, the face makes expressions, the eyes look around."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from src.data.stage.synthetic.eyes import eyeball
from src.data.stage.synthetic.meshes import Mesh, join, make_mesh, rotation, smooth_step, unit, vertex_normals
from src.data.stage.synthetic.people import Pose
from src.data.stage.synthetic.skin import FaceMarks

PIVOT = (0.0, -0.55, -0.12)  # head units: about which the head turns on its neck
_NECK_TOP, _NECK_BOTTOM = -0.60, -1.0  # between them the turn of the head fades
_SHOULDERS = (0.28, 0.45)  # from the neck's axis: at these heights what is further out does not turn


@dataclass(frozen=True)
class Rig:
    """One person in head units. All its poses have the same triangles, materials and rest positions."""

    face: Mesh  # skin and teeth, without expression
    shape: Callable[[str], np.ndarray | None]  # offsets (V, 3) of the face of an expression, by ARKit's name
    eyes: tuple[tuple[np.ndarray, float], ...]  # centre (3,) and radius of each
    on_head: tuple[Mesh, ...]  # hair, hats, glasses
    on_body: tuple[Mesh, ...]  # clothes, which stay where they are
    marks: FaceMarks
    about: dict  # what is worth writing down

    def posed(self, pose: Pose, strengths: Mapping[str, float], gaze: tuple[float, float]) -> Mesh:
        """The person with the head turned on the neck by ``pose``; the body faces as ``pose`` says.

        strengths: of expression shapes, 1 in full; those that the face does not have are passed over.
        gaze: yaw and pitch of the eyes in degrees; above 0 is to the picture's right, and down.
        """
        parts = [self._expressed(strengths), *(eyeball(*eye, *gaze) for eye in self.eyes), *self.on_head]
        whole = join([*(_turned(part, pose) for part in parts), *self.on_body])
        return whole.moved(rotation(pose.body_yaw, 0, 0))

    def _expressed(self, strengths: Mapping[str, float]) -> Mesh:
        face = self.face
        offset = np.zeros_like(face.vertices)
        for name, strength in strengths.items():
            full = self.shape(name) if strength else None
            if full is not None:
                offset += np.float32(strength) * full
        if not offset.any():
            return face
        vertices = face.vertices + offset
        # Normals change as those of the triangles do: what the face's own know beyond its triangles stays.
        change = vertex_normals(vertices, face.faces) - vertex_normals(face.vertices, face.faces)
        return make_mesh(vertices, face.faces, face.material, unit(face.normals + change), face.rest)


def _turned(mesh: Mesh, pose: Pose) -> Mesh:
    """The head turned on its neck, which bends."""
    x, y, z = mesh.vertices.T
    weight = smooth_step(y, _NECK_BOTTOM, _NECK_TOP)
    aside = smooth_step(np.hypot(x, z - PIVOT[2]), *_SHOULDERS)
    weight = weight * (1 - (1 - weight) * aside)
    axis = Rotation.from_matrix(rotation(pose.neck_yaw, pose.pitch, pose.roll)).as_rotvec()
    turn = Rotation.from_rotvec(weight[:, None] * axis)
    vertices = turn.apply(mesh.vertices - np.array(PIVOT)) + PIVOT
    return make_mesh(vertices, mesh.faces, mesh.material, turn.apply(mesh.normals), mesh.rest)
