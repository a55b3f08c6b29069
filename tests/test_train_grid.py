"""train.py with latent planes, with radiance and masks, with sets of lightmaps, and to a target."""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import evaluate
import train as script
from src.export.bundle import read_bundle
from src.models.compressor import load
from src.models.grid.latent_grid import CHECKPOINT_KIND
from src.training.trainer import Trainer
from src.utils import checkpoint, image_io
from src.utils.texel_grid import texel_xy
from src.utils.tile_metrics import tile_metrics
from tests import tiny_runs
from tests.data.lightmap.test_hprc import write_config
from tests.tiny_runs import assert_same_state, one_error_line, smooth_frame

ROOT = Path(__file__).resolve().parents[1]
HOURS = (0.0, 5.9, 6.0, 12.0, 18.0)
SIZES = {0: (14, 12), 7: (9, 16)}  # of the lightmaps of the set, height and width
GRID = {"f1": "grid", "device": "cpu", "epochs": 3, "save_every": 2, "bpp": 150}  # F2 alone is 40 on tiny maps
SIREN = {"device": "cpu", "epochs": 2, "save_every": 1, "batch_size": 200, **tiny_runs.SIZES}
EXPORTS = {"latent_map.npy", "f2_state_dict.pt", "f2_ts.pt", "f2.pt2", "f2_config.json"}
CHECKPOINTS = {"best.ckpt", "last.ckpt", "config.json", "logs", "comparison.png"}


def radiance(hour, height, width):
    """A smooth day that is dark at night, with a lamp that goes off at 6."""
    frame = smooth_frame(hour, height, width) * (0.02 + max(0.0, np.sin(np.pi * (hour - 5) / 14)))
    frame[2:5, 3:7] += 0.3 * (hour < 6)
    return frame.astype(np.float32)


@pytest.fixture(scope="module")
def hprc(tmp_path_factory):
    """A set of two lightmaps of different shape; the first row of the first one is invalid and absurdly bright."""
    folder = tmp_path_factory.mktemp("set")
    (folder / "Data").mkdir()
    entries = []
    for lightmap_id, (height, width) in SIZES.items():
        entry = {"id": lightmap_id, "level": "Hall", "lightmaps": {}, "masks": {}}
        entry["resolution"] = {"width": width, "height": height}
        mask = np.full((height, width), 127, np.int8)
        mask[0] = -1 if lightmap_id == 0 else 127
        for hour in HOURS:
            code = str(round(hour * 100))
            frame = radiance(hour, height, width)
            frame[mask < 0] = 1e6
            frame.astype("<f4").tofile(folder / "Data" / f"frame_{lightmap_id}_{code}")
            mask.tofile(folder / "Data" / f"mask_{lightmap_id}_{code}")
            entry["lightmaps"][code] = f"frame_{lightmap_id}_{code}"
            entry["masks"][code] = f"mask_{lightmap_id}_{code}"
        entries.append(entry)
    write_config(folder, {"lightmap_count": len(entries), "lightmap_list": entries})
    return folder


@pytest.fixture
def hdr(tmp_path):
    """A folder of EXR images with a mask; what is masked is absurdly bright."""
    folder = tmp_path / "hdr"
    mask = np.ones((12, 16), bool)
    mask[:, :3] = False
    for hour in HOURS:
        frame = np.where(mask[..., None], radiance(hour, 12, 16), 60000.0).astype(np.float32)
        image_io.write_linear(folder / f"bake_{round(hour * 100):04d}.exr", frame)
    image_io.write_display(folder / "mask.png", np.repeat(mask[..., None], 3, axis=2).astype(np.float32))
    return folder


def arguments(data_dir, run, **flags):
    argv = ["--data_dir", str(data_dir), "--out_dir", str(run)]
    for name, value in flags.items():
        argv += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return argv


def train(data_dir, run, **flags):
    assert script.main(arguments(data_dir, run, **flags)) == 0
    return run


def valid_psnr(folder, decoder):
    from src.data.lightmap.sources import open_lightmaps

    frames, hours, mask = open_lightmaps(folder)[0].load()
    return tile_metrics(frames, decoder.render(hours.tolist()), mask).psnr_db


# ---- one lightmap


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


# ---- a set


def test_a_set_is_a_run_per_lightmap_with_a_summary(hprc, tmp_path, capsys):
    run = train(hprc, tmp_path / "run", **GRID, compute_latent=True)
    table = capsys.readouterr().out.splitlines()
    rows = {row[1]: row for line in table if (row := [cell.strip() for cell in line.split("|")])[0] == "" and row[1:]}
    assert {"Hall:0", "Hall:7", "all 2"} <= rows.keys()
    assert {path.name for path in run.iterdir()} == {"Hall_0", "Hall_7"}
    for lightmap_id, size in SIZES.items():
        folder = run / f"Hall_{lightmap_id}"
        decoder = read_bundle(folder / "day.tod")
        assert (decoder.height, decoder.width) == size
        assert rows[f"Hall:{lightmap_id}"][4] == f"{(folder / 'day.tod').stat().st_size / 1e3:.1f}"
    report = tmp_path / "r.json"
    flags = ["--data_dir", str(hprc), "--bundle", str(run), "--ckpt", str(run), "--json", str(report)]
    assert evaluate.main(["lightmap", *flags]) == 0
    for row in json.loads(report.read_text())["rows"]:
        assert f"{row['psnr_db']:.2f}" == rows["all 2"][2]
        assert row["size_bytes_disk"] == sum(path.stat().st_size for path in run.glob("*/day.tod"))


