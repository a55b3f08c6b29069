"""Rendered light against brute force: every ray against every triangle, in double precision."""

import numpy as np
import pytest

from src.data.stage.synthetic.camera import View
from src.data.stage.synthetic.eyes import eyeball
from src.data.stage.synthetic.meshes import CLOTH, SKIN, Mesh, Scene, join, make_mesh, rotation, unit
from src.data.stage.synthetic.rendering import render_olats
from src.data.stage.synthetic.shading import Gloss, Reflectance, diffuse_albedo
from src.utils.sphere import fibonacci_sphere, perspective_directions

VIEW = View(fov_degrees=30, frame_height=2.4)
SIZE = 48


class Painted:
    """Matte (or with a little gloss), with an albedo that varies over the surface and no relief."""

    def __init__(self, specular: float = 0.0) -> None:
        self.specular = specular

    def shade(self, rest: np.ndarray, material: np.ndarray) -> Reflectance:
        count = len(rest)
        albedo = 0.5 + 0.3 * np.sin(2 * rest + [0, 1, 2])
        return Reflectance(albedo, np.full(count, 0.5), np.full(count, self.specular))

    def relief(self, rest: np.ndarray, material: np.ndarray) -> np.ndarray:
        return np.zeros(len(rest))


def ball(centre: tuple, radius: float, material: int) -> Mesh:
    angles = np.linspace(0.02, np.pi - 0.02, 20), np.linspace(0, 2 * np.pi, 33)
    theta, phi = np.meshgrid(*angles, indexing="ij")
    points = np.stack([np.sin(theta) * np.cos(phi), np.cos(theta), np.sin(theta) * np.sin(phi)], -1).reshape(-1, 3)
    index = (np.arange(19)[:, None] * 33 + np.arange(32)).ravel()
    faces = np.concatenate(
        [np.stack([index, index + 1, index + 33], 1), np.stack([index + 1, index + 34, index + 33], 1)]
    )
    return make_mesh(np.array(centre) + radius * points, faces, material, points)


@pytest.fixture(scope="module")
def scene() -> Mesh:
    """A ball before a larger one, on which it throws its shadow."""
    return join([ball((0, -0.1, 0), 0.8, SKIN), ball((0.35, 0.3, 0.95), 0.22, CLOTH)])


