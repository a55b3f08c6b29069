"""``--exr_layer`` from the command line: files of several layers are refused by name, the picked one is taken."""

from __future__ import annotations

import numpy as np
import OpenEXR
import pytest

import train
from src.data.stage.settings import Settings
from src.export.bundle import read_bundle

HOURS = (0, 6, 12, 18)


@pytest.fixture
def baked(tmp_path):
    """A day of two layers as Blender names them: direct light, which is twice the indirect light."""
    y, x = np.mgrid[0:12, 0:16].astype(np.float32)
    for hour in HOURS:
        indirect = np.stack([0.1 + x / 16, 0.1 + y / 12, np.ones_like(x)], axis=2) * np.float32(0.2 + hour / 24)
        channels = {
            f"ViewLayer.{name}.{component}": np.ascontiguousarray(factor * indirect[..., k])
            for name, factor in (("Direct", 2), ("Indirect", 1))
            for k, component in enumerate("RGB")
        }
        header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
        OpenEXR.File(header, channels).write(str(tmp_path / f"lm_{hour:02d}00.exr"))
    return tmp_path


def run(folder, out_dir, *more: str) -> int:
    options = ["--f1", "grid", "--bpp", "60", "--epochs", "1", "--compute_latent", "--device", "cpu"]
    return train.main(["--data_dir", str(folder), "--out_dir", str(out_dir), *options, *more])


def test_several_layers_are_named(baked, tmp_path_factory, capsys):
    assert run(baked, tmp_path_factory.mktemp("run")) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "has the layers ViewLayer.Direct, ViewLayer.Indirect: pick one with --exr_layer" in error


def test_the_picked_layer_is_trained_on(baked, tmp_path_factory):
    means = {}
    for name in ("Direct", "ViewLayer.Indirect"):
        out_dir = tmp_path_factory.mktemp("run")
        assert run(baked, out_dir, "--exr_layer", name) == 0
        means[name] = np.stack(list(read_bundle(out_dir / "day.tod", "cpu").frames(HOURS))).mean()
    assert means["Direct"] / means["ViewLayer.Indirect"] == pytest.approx(2, rel=0.05)


def test_training_sets_of_earlier_versions_are_the_same_without_a_layer():
    """Their metadata.json does not know the layer; a set prepared with one says which."""
    plain, picked = Settings(exposure=2.0), Settings(exr_layer="Direct")
    assert "exr_layer" not in plain.record() and Settings.of(plain.record()) == plain
    assert Settings.of(picked.record()) == picked
