"""The whole command on a tiny light stage."""

import json
import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import torch

import evaluate
from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.layout import choose_pairs, find_pairs
from src.data.portrait.splits import read_splits
from src.data.stage.lights import read_lights
from src.data.stage.olat import LightCells
from src.evaluation.delit.methods import model_method
from src.evaluation.delit.quality import STRATA, measure_methods, skin_stratum
from src.evaluation.delit.run import run
from src.models import delit_model, shipped
from src.models.delit_model import CHECKPOINT_KIND, DelitConfig, DelitModel
from src.utils import checkpoint
from src.utils.cli import InputError
from src.utils.image_io import image_size, read_linear, write_linear
from src.utils.metrics import LPIPS_BACKBONES
from src.utils.video_io import VideoWriter
from tests.tiny_runs import one_error_line
from tests.tiny_stage import write_set, write_stage

SIZES = {"image_size": 16, "env_height": 16, "env_width": 32}


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> Path:
    """``olat``, ``envs`` and the training set ``set`` made from them."""
    root = write_stage(tmp_path_factory.mktemp("bühne"), subjects=4, environments=4)
    write_set(root, "--val_subjects", "2", "--val_envs", "2")
    return root


@pytest.fixture(scope="module")
def checkpoints(stage) -> list[Path]:
    """Random weights of both architectures."""
    paths = []
    for arch in ("attention", "simplified"):
        torch.manual_seed(0)
        config = DelitConfig(arch, base_dim=32, **SIZES)
        state = {"config": asdict(config), "state": DelitModel(config).state_dict()}
        paths.append(stage / arch / "checkpoint_best.pth")
        checkpoint.write(paths[-1], CHECKPOINT_KIND, {"model": state})
    return paths


@pytest.fixture(autouse=True)
def no_lpips_weights(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))


def test_checkpoints_beside_references_as_tables_json_and_sheet(stage, checkpoints, tmp_path, capsys):
    report_file, sheet = tmp_path / "out" / "r.json", tmp_path / "out" / "worst.jpg"
    flags = ["--data_root", str(stage / "set"), "--olat_root", str(stage / "olat"), "--json", str(report_file)]
    flags += ["--checkpoint", *map(str, checkpoints), "--contact_sheet", str(sheet)]
    assert evaluate.main(["delit", *flags]) == 0

    report = json.loads(report_file.read_text())
    rows = {row["name"]: row for row in report["rows"]}
    means = ["mean environment, linear", "mean environment, log"]
    own = ["attention/checkpoint_best.pth", "simplified/checkpoint_best.pth"]
    assert [*rows] == [*own, "input", *means, "oracle", "oracle with prior"]
    assert [row["kind"] for row in rows.values()] == ["model"] * 2 + ["reference"] * 5
    assert (report["split"], report["lights"], report["image_size"], report["env_height"]) == ("val", 24, 16, 16)
    assert LPIPS_BACKBONES["alex"] in report["skipped"]["LPIPS"]

    pairs = choose_pairs(stage / "set", "val")
    cells = LightCells(read_lights(stage / "olat" / "lights.json"))
    model = model_method("same", delit_model.load(checkpoints[0]))
    (measured,) = measure_methods([model], DelitDataset(pairs, **SIZES), cells)
    assert [pair["name"] for pair in rows[own[0]]["pairs"]] == [pair.name for pair in pairs]
    for pair, expected in zip(rows[own[0]]["pairs"], measured.pairs, strict=True):
        assert {**expected.values, "name": pair["name"], "stratum": expected.stratum} == pytest.approx(pair)
    assert rows[own[0]]["mean"]["mirror_angular_deg"] == pytest.approx(measured.mean("mirror_angular_deg"))
    assert sum(stratum["pairs"] for stratum in rows["input"]["strata"].values()) == len(pairs)

    assert "mirror_angular_deg" not in rows["input"]["mean"] and "srgb_psnr_db" not in rows[means[0]]["mean"]
    for row in (rows[own[0]], rows[own[1]], rows["input"]):
        for domain in ("srgb", "linear"):
            assert row["mean"][f"{domain}_psnr_db_aligned"] >= row["mean"][f"{domain}_psnr_db"]
    # The pictures are sums of these OLATs, so little but reduced size and half floats is between the oracle and truth.
    light = {name: row["mean"].get("c_l_relative_l2") for name, row in rows.items()}
    assert light["oracle with prior"] <= light["oracle"]
    assert light["oracle with prior"] < 0.5 * min(light[name] for name in (*own, *means))

    height, width = image_size(sheet)
    assert width > 6 * 160 and height > len(pairs) * 160
    printed = capsys.readouterr().out
    for text in (*own, "Environment: three spheres", "skin tone", "skipped LPIPS", "mirror deg"):
        assert text in printed


