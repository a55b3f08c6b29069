"""The whole command, on small stages whose pictures are known in closed form."""

import json
import os
import shutil
import sys
import types
from pathlib import Path

import numpy as np
import OpenEXR
import pytest

from prepare_olat import main
from src.data.portrait.splits import make_splits, read_splits
from src.data.stage import mask as portrait_mask
from src.data.stage.captures import Capture
from src.data.stage.mask import mask_from_maximum, mask_source
from src.utils.cli import InputError
from src.utils.image_io import image_size, list_images, read_linear, read_mask, write_linear
from src.utils.sphere import perspective_directions, resize_environment, rotate_environment_y, sample_environment
from tests.tiny_stage import HEIGHT, WIDTH, ball_normals, write_stage


def run(root: Path, out: Path, *more: str) -> int:
    return main(
        [
            "--olat_root",
            str(root / "olat"),
            "--env_dir",
            str(root / "envs"),
            "--out_root",
            str(out),
            "--workers",
            "1",
            *more,
        ]
    )


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> Path:
    return write_stage(tmp_path_factory.mktemp("bühne"))


@pytest.fixture
def own_stage(stage, tmp_path) -> Path:
    return Path(shutil.copytree(stage, tmp_path / "stage"))


def test_layout_and_physics(stage, tmp_path):
    out = tmp_path / "set"
    assert run(stage, out) == 0
    subjects = sorted(path.name for path in (out / "subjects").iterdir())
    assert subjects == ["ID001", "ID002"]
    metadata = json.loads((out / "metadata.json").read_text())
    lights = metadata["light_sets"]["stage"]
    for subject in subjects:
        folder = out / "subjects" / subject
        assert {path.name for path in folder.iterdir()} == {"flat_lit.exr", "mask.png", "metadata.json", "relit"}
        olats = np.stack([read_linear(path) for path in list_images(stage / "olat" / subject) if path.stem != "mask"])
        for name in ("env_001", "env_002", "env_003"):
            c = np.array(lights["coefficients"][name])
            expected = np.einsum("lc,lhwc->hwc", c, olats)
            np.testing.assert_allclose(read_linear(folder / "relit" / f"{name}.exr"), expected, rtol=2e-3, atol=1e-4)
        flat = np.einsum("l,lhwc->hwc", lights["solid_angles"], olats)
        np.testing.assert_allclose(read_linear(folder / "flat_lit.exr"), flat, rtol=2e-3, atol=1e-4)
        np.testing.assert_array_equal(read_mask(folder / "mask.png"), ball_normals()[1])
    splits = json.loads((out / "splits.json").read_text())
    assert splits["val"]["environments"] == ["env_002"] and splits["val"]["subjects"] == []


def test_worker_processes_give_the_same_pictures(stage, tmp_path):
    assert run(stage, tmp_path / "one") == 0
    assert run(stage, tmp_path / "two", "--workers", "2") == 0
    for path in (tmp_path / "one" / "subjects").rglob("*.exr"):
        other = tmp_path / "two" / path.relative_to(tmp_path / "one")
        np.testing.assert_array_equal(read_linear(path), read_linear(other))


def test_little_memory_gives_the_same_pictures(stage, tmp_path):
    assert run(stage, tmp_path / "much") == 0
    little = 10 * 12 * HEIGHT * WIDTH / 1024**3  # six pictures of overhead, four left
    assert run(stage, tmp_path / "little", "--max_memory_gb", str(little)) == 0
    for path in (tmp_path / "much" / "subjects").rglob("*.exr"):
        other = tmp_path / "little" / path.relative_to(tmp_path / "much")
        np.testing.assert_allclose(read_linear(path), read_linear(other), rtol=1e-3, atol=1e-6)


def test_shards_together_make_the_whole(stage, tmp_path):
    out = tmp_path / "set"
    assert run(stage, out, "--shard", "1/2") == 0
    assert [path.name for path in (out / "subjects").iterdir()] == ["ID002"]
    assert run(stage, out, "--shard", "0/2") == 0
    assert len(list((out / "subjects").iterdir())) == 2


