import numpy as np
import pytest
import torch

from src.data.portrait import augmentation as batch_augmentation
from src.data.portrait.augmentation import Pose, move, photograph, random_pose, skin_factor
from tests.tiny_stage import ball_normals, ball_olats

SIZE = 48


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def only_turned(monkeypatch):
    """Poses without what no rotation of the light undoes."""
    for name, value in {"SCALES": (1.0, 1.0), "SHIFT": 0.0, "WARP": 0.0}.items():
        monkeypatch.setattr(batch_augmentation, name, value)


def plain_grid(size: int) -> torch.Tensor:
    centres = (torch.arange(size) + 0.5) / size * 2 - 1
    return torch.stack(torch.meshgrid(centres, centres, indexing="xy"), dim=-1)[None]


def ball(directions: np.ndarray) -> torch.Tensor:
    """N x 3 x S x S: a Lambertian ball under N distant lights."""
    pictures = ball_olats(directions, height=SIZE, width=SIZE)
    return torch.from_numpy(pictures).movedim(-1, 1)


def inside_of_ball() -> torch.Tensor:
    """Away from the outline, where a pixel's interpolation reaches the background."""
    normals, _ = ball_normals(SIZE, SIZE)
    return torch.from_numpy(normals[..., 2] > 0.4)


def test_a_pose_that_moves_nothing_leaves_pictures():
    pictures = torch.rand(1, 3, 11, 11, generator=seeded(0))
    still = Pose(plain_grid(11), torch.eye(3)[None], torch.ones(1))
    torch.testing.assert_close(move(pictures, still), pictures)
    mirrored = Pose(plain_grid(11) * torch.tensor([-1.0, 1.0]), torch.eye(3)[None], torch.ones(1))
    torch.testing.assert_close(move(pictures, mirrored), pictures.flip(-1))


def test_poses_without_roll_are_the_picture_or_its_mirror_image(monkeypatch, only_turned):
    monkeypatch.setattr(batch_augmentation, "ROLL_DEGREES", 0.0)
    pictures = torch.rand(20, 3, 9, 9, generator=seeded(0))
    pose = random_pose(seeded(1), 20, 9)
    moved, mirrored = move(pictures, pose), torch.linalg.det(pose.rotation) < 0
    assert 0 < mirrored.sum() < 20
    torch.testing.assert_close(moved[~mirrored], pictures[~mirrored])
    torch.testing.assert_close(moved[mirrored], pictures[mirrored].flip(-1))


def test_a_moved_ball_is_the_ball_under_the_moved_light(monkeypatch, only_turned):
    monkeypatch.setattr(batch_augmentation, "ROLL_DEGREES", 40.0)
    count = 24
    directions = np.random.default_rng(0).normal(size=(count, 3))
    directions[:, 2] = np.abs(directions[:, 2])  # from the front, so that there is something to see
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    pose = random_pose(seeded(3), count, SIZE)
    moved = move(ball(directions), pose)
    turned = np.einsum("nij,nj->ni", pose.rotation.numpy(), directions)
    error = (moved - ball(turned)).abs()[..., inside_of_ball()].mean((1, 2))
    assert error.max() < 0.003
    without = (moved - ball(directions)).abs()[..., inside_of_ball()].mean((1, 2))
    assert without.median() > 0.02, "the light does matter"


def test_rotation_and_scale_say_what_the_grid_does():
    pose = random_pose(seeded(5), 30, 32)
    new = plain_grid(32).reshape(-1, 2).double().numpy()
    system = np.column_stack([new, np.ones(len(new))])
    up = np.diag([1.0, -1.0])  # rows count downwards
    for grid, rotation, scale in zip(pose.grid, pose.rotation.numpy(), pose.scale.tolist(), strict=True):
        linear = np.linalg.lstsq(system, grid.reshape(-1, 2).double().numpy(), rcond=None)[0][:2].T
        # Where a new pixel was before: against the rotation, and smaller by the scale. A warp adds a little.
        np.testing.assert_allclose(linear * scale, up @ rotation[:2, :2].T @ up, atol=0.12)
        np.testing.assert_allclose(rotation @ rotation.T, np.eye(3), atol=1e-6)
        np.testing.assert_allclose(rotation[2], [0, 0, 1])


def test_what_lies_beyond_the_border_goes_on_as_there():
    pictures = torch.full((8, 1, 16, 16), 0.7)
    torch.testing.assert_close(move(pictures, random_pose(seeded(2), 8, 16)), pictures)


def test_the_same_generator_gives_the_same_numbers_and_no_global_state_is_touched():
    relit = torch.rand(6, 3, 16, 16, generator=seeded(0))
    mask = torch.ones(6, 1, 16, 16)

    def draw(seed: int) -> list[torch.Tensor]:
        random = seeded(seed)
        return [*random_pose(random, 6, 16), skin_factor(random, relit, mask), photograph(random, relit)]

    state = torch.get_rng_state()
    first = draw(4)
    torch.rand(10)
    for a, b, other in zip(first, draw(4), draw(5), strict=True):
        assert torch.equal(a, b) and not torch.equal(a, other)
    torch.set_rng_state(state)
    draw(4)
    assert torch.equal(torch.get_rng_state(), state)


# ---- skin


def test_skin_varies_but_no_albedo_exceeds_the_brightest_that_there_is():
    flat_lit = torch.full((40, 3, 16, 16), 0.3)
    flat_lit[20:] = 0.85
    mask = torch.zeros(40, 1, 16, 16)
    mask[..., 4:, :] = 1
    factor = skin_factor(seeded(0), flat_lit, mask)
    assert factor.shape == flat_lit.shape and factor.min() > 0
    means = (flat_lit * factor)[..., 4:, :].mean((1, 2, 3))
    assert means[:20].std() > 0.02
    assert means.max() < 1.0
    pixels = factor[0, 0].flatten()
    assert pixels.std() > 0, "blemishes"


def test_skin_of_nobody_is_finite():
    empty = torch.zeros(4, 1, 16, 16)
    assert skin_factor(seeded(0), torch.zeros(4, 3, 16, 16), empty).isfinite().all()


# ---- camera


def test_photographs_keep_the_exposure():
    relit = torch.rand(40, 3, 32, 32, generator=seeded(0)) * 0.8 + 0.1
    taken = photograph(seeded(1), relit)
    changed = (taken != relit).flatten(1).any(1)
    assert 5 < changed.sum() < 40, "some are left as they are"
    torch.testing.assert_close(taken.mean((1, 2, 3)), relit.mean((1, 2, 3)), rtol=0.02, atol=0)
    for gain in (1e-3, 200.0):
        torch.testing.assert_close(photograph(seeded(1), gain * relit), gain * taken, rtol=1e-3, atol=1e-2 * gain)


def test_photographs_leave_what_they_are_given():
    relit = torch.rand(20, 3, 16, 16, generator=seeded(0))
    before = relit.clone()
    photograph(seeded(1), relit)
    assert torch.equal(relit, before)


@pytest.mark.parametrize("value", [0.0, 1e-12, 6e4])
def test_photographs_of_black_and_of_blinding_are_finite(value):
    for seed in range(5):
        taken = photograph(seeded(seed), torch.full((12, 3, 16, 16), value))
        assert taken.isfinite().all() and taken.min() >= 0
        assert taken.mean().item() == pytest.approx(value, rel=0.02, abs=1e-6)
