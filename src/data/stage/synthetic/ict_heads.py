"""People from the ICT-FaceKit's head: random identities, dressed and with hair."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch
from scipy.spatial import cKDTree
from torch import Tensor

from src.data.stage.synthetic.accessories import make_accessories, sample_accessories
from src.data.stage.synthetic.beards import make_beard, sample_beard
from src.data.stage.synthetic.clothes import dress
from src.data.stage.synthetic.distance_fields import Field, smooth_max
from src.data.stage.synthetic.hair import make_hair, sample_hair
from src.data.stage.synthetic.ict_model import HeadModel, read_head_model
from src.data.stage.synthetic.meshes import GUMS, LASH, SKIN, TEETH, Mesh, join, make_mesh
from src.data.stage.synthetic.rig import Rig
from src.data.stage.synthetic.skin import FaceMarks

_MATERIALS = {
    "M_Face": SKIN,
    "M_BackHead": SKIN,
    "M_GumsTongue": GUMS,
    "M_Teeth": TEETH,
    "M_EyeLashes": LASH,
}
_SPREAD = 1.15  # standard deviations of identity: the model's own people are few and alike
_NECK_BOTTOM = -1.0
_HAIRLINE = 1.16  # of these heads over that of procedural ones
_ROOTS = 0.012  # head units that a beard begins above the planes, which chins and lips stand out of
_PLANE_REACH = 0.06  # head units from a vertex that its plane is trusted
_OPEN_NECK, _HIGH_COLLAR = -0.95, -0.72  # heights that clothes reach on the neck
_EAR_X, _EAR_LOW, _EAR_HIGH = 0.38, (-0.28, -0.38), (0.18, 0.12)  # a box about an ear; y and z


def ict_rig(rng: np.random.Generator, hair_style: str, pixel_width: float, folder: Path) -> Rig:
    """A random person of the model in ``folder``, in triangles for pixels of a width in head units."""
    model = read_head_model(folder)
    deviations = _SPREAD * rng.normal(size=len(model.identities)).astype(np.float32)
    face = model.neutral + np.tensordot(deviations, model.identities, 1)
    hair = sample_hair(rng, hair_style)
    hair = replace(hair, hairline=_HAIRLINE * hair.hairline)
    shoulders, collar = float(rng.uniform(0.88, 1.12)), float(rng.choice([0.0, rng.uniform(0.2, 1)]))
    voxel = float(np.clip(0.9 * pixel_width, 0.010, 0.022))
    top = _OPEN_NECK + (_HIGH_COLLAR - _OPEN_NECK) * (0.5 + 0.5 * collar if collar else 0)
    worn, beard, marks = sample_accessories(rng, hair_style), sample_beard(rng), _marks(model)
    with torch.inference_mode():
        skull = _skull(model, face)
        hairy = make_beard(beard, lambda p: skull(p) - _ROOTS, marks, voxel)
        on_head = make_hair(hair, skull, voxel)
        on_head += make_accessories(worn, skull, hair.thickness, _eye_front(model, face), voxel)
        on_body = dress(shoulders, 1.0, collar, voxel, _torso(model, face, top))
    return Rig(
        face=join([_skin_and_teeth(model, face), *hairy]),
        shape=_shapes(model, face, hairy),
        eyes=tuple(_eye_place(model, face, side) for side in ("Left", "Right")),
        on_head=tuple(on_head),
        on_body=tuple(on_body),
        marks=marks,
        about={"hair": hair_style, "beard": beard, "collar": collar, **asdict(worn)},
    )


def _shapes(model: HeadModel, face: np.ndarray, beard: list[Mesh]) -> Callable[[str], np.ndarray]:
    """The model's expressions; the beard moves with the skin below it."""
    below = [cKDTree(face).query(part.vertices)[1] for part in beard]

    def shape(name: str) -> np.ndarray:
        offsets = model.expression(name)
        return np.concatenate([offsets, *(offsets[nearest] for nearest in below)])

    return shape


