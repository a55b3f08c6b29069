"""Training on a GPU: the same result as on the CPU, continued as if nothing had been, in every precision."""

import pytest
import torch

import train
import train_delit
from src.tasks import delit_task
from src.utils import checkpoint
from src.utils.seeding import generator, on_device
from tests.tiny_runs import train_arguments

pytestmark = pytest.mark.cuda
DELIT_SIZES = {"image_size": 32, "env_height": 8, "env_width": 16, "base_dim": 32, "batch_size": 2, "num_workers": 0}


@pytest.fixture(autouse=True)
def short_start(monkeypatch):
    monkeypatch.setattr(delit_task, "START_SAMPLES", 8)


def train_siren(day, run, device, **flags):
    assert train.main(train_arguments(day, run, device=device, f1="siren", epochs=40, save_every=20, **flags)) == 0
    return checkpoint.read(run / "last.ckpt", "lightmap")


def train_grid(day, run, device, **flags):
    sizes = {name: None for name in ("batch_size", "latent_dim", "hidden_f1", "layers_f1", "hidden_f2", "layers_f2")}
    sizes["time_harmonics"] = None
    given = {"f1": "grid", "bpp": 20, "epochs": 40, "save_every": 20, **sizes, **flags}
    assert train.main(train_arguments(day, run, device=device, **given)) == 0
    return checkpoint.read(run / "last.ckpt", "lightmap-grid")


def train_portraits(pairs, run, device, **flags):
    chosen = {"data_root": pairs, "output_dir": run, "device": device, "num_epochs": 2, **DELIT_SIZES, **flags}
    argv = ["--use_mask", *(["--compile"] if chosen.pop("compile", False) else [])]
    argv += [text for name, value in chosen.items() for text in (f"--{name}", str(value))]
    assert train_delit.main(argv) == 0
    return checkpoint.read(run / "checkpoint_latest.pth", "delit")


WAYS = {"siren": (train_siren, "day", 0.5), "grid": (train_grid, "day", 1.0), "delit": (train_portraits, "pairs", 0.2)}
ways = pytest.mark.parametrize("way", WAYS)


@ways
def test_trains_to_what_the_cpu_trains_to(device, way, request, tmp_path):
    train_it, data, tolerance = WAYS[way]
    folder = request.getfixturevalue(data)
    ours = train_it(folder, tmp_path / "device", device)
    cpu = train_it(folder, tmp_path / "cpu", "cpu")
    assert ours["step"] == cpu["step"] > 0
    assert ours["best_score"] == pytest.approx(cpu["best_score"], abs=tolerance)


@ways
def test_is_continued_as_if_it_had_not_stopped(device, way, request, tmp_path, stop_at):
    train_it, data, _ = WAYS[way]
    folder = request.getfixturevalue(data)
    whole = train_it(folder, tmp_path / "whole", device)
    stop_at(whole["step"] // 2)
    with pytest.raises(AssertionError):  # status 130
        train_it(folder, tmp_path / "parts", device)
    stop_at(None)
    parts = train_it(folder, tmp_path / "parts", device)
    assert parts["step"] == whole["step"]
    for name, value in whole["model"]["state"].items():
        # On a GPU sums of sparse gradients come in any order; what is trained may differ in the last digits.
        torch.testing.assert_close(parts["model"]["state"][name], value, rtol=1e-2, atol=1e-3, msg=name)


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
@pytest.mark.parametrize("way", ["siren", "delit"])
def test_trains_in_mixed_precision(device, way, amp, request, tmp_path):
    train_it, data, tolerance = WAYS[way]
    folder = request.getfixturevalue(data)
    full = train_it(folder, tmp_path / "full", device)
    mixed = train_it(folder, tmp_path / "mixed", device, amp=amp)
    assert mixed["best_score"] == pytest.approx(full["best_score"], abs=2 * tolerance)
    assert (mixed["scaler"] != {}) == (amp == "fp16")


@pytest.mark.parametrize("way", ["siren", "delit"])
def test_trains_compiled(device, way, request, tmp_path):
    train_it, data, tolerance = WAYS[way]
    folder = request.getfixturevalue(data)
    plain = train_it(folder, tmp_path / "plain", device)
    compiled = train_it(folder, tmp_path / "compiled", device, compile=True)
    assert compiled["best_score"] == pytest.approx(plain["best_score"], abs=tolerance)


def test_what_is_drawn_on_a_gpu_is_a_function_of_the_seed(device):
    place = torch.device(device)
    first, second, other = (
        torch.rand(8, generator=on_device(generator(seed, 3), place), device=place) for seed in (1, 1, 2)
    )
    assert torch.equal(first, second) and not torch.equal(first, other)
