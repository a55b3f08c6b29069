"""People from distance fields: nothing to download."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import torch

from src.data.stage.synthetic.accessories import make_accessories, sample_accessories
from src.data.stage.synthetic.beards import make_beard, sample_beard
from src.data.stage.synthetic.clothes import dress
from src.data.stage.synthetic.distance_fields import isosurface
from src.data.stage.synthetic.face_shapes import FaceShapes
from src.data.stage.synthetic.hair import make_hair, sample_hair
from src.data.stage.synthetic.head_shapes import EYE_CENTRE, EYE_RADIUS, Head, HeadShape, sample_shape
from src.data.stage.synthetic.meshes import SKIN, join
from src.data.stage.synthetic.rig import Rig
from src.data.stage.synthetic.skin import FaceMarks

_FINEST, _COARSEST = 0.008, 0.02  # voxels of faces; lids and lips need the first in close-ups


def procedural_rig(rng: np.random.Generator, hair_style: str, pixel_width: float) -> Rig:
    """A random person in triangles for pixels of a width in head units."""
    voxel = float(np.clip(0.8 * pixel_width, _FINEST, _COARSEST))
    shape = sample_shape(rng)
    head = Head(shape)
    hair = sample_hair(rng, hair_style)
    shoulders, collar = float(rng.uniform(0.88, 1.12)), float(rng.choice([0.0, 0.0, rng.uniform(0.2, 1)]))
    worn, beard, marks = sample_accessories(rng, hair_style), sample_beard(rng), _marks(shape)
    with torch.inference_mode():
        skin = isosurface(head.skin, (-0.72, -1.35, -0.85), (0.72, 0.90, 0.85), voxel, SKIN)
        assert skin is not None, "a head without skin"
        face = join([skin, *make_beard(beard, head.skin, marks, voxel)])
        eye = (*EYE_CENTRE[:2], EYE_CENTRE[2] + EYE_RADIUS)
        on_head = make_hair(hair, head.skull, voxel)
        on_head += make_accessories(worn, head.skull, hair.thickness, eye, voxel)
        on_body = dress(shoulders, shape.neck, collar, voxel)
    return Rig(
        face=face,
        shape=FaceShapes(face.vertices, shape),
        eyes=tuple((np.array(EYE_CENTRE) * [side, 1, 1], EYE_RADIUS) for side in (1, -1)),
        on_head=tuple(on_head),
        on_body=tuple(on_body),
        marks=marks,
        about={"hair": hair_style, "beard": beard, "collar": collar, **asdict(worn)},
    )


def _marks(s: HeadShape) -> FaceMarks:
    """Where :class:`Head` puts the features."""
    across = np.linspace(-0.97, 0.97, 15)
    half_width = 0.150 * s.mouth_width
    centre = -0.300 + 0.005 * across**2
    bow = 0.010 * np.exp(-((across * half_width / 0.022) ** 2))
    fall = (1 - across**2) ** 0.6
    upper = centre + (0.031 + 0.016 * s.lip_fullness) * fall - bow
    lower = centre - (0.036 + 0.024 * s.lip_fullness) * fall
    x = across * half_width
    along = np.linspace(0, 1, 6)
    return FaceMarks(
        lips=np.concatenate([np.stack([x, lower], 1), np.stack([x, upper], 1)[::-1]]),
        brow=np.stack([0.055 + 0.235 * along, 0.128 + 0.045 * along - 0.055 * along**2], axis=1),
        eye=EYE_CENTRE[:2],
        nose_tip=(0.0, 0.06 - 0.205 * s.nose_length),
        cheek=(0.25, -0.10),
        mouth_y=-0.303,
        chin_y=-0.53,
        front_z=0.2,
    )