def test_without_a_checkpoint_the_model_in_the_box_is_measured(stage, checkpoints, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipped, "SHIPPED", {"delit": checkpoints[0]})
    assert evaluate.main(["delit", "--data_root", str(stage / "set"), "--json", "r.json"]) == 0
    assert json.loads(Path("r.json").read_text())["rows"][0]["name"] == "attention/checkpoint_best.pth"
    monkeypatch.setattr(shipped, "SHIPPED", {"delit": tmp_path / "delit.pth"})
    capsys.readouterr()
    assert evaluate.main(["delit", "--data_root", str(stage / "set")]) == 2
    assert "--checkpoint: the default" in one_error_line(capsys.readouterr().err)


def test_predictions_that_are_the_truth_have_no_error(stage, tmp_path):
    pairs = choose_pairs(stage / "set", "val")
    folder = tmp_path / "results"
    for pair in pairs:
        stem = folder / pair.subject / "relit" / pair.environment_name
        write_linear(f"{stem}_flat_lit.exr", read_linear(pair.flat_lit))
        write_linear(f"{stem}_env.hdr", read_linear(pair.environment))
    flags = ["--data_root", str(stage / "set"), "--predictions", str(folder), "--image_size", "16"]
    flags += ["--env_height", "16", "--json", str(tmp_path / "r.json")]
    assert evaluate.main(["delit", *flags]) == 0
    truth, given, *_ = json.loads((tmp_path / "r.json").read_text())["rows"]
    assert (truth["name"], truth["kind"], given["name"]) == ("results", "predictions", "input")
    assert truth["mean"]["srgb_psnr_db"] > 60 > given["mean"]["srgb_psnr_db"]
    assert truth["mean"]["mirror_angular_deg"] == pytest.approx(0, abs=1e-3)
    assert truth["mean"]["c_l_relative_l2"] < 1e-5

    wrong = folder / pairs[0].subject / "relit" / f"{pairs[0].environment_name}_flat_lit.exr"
    write_linear(wrong, np.ones((4, 4, 3), np.float32))
    with pytest.raises(InputError, match=r"_flat_lit\.exr: is 4 x 4, .* is 10 x 12"):
        raise_from(flags)
    shutil.rmtree(folder / pairs[0].subject)
    with pytest.raises(InputError, match=r"_flat_lit\.png: no such file: run inference_delit.py"):
        raise_from(flags)


def raise_from(flags) -> None:
    run(evaluate.parse_arguments(["delit", *flags, "--device", "cpu"]))


def test_videos_alone(tmp_path, capsys):
    rng = np.random.default_rng(0)
    picture = rng.integers(0, 255, (32, 40, 3), dtype=np.uint8)
    for name in ("clip.mp4", "clip_flat_lit.mp4"):
        with VideoWriter(tmp_path / name, 25, crf=5) as writer:
            for t in range(4):
                writer.write((picture * (1 - 0.2 * (t % 2))).astype(np.uint8))
    assert evaluate.main(["delit", "--videos", str(tmp_path), "--json", str(tmp_path / "r.json")]) == 0
    report = json.loads((tmp_path / "r.json").read_text())
    assert report["rows"] == []
    assert report["videos"]["clip"]["e_warp_ratio"] == pytest.approx(1)
    assert "| clip  | 4      |" in capsys.readouterr().out


