"""Masks from the captures' own maximum and from rembg."""

import sys
import types

import numpy as np

from src.data.stage import mask as portrait_mask
from src.utils.image_io import list_images, read_linear, read_mask, write_linear
from tests.prepare_olat.command import run
from tests.tiny_stage import ball_normals


def test_masks_from_the_olat_maximum(stage, tmp_path):
    assert run(stage, tmp_path / "set", "--mask", "olat") == 0
    mask = read_mask(tmp_path / "set" / "subjects" / "ID001" / "mask.png")
    truth = ball_normals()[1]
    overlap = ((mask > 0.5) & (truth > 0.5)).sum() / ((mask > 0.5) | (truth > 0.5)).sum()
    assert overlap > 0.8  # twelve pixels high, all but one of them at a border


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
