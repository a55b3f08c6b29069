"""To a size and to a PSNR."""

from src.models.compressor import load
from tests.radiance_days import GRID, train
from tests.train_grid.results import valid_psnr


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