def test_pairs_are_chosen_by_file_or_by_flags(stage, tmp_path):
    root = stage / "set"
    written = read_splits(root / "splits.json")["val"]
    shown = [f"{subject}/{name}" for subject in written["subjects"] for name in written["environments"]]
    assert shown and [pair.name for pair in choose_pairs(root, "val")] == shown
    assert choose_pairs(root, "all") == find_pairs(root)
    val, train = (choose_pairs(root, side, ["ID001"], ["env_002", "env_003"]) for side in ("val", "train"))
    assert [pair.name for pair in val] == ["ID001/env_002", "ID001/env_003"]
    assert len(train) == 3 * 2 and not {"ID001"} & {pair.subject for pair in train}
    own = Path(shutil.copytree(root, tmp_path / "set"))
    (own / "splits.json").unlink()
    for subject in find_pairs(own):
        subject.relit.rename(subject.relit.with_name(f"{subject.relit.stem}_r090{subject.relit.suffix}"))
    for path in list((own / "env_maps").iterdir()):
        shutil.copy(path, path.with_name(f"{path.stem}_r000.hdr"))
        path.rename(path.with_name(f"{path.stem}_r090.hdr"))
    held = {pair.environment_name for pair in choose_pairs(own, "val", ["1"], ["env_001"])}
    assert held == {"env_001_r090"}


def test_strata_are_parted_by_the_median_within_the_mask():
    mask = torch.zeros(1, 4, 4)
    assert skin_stratum(torch.ones(3, 4, 4), mask) is None
    mask[:, 1:3] = 1
    for albedo, name in ((0.05, "dark"), (0.15, "medium"), (0.5, "light")):
        flat_lit = torch.full((3, 4, 4), 0.9)
        flat_lit[:, 1:3] = albedo
        assert skin_stratum(flat_lit, mask) == name
    assert [name for name, _ in STRATA] == ["dark", "medium", "light"]


@pytest.mark.parametrize(
    ("flags", "line"),
    [
        ([], "--data_root: nothing to measure: give --data_root or --videos"),
        (["--videos", "x", "--checkpoint", "{ckpt}"], "--checkpoint: needs pairs to be measured on: give --data_root"),
        (["--data_root", "{set}", "--video_inputs", "x"], "--video_inputs: has no results to go with: give --videos"),
        (["--data_root", "{set}", "--checkpoint", "absent.pth"], "absent.pth: no such file"),
        (["--data_root", "{set}", "--checkpoint", "{set}/splits.json"], "splits.json: cannot be read as a checkpoint"),
        (["--data_root", "{set}", "--checkpoint", "{ckpt}", "--predictions", "x"], "--predictions: not allowed with"),
        (["--data_root", "{set}", "--contact_sheet", "x.gif"], "--contact_sheet: 'x.gif' does not end in"),
        (["--data_root", "{set}", "--val_subjects", "ID009"], "--val_subjects: there is no ID009"),
        (["--data_root", "{set}", "--checkpoint", "{ckpt}", "--olat_root", "{set}/subjects"], "ID002: has no 000.exr"),
        (
            ["--data_root", "{set}", "--checkpoint", "{ckpt}", "--lights", "{set}/splits.json"],
            "splits.json: has neither directions nor",
        ),
        (["--data_root", "{set}/absent"], "absent"),
        (["--data_root", "{set}", "--device", "toaster"], "--device: 'toaster' is not one of auto"),
        (["--videos", "{set}"], "holds no NAME_flat_lit.mp4: write some with inference_delit.py"),
        (
            ["--data_root", "{set}", "--checkpoint", "{ckpt}", "--lpips_weights", "absent.pth"],
            "absent.pth: no such file",
        ),
    ],
)
def test_wrong_input_is_one_line_and_status_2(flags, line, stage, checkpoints, capsys):
    places = {"set": stage / "set", "ckpt": checkpoints[0]}
    assert evaluate.main(["delit", *(flag.format(**places) for flag in flags)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    last = captured.err.splitlines()[-1]
    assert last.startswith("error: ") and line in last
