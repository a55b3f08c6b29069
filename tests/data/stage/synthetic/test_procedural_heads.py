from dataclasses import replace

import numpy as np
import pytest
import torch

from src.data.stage.synthetic.accessories import Accessories, make_accessories, sample_accessories
from src.data.stage.synthetic.beards import make_beard
from src.data.stage.synthetic.camera import View, look
from src.data.stage.synthetic.complexion import MONK_TONES, hex_to_linear, sample_complexion
from src.data.stage.synthetic.distance_fields import isosurface, sphere
from src.data.stage.synthetic.face_shapes import FaceShapes
from src.data.stage.synthetic.hair import HAIR_STYLES
from src.data.stage.synthetic.head_shapes import Head, sample_shape
from src.data.stage.synthetic.light_stage import tone_and_style
from src.data.stage.synthetic.meshes import CLOTH, EYE, HAIR, KNIT, SKIN, Mesh, Scene, rotation
from src.data.stage.synthetic.people import Pose
from src.data.stage.synthetic.procedural_heads import procedural_rig
from src.data.stage.synthetic.rig import PIVOT, Rig
from src.data.stage.synthetic.skin import Noise, PersonSurface

FRONT = Pose(yaw=0, neck_yaw=0, pitch=0, roll=0)
VIEW = View(fov_degrees=25, frame_height=2.0)


@pytest.fixture(scope="module")
def rig() -> Rig:
    return procedural_rig(np.random.default_rng(3), "short", 0.03)


@pytest.fixture(scope="module")
def front(rig) -> Mesh:
    return rig.posed(FRONT, {}, (0, 0))


def test_a_ball_from_its_field_is_one():
    mesh = isosurface(lambda p: sphere(p, (0.1, 0, 0), 0.4), (-0.5, -0.6, -0.6), (0.7, 0.6, 0.6), 0.05, SKIN)
    outwards = mesh.vertices - np.float32([0.1, 0, 0])
    np.testing.assert_allclose(np.linalg.norm(outwards, axis=1), 0.4, atol=1e-3)
    np.testing.assert_allclose(mesh.normals, outwards / 0.4, atol=0.02)
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    volume = np.einsum("nc,nc->n", a, np.cross(b, c)).sum() / 6  # above 0: the faces' order is outwards too
    assert volume == pytest.approx(4 / 3 * np.pi * 0.4**3, rel=0.02)
    assert isosurface(lambda p: sphere(p, (9, 0, 0), 0.4), (-1, -1, -1), (1, 1, 1), 0.1, SKIN) is None


@pytest.mark.parametrize("style", HAIR_STYLES)
def test_every_style_is_a_person(style):
    rig = procedural_rig(np.random.default_rng(1), style, 0.04)
    mesh = rig.posed(FRONT, {}, (0, 0))
    samples = look(Scene(mesh), PersonSurface(sample_complexion(np.random.default_rng(0), 4), rig.marks), VIEW, 48)
    assert 0.25 < samples.coverage().mean() < 0.9
    assert (HAIR in mesh.material) == (style != "bald")
    assert np.isfinite(mesh.vertices).all()
    np.testing.assert_allclose(np.linalg.norm(mesh.normals, axis=1), 1, atol=1e-3)


def test_seen_from_the_front_there_is_skin_with_two_eyes_under_hair(front):
    scene = Scene(front)
    x, y = np.meshgrid(np.linspace(-0.5, 0.5, 60), np.linspace(-1.1, 0.8, 100))
    origins = np.stack([x, y, np.full_like(x, 3)], -1).reshape(-1, 3)
    hits = scene.first_hits(origins, np.broadcast_to([0, 0, -1], origins.shape))
    material, point = front.material[hits.face], origins[hits.ray]
    mean_y = {kind: point[material == kind, 1].mean() for kind in (SKIN, EYE, HAIR, CLOTH)}
    assert mean_y[HAIR] > mean_y[EYE] > mean_y[SKIN] > mean_y[CLOTH]
    eyes = point[material == EYE, 0]
    assert (eyes > 0).sum() > 3 and (eyes < 0).sum() > 3


