"""The GPU's benchmark, on the CPU with tiny sizes."""

import os

import pytest
from torch.utils.tensorboard import SummaryWriter

from benchmarks import gpu, gpu_lightmaps, gpu_portraits, gpu_table, gpu_tests
from benchmarks.gpu_table import Row
from tests.tiny_runs import one_error_line


def rows_of(function, seconds):
    rows = []
    function("cpu", seconds, True, rows.append)
    return rows


@pytest.mark.parametrize(
    ("function", "cases"),
    [
        (gpu_lightmaps.siren_training, ["training, float32", "training, bf16", "training, fp16"]),
        (gpu_lightmaps.grid_training, ["training"]),
        (gpu_lightmaps.decoding, ["siren, 16 x 16", "grid, 16 x 16"]),
        (gpu_portraits.delit_training, ["training, 32 x 32, batches of 2"]),
        (gpu_portraits.inference, ["network, 32 x 32, batches of 8", "inference_delit.py, 4 frames of 64 x 48"]),
    ],
)
def test_every_section_measures(function, cases):
    rows = rows_of(function, 4.0)
    assert [row.case for row in rows] == cases
    assert all(row.ours > 0 and (row.plain is None or row.plain > 0) and row.note[:6] != "FAILED" for row in rows)


def test_the_section_of_tests_reports_each(monkeypatch, tmp_path):
    (tmp_path / "test_it.py").write_text(
        "import pytest\n"
        "pytestmark = pytest.mark.cuda\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 1 == 2\n"
        "def test_none(): pytest.skip('no GPU')\n"
        "def test_compile(): assert False, 'left out where sizes are tiny'\n"
    )
    monkeypatch.setattr(gpu_tests, "TESTS", tmp_path)
    monkeypatch.setenv("TEST_DEVICE", os.environ.get("TEST_DEVICE", "cuda"))
    rows = {row.case: row.note for row in rows_of(gpu_tests.run_tests, 60.0)}
    assert rows["test_good"] == "passed" and rows["test_bad"].startswith("FAILED: assert 1 == 2")
    assert rows["test_none"] == "skipped: Skipped: no GPU" and len(rows) == 3


def break_off(device, seconds, is_tiny, report):
    report(Row("broken", "first", ours=1.0))
    raise ValueError("two\nlines")


def die(device, seconds, is_tiny, report):
    os._exit(3)


def hang(device, seconds, is_tiny, report):
    report(Row("hanging", "first", ours=2.0))
    while True:
        pass


class Clock:
    """Time is up as soon as the section that hangs has given its row: however slow the machine is, none before."""

    now = 0.0

    def monotonic(self):
        return self.now

    def format_rows(self, rows):
        self.now += 1000.0 * (rows[-1].section == "hanging")
        return gpu_table.format_rows(rows)


def test_a_section_that_fails_leaves_a_line_and_the_others_go_on(monkeypatch, tmp_path, capsys):
    clock = Clock()
    monkeypatch.setattr(gpu, "time", clock)
    monkeypatch.setattr(gpu, "format_rows", clock.format_rows)
    monkeypatch.setattr(gpu, "START_SECONDS", 600.0)
    sections = {name: gpu.Section(__name__, name, 1.0) for name in ("break_off", "die")}
    sections["hang"] = gpu.Section(__name__, "hang", 0.01)
    sections["decoding"] = gpu.SECTIONS["decoding"]
    monkeypatch.setattr(gpu, "SECTIONS", sections)
    out = tmp_path / "gpu.tsv"
    argv = ["--device", "cpu", "--minutes", "0.1", "--out", str(out), "--sections", *sections]
    assert gpu.main(argv) == 1
    lines = out.read_text(encoding="utf-8").splitlines()
    assert lines[0] == "# command: python -m benchmarks.gpu --minutes 0.1 --device cpu"
    assert lines[1].startswith("# commit: ") and "no GPU; PyTorch" in lines[2]
    assert lines[3].split("\t") == ["section", "case", "unit", "ours", "plain", "ratio", "peak_memory_mb", "note"]
    notes = [line.rpartition("\t")[2] for line in lines[4:]]
    assert notes[:4] == ["", "FAILED: ValueError: two lines", "FAILED: the process ended with status 3", ""]
    assert notes[4].startswith("FAILED: not done after") and notes[5:] == ["", ""]
    assert "7 rows in" in capsys.readouterr().out


def test_a_run_that_logged_nothing_is_made_longer(tmp_path):
    asked = []

    def train_for(seconds, run_dir):
        asked.append(seconds)
        with SummaryWriter(str(run_dir / "logs")) as writer:
            if seconds > 10:
                writer.add_scalar("train/images_per_s", 42.0, 1)
        return 0

    assert gpu_lightmaps.logged_rate(train_for, tmp_path / "run", "images_per_s", 3.0) == 42
    assert asked == [3.0, 12.0]
    with pytest.raises(RuntimeError, match="training logged no texels_per_s in 48 s"):
        gpu_lightmaps.logged_rate(train_for, tmp_path / "other", "texels_per_s", 3.0)
    with pytest.raises(RuntimeError, match="training failed in broken_0"):
        gpu_lightmaps.logged_rate(lambda seconds, run_dir: 1, tmp_path / "broken", "texels_per_s", 3.0)


def test_without_a_gpu_it_says_so(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert gpu.main(["--out", str(tmp_path / "gpu.tsv")]) == 2
    line = one_error_line(capsys.readouterr().err)
    assert "PyTorch finds no CUDA device: run this where there is one, or with --device cpu" in line
    assert list(tmp_path.iterdir()) == []


def test_a_row_is_a_line_with_a_ratio():
    row = Row("siren", "training", "samples/s", 3e6, 1.5e6, 123.456, "note")
    assert gpu_table.format_rows([row]) == "siren\ttraining\tsamples/s\t3e+06\t1.5e+06\t2\t123.5\tnote"