def test_resume_keeps_finished_and_redoes_half_written_subjects(stage, tmp_path, capsys):
    out = tmp_path / "set"
    assert run(stage, out) == 0
    finished = out / "subjects" / "ID001" / "relit" / "env_001.exr"
    stamp = finished.stat().st_mtime_ns
    half = out / "subjects" / "ID002"
    reference = read_linear(half / "relit" / "env_002.exr")
    (half / "metadata.json").unlink()
    (half / "relit" / "env_002.exr").write_bytes(b"cut off")
    (out / "subjects" / ".ID001.partial").mkdir()
    assert run(stage, out) == 0
    assert "1 of 2 subjects are finished" in capsys.readouterr().out
    assert finished.stat().st_mtime_ns == stamp
    np.testing.assert_array_equal(read_linear(half / "relit" / "env_002.exr"), reference)


def test_other_settings_do_not_mix_into_a_finished_set(stage, tmp_path, capsys):
    out = tmp_path / "set"
    assert run(stage, out) == 0
    assert run(stage, out, "--weights", "voronoi") == 2
    assert "other settings" in capsys.readouterr().err


def brighten(path: Path, factor: float) -> None:
    write_linear(path, factor * read_linear(path))


def flat_lit(out: Path, subject: str) -> float:
    return float(read_linear(out / "subjects" / subject / "flat_lit.exr").mean())


def test_new_captures_under_old_names_are_refused_by_name_and_made_again_when_asked(own_stage, tmp_path, capsys):
    out = tmp_path / "set"
    assert run(own_stage, out) == 0
    before = {subject: flat_lit(out, subject) for subject in ("ID001", "ID002")}
    stamp = (out / "subjects" / "ID002" / "flat_lit.exr").stat().st_mtime_ns
    for path in list_images(own_stage / "olat" / "ID001"):
        if path.stem != "mask":
            brighten(path, 2)
    assert run(own_stage, out) == 2
    error = capsys.readouterr().err
    assert "ID001 was made from other captures" in error and "--overwrite" in error and "ID002" not in error
    assert run(own_stage, out, "--overwrite") == 0
    assert flat_lit(out, "ID001") == pytest.approx(2 * before["ID001"], rel=1e-3)
    assert flat_lit(out, "ID002") == before["ID002"]
    assert (out / "subjects" / "ID002" / "flat_lit.exr").stat().st_mtime_ns == stamp
    assert run(own_stage, out) == 0


def test_one_changed_picture_of_the_same_size_and_date_is_noticed(own_stage, tmp_path, capsys):
    out, path = tmp_path / "set", own_stage / "olat" / "ID002" / "mask.png"
    assert run(own_stage, out) == 0
    data, status = path.read_bytes(), path.stat()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert run(own_stage, out) == 2
    assert "ID002 was made from other captures" in capsys.readouterr().err
    path.write_bytes(data)
    assert run(own_stage, out) == 0


def test_copied_captures_are_the_same(own_stage, tmp_path):
    assert run(own_stage, tmp_path / "set") == 0
    copy = Path(shutil.copytree(own_stage, tmp_path / "copy", copy_function=shutil.copyfile))
    stamp = (tmp_path / "set" / "subjects" / "ID001" / "flat_lit.exr").stat().st_mtime_ns
    assert run(copy, tmp_path / "set") == 0
    assert (tmp_path / "set" / "subjects" / "ID001" / "flat_lit.exr").stat().st_mtime_ns == stamp


def test_a_new_environment_under_an_old_name_is_refused_and_made_again_when_asked(own_stage, tmp_path, capsys):
    out, sky = tmp_path / "set", own_stage / "envs" / "env_002.hdr"
    assert run(own_stage, out) == 0
    relit = out / "subjects" / "ID001" / "relit" / "env_002.exr"
    before, size = read_linear(relit).mean(), sky.stat().st_size
    brighten(sky, 2)
    assert sky.stat().st_size == size  # only the exponents differ
    assert run(own_stage, out) == 2
    error = capsys.readouterr().err
    assert "other environments (env_002)" in error and "--overwrite" in error
    (own_stage / "envs" / "env_003.hdr").unlink()
    assert run(own_stage, out, "--overwrite") == 0
    assert read_linear(relit).mean() == pytest.approx(2 * before, rel=1e-3)
    for place in (out / "env_maps", relit.parent):
        assert sorted(path.stem for path in place.iterdir()) == ["env_001", "env_002"]