def test_a_turned_head_keeps_its_triangles_and_rest_positions_and_its_body_stays(rig, front):
    turned = rig.posed(Pose(30, 30, 0, 0), {}, (0, 0))
    np.testing.assert_array_equal(turned.rest, front.rest)
    np.testing.assert_array_equal(turned.faces, front.faces)
    crown, chest = rig.face.vertices[:, 1].argmax(), rig.face.vertices[:, 1].argmin()
    np.testing.assert_allclose(turned.vertices[chest], front.vertices[chest], atol=1e-5)
    nose = rig.face.vertices[:, 2].argmax()
    offset = front.vertices[nose] - np.float32(PIVOT)
    expected = rotation(30, 0, 0) @ offset + PIVOT
    np.testing.assert_allclose(turned.vertices[nose], expected, atol=1e-4)
    assert np.linalg.norm(turned.vertices[crown] - front.vertices[crown]) > 0.005


def seen_share(mesh: Mesh, material: int) -> float:
    x, y = np.meshgrid(np.linspace(-0.3, 0.3, 90), np.linspace(-0.1, 0.15, 60))
    origins = np.stack([x, y, np.full_like(x, 3)], -1).reshape(-1, 3)
    hits = Scene(mesh).first_hits(origins, np.broadcast_to([0, 0, -1], origins.shape))
    return float((mesh.material[hits.face] == material).mean())


def test_lids_close_over_the_eyes(rig):
    shut, half, wide = (
        seen_share(rig.posed(FRONT, {f"{shape}_L": strength, f"{shape}_R": strength}, (0, 0)), EYE)
        for shape, strength in (("eyeBlink", 1.0), ("eyeBlink", 0.5), ("eyeWide", 1.0))
    )
    still = seen_share(rig.posed(FRONT, {}, (0, 0)), EYE)
    assert shut < 0.1 * still < still and 0.25 * still < half < 0.8 * still and wide > 1.15 * still


def test_faces_move_on_the_side_that_is_asked_for(rig):
    vertices = rig.face.vertices
    smile = rig.shape("mouthSmile_L")
    corner = np.argmin(np.linalg.norm(vertices - [0.145, -0.303, 0.46], axis=1))
    other = np.argmin(np.linalg.norm(vertices - [-0.145, -0.303, 0.46], axis=1))
    assert smile[corner, 0] > 0.01 and smile[corner, 1] > 0.01 and np.abs(smile[other]).max() < 1e-3
    chin, brow = vertices[:, 1] < -0.5, (vertices[:, 1] > 0.1) & (vertices[:, 2] > 0)
    jaw = rig.shape("jawOpen")
    assert jaw[chin & (vertices[:, 2] > 0.4), 1].max() < -0.04 and np.abs(jaw[brow]).max() < 1e-6
    assert rig.shape("tongueOut") is None


def test_skin_tones_span_the_monk_scale():
    albedo = [sample_complexion(np.random.default_rng(0), tone).skin.mean() for tone in range(len(MONK_TONES))]
    assert albedo[0] > 0.5 and albedo[-1] < 0.06 and albedo[1] > albedo[5] > albedo[7] > albedo[9]
    np.testing.assert_allclose(hex_to_linear("ffffff"), 1, atol=1e-6)


def test_lips_are_redder_than_the_forehead(rig):
    surface = PersonSurface(sample_complexion(np.random.default_rng(5), 2), rig.marks)
    places = np.float32([[0.0, rig.marks.lips[:, 1].min() + 0.02, 0.5], [0.0, 0.28, 0.45]])
    lip, forehead = surface.shade(places, np.array([SKIN, SKIN])).albedo
    assert lip[0] / lip[1] > 1.15 * forehead[0] / forehead[1]


def test_a_suit_shows_the_shirt_between_its_lapels_and_at_the_collar(rig):
    shirt, jacket, tie = np.float32([[0.8, 0.8, 0.8], [0.01, 0.01, 0.02], [0.3, 0.0, 0.0]])
    suited = replace(
        sample_complexion(np.random.default_rng(5), 2),
        **{"outfit": "suit", "pattern": "plain", "cloth": jacket, "second_cloth": shirt, "tie": None},
    )
    #                    collar          breast        shoulder     the V at the back   belly
    places = np.float32([[0.2, -0.95, 0], [0.1, -1.1, 0.2], [0.6, -1.1, 0], [0.1, -1.1, -0.5], [0.0, -2.5, 0.2]])
    worn = PersonSurface(suited, rig.marks).shade(places, np.full(5, CLOTH)).albedo
    assert (worn[:2] > 0.5).all() and (worn[2:] < 0.05).all()
    with_tie = PersonSurface(replace(suited, tie=tie), rig.marks)
    middle = with_tie.shade(np.float32([[0, -1.2, 0.2], [0.15, -1.1, 0.2]]), np.full(2, CLOTH)).albedo
    assert middle[0, 0] > 5 * middle[0, 1] and middle[1, 1] > 0.5


