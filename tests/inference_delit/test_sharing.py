"""Work that is shared out among runs and among processes."""

import os
import subprocess
import sys
from pathlib import Path

import inference_delit
from src.utils.image_io import write_display
from tests.inference_delit.command import files, picture, run
from tests.tiny_runs import ranks


def test_shares_of_the_work_are_disjoint_and_complete(checkpoint, tmp_path, monkeypatch):
    for index in range(5):
        write_display(tmp_path / "in" / f"p{index}.png", picture(index))
    shares = []
    for share in range(2):
        out = tmp_path / f"out{share}"
        assert run(checkpoint, tmp_path / "in", out, "--shard", f"{share}/2") == 0
        shares.append({name.split("_")[0] for name in files(out)})
    assert shares == [{"p0", "p2", "p4"}, {"p1", "p3"}]


def test_processes_of_torchrun_share_the_work_and_one_sums_it_up(checkpoint, tmp_path):
    for index in range(3):
        write_display(tmp_path / "in" / f"p{index}.png", picture(index))
    (tmp_path / "in" / "p3.png").write_bytes(b"broken")
    argv = ["--checkpoint", checkpoint, "--input", tmp_path / "in", "--output_dir", tmp_path / "out", "--device", "cpu"]
    started = [
        subprocess.Popen(
            [sys.executable, "inference_delit.py", *map(str, argv)],
            cwd=Path(inference_delit.__file__).parent,
            env={**os.environ, **environment, "OMP_NUM_THREADS": "1"},
            stdout=subprocess.PIPE,
            text=True,
        )
        for environment in ranks(2)
    ]
    printed = [process.communicate(timeout=120)[0] for process in started]
    assert [process.returncode for process in started] == [1, 1]
    assert "3 done, 0 skipped, 1 failed" in printed[0] and "done" not in printed[1]
    assert len([name for name in files(tmp_path / "out") if name.endswith("_flat_lit.png")]) == 3
