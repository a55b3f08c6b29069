import json
from pathlib import Path

import numpy as np
import pytest

from prepare_olat import main
from src.data.stage.synthetic import clips
from src.data.stage.synthetic.clips import LIGHTINGS, ClipJob, ClipSettings, make_clips
from src.data.stage.synthetic.people import Framing
from src.utils.cli import InputError
from src.utils.image_io import read_linear, read_mask, write_linear

SETTINGS = ClipSettings(lights=5, size=24, frames=3, framing=Framing(shot=(1.2, 1.4)))


def frames(folder: Path, name: str) -> list[np.ndarray]:
    return [read_linear(folder / name / f"{index:03d}.exr") for index in range(SETTINGS.frames)]


@pytest.fixture(scope="module")
def filmed(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("clips")
    make_clips(root, 1, SETTINGS)
    return root


def test_a_clip_holds_all_frames_and_what_is_true_of_them(filmed):
    folder = filmed / "CLIP001"
    about = json.loads((folder / "clip.json").read_text())
    assert about["frames"] == len(about["motion"]) == len(about["turning_degrees"]) == SETTINGS.frames
    assert about["split"] == "train" and about["frames_per_second"] == 24 and about["turning_degrees"][0] == 0
    pictures = {name: frames(folder, name) for name in LIGHTINGS}
    masks = [read_mask(folder / "mask" / f"{index:03d}.png") for index in range(SETTINGS.frames)]
    for name in LIGHTINGS:
        assert all(picture.shape == (24, 24, 3) for picture in pictures[name])
        assert all((picture[mask == 0] == 0).all() for picture, mask in zip(pictures[name], masks, strict=True))
    # Light that has not begun to turn is the light that stays; then it is another.
    np.testing.assert_array_equal(pictures["turning"][0], pictures["still"][0])
    assert not np.allclose(pictures["turning"][2], pictures["still"][2], rtol=0.02)
    assert sorted(path.name for path in (folder / "flow").iterdir()) == ["001.exr", "002.exr"]
    flow = read_linear(folder / "flow" / "001.exr")
    assert set(np.unique(flow[..., 2])) == {0, 1} and flow[masks[1] == 1, 2].mean() > 0.8


def test_light_of_a_file_is_that_of_the_file(tmp_path):
    """Uniform light of half the flat light's radiance, from files that a val clip does not share with a train one."""
    paths = []
    for index in range(2):
        paths.append(tmp_path / f"env_{index}.hdr")
        write_linear(paths[-1], np.full((8, 16, 3), 0.5 + index, np.float32))
    make_clips(tmp_path / "clips", 2, SETTINGS, environments=tuple(paths))
    for number, (split, level) in enumerate((("train", 0.5), ("val", 1.5)), start=1):
        folder = tmp_path / "clips" / f"CLIP{number:03d}"
        about = json.loads((folder / "clip.json").read_text())
        assert about["split"] == split and about["environment"]["source"] == f"env_{number - 1}.hdr"
        for flat, still, turning in zip(*(frames(folder, name) for name in LIGHTINGS), strict=True):
            np.testing.assert_allclose(still, level * flat, rtol=0.01, atol=1e-4)
            np.testing.assert_allclose(turning, level * flat, rtol=0.01, atol=1e-4)


def test_clips_that_are_there_are_kept_and_others_refused(filmed):
    stamp = (filmed / "CLIP001" / "clip.json").stat().st_mtime_ns
    make_clips(filmed, 1, SETTINGS)
    assert (filmed / "CLIP001" / "clip.json").stat().st_mtime_ns == stamp
    with pytest.raises(InputError, match="another seed"):
        make_clips(filmed, 1, ClipSettings(lights=5, size=24, frames=3, seed=4, framing=Framing(shot=(1.2, 1.4))))


def test_the_command_makes_clips_alone(tmp_path, monkeypatch, capsys):
    jobs: list[ClipJob] = []
    monkeypatch.setattr(clips, "make_clip", jobs.append)
    out = tmp_path / "set"
    flags = ["--num_lights", "9", "--image_size", "32", "--seed", "3", "--max_yaw", "20", "--workers", "1"]
    assert main(["--clips", "2", "--out_root", str(out), *flags]) == 0
    assert [job.folder.name for job in jobs] == ["CLIP001", "CLIP002"]
    settings = jobs[0].settings
    assert (settings.lights, settings.size, settings.seed, settings.frames) == (9, 32, 3, 48)
    assert settings.framing.max_yaw == 20
    assert [path.name for path in out.iterdir()] == ["clips"]
    assert "2 clips of 48 frames" in capsys.readouterr().out
    assert main(["--clips", "2", "--out_root", str(out), "--contact_sheet", str(tmp_path / "sheet.png")]) == 2
    assert "--contact_sheet" in capsys.readouterr().err
    assert main(["--clips", "2", "--out_root", str(out), "--head_model", "nowhere"]) == 2
    assert "nowhere" in capsys.readouterr().err
