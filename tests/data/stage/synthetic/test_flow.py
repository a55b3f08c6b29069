import numpy as np
import pytest

from src.data.stage.synthetic.camera import View
from src.data.stage.synthetic.flow import backward_flow
from src.data.stage.synthetic.meshes import CLOTH, SKIN, Mesh, Scene, join, make_mesh
from src.utils.sphere import perspective_directions

VIEW = View(fov_degrees=20, frame_height=2.0, centre=(0.1, -0.05))
SIZE = 40


def square(half: float, z: float, material: int = SKIN) -> Mesh:
    corners = np.float32([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]])
    return make_mesh(corners, np.array([[0, 1, 2], [0, 2, 3]]), material)


def test_a_shifted_square_comes_from_where_it_was():
    """0.1 head units are 2 pixels of a picture that shows 2 units on 40 pixels."""
    before = square(0.5, 0)
    flow = backward_flow(Scene(before.shifted(np.array([0.1, 0.2, 0]))), Scene(before), VIEW, SIZE)
    shown = flow[..., 2] == 1
    assert shown.sum() == pytest.approx((0.5 * SIZE) ** 2, rel=0.1)
    np.testing.assert_allclose(flow[shown], np.broadcast_to([-2, 4, 1], (shown.sum(), 3)), atol=1e-3)
    assert not flow[~shown].any()


def test_points_project_to_the_pixels_whose_rays_meet_them():
    rays = perspective_directions(SIZE, SIZE, VIEW.fov_degrees)[[3, 20, 39], [7, 20, 0]]
    points = VIEW.eye + rays * np.array([[3.0], [5.0], [9.0]])
    np.testing.assert_allclose(VIEW.project(points, SIZE), [[7, 3], [20, 20], [0, 39]], atol=1e-4)


def test_what_was_hidden_or_outside_is_marked():
    """A small square in front of a large one moves to the right: what it uncovers was not seen before."""
    front, back = square(0.2, 0.3, CLOTH), square(0.6, 0)
    before, now = join([front, back]), join([front.shifted(np.array([0.3, 0, 0])), back])
    flow = backward_flow(Scene(now), Scene(before), VIEW, SIZE)
    middle = SIZE // 2
    hidden = flow[middle, :, 2] == 0
    covered = hidden & (np.abs(flow[middle, :, 0]) < 1e-3) & (np.arange(SIZE) > 8) & (np.arange(SIZE) < 30)
    assert covered.sum() == pytest.approx(0.3 / 2 * SIZE, abs=1.5)
    away = backward_flow(Scene(back), Scene(back.shifted(np.array([5.0, 0, 0]))), VIEW, SIZE)
    assert away[..., 0].max() > 50 and not away[..., 2].any()
