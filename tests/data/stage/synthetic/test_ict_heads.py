"""The ICT-FaceKit's layout: read, refused where it is another, and made into people (where the data is at hand)."""

import numpy as np
import pytest

from src.data.stage.synthetic.expressions import sample_expression
from src.data.stage.synthetic.ict_model import UNITS_PER_CM, check_head_model, read_head_model
from src.data.stage.synthetic.meshes import EYE, SKIN, TEETH
from src.data.stage.synthetic.people import Pose
from src.utils.cli import InputError
from tests.shared_data import SHARED

MODEL = SHARED / "data" / "ict_facekit"
needs_model = pytest.mark.skipif(not MODEL.is_dir(), reason="no ICT-FaceKit beside the repository")


@pytest.fixture
def small_model(tmp_path):
    """A square and a triangle in the layout of the ICT-FaceKit."""
    folder = tmp_path / "FaceXModel"
    folder.mkdir()
    vertices = ["v 0 0 0", "v 1 0 0", "v 1 1 0", "v 0 1 0"]
    faces = ["usemtl M_Face", "f 1/1/1 2/2/2 3/3/3 4/4/4", "usemtl M_Teeth", "f 1/1 2/2 4/3"]
    (folder / "generic_neutral_mesh.obj").write_text("\n".join(["# by hand", *vertices, "vt 0 0", *faces]))
    (folder / "identity000.obj").write_text("\n".join(["v 0 0 1", *vertices[1:]]))
    (folder / "jawOpen.obj").write_text("\n".join([*vertices[:3], "v 0 -1 0"]))
    (folder / "vertex_indices.json").write_text('{"idx_to_landmark_verts": [3, 1, 2]}')
    return tmp_path


def test_the_layout_is_read(small_model):
    check_head_model(small_model)
    model = read_head_model(small_model)
    np.testing.assert_array_equal(model.faces["M_Face"], [[0, 1, 2], [0, 2, 3]])  # a polygon becomes a fan
    np.testing.assert_array_equal(model.faces["M_Teeth"], [[0, 1, 3]])
    np.testing.assert_allclose(model.identities[0, 0], [0, 0, UNITS_PER_CM], atol=1e-6)
    np.testing.assert_allclose(model.expression("jawOpen")[3], [0, -2 * UNITS_PER_CM, 0], atol=1e-6)
    np.testing.assert_array_equal(model.mark(0)[0], model.neutral[3])


def test_another_layout_is_refused(small_model):
    folder = small_model / "FaceXModel"
    (folder / "jawOpen.obj").write_text("v 0 0 0\n")
    with pytest.raises(InputError, match="1 vertices, not 4"):
        read_head_model(small_model).expression("jawOpen")
    (folder / "identity000.obj").unlink()
    with pytest.raises(InputError, match=r"has no FaceXModel/identity000\.obj"):
        check_head_model(small_model)
    with pytest.raises(InputError, match="no such folder"):
        check_head_model(small_model / "nowhere")


def test_expressions_are_of_many_kinds_and_lids_follow_the_gaze():
    rng = np.random.default_rng(0)
    moods, shut = set(), 0
    for _ in range(300):
        mood, strengths, (across, down) = sample_expression(rng)
        moods.add(mood)
        shut += strengths.get("eyeBlink_L", 0) == 1
        assert all(0 <= strength <= 1.1 for strength in strengths.values())
        assert ("eyeLookOut_L" in strengths) == (across > 0) and ("eyeLookDown_L" in strengths) == (down > 0)
    assert len(moods) > 8 and 15 < shut < 60


@needs_model
def test_every_shape_that_is_asked_for_is_in_the_model():
    rng = np.random.default_rng(0)
    names = {name for _ in range(300) for name in sample_expression(rng)[1]}
    assert len(names) > 25
    assert not [name for name in names if not (MODEL / "FaceXModel" / f"{name}.obj").is_file()]


@needs_model
def test_people_of_the_model_differ_and_turn():
    from src.data.stage.synthetic.ict_heads import ict_rig

    first, again, other = (ict_rig(np.random.default_rng(seed), "bald", 0.05, MODEL) for seed in (1, 1, 2))
    front, again_front, other_front = (rig.posed(Pose(0, 0, 0, 0), {}, (0, 0)) for rig in (first, again, other))
    aside = first.posed(Pose(30, 30, 0, 0), {"jawOpen": 1.0}, (0, 0))
    np.testing.assert_array_equal(front.vertices, again_front.vertices)
    head = len(read_head_model(MODEL).neutral)
    assert np.abs(front.vertices[:head] - other_front.vertices[:head]).max() > 0.02
    nose, chin, chest = (*read_head_model(MODEL).landmarks[[30, 8]], int(front.vertices[:head, 1].argmin()))
    assert aside.vertices[nose, 0] > front.vertices[nose, 0] + 0.15
    assert aside.vertices[chin, 1] < front.vertices[chin, 1] - 0.05
    np.testing.assert_allclose(aside.vertices[chest], front.vertices[chest], atol=1e-5)
    np.testing.assert_array_equal(aside.rest, front.rest)
    np.testing.assert_array_equal(aside.faces, front.faces)
    assert {SKIN, EYE, TEETH} <= set(np.unique(front.material))