def _eye_front(model: HeadModel, face: np.ndarray) -> tuple[float, float, float]:
    """The middle of the left eye's lids, at the depth of the foremost."""
    lids = face[model.landmarks[42:48]]
    return float(lids[:, 0].mean()), float(lids[:, 1].mean()), float(lids[:, 2].max())


def _skin_and_teeth(model: HeadModel, face: np.ndarray) -> Mesh:
    names = [name for name in _MATERIALS if name in model.faces]
    faces = np.concatenate([model.faces[name] for name in names])
    material = np.concatenate([np.full(len(model.faces[name]), _MATERIALS[name]) for name in names])
    return make_mesh(face, faces, material, rest=model.neutral)


def _eye_place(model: HeadModel, face: np.ndarray, side: str) -> tuple[np.ndarray, float]:
    """(centre, radius) of the sphere through the white of an eye."""
    points = face[np.unique(model.faces[f"M_Sclera{side}"])].astype(np.float64)
    system = np.concatenate([2 * points, np.ones((len(points), 1))], axis=1)
    solution = np.linalg.lstsq(system, (points**2).sum(axis=1), rcond=None)[0]
    centre = solution[:3]
    return centre, float(np.sqrt(solution[3] + centre @ centre)) * 0.985


def _skull(model: HeadModel, face: np.ndarray) -> Field:
    """Distance to the head without its ears."""
    place = model.neutral[:, 1:]
    ear = (np.abs(model.neutral[:, 0]) > _EAR_X) & ((place > _EAR_LOW) & (place < _EAR_HIGH)).all(axis=1)
    return _distance_to(model, face, ~ear & (model.neutral[:, 1] > _NECK_BOTTOM))


def _torso(model: HeadModel, face: np.ndarray, top: float) -> Field:
    """Distance to what lies below the height ``top`` of the neck and the shoulders, which the model ends with."""
    near = _distance_to(model, face, model.neutral[:, 1] < top + 0.15)

    def distance(points: Tensor) -> Tensor:
        result = torch.ones(len(points))
        around = torch.nonzero((points[:, 1] > -1.6) & (points[:, 1] < -0.5) & (points[:, 0].abs() < 1))[:, 0]
        result[around] = smooth_max(near(points[around]), points[around, 1] + 0.15 * points[around, 2] - top, 0.03)
        return result

    return distance


def _distance_to(model: HeadModel, face: np.ndarray, chosen: np.ndarray) -> Field:
    """Signed distance to the planes of ``chosen`` vertices nearby; away from them that to the vertices."""
    faces = np.concatenate([model.faces["M_Face"], model.faces["M_BackHead"]])
    mesh = make_mesh(face, faces, SKIN)
    used = np.intersect1d(np.unique(faces), np.flatnonzero(chosen))
    points, normals = mesh.vertices[used], mesh.normals[used]
    tree = cKDTree(points)

    def distance(local: Tensor) -> Tensor:
        query = local.numpy()
        apart, nearest = tree.query(query, 6)
        weight = 1 / (apart**2 + 1e-4)
        weight /= weight.sum(axis=1, keepdims=True)
        height = ((query[:, None] - points[nearest]) * normals[nearest]).sum(axis=2)
        return torch.from_numpy(
            np.maximum((weight * height).sum(axis=1), apart[:, 0] - _PLANE_REACH).astype(np.float32)
        )

    return distance


def _marks(model: HeadModel) -> FaceMarks:
    brow = model.mark(22, 23, 24, 25, 26)[:, :2]
    eye = model.mark(*range(42, 48)).mean(axis=0)
    nose, chin, corner = model.mark(30, 8, 54)
    return FaceMarks(
        lips=model.mark(*range(48, 60))[:, :2].astype(np.float64),
        brow=brow.astype(np.float64),
        eye=(float(eye[0]), float(eye[1])),
        nose_tip=(0.0, float(nose[1])),
        cheek=(1.35 * float(eye[0]), float(nose[1]) + 0.02),
        mouth_y=float(corner[1]),
        chin_y=float(chin[1]),
        front_z=0.2,
    )