def test_another_mask_is_another_subject(stage, tmp_path, capsys):
    out = tmp_path / "set"
    assert run(stage, out) == 0
    assert run(stage, out, "--mask", "olat") == 2
    assert "ID001, ID002 were made from other captures, masks or settings" in capsys.readouterr().err
    assert run(stage, out, "--mask", "olat", "--overwrite") == 0
    assert json.loads((out / "subjects" / "ID001" / "metadata.json").read_text())["mask"] == "olat"


def test_environments_that_are_none_are_named(own_stage, tmp_path, capsys):
    (own_stage / "envs" / "sky.heic").write_bytes(b"x")
    (own_stage / "envs" / "__MACOSX").mkdir()
    assert run(own_stage, tmp_path / "set") == 0
    assert f"passed over in {own_stage / 'envs'}, no .hdr or .exr: __MACOSX, sky.heic\n" in capsys.readouterr().out


def test_a_bad_subject_stops_no_other(own_stage, tmp_path, capsys):
    break_truncated(own_stage)
    shutil.copytree(own_stage / "olat" / "ID001", own_stage / "olat" / "ID003")
    assert run(own_stage, tmp_path / "set") == 2
    output = capsys.readouterr()
    assert "007.exr" in output.err and "2 subjects under 3 environments" in output.out
    assert sorted(path.name for path in (tmp_path / "set" / "subjects").iterdir()) == ["ID001", "ID003"]


def test_rotations_and_exposure(stage, tmp_path):
    out = tmp_path / "set"
    assert run(stage, out, "--rotations", "4", "--normalize_exposure", "--val_envs", "env_002") == 0
    names = sorted(path.stem for path in (out / "env_maps").iterdir())
    assert len(names) == 12 and "env_001_r090" in names
    metadata = json.loads((out / "metadata.json").read_text())
    for name in ("env_001_r000", "env_001_r270"):
        entry = metadata["environments"][name]
        source = read_linear(stage / "envs" / "env_001.hdr")
        expected = rotate_environment_y(source, entry["rotation_degrees"]) * entry["exposure"]
        written = read_linear(out / "env_maps" / f"{name}.hdr")
        assert np.abs(written - expected).max() <= expected.max() / 128
        mean = resize_environment(written, 1, 2).mean(axis=(0, 1)) @ [0.2126, 0.7152, 0.0722]
        assert mean == pytest.approx(1, rel=0.01)
    splits = read_splits(out / "splits.json")
    assert splits["val"]["environments"] == [f"env_002_r{angle:03d}" for angle in (0, 90, 180, 270)]


def test_background_is_the_environment_behind_the_person(stage, tmp_path):
    assert run(stage, tmp_path / "black") == 0
    assert run(stage, tmp_path / "full", "--composite", "background", "--fov", "40") == 0
    black = read_linear(tmp_path / "black" / "subjects" / "ID001" / "relit" / "env_001.exr")
    full = read_linear(tmp_path / "full" / "subjects" / "ID001" / "relit" / "env_001.exr")
    _, mask = ball_normals()
    np.testing.assert_array_equal(full[mask == 1], black[mask == 1])
    rays = perspective_directions(HEIGHT, WIDTH, 40)
    behind = sample_environment(read_linear(stage / "envs" / "env_001.hdr"), rays)
    np.testing.assert_allclose(full[mask == 0], behind[mask == 0], rtol=2e-3, atol=1e-4)


