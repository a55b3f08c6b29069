"""One lightmap: what a run leaves, decodes to and is continued to."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import train as script
from src.export.bundle import read_bundle
from src.models.compressor import load
from src.models.grid.latent_grid import CHECKPOINT_KIND
from src.training.trainer import Trainer
from src.utils import checkpoint, image_io
from src.utils.texel_grid import texel_xy
from tests import tiny_runs
from tests.radiance_days import GRID, SIREN, arguments, train
from tests.tiny_runs import assert_same_state
from tests.train_grid.results import CHECKPOINTS, EXPORTS, valid_psnr


def test_a_grid_of_radiance_with_a_mask(hdr, tmp_path, capsys):
    run = train(hdr, tmp_path / "run", **{**GRID, "epochs": 40, "bpp": 80}, compute_latent=True)
    assert {path.name for path in run.iterdir()} == CHECKPOINTS | EXPORTS | {"day.tod"}
    closing = capsys.readouterr().out.splitlines()[-1]
    measured = valid_psnr(hdr, read_bundle(run / "day.tod"))
    assert f"PSNR {measured.mean():.2f} dB" in closing and "half-float RGB" in closing
    assert measured.min() > 25
    decoder = load(run / "best.ckpt")
    assert decoder.is_radiance and decoder.bpp_memory() <= 80
    assert decoder.config.events == (6.0,), "5.9 and 6.0 bracket a switch"
    frame = decoder.render(12.0)
    assert (frame[:, :3] == 0).all() and 0.5 < frame.max() < 3, "what is masked left no trace"


def test_a_lamp_stays_on_until_its_event(hdr, tmp_path):
    decoder = load(train(hdr, tmp_path / "run", **GRID) / "best.ckpt")
    on, still_on, off = decoder.render([5.9, 5.97, 6.0])
    assert np.array_equal(on, still_on)
    assert (on - off)[3, 5].mean() > 0.2
    moved = load(train(hdr, tmp_path / "moved", **GRID, events="5.95") / "best.ckpt")
    assert moved.config.events == (5.95,)
    on, off = moved.render([5.94, 5.96])
    assert (on - off)[3, 5].mean() > 0.2


def test_a_grid_of_display_images(day, tmp_path):
    run = train(day, tmp_path / "run", **GRID, hours=tiny_runs.HOURS, latent_bits=8)
    decoder = load(run / "best.ckpt")
    assert not decoder.is_radiance and decoder.config.latent_bits == 8
    truth = image_io.read_display(day / "tod_1.png")
    assert np.abs(decoder.render(6.0) - truth).mean() < 0.02
    assert decoder.render(6.0).max() <= 1


@pytest.mark.parametrize("f1", ["siren", "grid"])
def test_every_export_decodes_to_the_same_bits(hdr, tmp_path, f1):
    from src.models.compressor import load_exported

    flags = GRID if f1 == "grid" else {**SIREN, "f1": "siren"}
    run = train(hdr, tmp_path / "run", **flags, compute_latent=True)
    expected = load(run / "best.ckpt")
    decoders = [load_exported(run / "latent_map.npy", run / name) for name in ("f2_state_dict.pt", "f2_ts.pt")]
    decoders += [read_bundle(run / "day.tod")] if f1 == "grid" else []
    hours = [0.0, 3.3, 5.97, 6.0, 18.5, 23.9]
    xy = texel_xy(torch.arange(0, 12 * 16, 5), 12, 16)
    for decoder in decoders:
        assert decoder.is_radiance and decoder.peak == expected.peak
        assert np.array_equal(decoder.render(hours), expected.render(hours))
        assert torch.equal(decoder.decode(xy, 5.97), expected.decode(xy, 5.97))


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("f1", ["siren", "grid"])
@pytest.mark.parametrize("count", [1, 7])
def test_torchscript_alone_decodes_the_latent_map(hdr, tmp_path, f1, count):
    flags = GRID if f1 == "grid" else {**SIREN, "f1": "siren"}
    run = train(hdr, tmp_path / "run", **flags, compute_latent=True)
    f2 = torch.jit.load(str(run / "f2_ts.pt"))
    latents = torch.from_numpy(np.load(run / "latent_map.npy"))
    frames = load(run / "best.ckpt").render([5.9, 5.97, 6.0, 9.25, 18.0, 21.0])
    for hour, frame in zip([5.9, 5.97, 6.0, 9.25, 18.0, 21.0], frames, strict=True):
        z = latents[6, 4 : 4 + count]
        for hours in (torch.tensor([hour]), torch.full((count,), hour)):
            with torch.no_grad():
                np.testing.assert_allclose(f2(z, hours), frame[6, 4 : 4 + count], rtol=1e-4, atol=1e-5)


def test_a_siren_of_radiance_with_a_mask(hdr, tmp_path, capsys):
    sizes = {**SIREN, "hidden_f1": 16, "hidden_f2": 24, "epochs": 150, "save_every": 50, "lr": 3e-3}
    run = train(hdr, tmp_path / "run", **sizes)
    measured = valid_psnr(hdr, load(run / "best.ckpt"))
    assert f"PSNR {measured.mean():.2f} dB" in capsys.readouterr().out
    assert measured.mean() > 15
    config = checkpoint.read(run / "best.ckpt", "lightmap")["model"]["config"]
    assert max(config["frame_scale"]) < 3, "what is masked set no scale"


def test_an_interrupted_grid_continues_to_the_same_bits(hdr, tmp_path, monkeypatch):
    train(hdr, tmp_path / "whole", **GRID)
    train_step, calls = Trainer._train_step, []

    def stop(self, stream):
        train_step(self, stream)
        calls.append(self.step)
        self._stop.requested = len(calls) == 2

    argv = arguments(hdr, tmp_path / "parts", **GRID)
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_step", stop)
        assert script.main(argv) == 130
    assert script.main(argv) == 0
    ours, theirs = (checkpoint.read(tmp_path / name / "last.ckpt", CHECKPOINT_KIND) for name in ("parts", "whole"))
    assert_same_state(ours, theirs)


def test_a_grid_neither_waits_for_the_compiler_nor_for_scipy(hdr, tmp_path):
    """Both take longer to import than the first bundle takes to make. A new process: tests beside this use both."""
    flags = arguments(hdr, tmp_path / "run", **GRID)
    code = "import sys, train; train.main(sys.argv[1:]); print({'torch._dynamo', 'scipy'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code, *flags],
        cwd=Path(script.__file__).parent,
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert done.stdout.splitlines()[-1] == "set()"
    assert read_bundle(tmp_path / "run" / "day.tod").bpp_memory() <= GRID["bpp"]
