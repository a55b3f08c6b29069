"""Training that begins from the weights of a model."""

import torch

import train_delit as script
from src.models import shipped
from src.utils import checkpoint
from tests.tiny_runs import one_error_line
from tests.train_delit.command import BEST, arguments, stored, train


def test_training_begins_from_the_model_in_the_box_at_another_size(stage, tmp_path, monkeypatch, capsys):
    train(stage, tmp_path / "first", num_epochs=1)
    box = tmp_path / "delit.pth"
    shipped.write_half([tmp_path / "first" / BEST], box)
    monkeypatch.setattr(shipped, "SHIPPED", {"delit": box})
    flags = {"pretrained": "default", "num_epochs": 1, "ema": 0, "image_size": 16}
    run = train(stage, tmp_path / "run", **flags, learning_rate=1e-30, weight_decay=0)
    assert run["model"]["config"]["image_size"] == 16
    for name, value in checkpoint.read(box, "delit")["model"]["state"].items():
        torch.testing.assert_close(run["model"]["state"][name], value.float(), rtol=0, atol=1e-12, msg=name)
    box.unlink()
    capsys.readouterr()
    assert script.main(arguments(stage, tmp_path / "lost", **flags)) == 2
    assert "--pretrained: the default" in one_error_line(capsys.readouterr().err)


def test_training_begins_from_other_weights(stage, tmp_path, capsys):
    first = train(stage, tmp_path / "first", num_epochs=1)
    flags = {"pretrained": tmp_path / "first" / BEST, "num_epochs": 1, "ema": 0}
    second = train(stage, tmp_path / "second", **flags, learning_rate=1e-30, weight_decay=0)
    assert second["step"] == 3
    for name, value in stored(tmp_path / "first", BEST)["model"]["state"].items():
        assert torch.equal(second["model"]["state"][name], value), name
    trained = train(stage, tmp_path / "third", **flags, learning_rate=1e-3)
    assert any(not torch.equal(value, first["model"]["state"][k]) for k, value in trained["model"]["state"].items())
    capsys.readouterr()
    assert script.main(arguments(stage, tmp_path / "other", **flags, base_dim=64, arch="simplified")) == 2
    line = one_error_line(capsys.readouterr().err)
    assert f"{BEST}: its model has another shape (arch is attention, base_dim is 32)" in line
