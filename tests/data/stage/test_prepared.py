"""The stage of a prepared set: opened as it was prepared, or refused where flags and files say otherwise."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from src.data.stage.prepared import open_prepared_stage
from src.data.stage.settings import Settings
from src.utils.cli import InputError
from src.utils.image_io import read_linear, write_linear
from tests.tiny_stage import write_set, write_stage


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    root = write_stage(tmp_path_factory.mktemp("stage"), suffix=".png")
    write_set(root, "--exposure", "4", "--transfer", "gamma22", "--fov", "60", "--weights", "voronoi")
    return root


@pytest.fixture
def root(made, tmp_path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "own"))


def open_it(root: Path, subjects=("ID001", "ID002"), lights: Path | None = None):
    return open_prepared_stage(root / "set", root / "olat", lights, subjects)


def test_settings_and_order_are_those_of_the_preparation(root):
    stage, said = open_it(root)
    assert stage.settings == Settings(exposure=4.0, transfer="gamma22", fov_degrees=60.0, weights="voronoi")
    assert [capture.name for capture in stage.captures] == ["ID001", "ID002"]
    for capture in stage.captures:
        assert [path.name for path in capture.images] == [f"{light:03d}.png" for light in range(24)]
        assert capture.mask == root / "set" / "subjects" / capture.name / "mask.png"
    given = np.array(json.loads((root / "olat" / "lights.json").read_text())["directions"])
    np.testing.assert_allclose(stage.light_sets["stage"], given, atol=1e-6)
    assert len(said) == 1 and "gamma22 transfer, voronoi weights, exposure 4, field of view 60" in said[0]


def test_captures_of_subjects_that_were_not_prepared_are_left_out_in_one_line(root):
    for name in ("ID009", "ID010"):
        shutil.copytree(root / "olat" / "ID001", root / "olat" / name)
        (root / "olat" / name / "003.png").unlink()  # not even complete
    (root / "olat" / "__MACOSX").mkdir()
    (root / "olat" / "__MACOSX" / "._ID001").write_bytes(b"x")
    stage, said = open_it(root)
    assert len(stage.captures) == 2
    assert said[1:] == [f"left out: captures of ID009, ID010, which {root / 'set'} was not prepared from"]


def test_held_out_subjects_are_neither_taken_nor_called_left_out(root):
    stage, said = open_it(root, subjects=["ID002"])
    assert [capture.name for capture in stage.captures] == ["ID002"] and len(said) == 1


def test_subjects_without_captures_are_said(root):
    shutil.rmtree(root / "olat" / "ID001")
    stage, said = open_it(root)
    assert [capture.name for capture in stage.captures] == ["ID002"]
    assert said[1].endswith("trained on as pairs alone: ID001")


def test_other_lights_than_those_of_the_preparation_are_refused(root, tmp_path):
    path = root / "olat" / "lights.json"
    directions = np.array(json.loads(path.read_text())["directions"])
    turned = tmp_path / "turned.json"
    turned.write_text(json.dumps({"directions": directions[:, [2, 1, 0]].tolist()}))
    with pytest.raises(InputError, match=r"turned\.json: its lights are not those"):
        open_it(root, lights=turned)
    path.write_text(turned.read_text())
    with pytest.raises(InputError, match=r"lights\.json: its lights are not those"):
        open_it(root)
    path.unlink()  # then there is nothing that says otherwise
    assert len(open_it(root)[0].captures) == 2


def test_captures_that_changed_since_are_refused(root):
    path = root / "olat" / "ID002" / "004.png"
    write_linear(path, 0.5 * read_linear(path))
    with pytest.raises(InputError, match="ID002: has changed since"):
        open_it(root)
    path.unlink()
    with pytest.raises(InputError, match=r"ID002: has no 004\.png"):
        open_it(root)


def test_a_set_half_made_again_is_refused(root):
    path = root / "set" / "subjects" / "ID001" / "metadata.json"
    record = json.loads(path.read_text())
    record["made_from"]["set"] = "another"
    path.write_text(json.dumps(record))
    with pytest.raises(InputError, match="ID001: was made from other settings"):
        open_it(root)


def test_sets_of_other_origin_have_the_default_settings(root):
    (root / "set" / "metadata.json").unlink()
    stage, said = open_it(root)
    assert stage.settings == Settings() and "by default" in said[0]


def test_sets_of_earlier_versions_have_their_settings_too(root):
    for subject in ("ID001", "ID002"):
        path = root / "set" / "subjects" / subject / "metadata.json"
        record = json.loads(path.read_text())
        del record["captures"], record["made_from"]
        path.write_text(json.dumps(record))
    shutil.copytree(root / "olat" / "ID001", root / "olat" / "ID003")
    stage, said = open_it(root)
    assert stage.settings.exposure == 4 and stage.captures[1].images[5].name == "005.png"
    assert "left out: captures of ID003" in said[1]