def test_image_size_and_exposure(stage, tmp_path):
    assert run(stage, tmp_path / "small", "--image_size", "6", "--exposure", "2.5") == 0
    assert run(stage, tmp_path / "whole") == 0
    small = tmp_path / "small" / "subjects" / "ID001" / "relit" / "env_003.exr"
    assert image_size(small) == (6, 5)
    whole = read_linear(tmp_path / "whole" / "subjects" / "ID001" / "relit" / "env_003.exr")
    averaged = whole.reshape(6, 2, 5, 2, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(read_linear(small), 2.5 * averaged, rtol=3e-3, atol=1e-4)


def test_masks_from_the_olat_maximum(stage, tmp_path):
    assert run(stage, tmp_path / "set", "--mask", "olat") == 0
    mask = read_mask(tmp_path / "set" / "subjects" / "ID001" / "mask.png")
    truth = ball_normals()[1]
    overlap = ((mask > 0.5) & (truth > 0.5)).sum() / ((mask > 0.5) | (truth > 0.5)).sum()
    assert overlap > 0.8  # twelve pixels high, all but one of them at a border


def test_mask_maximum_fills_holes_and_drops_specks():
    picture = np.zeros((40, 40, 3), np.float32)
    picture[8:32, 10:30] = 0.5
    picture[15:18, 15:18] = 0  # pupils and nostrils
    picture[2, 2] = 0.5
    mask = mask_from_maximum(picture)
    assert mask[16, 16] == 1 and mask[2, 2] == 0 and mask[20, 20] == 1 and mask[20, 35] == 0


def test_rembg_masks(own_stage, tmp_path, monkeypatch, capsys):
    for subject in ("ID001", "ID002"):
        olats = [read_linear(path) for path in list_images(own_stage / "olat" / subject) if path.stem != "mask"]
        write_linear(own_stage / "olat" / subject / "full_light.exr", sum(olats))
    assert run(own_stage, tmp_path / "set", "--mask", "rembg") == 2
    assert "rembg is not installed" in capsys.readouterr().err
    fake = types.ModuleType("rembg")
    fake.new_session = lambda name: name
    fake.remove = lambda picture, session, only_mask: ((picture.max(axis=2) > 20) * 255).astype(np.uint8)
    monkeypatch.setitem(sys.modules, "rembg", fake)
    monkeypatch.setenv("U2NET_HOME", str(tmp_path))
    assert run(own_stage, tmp_path / "set", "--mask", "rembg") == 2
    assert "u2net_human_seg.onnx: the model file of rembg is missing" in capsys.readouterr().err
    assert not (tmp_path / "set").exists()
    (tmp_path / f"{portrait_mask._REMBG_MODEL}.onnx").write_bytes(b"weights")
    assert run(own_stage, tmp_path / "set", "--mask", "rembg") == 0
    mask = read_mask(tmp_path / "set" / "subjects" / "ID001" / "mask.png")
    assert (mask > 0.5).sum() > 0.9 * ball_normals()[1].sum()


def test_mask_sources_are_checked_before_anything_is_made():
    bare = Capture("ID1", "ID1", (Path("a/000.exr"),), "stage")
    assert mask_source(bare, "auto") == "olat"
    with pytest.raises(InputError, match=r"no mask\.png"):
        mask_source(bare, "given")
    with pytest.raises(InputError, match="no full-light picture"):
        mask_source(bare, "rembg")


def break_missing_light(root: Path) -> str:
    (root / "olat" / "ID002" / "007.exr").unlink()
    return "holds 23 pictures for 24 lights (number 7 is missing)"


def break_two_sizes(root: Path) -> str:
    write_linear(root / "olat" / "ID002" / "007.exr", np.ones((5, 5, 3), np.float32))
    return "007.exr: is 5 x 5"


def break_nan(root: Path) -> str:
    picture = np.ones((HEIGHT, WIDTH, 3), np.float32)
    picture[3, 3] = np.nan
    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    OpenEXR.File(header, {"RGB": picture}).write(str(root / "olat" / "ID002" / "007.exr"))
    return "007.exr: 3 of 360 values are NaN"


def break_light_count(root: Path) -> str:
    content = json.loads((root / "olat" / "lights.json").read_text())
    (root / "olat" / "lights.json").write_text(json.dumps({"directions": content["directions"][:-2]}))
    return "holds 24 pictures for 22 lights"


def break_environment_shape(root: Path) -> str:
    write_linear(root / "envs" / "env_002.hdr", np.ones((16, 24, 3), np.float32))
    return "env_002.hdr: is 24 x 16"


def break_avif(root: Path) -> str:
    (root / "olat" / "ID002" / "007.exr").unlink()
    (root / "olat" / "ID002" / "007.avif").write_bytes(b"\0\0\0\x1cftypavif garbage")
    return "007.avif"


def break_truncated(root: Path) -> str:
    path = root / "olat" / "ID002" / "007.exr"
    path.write_bytes(path.read_bytes()[:-200])
    return "007.exr"


def break_lights(root: Path) -> str:
    (root / "olat" / "lights.json").unlink()
    return "lights.json: no such file"


def break_environments(root: Path) -> str:
    shutil.rmtree(root / "envs")
    return "envs: no such folder"


@pytest.mark.parametrize(
    "break_it",
    [
        break_missing_light,
        break_two_sizes,
        break_nan,
        break_light_count,
        break_environment_shape,
        break_avif,
        break_truncated,
        break_lights,
        break_environments,
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing_half_written(own_stage, tmp_path, capsys, break_it):
    message = break_it(own_stage)
    out = tmp_path / "set"
    assert run(own_stage, out) == 2
    error = capsys.readouterr().err
    lines = [line for line in error.replace("\r", "\n").splitlines() if line.startswith("error:")]
    assert len(lines) == 1 and message in lines[0], error
    assert "Traceback" not in error
    assert not (out / "subjects" / "ID002").exists()
    assert not [path for path in out.rglob(".*")]  # no hidden leftovers


def test_bad_input_in_a_worker_process_is_one_line_too(own_stage, tmp_path, capsys):
    break_nan(own_stage)
    assert run(own_stage, tmp_path / "set", "--workers", "2") == 2
    assert "values are NaN" in capsys.readouterr().err
    assert not (tmp_path / "set" / "subjects" / "ID002").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out_root", "x"], "both are needed"),
        (["--out_root", "x", "--synthetic", "2", "--olat_root", "y"], "captures of its own"),
        (["--out_root", "x", "--synthetic", "2", "--shard", "0/2"], "made by one run"),
        (["--out_root", "x", "--synthetic", "0"], "above 0"),
    ],
)
def test_wrong_flags(arguments, message, capsys):
    assert main(arguments) == 2
    assert message in capsys.readouterr().err


def test_too_little_memory_says_how_much_is_needed(stage, tmp_path, capsys):
    assert run(stage, tmp_path / "set", "--max_memory_gb", "1e-6") == 2
    assert "give at least" in capsys.readouterr().err


def test_splits_never_mix():
    subjects = {f"ID{n:03d}": f"person{n // 2}" for n in range(20)}
    environments = {f"env_{n}_r{r}": f"env_{n}" for n in range(6) for r in (0, 90)}
    splits = make_splits(subjects, environments, ["2"], ["env_3"])
    held = {subjects[name] for name in splits["val"]["subjects"]}
    assert len(held) == 2 and not held & {subjects[name] for name in splits["train"]["subjects"]}
    assert splits["val"]["environments"] == ["env_3_r0", "env_3_r90"]
    with pytest.raises(InputError, match="there is no env_9"):
        make_splits(subjects, environments, None, ["env_9"])
    with pytest.raises(InputError, match="none to train on"):
        make_splits(subjects, environments, None, ["6"])


def test_new_subjects_do_not_move_old_ones_between_the_splits(stage, tmp_path):
    root = Path(shutil.copytree(stage, tmp_path / "stage"))
    out = tmp_path / "set"
    assert run(root, out, "--val_subjects", "ID002") == 0
    shutil.copytree(root / "olat" / "ID001", root / "olat" / "ID000")
    assert run(root, out) == 0
    splits = read_splits(out / "splits.json")
    assert splits["val"]["subjects"] == ["ID002"] and splits["train"]["subjects"] == ["ID000", "ID001"]