def test_the_rest_of_a_set_is_done_when_the_command_is_repeated(hprc, tmp_path, monkeypatch, capsys):
    run = train(hprc, tmp_path / "run", **GRID, lightmap="Hall:0")
    assert [path.name for path in run.iterdir()] == ["Hall_0"]
    before = (run / "Hall_0" / "last.ckpt").stat().st_mtime_ns
    train_step = Trainer._train_step

    def stop(self, stream):
        train_step(self, stream)
        self._stop.requested = True

    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "_train_step", stop)
        assert script.main(arguments(hprc, run, **GRID)) == 130
    assert checkpoint.read(run / "Hall_7" / "last.ckpt", CHECKPOINT_KIND)["step"] == 1
    train(hprc, run, **GRID)
    assert "| all 2 |" in capsys.readouterr().out
    assert (run / "Hall_0" / "last.ckpt").stat().st_mtime_ns == before, "what was finished was not touched"
    whole = train(hprc, tmp_path / "whole", **GRID)
    for name in ("Hall_0", "Hall_7"):
        ours, theirs = (checkpoint.read(folder / name / "last.ckpt", CHECKPOINT_KIND) for folder in (run, whole))
        assert_same_state(ours, theirs)


def test_sirens_of_a_set(hprc, tmp_path):
    run = train(hprc, tmp_path / "run", **SIREN, compute_latent=True)
    for lightmap_id, size in SIZES.items():
        assert np.load(run / f"Hall_{lightmap_id}" / "latent_map.npy").shape == (*size, 4)


def test_one_f2_for_all(hprc, tmp_path, capsys):
    run = train(hprc, tmp_path / "run", **{**GRID, "epochs": 20}, share_f2=True, compute_latent=True)
    assert (run / "day.tod").exists() and not (run / "Hall_0").exists()
    shared = read_bundle(run / "day.tod")
    assert shared.lightmap_names == ("Hall:0", "Hall:7")
    printed = capsys.readouterr().out
    from src.data.lightmap.sources import open_lightmaps

    for lightmap in open_lightmaps(hprc):
        decoder = shared.lightmap(lightmap.name)
        frames, hours, mask = lightmap.load()
        assert decoder.render(0.0).shape == frames.shape[1:]
        psnr_db = tile_metrics(frames, decoder.render(hours.tolist()), mask).mean("psnr_db")
        assert f"| {lightmap.name} | {psnr_db:.2f} |" in printed and psnr_db > 25
        centres = torch.tensor([[(x + 0.5) / lightmap.width * 2 - 1, 0.3] for x in range(lightmap.width)])
        row = int((0.3 + 1) / 2 * lightmap.height)
        np.testing.assert_allclose(decoder.decode(centres, 12.0), decoder.render(12.0)[row], atol=1e-5)
    report = tmp_path / "r.json"
    flags = ["--data_dir", str(hprc), "--bundle", str(run / "day.tod"), "--json", str(report)]
    assert evaluate.main(["lightmap", *flags]) == 0
    (row,) = json.loads(report.read_text())["rows"]
    assert abs(row["size_bytes_disk"] - (run / "day.tod").stat().st_size) <= 1
    assert row["bpp_memory"] <= 150


def test_two_processes_share_out_a_set(hprc, tmp_path):
    argv = arguments(hprc, tmp_path / "run", **GRID)
    processes = [
        tiny_runs.start(argv, tmp_path / f"log{rank}", environment)
        for rank, environment in enumerate(tiny_runs.ranks(2))
    ]
    for process in processes:
        process.join()
    logs = [(tmp_path / f"log{rank}").read_text(encoding="utf-8") for rank in range(2)]
    assert [process.exitcode for process in processes] == [0, 0], logs
    assert "| Hall:0 |" in logs[0] and "| Hall:7 |" in logs[0] and "| all 2 |" in logs[0]
    assert "|" not in re.sub(r".*\[\d\d:\d\d[<,].*", "", logs[1].replace("\r", "\n")), "progress alone"
    alone = train(hprc, tmp_path / "alone", **GRID)
    for name in ("Hall_0", "Hall_7"):
        folders = (tmp_path / "run" / name, alone / name)
        ours, theirs = (checkpoint.read(folder / "last.ckpt", CHECKPOINT_KIND) for folder in folders)
        assert_same_state(ours, theirs)


