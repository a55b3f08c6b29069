import json

import numpy as np
import pytest

from prepare_olat import main
from src.data.stage.synthetic.light_stage import make_light_stage
from src.data.stage.synthetic.people import Framing, sample_pose, sample_view
from src.data.stage.synthetic.sky import KINDS, make_environment
from src.utils.cli import InputError
from src.utils.image_io import read_linear, read_mask
from src.utils.sphere import pixel_solid_angles


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
    arguments = ["--synthetic", "2", "--num_lights", "9", "--num_envs", "3", "--image_size", "24", "--workers", "1"]
    arguments += ["--out_root", str(tmp_path / "set"), "--contact_sheet", str(tmp_path / "sheet.png")]
    arguments += ["--max_yaw", "40", "--focal_length", "50", "85", "--shot", "1.2", "1.5"]
    assert main(arguments) == 0
    subjects = tmp_path / "set" / "subjects"
    relit = read_linear(subjects / "ID002" / "relit" / "env_003.exr")
    assert relit.shape == (24, 24, 3) and relit.max() > 0
    assert read_linear(tmp_path / "sheet.png").std() > 0.05
    captures = tmp_path / "set" / "stage" / "olat"
    person = json.loads((captures / "ID001" / "person.json").read_text())
    assert 1 <= person["monk_tone"] <= 10 and abs(person["pose"]["yaw"]) <= 40
    assert 50 <= person["camera"]["focal_length_mm"] <= 85 and 1.2 <= person["camera"]["shot_heads"] <= 1.5
    mask = read_mask(captures / "ID001" / "mask.png")
    assert 0.2 < mask.mean() < 0.95
    stamp = (captures / "ID001" / "000.exr").stat().st_mtime_ns
    assert main(arguments) == 0
    assert (captures / "ID001" / "000.exr").stat().st_mtime_ns == stamp


def test_a_person_depends_on_seed_and_index_alone(tmp_path):
    options = {"lights": 4, "environments": 1, "size": 16}
    first = make_light_stage(tmp_path / "a", subjects=2, **options)
    (tmp_path / "b" / "olat" / "ID001").mkdir(parents=True)  # done by an earlier run, so not made again
    second = make_light_stage(tmp_path / "b", subjects=2, **options)
    (tmp_path / "c" / "olat" / "ID001").mkdir(parents=True)
    other = make_light_stage(tmp_path / "c", subjects=2, seed=1, **options)
    picture = read_linear(first / "ID002" / "002.exr")
    np.testing.assert_array_equal(picture, read_linear(second / "ID002" / "002.exr"))
    assert not np.array_equal(picture, read_linear(other / "ID002" / "002.exr"))
    assert not list((second / "ID001").iterdir())


@pytest.mark.parametrize(
    ("change", "named"),
    [({"lights": 5}, "lights"), ({"seed": 3}, "seed"), ({"framing": Framing(max_yaw=10)}, "framing")],
)
def test_a_stage_of_other_settings_is_refused(tmp_path, change, named):
    options = {"subjects": 1, "lights": 4, "environments": 0, "size": 8}
    make_light_stage(tmp_path / "a", **{**options, "subjects": 0})
    with pytest.raises(InputError, match=f"another {named}"):
        make_light_stage(tmp_path / "a", **{**options, **change})


def test_a_stage_of_an_older_version_is_refused_in_one_line(tmp_path, capsys):
    stage = tmp_path / "set" / "stage"
    stage.mkdir(parents=True)
    (stage / "stage.json").write_text('{"format": "synthetic light stage 1", "lights": 331, "size": 256, "seed": 0}')
    assert main(["--synthetic", "2", "--out_root", str(tmp_path / "set")]) == 2
    error = capsys.readouterr().err.strip()
    assert error.count("\n") == 0 and "older version" in error and "delete it" in error


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--max_yaw", "95"], "--max_yaw: 95"),
        (["--focal_length", "85", "50"], "--focal_length: 85 50"),
        (["--focal_length", "5", "50"], "--focal_length: 5 50"),
        (["--shot", "0.1", "2"], "--shot: 0.1 2"),
        (["--head_model", "nowhere"], "nowhere"),
    ],
)
def test_wrong_flags_of_the_stage(tmp_path, capsys, arguments, message):
    assert main(["--synthetic", "1", "--out_root", str(tmp_path / "set"), *arguments]) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "set").exists()


def test_poses_and_cameras_keep_to_what_is_asked():
    framing = Framing(max_yaw=80, focal_length=(35, 200), shot=(1, 3.5))
    rng = np.random.default_rng(0)
    poses = [sample_pose(rng, framing) for _ in range(400)]
    yaw = np.array([pose.yaw for pose in poses])
    assert np.abs(yaw).max() <= 80 and (yaw > 60).any() and (yaw < -60).any() and (np.abs(yaw) < 20).mean() > 0.3
    assert all(abs(pose.neck_yaw) <= 35 for pose in poses)
    for _ in range(50):
        view, about = sample_view(rng, framing)
        assert 2 * np.degrees(np.arctan(12 / about["focal_length_mm"])) == pytest.approx(view.fov_degrees)
        assert view.frame_height == pytest.approx(1.45 * about["shot_heads"])
