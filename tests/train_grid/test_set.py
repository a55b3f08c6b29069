"""A set of lightmaps: a run for each, one F2 for all, shared out among processes."""

import json
import re

import numpy as np
import torch

import evaluate
import train as script
from src.export.bundle import read_bundle
from src.models.grid.latent_grid import CHECKPOINT_KIND
from src.training.trainer import Trainer
from src.utils import checkpoint
from src.utils.tile_metrics import tile_metrics
from tests import tiny_runs
from tests.radiance_days import GRID, SIREN, SIZES, arguments, train
from tests.tiny_runs import assert_same_state


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