def intersect(mesh: Mesh, origins: np.ndarray, rays: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(distance, face, (u, v)) of the nearest triangle, by Cramer's rule over all of them (Moeller, Trumbore 1997)."""
    a, b, c = (mesh.vertices[mesh.faces[:, k]].astype(float) for k in range(3))
    first, second = b - a, c - a
    p = np.cross(rays[:, None], second)
    determinant = (p * first).sum(-1)
    offset = origins[:, None] - a
    u = (offset * p).sum(-1) / determinant
    q = np.cross(offset, first)
    v = (rays[:, None] * q).sum(-1) / determinant
    distance = (second * q).sum(-1) / determinant
    distance[(u < 0) | (v < 0) | (u + v > 1) | (distance < 1e-4)] = np.inf
    face = distance.argmin(axis=1)
    row = np.arange(len(rays))
    return distance[row, face], face, np.stack([u[row, face], v[row, face]], axis=1)


def brute_force(mesh: Mesh, pixel: tuple[int, int], light: np.ndarray) -> tuple[np.ndarray, float] | None:
    """(mean radiance, share of it in the light) of 4 x 4 rays of a pixel; None where they do not all meet one ball."""
    rays = perspective_directions(SIZE * 4, SIZE * 4, VIEW.fov_degrees)
    rays = rays[4 * pixel[0] : 4 * pixel[0] + 4, 4 * pixel[1] : 4 * pixel[1] + 4].reshape(-1, 3)
    origins = np.tile(VIEW.eye.astype(float), (len(rays), 1))
    distance, face, uv = intersect(mesh, origins, rays)
    if not np.isfinite(distance).all() or len(np.unique(mesh.material[face])) > 1:
        return None
    weights = np.stack([1 - uv.sum(1), uv[:, 0], uv[:, 1]], axis=1)[..., None]
    point = origins + distance[:, None] * rays
    normal = unit((weights * mesh.normals[mesh.faces[face]]).sum(1))
    rest = (weights * mesh.rest[mesh.faces[face]]).sum(1)
    # Off the facet along the smooth normal, by more than the facet lies below the ball that it stands for.
    lit = ~np.isfinite(intersect(mesh, point + 0.02 * normal, np.tile(light, (len(rays), 1)))[0])
    cosine = (normal @ light).clip(0) * lit
    albedo = Painted().shade(rest, face).albedo
    return (albedo * cosine[:, None] / np.pi).mean(0), float(lit.mean())


@pytest.mark.parametrize("light", [(0.5, 0.4, 0.77), (0, 0, 1.0), (-0.7, 0.5, 0.5)])
def test_direct_light_and_shadows_are_those_of_brute_force(scene, light):
    light = unit(np.array(light))
    coverage, pictures = render_olats(Scene(scene), Painted(), VIEW, light[None], SIZE, lamp_radius=0, indirect=False)
    picture = next(pictures)
    rng = np.random.default_rng(0)
    rows, columns = np.nonzero(coverage == 1)
    chosen = rng.permutation(len(rows))[:60]
    checked = shadowed = 0
    for pixel in zip(rows[chosen], columns[chosen], strict=True):
        found = brute_force(scene, pixel, light)
        if found is None or 0 < found[1] < 1:  # where a shadow's edge crosses the pixel 4 and 16 samples differ
            continue
        checked += 1
        shadowed += found[1] == 0
        np.testing.assert_allclose(picture[pixel], found[0], rtol=0.01, atol=2e-3)
    assert checked > 40
    if light[0] == 0.5:
        assert shadowed > 0


def test_the_mask_is_the_share_of_the_pixel(scene):
    """A disc's area, to the precision of 16 rays a pixel."""
    coverage, _ = render_olats(Scene(ball((0, 0, 0), 0.5, SKIN)), Painted(), VIEW, np.array([[0, 0, 1.0]]), 64)
    distance = VIEW.eye[2]
    silhouette = 0.5 / np.sqrt(1 - (0.5 / distance) ** 2)  # of a ball seen from nearby
    expected = np.pi * silhouette**2 / VIEW.frame_height**2
    assert coverage.mean() == pytest.approx(expected, rel=0.01)
    edges = (coverage > 0) & (coverage < 1)
    assert edges.sum() > 40 and len(np.unique(coverage)) > 8


def test_pictures_are_premultiplied_with_the_mask(scene):
    coverage, pictures = render_olats(Scene(scene), Painted(), VIEW, np.array([[0, 0, 1.0]]), SIZE, indirect=False)
    picture = next(pictures)
    assert (picture[coverage == 0] == 0).all() and picture[coverage == 1].min() > 0


def test_a_sum_of_lights_is_the_sum_of_pictures(scene):
    """Light behind the two: each alone, and rendered in another block of another size."""
    lights = fibonacci_sphere(20)
    together = list(render_olats(Scene(scene), Painted(0.04), VIEW, lights, 24)[1])
    for index in (0, 7, 17):
        alone = next(render_olats(Scene(scene), Painted(0.04), VIEW, lights[index : index + 1], 24)[1])
        np.testing.assert_allclose(together[index], alone, atol=1e-6)


def test_no_more_light_is_reflected_than_falls_in(scene):
    """Under uniform light of radiance 1 nothing is brighter than it."""

    class White(Painted):
        def shade(self, rest, material):
            return Reflectance(np.ones((len(rest), 3)), np.full(len(rest), 0.5), np.full(len(rest), self.specular))

    for specular in (0.0, 0.04):
        coverage, pictures = render_olats(Scene(scene), White(specular), VIEW, fibonacci_sphere(200), 24)
        flat = sum(pictures) * (4 * np.pi / 200)
        inside = flat[coverage == 1]
        assert 0.85 < inside.mean() < 1.02 and np.percentile(inside, 99) < 1.1


def test_light_goes_sideways_below_skin_but_is_not_lost(scene):
    skin = ball((0, 0, 0), 0.8, SKIN)
    cloth = ball((0, 0, 0), 0.8, CLOTH)
    light = unit(np.array([[1.0, 0.0, 0.2]]))
    pictures = [next(render_olats(Scene(mesh), Painted(), VIEW, light, 96)[1]) for mesh in (skin, cloth)]
    total = [picture.sum(axis=(0, 1)) for picture in pictures]
    np.testing.assert_allclose(total[0], total[1], rtol=0.02)
    difference = np.abs(pictures[0] - pictures[1]).max(axis=(0, 1))
    assert difference[0] > 2 * difference[2] > 0  # red goes further than blue


@pytest.mark.parametrize("roughness", [0.3, 0.5, 0.7])
def test_uniform_light_is_mirrored_head_on_as_much_as_fresnel_says(roughness):
    straight = np.array([[0, 0, 1.0]])
    gloss = Gloss(straight, straight, np.array([roughness]), np.array([0.04]))
    lights = fibonacci_sphere(8000)
    total = np.mean([gloss.radiance(np.array([0]), light)[0] for light in lights]) * 4 * np.pi
    assert 0.025 < total < 0.05


def test_a_matte_surface_is_lambert():
    albedo = np.array([[0.2, 0.4, 0.6]])
    matte = Reflectance(albedo, np.array([0.5]), np.array([0.0]))
    for view in ([0, 0, 1.0], [0.999, 0, 0.04]):
        np.testing.assert_array_equal(diffuse_albedo(matte, np.array([[0, 0, 1.0]]), np.array([view])), albedo)


def test_turning_a_mesh_turns_its_normals_and_not_its_rest():
    mesh = ball((0, 0.2, 0), 0.5, SKIN)
    turned = mesh.moved(rotation(90, 0, 0))
    np.testing.assert_allclose(turned.vertices[:, 0], mesh.vertices[:, 2], atol=1e-6)
    np.testing.assert_allclose(turned.normals[:, 0], mesh.normals[:, 2], atol=1e-6)
    np.testing.assert_array_equal(turned.rest, mesh.rest)


def test_eyes_look_where_they_are_turned():
    eye = eyeball(np.array([0.1, 0, 0.3]), 0.1, yaw=20, pitch=0)
    apex = eye.vertices[eye.rest[:, 2].argmax()] - [0.1, 0, 0.3]
    np.testing.assert_allclose(unit(apex), [np.sin(np.radians(20)), 0, np.cos(np.radians(20))], atol=1e-3)
    outwards = (eye.normals * (eye.vertices - np.float32([0.1, 0, 0.3]))).sum(1)
    assert outwards.min() > 0
    hits = Scene(eye).first_hits(np.float32([[0.1, 0, 2]]), np.float32([[0, 0, -1]]))
    assert len(hits.ray) == 1