# ---- targets


def test_to_a_size_and_to_a_psnr(hdr, tmp_path, capsys):
    run = train(hdr, tmp_path / "run", **{**GRID, "epochs": 8}, target_bytes=6000, compute_latent=True)
    assert (run / "day.tod").stat().st_size <= 6000
    printed = capsys.readouterr().out
    assert "target 6000 bytes reached" in printed and "search: short" in printed and "search: full" in printed
    full = {path.name for path in (run / "search").glob("*_full")}
    stamps = {path: path.stat().st_mtime_ns for path in (run / "search").rglob("last.ckpt")}
    train(hdr, run, **{**GRID, "epochs": 8}, target_psnr=30)
    printed = capsys.readouterr().out
    assert "target 30 dB reached" in printed
    assert valid_psnr(hdr, load(run / "best.ckpt")).mean() >= 30
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in stamps.items()), "what was trained is reused"
    assert full <= {path.name for path in (run / "search").glob("*_full")}


def test_a_target_out_of_reach_is_said(hdr, tmp_path, capsys):
    run = train(hdr, tmp_path / "run", **{**GRID, "bpp": 60}, target_psnr=90)
    assert "target 90 dB NOT reached" in capsys.readouterr().out.splitlines()[-1]
    assert (run / "best.ckpt").exists()


# ---- wrong input


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"f1": "grid", "latent_dim": 8}, "--latent_dim: does not apply to --f1 grid"),
        ({"f1": "siren", "bpp": 2}, "--bpp: does not apply to --f1 siren"),
        ({"target_psnr": 40}, "--target_psnr: does not apply to --f1 siren"),
        ({"f1": "grid", "target_psnr": 40, "target_bytes": 9}, "not allowed with argument --target_psnr"),
        ({"f1": "grid", "target_bytes": -4}, "--target_bytes: -4 is not"),
        ({"f1": "grid", "events": "6,late"}, "--events"),
        ({"f1": "grid", "latent_bits": 5}, "--latent_bits"),
        ({"f1": "grid", "bpp": 0.001}, "--bpp: 0.001 is less than one channel takes: give "),
        ({"f1": "tree"}, "--f1"),
        ({"f1": "grid", "lightmap": "Hall:0"}, "--lightmap"),
    ],
)
def test_wrong_flags_are_one_line(hdr, tmp_path, capsys, flags, words):
    assert script.main(arguments(hdr, tmp_path / "run", epochs=1, device="cpu", **flags)) == 2
    lines = capsys.readouterr().err.splitlines()
    assert one_error_line("\n".join(line for line in lines if not line.startswith("warning")))
    assert words in lines[-1]


def test_wrong_sets_are_one_line(hprc, tmp_path, capsys):
    assert script.main(arguments(hprc, tmp_path / "run", **GRID, lightmap="Hall:9")) == 2
    assert "--lightmap: no lightmap 'Hall:9'" in one_error_line(capsys.readouterr().err)
    config = json.loads((hprc / "config.json").read_text())
    other = tmp_path / "other"
    (other / "Data").mkdir(parents=True)
    for file in (hprc / "Data").iterdir():
        (other / "Data" / file.name).write_bytes(file.read_bytes())
    for kind in ("lightmaps", "masks"):
        config["lightmap_list"][1][kind]["1300"] = config["lightmap_list"][1][kind].pop("1200")
    write_config(other, config)
    assert script.main(arguments(other, tmp_path / "run", **GRID, share_f2=True)) == 2
    assert "--share_f2: Hall:7 and Hall:0 differ in their hours" in one_error_line(capsys.readouterr().err)
    config["lightmap_list"][0]["lightmaps"]["0"] = "../../secret"
    write_config(other, config)
    assert script.main(arguments(other, tmp_path / "run", **GRID)) == 2
    assert "leaves the folder" in one_error_line(capsys.readouterr().err)


def test_a_grid_does_not_continue_a_siren(hdr, tmp_path, capsys):
    train(hdr, tmp_path / "run", **SIREN)
    capsys.readouterr()
    assert script.main(arguments(hdr, tmp_path / "run", **GRID)) == 2
    assert "a checkpoint of kind 'lightmap', expected 'lightmap-grid'" in capsys.readouterr().err


def test_a_grid_neither_waits_for_the_compiler_nor_for_scipy(hdr, tmp_path):
    """Both take longer to import than the first bundle takes to make. A new process: tests beside this use both."""
    flags = arguments(hdr, tmp_path / "run", **GRID)
    code = "import sys, train; train.main(sys.argv[1:]); print({'torch._dynamo', 'scipy'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code, *flags], cwd=ROOT, capture_output=True, text=True, timeout=300, check=True
    )
    assert done.stdout.splitlines()[-1] == "set()"
    assert read_bundle(tmp_path / "run" / "day.tod").bpp_memory() <= GRID["bpp"]
