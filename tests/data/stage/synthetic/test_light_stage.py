import numpy as np
import pytest
import torch

from prepare_olat import main
from src.data.stage.synthetic.heads import EYE, HAIR, HAIR_STYLES, SKIN, Head, sample_shape
from src.data.stage.synthetic.light_stage import make_light_stage
from src.data.stage.synthetic.rendering import DistanceGrid, render_olats, trace
from src.data.stage.synthetic.skin import MONK_TONES, Surface, hex_to_linear, sample_complexion
from src.data.stage.synthetic.sky import KINDS, make_environment
from src.utils.cli import InputError
from src.utils.image_io import read_linear
from src.utils.sphere import fibonacci_sphere, pixel_solid_angles


@pytest.fixture(scope="module")
def head() -> tuple[Head, Surface]:
    rng = np.random.default_rng(3)
    head = Head(sample_shape(rng, "short"))
    return head, Surface(head, sample_complexion(rng, 4))


@pytest.mark.parametrize("style", HAIR_STYLES)
def test_every_style_is_a_head(style):
    head = Head(sample_shape(np.random.default_rng(1), style))
    points = torch.tensor([[0.0, 0.2, 0.0], [0, 0.2, 1.5], [0, -1.2, -0.2], [0.95, 0.9, 0]])
    inside = head.distance(points)
    assert inside[0] < 0 < inside[1] and inside[2] < 0 < inside[3]
    gradient = torch.autograd.functional.jacobian(lambda p: head.distance(p).sum(), torch.randn(200, 3) * 0.5)
    assert gradient.norm(dim=1).median() == pytest.approx(1, abs=0.25)  # close to a distance


def test_seen_from_the_front_there_is_skin_with_two_eyes_under_hair(head):
    buffer = trace(head[0], head[1], DistanceGrid(head[0]), 96)
    material = head[0].distances(buffer.point).argmin(dim=1)
    assert (material == EYE).sum() > 20 and (material == HAIR).sum() > 200 and (material == SKIN).sum() > 2000
    assert head[0].distance(buffer.point).abs().max() < 5e-3
    eyes = head[0].to_local(buffer.point[material == EYE])[:, 0]
    assert (eyes > 0).any() and (eyes < 0).any()
    assert (buffer.normal * buffer.view).sum(1).mean() > 0.5
    assert 0.2 < buffer.coverage().mean() < 0.6
    edges = buffer.coverage()[(buffer.coverage() > 0) & (buffer.coverage() < 1)]
    assert len(edges) > 50  # the mask is anti-aliased


def test_light_comes_from_where_it_is_and_casts_shadows(head):
    with torch.inference_mode():
        coverage, pictures = render_olats(*head, np.array([[1.0, 0, 0], [-1, 0, 0], [0, 0, 1], [0, 0, -1]]), 48)
        right, left, front, behind = pictures
    assert right[:, 24:].sum() > 3 * right[:, :24].sum() and left[:, :24].sum() > 3 * left[:, 24:].sum()
    assert front.sum() > right.sum() > behind.sum()
    assert all((p >= 0).all() and np.isfinite(p).all() for p in (right, left, front, behind))
    assert (front[coverage == 0] == 0).all() and front[coverage > 0].min() > 0  # bounced light reaches everything


def test_shadow_rays_see_the_head():
    grid = DistanceGrid(Head(sample_shape(np.random.default_rng(2), "bald")))
    point = torch.tensor([[0.0, 0.2, -1.0], [0.0, 0.2, -1.0], [0, 0.2, -1.0]])
    towards = torch.nn.functional.normalize(torch.tensor([[0.0, 0, 1], [0, 0, -1], [1, 0, -0.2]]), dim=1)
    np.testing.assert_allclose(grid.visibility(point, towards), [0, 1, 1], atol=1e-6)


def test_no_more_light_is_reflected_than_falls_in(head):
    """Under uniform light of radiance 1 nothing is brighter than it."""
    lights = fibonacci_sphere(64)
    with torch.inference_mode():
        coverage, pictures = render_olats(*head, lights, 40)
        flat = sum(pictures) * (4 * np.pi / 64)
    inside = flat[coverage == 1]
    assert 0.03 < inside.mean() < 0.8 and np.percentile(inside, 99.5) < 1.2


def test_skin_tones_span_the_monk_scale():
    albedo = [sample_complexion(np.random.default_rng(0), tone).skin.mean() for tone in range(len(MONK_TONES))]
    assert albedo[0] > 0.5 and albedo[-1] < 0.06 and albedo[1] > albedo[5] > albedo[7] > albedo[9]
    np.testing.assert_allclose(hex_to_linear("ffffff"), 1, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_environments_are_hdr_and_seamless(kind):
    for seed in range(4):
        environment = make_environment(np.random.default_rng(seed), kind, 64)
        assert environment.shape == (64, 128, 3) and np.isfinite(environment).all() and environment.min() >= 0
        assert environment.max() <= 2e4
        mean = (environment * pixel_solid_angles(64, 128)[..., None]).sum() / (12 * np.pi)
        assert 1e-3 < mean < 10
    if kind == "sun":
        assert max(make_environment(np.random.default_rng(s), kind, 128).max() for s in range(6)) > 5e3


def test_command_makes_a_training_set_from_nothing(tmp_path):
    arguments = [
        "--synthetic",
        "2",
        "--num_lights",
        "9",
        "--num_envs",
        "3",
        "--image_size",
        "24",
        "--workers",
        "1",
        "--out_root",
        str(tmp_path / "set"),
        "--contact_sheet",
        str(tmp_path / "sheet.png"),
    ]
    assert main(arguments) == 0
    subjects = tmp_path / "set" / "subjects"
    relit = read_linear(subjects / "ID002" / "relit" / "env_003.exr")
    assert relit.shape == (24, 24, 3) and relit.max() > 0
    assert read_linear(tmp_path / "sheet.png").std() > 0.05
    stamp = (tmp_path / "set" / "stage" / "olat" / "ID001" / "000.exr").stat().st_mtime_ns
    assert main(arguments) == 0
    assert (tmp_path / "set" / "stage" / "olat" / "ID001" / "000.exr").stat().st_mtime_ns == stamp


def test_the_same_seed_makes_the_same_stage(tmp_path):
    options = {"subjects": 1, "lights": 4, "environments": 1, "size": 16}
    first = make_light_stage(tmp_path / "a", **options)
    second = make_light_stage(tmp_path / "b", **options)
    other = make_light_stage(tmp_path / "c", seed=1, **options)
    np.testing.assert_array_equal(read_linear(first / "ID001" / "002.exr"), read_linear(second / "ID001" / "002.exr"))
    assert not np.array_equal(read_linear(first / "ID001" / "002.exr"), read_linear(other / "ID001" / "002.exr"))
    with pytest.raises(InputError, match="other lights, size or seed"):
        make_light_stage(tmp_path / "a", subjects=1, lights=5, environments=1, size=16)
