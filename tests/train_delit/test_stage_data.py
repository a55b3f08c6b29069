"""What of the light stage is trained on: nothing held out, and captures as they were prepared."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import torch

import train_delit as script
from src.tasks import delit_training
from src.tasks.portrait_training import open_portrait_data
from src.training.distributed import processes
from src.utils.image_io import read_linear
from src.utils.sphere import fibonacci_sphere
from tests.tiny_stage import write_set, write_stage
from tests.train_delit.command import arguments, train


def test_no_version_of_a_held_out_environment_lights_the_training(stage, tmp_path):
    """The set has turned versions of the environments, the folder to relight with has what they were made from."""
    write_set(stage, "--rotations", "2", "--val_envs", "env_002", out=tmp_path / "set")
    flags = {"data_root": tmp_path / "set", "env_dir": stage / "envs", "num_epochs": 1}
    train(stage, tmp_path / "run", relight=True, **flags)
    data = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["data"]
    assert {name.split("/")[1] for name in data["validation_pairs"]} == {"env_002_r000", "env_002_r180"}
    assert list(data["environments"]) == ["env_001", "env_003", "env_004"]


def test_a_held_out_environment_without_a_validation_pair_lights_no_training(stage, tmp_path):
    root = Path(shutil.copytree(stage / "set", tmp_path / "set"))
    (root / "splits.json").unlink()
    for path in (root / "subjects" / "ID002" / "relit").glob("env_003.*"):
        path.unlink()
    flags = {"data_root": root, "num_epochs": 1, "val_subjects": ["ID002"], "val_envs": ["env_002", "env_003"]}
    train(stage, tmp_path / "run", relight=True, **flags)
    data = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["data"]
    assert list(data["validation_pairs"]) == ["ID002/env_002"]
    assert list(data["environments"]) == ["env_001", "env_004"]


def test_captures_are_taken_as_they_were_prepared(tmp_path, capsys):
    """Exposure 4, gamma 2.2, Voronoi weights, 60 degrees: what training is shown is what was prepared, by hand too."""
    root = write_stage(tmp_path, suffix=".png")
    taken = ["--exposure", "4", "--transfer", "gamma22", "--weights", "voronoi", "--fov", "60"]
    write_set(root, *taken, "--val_subjects", "ID002", "--val_envs", "env_001")
    shutil.copytree(root / "olat" / "ID001", root / "olat" / "ID009")  # not prepared, and not even whole
    (root / "olat" / "ID009" / "000.png").unlink()
    chosen = script.parse_arguments(arguments(root, tmp_path / "run", olat_root=root / "olat", image_size=10))
    capsys.readouterr()
    with processes("cpu") as group:
        batches = delit_training.make_batches(chosen, open_portrait_data(chosen), group)
    said = capsys.readouterr().out
    assert "exposure 4" in said and "left out: captures of ID009" in said

    lights = fibonacci_sphere(24)
    codes = np.stack([cv2.imread(str(root / "olat" / "ID001" / f"{k:03d}.png"))[..., ::-1] for k in range(24)])
    y = np.cos(np.pi * (np.arange(400) + 0.5) / 400)
    phi = 2 * np.pi * (np.arange(800) + 0.5) / 800
    ring = np.sqrt(1 - y**2)[:, None]
    sphere = np.stack(np.broadcast_arrays(ring * np.sin(phi), y[:, None], -ring * np.cos(phi)), -1)
    nearest = (sphere @ lights.T).argmax(-1)
    weights = np.broadcast_to(ring * (np.pi / 400) * (2 * np.pi / 800), nearest.shape)
    solid_angles = np.bincount(nearest.ravel(), weights.ravel(), 24)
    flat_lit = 4 * np.einsum("l,lhwc->hwc", solid_angles, (codes / 255.0) ** 2.2)[1:11]  # the square about the middle
    assert flat_lit.max() > 1
    stacks = batches.stacks
    np.testing.assert_allclose(stacks.flat_lit[0].permute(1, 2, 0), flat_lit, rtol=0.01, atol=2e-3)
    prepared = read_linear(root / "set" / "subjects" / "ID001" / "flat_lit.exr")[1:11]
    np.testing.assert_allclose(stacks.flat_lit[0].permute(1, 2, 0), prepared, rtol=2e-3, atol=1e-3)
    environment = torch.ones(2, 8 * 16) * torch.tensor([1.0, 3.0])[:, None]
    shares = torch.einsum("lp,np->nl", stacks.light_matrices(8, 16)[0], environment)[:, None].expand(-1, 3, -1)
    np.testing.assert_allclose(stacks.relight(0, shares)[1].permute(1, 2, 0), 3 * flat_lit, rtol=0.01, atol=6e-3)
    assert batches.options.fov_degrees == 60
