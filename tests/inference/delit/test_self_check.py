"""The residual is small under the true light and large under another."""

import json
from pathlib import Path

import numpy as np
import pytest

from src.data.stage.captures import open_stage
from src.inference.crops import whole_picture
from src.inference.delit.delighter import Delighted
from src.inference.delit.self_check import SelfCheck, ellipsoid_normals, residuals
from src.inference.prediction import Prediction
from src.utils.cli import InputError
from src.utils.image_io import read_linear
from src.utils.sphere import rotate_environment_y, sh_irradiance, sh_project
from tests.tiny_stage import write_stage


def result(environment, flat_lit, crop=None):
    crop = crop or whole_picture(*flat_lit.shape[:2])
    return Delighted(flat_lit, Prediction(np.zeros((4, 4, 3)), 0.01, None, environment, None), crop, "")


def one_sided(rows=16):
    """Bright at the left of the camera, dim elsewhere."""
    environment = np.full((rows, 2 * rows, 3), 0.2, np.float32)
    environment[rows // 4 : 3 * rows // 4, rows // 2 - 2 : rows // 2 + 3] = 5.0
    return environment


@pytest.fixture(scope="module")
def stage(tmp_path_factory):
    return write_stage(tmp_path_factory.mktemp("stage"), subjects=2, lights=40, environments=1) / "olat"


def lit_by(stage, subject, environment):
    check = SelfCheck(open_stage(stage))
    coefficients = check._cells["stage"].integrate(environment)
    paths = sorted((stage / subject).glob("*.exr"))
    return check, sum(read_linear(path) * weight for path, weight in zip(paths, coefficients, strict=True))


def test_by_olats_the_true_environment_explains_the_picture(stage, tmp_path):
    environment = one_sided()
    check, relit = lit_by(stage, "ID002", environment)
    flat_lit = np.ones_like(relit)
    source = tmp_path / "ID002" / "relit" / "env_1.exr"
    true = check.of_picture(source, relit, result(environment, flat_lit))
    assert true["method"] == "olat" and true["subject"] == "ID002"
    assert true["log_rmse"] < 1e-4 and true["psnr_db"] > 80 and true["exposure_ratio"] == pytest.approx(1, abs=1e-4)
    wrong = check.of_picture(source, relit, result(rotate_environment_y(environment, 120), flat_lit))
    assert wrong["log_rmse_scaled"] > 0.2 and wrong["psnr_db"] < 30
    doubled = check.of_picture(source, relit, result(2 * environment, flat_lit))
    assert doubled["exposure_ratio"] == pytest.approx(2, rel=0.05) and doubled["log_rmse_scaled"] < 0.05
    by_name = check.of_picture(tmp_path / "ID001.png", relit, result(environment, flat_lit))
    assert by_name["subject"] == "ID001"


def test_olats_of_another_framing_are_refused(stage, tmp_path):
    check = SelfCheck(open_stage(stage))
    picture = np.ones((10, 30, 3), np.float32)
    with pytest.raises(InputError, match="framing"):
        check.of_picture(tmp_path / "ID001.png", picture, result(one_sided(), picture))


def test_without_captures_shading_follows_the_environment(tmp_path):
    environment = one_sided()
    crop = whole_picture(96, 96)
    normals, _ = ellipsoid_normals(96, 96, crop)
    shading = sh_irradiance(sh_project(environment), normals).clip(0, None) / np.pi
    flat_lit = np.random.default_rng(0).uniform(0.2, 0.8, (96, 96, 3)).astype(np.float32)
    relit = (flat_lit * shading).astype(np.float32)
    check = SelfCheck()
    true = check.of_picture(tmp_path / "a.png", relit, result(environment, flat_lit))
    assert true["method"] == "sh" and true["correlation"] > 0.99 and true["relative_residual"] < 0.1
    mirrored = check.of_picture(tmp_path / "a.png", relit, result(environment[:, ::-1], flat_lit))
    assert mirrored["correlation"] < 0
    json.dumps(true)


def test_normals_point_outwards_in_the_cameras_frame():
    normals, inside = ellipsoid_normals(100, 80, whole_picture(100, 80))
    np.testing.assert_allclose(np.linalg.norm(normals[inside], axis=-1), 1, atol=1e-9)
    rows, columns = np.nonzero(inside)
    assert normals[rows.min(), 40, 1] > 0.5 and normals[rows.max(), 40, 1] < -0.5
    assert normals[int(rows.mean()), columns.min(), 0] < -0.5 and normals[int(rows.mean()), 40, 2] > 0.95


def test_residuals_count_within_the_mask_alone():
    truth = np.full((4, 4, 3), 0.5, np.float32)
    rendered = truth.copy()
    rendered[0] = 9.0
    mask = np.ones((4, 4), bool)
    mask[0] = False
    assert residuals(truth, rendered, mask)["log_rmse"] == 0
    assert residuals(truth, rendered, ~mask)["log_rmse"] == pytest.approx(np.log(9.005 / 0.505), rel=1e-4)


@pytest.mark.parametrize(("shape", "radiance"), [((1, 64, 3), 0.5), ((1, 1, 3), 0.5), ((64, 64, 3), 0.0)])
def test_where_there_is_nothing_to_compare_the_report_says_so(shape, radiance):
    picture = np.full(shape, radiance, np.float32)
    shown = Prediction(np.zeros((4, 4, 3)), 0.01, None, np.ones((16, 32, 3), np.float32), None)
    result = Delighted(picture, shown, whole_picture(*shape[:2]), "")
    report = SelfCheck().of_picture(Path("a.png"), picture, result)
    json.loads(json.dumps(report, allow_nan=False))
    if radiance == 0 or shape[0] == 1 < shape[1]:
        assert report["method"].startswith("none")
