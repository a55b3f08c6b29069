import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from src.utils import sphere

sizes = st.tuples(st.integers(1, 40), st.integers(1, 80))
angles = st.floats(-720, 720)


def random_rotation(seed: int) -> np.ndarray:
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(3, 3)))
    q = q * np.sign(np.diag(r))
    return q * np.sign(np.linalg.det(q))


def smooth_environment(height: int) -> np.ndarray:
    d = sphere.pixel_directions(height, 2 * height)
    return np.stack([1.5 + d @ v for v in ([0.3, 0.8, 0.2], [1, 0, 0], [0.1, -0.5, 0.7])], axis=-1).astype(np.float32)


@given(sizes)
def test_solid_angles_cover_the_sphere_at_every_size(size):
    solid_angles = sphere.pixel_solid_angles(*size)
    assert solid_angles.shape == size
    assert abs(solid_angles.sum() - 4 * math.pi) < 1e-9


def test_solid_angle_is_the_usual_formula_for_many_rows():
    theta = math.pi * 300.5 / 1024
    expected = math.sin(theta) * (math.pi / 1024) * (2 * math.pi / 2048)
    assert sphere.pixel_solid_angles(1024, 2048)[300, 7] == pytest.approx(expected, rel=1e-6)


def test_directions_follow_the_written_convention():
    d = sphere.pixel_directions(128, 256)
    t, p = math.pi * 10.5 / 128, 2 * math.pi * 77.5 / 256
    expected = [math.sin(t) * math.sin(p), math.cos(t), -math.sin(t) * math.cos(p)]
    np.testing.assert_allclose(d[10, 77], expected, atol=1e-12)
    assert d[0, :, 1].min() > 0.99  # row 0 is the zenith
    assert d[64, 128, 2] > 0.99  # the centre column is behind the camera, on +Z
    assert d[64, 64, 0] > 0.99  # a quarter of the way is +X


@given(sizes, st.integers(0, 2**31))
def test_direction_to_pixel_inverts_pixel_directions(size, seed):
    rows, columns = sphere.direction_to_pixel(sphere.pixel_directions(*size) * (1 + seed % 5), *size)
    np.testing.assert_allclose(rows, np.broadcast_to(np.arange(size[0])[:, None], size), atol=1e-6)
    wrapped = (columns - np.arange(size[1]) + size[1] / 2) % size[1] - size[1] / 2
    np.testing.assert_allclose(wrapped, 0, atol=1e-6)


@given(sizes, st.integers(0, 1000))
def test_sampling_at_pixel_centres_returns_the_pixels(size, seed):
    environment = np.random.default_rng(seed).uniform(0, 5, (*size, 3)).astype(np.float32)
    np.testing.assert_allclose(
        sphere.sample_environment(environment, sphere.pixel_directions(*size)), environment, atol=1e-4
    )


@pytest.mark.parametrize("width", [16, 17])
def test_sampling_has_no_seam_and_no_pole(width):
    rng = np.random.default_rng(0)
    environment = rng.uniform(0, 1, (8, width, 3)).astype(np.float32)
    step = 1e-5
    for azimuth in rng.uniform(0, 2 * math.pi, 20):
        towards = np.array([math.sin(azimuth), 0, -math.cos(azimuth)])
        for pole in ([0, 1.0, 0], [0, -1.0, 0]):
            ahead = sphere.sample_environment(environment, np.array(pole) + step * towards)
            behind = sphere.sample_environment(environment, np.array(pole) - step * towards)
            np.testing.assert_allclose(ahead, behind, atol=1e-3)
    for y in (-0.7, 0.1, 0.8):
        left, right = [[-step, y, -1.0], [step, y, -1.0]]
        np.testing.assert_allclose(
            sphere.sample_environment(environment, np.array(left)),
            sphere.sample_environment(environment, np.array(right)),
            atol=1e-3,
        )


@given(st.floats(-1, 1), st.floats(-1, 1), st.floats(-1, 1))
def test_sampling_stays_within_the_maps_range(x, y, z):
    environment = np.random.default_rng(1).uniform(2, 3, (5, 10, 3)).astype(np.float32)
    value = sphere.sample_environment(environment, np.array([x, y, z]))
    assert np.isfinite(value).all() and value.min() >= 2 - 1e-5 and value.max() <= 3 + 1e-5


@given(angles)
def test_turning_about_y_conserves_energy_and_agrees_with_the_general_rotation(degrees):
    environment = smooth_environment(48)
    turned = sphere.rotate_environment_y(environment, degrees)
    np.testing.assert_allclose(turned.sum(axis=1), environment.sum(axis=1), rtol=1e-5)
    general = sphere.rotate_environment(environment, sphere.rotation_y(degrees))
    np.testing.assert_allclose(turned, general, atol=5e-3)


def test_a_quarter_turn_moves_a_light_from_x_to_minus_z():
    environment = np.zeros((32, 64, 3), np.float32)
    rows, columns = sphere.direction_to_pixel(np.array([1.0, 0, 0]), 32, 64)
    environment[round(float(rows)), round(float(columns))] = 1
    turned = sphere.rotate_environment_y(environment, 90)
    where = np.unravel_index(turned[..., 0].argmax(), (32, 64))
    direction = sphere.pixel_directions(32, 64)[where]
    assert direction @ (sphere.rotation_y(90) @ [1, 0, 0]) > 0.98 and direction[2] < -0.98


