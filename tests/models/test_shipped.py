"""The model in the box: half floats on disk, the same answers, and an error that says what to do without it."""

from dataclasses import asdict

import numpy as np
import pytest
import torch

from src.inference.delit.delighter import Delighter
from src.inference.relit.relighter import Relighter
from src.models import relit_model, shipped
from src.models.delit_model import CHECKPOINT_KIND, DelitConfig, DelitModel, load
from src.utils import checkpoint
from src.utils.cli import InputError
from src.utils.color import luminance

LARGEST_BYTES = 12_000_000
has_relit_weights = pytest.mark.skipif(
    not shipped.SHIPPED["relit"].is_file(), reason="weights/relit.pth is not in this copy"
)
has_weights = pytest.mark.skipif(not shipped.SHIPPED["delit"].is_file(), reason="weights/delit.pth is not in this copy")


def write_trained(path, largest: float = 1.0):
    """A checkpoint as training writes it, optimizer and all, of a model with random weights."""
    torch.manual_seed(0)
    config = DelitConfig(image_size=16, env_height=16, env_width=32, base_dim=32, flat_confidence=True)
    model = DelitModel(config)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
        model.network.stem.bias[0] = largest
    content = {"model": {"config": asdict(config), "state": model.state_dict()}, "optimizer": {"x": torch.zeros(9999)}}
    checkpoint.write(path, CHECKPOINT_KIND, content)
    return path


def test_half_floats_without_optimizer_answer_alike(tmp_path, capsys):
    source, target = write_trained(tmp_path / "run.pth"), tmp_path / "box" / "delit.pth"
    target.parent.mkdir()
    assert shipped.main([str(source), str(target)]) == 0
    assert "MB" in capsys.readouterr().out
    stored = checkpoint.read(target, CHECKPOINT_KIND)
    assert "optimizer" not in stored
    assert {value.dtype for value in stored["model"]["state"].values()} == {torch.float16}
    trained, again = load(source), load(target)
    assert again.config == trained.config
    assert {value.dtype for value in again.state_dict().values()} == {torch.float32}
    picture = torch.rand(1, 3, 32, 32)
    torch.testing.assert_close(again(picture).flat_lit, trained(picture).flat_lit, rtol=0.02, atol=0.02)


def test_of_several_checkpoints_the_mean_is_shipped(tmp_path):
    first, second = write_trained(tmp_path / "a.pth", largest=1.0), write_trained(tmp_path / "b.pth", largest=4.0)
    target = tmp_path / "delit.pth"
    assert shipped.main([str(first), str(second), str(target)]) == 0
    mean, single = load(target).state_dict(), load(first).state_dict()
    assert mean["network.stem.bias"][0] == 2.5
    torch.testing.assert_close(mean["network.stem.bias"][1:], single["network.stem.bias"][1:], rtol=1e-3, atol=1e-4)


def test_checkpoints_of_other_sizes_have_no_mean(tmp_path, capsys):
    first, second = write_trained(tmp_path / "a.pth"), tmp_path / "b.pth"
    config = DelitConfig(image_size=16, env_height=16, env_width=32, base_dim=64, flat_confidence=True)
    content = {"model": {"config": asdict(config), "state": DelitModel(config).state_dict()}}
    checkpoint.write(second, CHECKPOINT_KIND, content)
    assert shipped.main([str(first), str(second), str(tmp_path / "delit.pth")]) == 2
    assert "b.pth: is not a model of the sizes of" in capsys.readouterr().err


def test_what_half_floats_cannot_hold_is_refused(tmp_path, capsys):
    source = write_trained(tmp_path / "run.pth", largest=1e5)
    assert shipped.main([str(source), str(tmp_path / "delit.pth")]) == 2
    assert "run.pth: network.stem.bias is beyond half floats" in capsys.readouterr().err
    assert not (tmp_path / "delit.pth").exists()


def test_missing_weights_are_one_line(monkeypatch, tmp_path):
    monkeypatch.setattr(shipped, "SHIPPED", {"delit": tmp_path / "absent.pth"})
    with pytest.raises(InputError, match=r"--pretrained: the default, .*absent\.pth, is not there: give a checkpoint"):
        shipped.shipped_checkpoint("--pretrained")


@has_weights
def test_the_shipped_file_is_small_and_holds_a_model_alone():
    assert shipped.shipped_checkpoint().stat().st_size <= LARGEST_BYTES
    stored = checkpoint.read(shipped.SHIPPED["delit"], CHECKPOINT_KIND)
    assert "optimizer" not in stored
    assert all(value.dtype == torch.float16 for value in stored["model"]["state"].values())


def lit_ball(side: int) -> tuple[np.ndarray, np.ndarray]:
    """A skin-coloured ball under a lamp from the left and some ambient light, S x S x 3 linear, and where it is."""
    y, x = np.mgrid[0:side, 0:side] / (side - 1) * 2 - 1
    inside = (x**2 + y**2 < 0.5).astype(np.float32)
    z = np.sqrt((0.5 - x**2 - y**2).clip(0, None))
    shading = 0.2 + (np.stack([x, y, z], axis=-1) / np.sqrt(0.5) @ np.array([-0.8, -0.3, 0.5])).clip(0, None)
    return (inside * shading)[..., None].astype(np.float32) * np.array([0.5, 0.32, 0.24], np.float32), inside > 0


@has_weights
def test_the_shipped_model_takes_shading_away_and_keeps_brightness():
    delighter = Delighter(load(shipped.shipped_checkpoint()), crops=False, keep_exposure=True)
    picture, inside = lit_ball(128)
    result = delighter(picture).flat_lit
    assert np.isfinite(result).all() and result.min() >= 0 and result.max() < 3
    before, after = luminance(picture)[inside], luminance(result)[inside]
    assert 0.7 < after.mean() / before.mean() < 1.4
    assert np.log(after + 0.01).std() < np.log(before + 0.01).std()
    np.testing.assert_allclose(result[0, 0], picture[0, 0], atol=1e-3)


@has_relit_weights
def test_the_shipped_relighting_model_is_small_and_lights_a_ball_from_where_light_comes():
    path = shipped.shipped_checkpoint("--checkpoint", "relit")
    assert path.stat().st_size <= LARGEST_BYTES and "optimizer" not in checkpoint.read(path, "relit")
    relighter = Relighter(relit_model.load(path), crops=False)
    _, inside = lit_ball(128)
    flat_lit = inside[..., None] * np.array([0.5, 0.32, 0.24], np.float32)
    portrait = relighter.transport(flat_lit.astype(np.float32), inside.astype(np.float32))
    environment = np.zeros((32, 64, 3), np.float32)
    environment[10:22, 12:20] = 5.0  # from the right of the picture
    right, left = (relighter.relight(portrait, e) for e in (environment, environment[:, ::-1]))
    assert np.isfinite(right).all() and right.min() >= 0
    assert right[:, 64:].sum() > 1.2 * left[:, 64:].sum() and left[:, :64].sum() > 1.2 * right[:, :64].sum()
