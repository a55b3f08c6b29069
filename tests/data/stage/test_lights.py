import json

import numpy as np
import pytest

from src.data.stage.lights import fit_sphere, read_lights
from src.utils.cli import InputError
from src.utils.sphere import fibonacci_sphere


def test_sphere_fit_finds_centre_and_radius():
    centre = np.array([608.5, 1554.7, 534.5])
    points = centre + 1705 * fibonacci_sphere(331) + np.random.default_rng(0).normal(0, 5, (331, 3))
    found, radius, residual = fit_sphere(points)
    np.testing.assert_allclose(found, centre, atol=2)
    assert abs(radius - 1705) < 2 and residual < 0.01


def test_sphere_fit_of_a_dome_without_its_lower_part():
    points = np.array([10.0, 20, 30]) + 3 * fibonacci_sphere(200)[:120]
    found, radius, _ = fit_sphere(points)
    np.testing.assert_allclose(found, [10, 20, 30], atol=1e-6)
    assert abs(radius - 3) < 1e-6


@pytest.mark.parametrize("form", ["directions", "positions", "text", "centred"])
def test_every_form_gives_the_same_directions(tmp_path, form):
    directions = fibonacci_sphere(50)
    if form == "directions":
        path = tmp_path / "lights.json"
        path.write_text(json.dumps({"directions": (7 * directions).tolist()}))
    elif form == "positions":
        path = tmp_path / "lights.json"
        path.write_text(json.dumps({"light_positions": (1700 * directions + [600, 1500, 500]).tolist()}))
    else:
        path = tmp_path / "lichter ä.txt"
        offset = [0, 0, 0] if form == "centred" else [1, 2, 3]
        rows = [f"{x:.9f}, {y:.9f} {z:.9f}  # lamp" for x, y, z in 2 * directions + offset]
        path.write_text("# positions in metres\n\n" + "\n".join(rows), encoding="utf-8")
    np.testing.assert_allclose(read_lights(path), directions, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("lights.json", "{", "is not JSON"),
        ("lights.json", "{}", "neither directions nor positions"),
        ("lights.json", '{"directions": [[1, 0], [0, 1]]}', "two lights of three numbers"),
        ("lights.json", '{"directions": [[1, 0, 0], [0, 0, 0]]}', "lies in the centre"),
        ("lights.json", '{"directions": [[1, 0, 0], [2, 0, 0]]}', "same direction"),
        ("lights.json", '{"directions": [[1, 0, 0], [NaN, 0, 0]]}', "not finite"),
        ("lights.txt", "1 2 three", "could not convert"),
        ("lights.txt", "1 2 3", "two lights"),
    ],
)
def test_wrong_light_files_are_named(tmp_path, name, content, problem):
    path = tmp_path / name
    path.write_text(content)
    with pytest.raises(InputError, match=problem) as caught:
        read_lights(path)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_positions_off_a_sphere_are_refused(tmp_path):
    path = tmp_path / "lights.txt"
    np.savetxt(path, np.random.default_rng(0).uniform(0, 1, (60, 3)) * [10, 1, 1])
    with pytest.raises(InputError, match="do not lie on a sphere"):
        read_lights(path)