def test_noise_is_smooth_repeats_and_is_a_function_of_its_seed():
    points = torch.rand(500, 3, generator=torch.Generator().manual_seed(0)).numpy() * 5
    noise = Noise(4)
    np.testing.assert_allclose(noise(points, 2), noise(points + 16, 2), atol=1e-4)
    assert np.abs(noise(points, 2) - noise(points + 1e-3, 2)).max() < 0.05
    assert not np.allclose(noise(points, 2), Noise(5)(points, 2))
    assert np.abs(noise(points, 2)).max() <= 1


def test_beards_cover_the_jaw_leave_the_lips_free_and_go_along(rig):
    """Over a plane that stands for the face."""
    bearded = make_beard(0.06, lambda p: p[:, 2] - 0.4, rig.marks, 0.02)
    (beard,) = bearded
    x, y, z = beard.vertices.T
    assert (beard.material == HAIR).all() and 0.4 < z.max() < 0.52
    assert y.max() < rig.marks.mouth_y + 0.3 and y.min() > rig.marks.chin_y - 0.25
    on_lips = (np.abs(x) < 0.1) & (np.abs(y - rig.marks.mouth_y) < 0.03)
    assert not on_lips.any()
    assert make_beard(0.0, lambda p: p[:, 2], rig.marks, 0.02) == []
    moved = FaceShapes(beard.vertices, sample_shape(np.random.default_rng(0)))("jawOpen")
    on_chin = (np.abs(x) < 0.1) & (np.abs(y - rig.marks.chin_y) < 0.03) & (z > 0.42)
    assert on_chin.any() and moved[on_chin, 1].max() < -0.03


@pytest.mark.parametrize("kind", ["beanie", "cap", "brimmed", "headscarf", "scarf"])
def test_what_is_worn_leaves_the_face_free(rig, kind):
    is_scarf = kind == "scarf"
    worn = Accessories(None if is_scarf else kind, None, is_scarf)
    head = Head(sample_shape(np.random.default_rng(0)))
    with torch.inference_mode():
        (mesh,) = make_accessories(worn, head.skull, 0.02, (0.178, 0.03, 0.48), 0.04)
    assert (mesh.material == KNIT).all()
    origins = np.float32([[0.1 * column, 0.1 * row, 3] for column in (-1, 0, 1) for row in (-2, -1, 0, 1)])
    scene = Scene(mesh)
    hits = scene.first_hits(origins, np.broadcast_to([0, 0, -1], origins.shape))
    assert (scene.interpolate(hits, mesh.vertices)[:, 2] < 0.3).all()  # what is behind the face
    height = mesh.vertices[:, 1]
    assert height.max() < -0.5 if is_scarf else height.max() > 0.7


def test_hats_go_with_hair_that_they_leave_room_for():
    rng = np.random.default_rng(0)
    worn = [(style, sample_accessories(rng, style)) for style in HAIR_STYLES * 200]
    hats = {one.hat for _, one in worn}
    assert hats == {None, "beanie", "cap", "brimmed", "headscarf"}
    assert all(style in ("bald", "cropped", "short") for style, one in worn if one.hat == "headscarf")
    assert not any(one.hat == "headscarf" and one.scarf for _, one in worn)
    assert 0.05 < np.mean([one.scarf for _, one in worn]) < 0.2


def test_tones_and_haircuts_are_not_tied_to_each_other():
    pairs = {tone_and_style(index, 0) for index in range(90)}
    assert len(pairs) == 90


def test_make_up_colours_lids_and_lips(rig):
    plain = replace(sample_complexion(np.random.default_rng(5), 2), lipstick=None, eyeshadow=None, eyeliner=0.0)
    painted = replace(
        plain,
        lipstick=np.float32([0.3, 0.03, 0.05]),
        eyeshadow=np.float32([0.05, 0.05, 0.3]),
        eyeliner=0.9,
    )
    eye = rig.marks.eye
    places = np.float32([[eye[0], eye[1] + 0.06, 0.5], [eye[0] + 0.086, eye[1], 0.5], [0, 0.28, 0.45]])
    before, after = (PersonSurface(one, rig.marks).shade(places, np.full(3, SKIN)).albedo for one in (plain, painted))
    assert after[0, 2] / after[0, 0] > 1.3 * before[0, 2] / before[0, 0] and after[1].mean() < 0.5 * before[1].mean()
    np.testing.assert_allclose(after[2], before[2], atol=1e-3)
