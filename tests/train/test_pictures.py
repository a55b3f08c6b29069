"""The hours and the files of a day of lightmaps."""

import json
import math

from PIL import Image

from src.utils.image_io import write_display
from tests import tiny_runs
from tests.tiny_runs import last, write_day


def test_the_hour_of_each_frame_is_printed_once(tmp_path, capsys):
    write_day(tmp_path / "day", hours=3)
    tiny_runs.train(tmp_path / "day", tmp_path / "run", hours=None)
    assert capsys.readouterr().out.count("tod_0.png = 0, tod_1.png = 1, tod_2.png = 2") == 1
    assert last(tmp_path / "run")["model"]["config"]["hours"] == [0, 1, 2]


def test_hours_from_times_json_and_from_the_flag(day, tmp_path):
    (day / "times.json").write_text(json.dumps({f"tod_{i}.png": 6 * i + 0.5 for i in range(4)}), encoding="utf-8")
    tiny_runs.train(day, tmp_path / "a", hours=None)
    assert last(tmp_path / "a")["model"]["config"]["hours"] == [0.5, 6.5, 12.5, 18.5]
    tiny_runs.train(day, tmp_path / "b", hours="1,5.9,12,23")
    assert last(tmp_path / "b")["model"]["config"]["hours"] == [1, 5.9, 12, 23]


def test_jpegs_and_names_that_are_not_ascii(tmp_path):
    data_dir = write_day(tmp_path / "Tag ü 日", suffix=".jpg")
    tiny_runs.train(data_dir, tmp_path / "läuft 日", compute_latent=True)
    assert (tmp_path / "läuft 日" / "f2_ts.pt").exists()


def test_all_kinds_of_png_train_together(tmp_path):
    folder = write_day(tmp_path / "day")
    eight_bits = Image.open(folder / "tod_0.png").convert("RGB")
    eight_bits.convert("L").save(folder / "tod_0.png")
    eight_bits.quantize(32).save(folder / "tod_1.png")
    eight_bits.convert("RGBA").save(folder / "tod_2.png")
    write_display(folder / "tod_3.png", tiny_runs.smooth_frame(18, 10, 12), bits=16)
    stored = tiny_runs.train(folder, tmp_path / "run")
    assert stored["step"] == 16 and math.isfinite(stored["best_score"])