@given(st.integers(0, 1000))
@settings(max_examples=20)
def test_general_rotation_moves_what_it_says(seed):
    rotation = random_rotation(seed)
    environment = smooth_environment(64)
    turned = sphere.rotate_environment(environment, rotation)
    d = sphere.pixel_directions(64, 128)
    expected = sphere.sample_environment(environment, d @ rotation)
    np.testing.assert_array_equal(turned, expected)
    back = sphere.rotate_environment(turned, rotation.T)
    np.testing.assert_allclose(back, environment, atol=0.02)


@given(sizes, sizes, st.integers(0, 1000))
@settings(max_examples=40)
def test_resizing_conserves_energy(old, new, seed):
    environment = np.random.default_rng(seed).uniform(0, 100, (*old, 3)).astype(np.float32)
    resized = sphere.resize_environment(environment, *new)

    def energy(e):
        return (e * sphere.pixel_solid_angles(*e.shape[:2])[..., None]).sum(axis=(0, 1))

    np.testing.assert_allclose(energy(resized), energy(environment), rtol=1e-4)
    assert resized.min() >= environment.min() - 1e-3 and resized.max() <= environment.max() + 1e-3


def test_a_suns_energy_survives_resizing_where_plain_area_averaging_loses_it():
    environment = np.zeros((128, 256, 3), np.float32)
    environment[9, 40] = 2e4
    before = (environment * sphere.pixel_solid_angles(128, 256)[..., None]).sum()
    small = sphere.resize_environment(environment, 16, 32)
    after = (small * sphere.pixel_solid_angles(16, 32)[..., None]).sum()
    assert after == pytest.approx(before, rel=1e-5)
    plain = environment.reshape(16, 8, 32, 8, 3).mean(axis=(1, 3))
    assert abs((plain * sphere.pixel_solid_angles(16, 32)[..., None]).sum() / before - 1) > 0.05


def test_spherical_harmonics_are_orthonormal():
    basis = sphere.sh_basis(sphere.pixel_directions(128, 256)).reshape(-1, 9)
    gram = basis.T @ (basis * sphere.pixel_solid_angles(128, 256).reshape(-1, 1))
    np.testing.assert_allclose(gram, np.eye(9), atol=2e-4)


def test_irradiance_of_a_uniform_environment_is_pi_and_of_a_smooth_one_exact():
    normals = random_rotation(3)
    uniform = sphere.sh_irradiance(sphere.sh_project(np.ones((64, 128, 3), np.float32)), normals)
    np.testing.assert_allclose(uniform, math.pi, rtol=1e-4)
    environment = smooth_environment(64)  # order 1: the cosine integral is exact
    d = sphere.pixel_directions(64, 128).reshape(-1, 3)
    cosine = (d @ normals.T).clip(0, None) * sphere.pixel_solid_angles(64, 128).reshape(-1, 1)
    exact = cosine.T @ environment.reshape(-1, 3)
    np.testing.assert_allclose(sphere.sh_irradiance(sphere.sh_project(environment), normals), exact, rtol=2e-3)


@given(st.integers(2, 40), st.integers(0, 1000))
@settings(max_examples=25)
def test_voronoi_cells_are_the_nearest_lights(count, seed):
    lights = np.random.default_rng(seed).normal(size=(count, 3))
    lights /= np.linalg.norm(lights, axis=1, keepdims=True)
    cells = sphere.voronoi_cells(lights, 12, 24)
    d = sphere.pixel_directions(12, 24)
    angle = np.arccos((d @ lights.T).clip(-1, 1))
    chosen = np.take_along_axis(angle, cells[..., None], axis=2)[..., 0]
    np.testing.assert_allclose(chosen, angle.min(axis=2), atol=1e-7)
    indices, cosines = sphere.nearest_lights(lights, d.reshape(-1, 3), count=2)
    assert (cosines[0] >= cosines[1]).all() and (indices[0] != indices[1]).all()


@given(st.integers(0, 1000))
def test_mirroring_twice_is_nothing_and_mirrors_directions(seed):
    environment = np.random.default_rng(seed).uniform(0, 1, (9, 18, 3)).astype(np.float32)
    flipped = sphere.flip_environment(environment)
    np.testing.assert_array_equal(sphere.flip_environment(flipped), environment)
    d = sphere.pixel_directions(9, 18) * [-1, 1, 1]
    np.testing.assert_allclose(sphere.sample_environment(environment, d), flipped, atol=1e-4)


def test_perspective_rays_open_by_the_field_of_view():
    rays = sphere.perspective_directions(401, 201, 30.0)
    np.testing.assert_allclose(rays[200, 100], [0, 0, -1], atol=1e-12)
    top = math.degrees(math.acos(-rays[0, 100, 2]))
    assert top == pytest.approx(15.0, abs=0.05)
    assert rays[0, 100, 1] > 0 and rays[200, 200, 0] > 0
    assert rays[200, 200, 0] / -rays[200, 200, 2] == pytest.approx(math.tan(math.radians(15)) * 200 / 401, rel=1e-6)
