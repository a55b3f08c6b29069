"""The whole command, on tiny data: what it computes, and that it survives everything."""

import json
import math
import os
import random
import re
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import train as script
from src.training import meter
from src.training import trainer as engine
from src.training.logger import Logger
from src.training.trainer import Trainer
from src.utils.image_io import write_display
from tests import tiny_runs
from tests.tiny_runs import assert_same_state, best, last, one_error_line, train_arguments, write_day

ROOT = Path(__file__).resolve().parent.parent
# Seed 42. Two threads, slices of another size, or a processor without vector instructions change them by up to 2e-6
# through rounding. The tolerance of 1e-4 also leaves room for other versions of PyTorch; a change of formula, order or
# initialisation exceeds it.
# fmt: off
FIRST_LOSSES = [
    0.043742526, 0.037369341, 0.042625576, 0.042364776, 0.036890168,
    0.039421469, 0.041759387, 0.044730145, 0.039087657, 0.042954057,
    0.039510209, 0.044701774, 0.036145706, 0.041677102, 0.035489473,
    0.042560469, 0.030807782, 0.042398997, 0.041280828, 0.042366125,
]
# fmt: on


@pytest.fixture
def losses(monkeypatch):
    """The loss of each step, in order."""
    values = []
    scalars = Logger.scalars

    def record(self, step, measures):
        if "train/loss" in measures:
            assert step == len(values) + 1
            values.append(measures["train/loss"])
        scalars(self, step, measures)

    monkeypatch.setattr(meter, "LOG_SECONDS", -1.0)
    monkeypatch.setattr(Logger, "scalars", record)
    return values


def interrupt_at(monkeypatch, step):
    """Ctrl-C while the step is computed."""
    train_step = Trainer._train_step

    def stop(self, stream):
        if self.step == step - 1:
            signal.raise_signal(signal.SIGINT)
        train_step(self, stream)

    monkeypatch.setattr(Trainer, "_train_step", stop)


# ---- what it computes


def test_the_first_losses(day, tmp_path, losses):
    tiny_runs.train(day, tmp_path / "run", epochs=3, lr=0.01)
    assert len(losses) == 24
    assert losses[:20] == pytest.approx(FIRST_LOSSES, rel=1e-4)


def test_a_run_leaves_what_the_help_says(day, tmp_path, capsys):
    run = tmp_path / "run"
    stored = tiny_runs.train(day, run, epochs=4, save_every=2, compute_latent=True)
    names = {path.name for path in run.iterdir()}
    exports = {"latent_map.npy", "f2_state_dict.pt", "f2_ts.pt", "f2.pt2", "f2_config.json"}
    assert names == {"best.ckpt", "last.ckpt", "config.json", "logs", "comparison.png", *exports}
    assert np.load(run / "latent_map.npy").shape == (10, 12, 4)
    assert stored["step"] == 32 and stored["best_score"] == best(run)["best_score"]
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert config["arguments"]["latent_dim"] == 4 and config["data"]["height"] == 10
    closing = capsys.readouterr().out.splitlines()[-1]
    assert f"PSNR {stored['best_score']:.2f} dB" in closing and "latent_map.npy" in closing and str(run) in closing
    assert tiny_runs.scalars(run, "validation/psnr_db")[-1] == pytest.approx(stored["best_score"], abs=1e-4)


def test_tensorboard_gets_every_measure_and_the_pictures(day, tmp_path, losses):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    tiny_runs.train(day, tmp_path / "run")
    events = EventAccumulator(str(tmp_path / "run" / "logs"))
    events.Reload()
    assert set(events.Tags()["scalars"]) == {
        "train/loss",
        "train/learning_rate",
        "train/texels_per_s",
        "train/data_wait_share",
        "validation/score",
        "validation/psnr_db",
        "validation/worst_hour_psnr_db",
    }
    assert [event.value for event in events.Scalars("train/loss")] == pytest.approx(losses)
    assert len(events.Images("truth_reconstruction_error")) == 2


def test_training_learns(day, tmp_path):
    stored = tiny_runs.train(day, tmp_path / "run", epochs=100, save_every=20, hidden_f1=16, hidden_f2=16)
    mean_square = np.mean([(tiny_runs.smooth_frame(hour, 10, 12) - 0.5) ** 2 for hour in (0, 6, 12, 18)])
    assert stored["best_score"] > -10 * np.log10(mean_square) + 5, "well above grey pictures"


def test_two_runs_are_the_same_bit_for_bit_and_another_seed_is_not(day, tmp_path):
    first, second = (tiny_runs.train(day, tmp_path / name) for name in "ab")
    assert_same_state(first, second)
    other = tiny_runs.train(day, tmp_path / "c", seed=7)
    assert not torch.equal(other["model"]["state"]["f1.head.weight"], first["model"]["state"]["f1.head.weight"])


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision_runs_on_the_cpu(day, tmp_path, amp):
    full = tiny_runs.train(day, tmp_path / "full", epochs=20, save_every=20)
    mixed = tiny_runs.train(day, tmp_path / "mixed", epochs=20, save_every=20, amp=amp)
    assert mixed["step"] == 160
    assert mixed["best_score"] == pytest.approx(full["best_score"], abs=1.0)
    assert all(value.isfinite().all() for value in mixed["model"]["state"].values())


def test_accumulated_batches_are_a_larger_batch(day, tmp_path, losses):
    whole = tiny_runs.train(day, tmp_path / "whole", batch_size=120)
    whole_losses = losses.copy()
    losses.clear()
    parts = tiny_runs.train(day, tmp_path / "parts", batch_size=60, accumulate_steps=2)
    assert whole["step"] == parts["step"] == 8
    assert losses == pytest.approx(whole_losses, rel=1e-4)
    for name, value in whole["model"]["state"].items():
        torch.testing.assert_close(parts["model"]["state"][name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_a_time_budget_is_kept_and_the_rate_ends_near_zero(day, tmp_path, losses, clock, monkeypatch):
    clock.let_steps_take(monkeypatch, 0.01)
    stored = tiny_runs.train(day, tmp_path / "run", time_budget=0.03, save_every=1000)
    assert stored["step"] == pytest.approx(180, abs=1)
    rates = tiny_runs.scalars(tmp_path / "run", "train/learning_rate")
    assert len(rates) == stored["step"]
    assert rates[-1] < 0.03 * max(rates)
    assert last(tmp_path / "run")["validated_step"] == stored["step"]


def test_a_budget_shorter_than_the_start_still_ends_well(day, tmp_path):
    stored = tiny_runs.train(day, tmp_path / "run", time_budget=1e-6, compute_latent=True)
    assert stored["step"] == 1
    assert (tmp_path / "run" / "f2_ts.pt").exists()


def test_no_arguments_train_on_the_samples_with_exports():
    arguments = script.parse_arguments([])
    assert arguments.data_dir == ROOT / "samples" / "tod_courtyard"
    assert arguments.compute_latent and arguments.time_budget == 3.0
    assert arguments.out_dir == Path("runs") / "tod_courtyard"
    assert arguments.f1 == "grid" and script.parse_arguments(["--latent_dim", "8"]).f1 == "siren"
    assert script.parse_arguments(["--epochs", "7"]).time_budget is None
    given = script.parse_arguments(["--data_dir", "x/y"])
    assert given.f1 == "siren"
    assert not given.compute_latent and given.time_budget is None and given.out_dir == Path("runs") / "y"
    defaults = {
        "epochs": 200,
        "batch_size": 65536,
        "lr": 1e-3,
        "latent_dim": 32,
        "hidden_f1": 32,
        "layers_f1": 4,
        "hidden_f2": 64,
        "layers_f2": 4,
        "time_harmonics": 2,
        "seed": 42,
        "save_every": 10,
    }
    assert {name: getattr(given, name) for name in defaults} == defaults


def test_the_bundled_samples_train(tmp_path):
    assert script.main(["--out_dir", str(tmp_path / "run"), "--time_budget", "0.01", "--device", "cpu"]) == 0
    assert np.load(tmp_path / "run" / "latent_map.npy", mmap_mode="r").shape[:2] == (256, 256)
    assert (tmp_path / "run" / "day.tod").stat().st_size < 200_000


def test_workers_are_accepted_and_said_to_have_no_effect(day, tmp_path, capsys):
    tiny_runs.train(day, tmp_path / "run", num_workers=2)
    assert "--num_workers has no effect" in capsys.readouterr().err


# ---- data


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


# ---- continuing


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nobody interrupted: its data, flags and folder."""
    folder = tmp_path_factory.mktemp("whole")
    data_dir = write_day(folder / "day")
    flags = {"epochs": 4, "save_every": 2}
    tiny_runs.train(data_dir, folder / "run", **flags)
    return data_dir, flags, folder / "run"


@pytest.mark.parametrize("step", [1, 5, 8, 16, 19, 31, 32])
def test_interrupted_and_continued_equals_uninterrupted(whole, tmp_path, monkeypatch, capsys, step):
    data_dir, flags, run = whole
    argv = train_arguments(data_dir, tmp_path / "run", **flags)
    with monkeypatch.context() as patch:
        interrupt_at(patch, step)
        assert script.main(argv) == 130
    assert "interrupted: run the same command again" in capsys.readouterr().err
    assert last(tmp_path / "run")["step"] == step
    assert script.main(argv) == 0
    assert_same_state(last(tmp_path / "run"), last(run))
    assert_same_state(best(tmp_path / "run"), best(run))


def test_continuing_is_exact_on_two_threads_and_with_other_flags_that_only_say_where(day, tmp_path, monkeypatch):
    torch.set_num_threads(2)
    try:
        flags = {"batch_size": 240, "hidden_f2": 32, "amp": "bf16"}
        tiny_runs.train(day, tmp_path / "whole", **flags)
        with monkeypatch.context() as patch:
            interrupt_at(patch, 3)
            assert script.main(train_arguments(day, tmp_path / "parts", **flags)) == 130
        moved = (tmp_path / "parts").rename(tmp_path / "moved")
        tiny_runs.train(day.rename(tmp_path / "other"), moved, num_workers=3, compute_latent=True, **flags)
        assert_same_state(last(moved), last(tmp_path / "whole"))
    finally:
        torch.set_num_threads(1)


def test_a_finished_run_again_does_nothing_and_ends_well(day, tmp_path, losses):
    run = tmp_path / "run"
    tiny_runs.train(day, run)
    before = {name: (run / name).stat().st_mtime_ns for name in ("last.ckpt", "best.ckpt", "config.json")}
    losses.clear()
    tiny_runs.train(day, run)
    assert losses == []
    assert {name: (run / name).stat().st_mtime_ns for name in before} == before


def test_never_resuming_and_overwriting(day, tmp_path, capsys):
    run = tmp_path / "run"
    tiny_runs.train(day, run, resume="never")
    assert script.main(train_arguments(day, run, resume="never")) == 2
    assert "already holds a run" in one_error_line(capsys.readouterr().err.rpartition("step/s]")[2])
    tiny_runs.train(day, run, overwrite=True, seed=5)
    assert last(run)["identity"]["arguments"]["seed"] == 5
    assert len(tiny_runs.scalars(run, "validation/psnr_db")) == 2, "the old run's curves are gone"


def test_changed_arguments_are_refused_by_name(day, tmp_path, capsys):
    run = tmp_path / "run"
    tiny_runs.train(day, run)
    before = (run / "last.ckpt").read_bytes()
    capsys.readouterr()
    assert script.main(train_arguments(day, run, lr=0.01, hidden_f2=16, hours="0:24:6")) == 2
    line = one_error_line(capsys.readouterr().err)
    assert "last.ckpt: made with other arguments (hidden_f2 was 8, now 16, lr was 0.001, now 0.01)" in line
    (day / "tod_3.png").rename(day / "tod_4.png")
    assert script.main(train_arguments(day, run)) == 2
    line = one_error_line(capsys.readouterr().err)
    assert "made from other data (1 of 4 files are gone: tod_3.png, 1 of 4 files are new: tod_4.png): give" in line
    assert (run / "last.ckpt").read_bytes() == before


@pytest.mark.skipif(sys.platform == "win32", reason="30 processes take minutes to start without fork")
def test_killed_at_30_random_moments(day, tmp_path):
    run, argv = tmp_path / "run", train_arguments(day, tmp_path / "run", epochs=90)
    chance = random.Random(0)
    steps = [0]
    for _ in range(30):
        if chance.random() < 0.7:
            moment = partial(tiny_runs.die_at_call, chance.randrange(1, 7000), "_train_step")  # an epoch is some 2600
        else:
            moment = partial(tiny_runs.die_at_call, chance.randrange(1, 1000))  # while it starts
        process = tiny_runs.start(argv, setup=moment)
        process.join()
        assert process.exitcode == -signal.SIGKILL, "otherwise nothing was killed"
        steps.append(steps_done(run))
    assert steps == sorted(steps), "nothing saved is ever lost"
    assert 100 < steps[-1] < 720
    assert best(run)["step"] > 0
    process = tiny_runs.start(argv)
    process.join()
    assert process.exitcode == 0
    assert [path.name for path in run.iterdir() if ".tmp" in path.name] == []
    tiny_runs.train(day, tmp_path / "whole", epochs=90)
    assert_same_state(last(run), last(tmp_path / "whole"))
    assert_same_state(best(run), best(tmp_path / "whole"))


def steps_done(run: Path) -> int:
    return last(run)["step"] if (run / "last.ckpt").exists() else 0


# ---- faults


@pytest.mark.parametrize("where", ["fsync", "replace"])
def test_a_full_disk_is_one_line_and_leaves_the_previous_checkpoint(day, tmp_path, monkeypatch, capsys, where):
    run = tmp_path / "run"
    tiny_runs.train(day, run, epochs=3)
    begun = train_arguments(day, tmp_path / "full", epochs=3)

    class FullDisk:
        """Refuses from the second time on that ``last`` is saved."""

        saves = 0

        def __call__(self, *args):
            name = str(args[0]) if where != "fsync" else os.readlink(f"/proc/self/fd/{args[0]}")
            if ".last." in name and ".tmp" in name:
                self.saves += 1
                if self.saves > 1:
                    raise OSError(28, "No space left on device")
            return original(*args)

    if where == "fsync" and not Path("/proc/self/fd").exists():
        pytest.skip("needs the names of open files")
    original = getattr(os, where)
    disk = FullDisk()
    capsys.readouterr()
    with monkeypatch.context() as patch:
        patch.setattr(os, where, disk)
        assert script.main(begun) == 2
    line = one_error_line(capsys.readouterr().err)
    assert "last.ckpt: no space left on the disk: free some space and run the same command again" in line
    assert last(tmp_path / "full")["step"] == 8, "the checkpoint before"
    assert [path.name for path in (tmp_path / "full").iterdir() if ".tmp" in path.name] == []
    assert script.main(begun) == 0
    assert_same_state(last(tmp_path / "full"), last(run))


def shrink_disk_after_first_save() -> None:
    import resource

    save = Trainer.save

    def save_then_shrink(self, which):
        save(self, which)
        if which == engine.LAST:
            resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))

    Trainer.save = save_then_shrink


@pytest.mark.skipif(sys.platform == "win32", reason="needs setrlimit")
def test_an_operating_system_that_refuses_to_write(day, tmp_path):
    argv = train_arguments(day, tmp_path / "run", epochs=3, hidden_f2=64, layers_f2=4)
    process = tiny_runs.start(argv, tmp_path / "log", setup=shrink_disk_after_first_save)
    process.join()
    assert process.exitcode == 2
    line = one_error_line((tmp_path / "log").read_text(encoding="utf-8").rpartition("step/s]")[2])
    assert re.search(r"(last|best).ckpt: File too large", line)
    assert last(tmp_path / "run")["step"] == 8
    assert (tmp_path / "run" / "last.ckpt").stat().st_size > 100_000
    assert script.main(argv) == 0


def test_a_loss_that_is_not_finite_names_step_and_file_and_keeps_the_last_good_state(
    day, tmp_path, monkeypatch, capsys
):
    import src.data.lightmap_dataset as data

    run = tmp_path / "run"
    argv = train_arguments(day, run, epochs=6)
    epoch = data.TexelBatches.epoch

    def spoil(self, number, start):
        if number == 3:
            self._dataset.texels[:, 2] = float("nan")
        return epoch(self, number, start)

    with monkeypatch.context() as patch:
        patch.setattr(data.TexelBatches, "epoch", spoil)
        assert script.main(argv) == 2
    line = one_error_line(capsys.readouterr().err)
    assert "loss: not finite at step 24 (batch: 15 texels of tod_2.png)" in line and "still holds the last good" in line
    assert last(run)["step"] == 24
    assert all(value.isfinite().all() for value in last(run)["model"]["state"].values())
    assert script.main(argv) == 0
    assert last(run)["step"] == 48


def test_an_absurd_learning_rate_stops_before_anything_bad_is_saved(day, tmp_path, capsys):
    argv = train_arguments(day, tmp_path / "run", lr=3e38, schedule="constant")
    assert script.main(argv) == 2
    assert "not finite" in one_error_line(capsys.readouterr().err)
    assert not (tmp_path / "run" / "last.ckpt").exists()


# ---- bad input


def break_missing(day):
    return {"data_dir": day / "nowhere"}, ["nowhere", "no such folder"]


def break_file_as_folder(day):
    return {"data_dir": day / "tod_0.png"}, ["tod_0.png", "is not a folder"]


def break_empty(day):
    for path in day.iterdir():
        path.unlink()
    return {}, ["day", "no lightmap images"]


def break_unknown_extension(day):
    for path in list(day.iterdir()):
        path.rename(path.with_suffix(".bmp"))
    return {}, ["day", "no lightmap images", ".bmp", "png, jpg"]


def break_size(day):
    write_display(day / "tod_1.png", np.zeros((10, 16, 3), np.float32))
    return {}, ["tod_1.png", "is 16 x 10", "tod_0.png", "is 12 x 10"]


def break_truncated(day):
    path = day / "tod_2.png"
    path.write_bytes(path.read_bytes()[:-40])
    return {}, ["tod_2.png"]


def break_fake(day):
    (day / "tod_2.png").write_text("this is no picture", encoding="utf-8")
    return {}, ["tod_2.png"]


def break_zero_byte(day):
    (day / "tod_2.png").write_bytes(b"")
    return {}, ["tod_2.png", "0 bytes"]


def break_times(day):
    (day / "times.json").write_text("[0, 6, NaN, 18]", encoding="utf-8")
    return {"hours": None}, ["times.json", "nan", "tod_2.png"]


def break_out_dir(day):
    return {"out_dir": day / "tod_0.png" / "run"}, ["tod_0.png", "a file is in the way"]


def flags(**values):
    def change(_day):
        given = {name: value for name, (value, _) in values.items()}
        return given, [word for name, (_, words) in values.items() for word in [f"--{name}", *words]]

    change.__name__ = "_".join(f"{name}={value}" for name, (value, _) in values.items())
    return change


BAD_INPUTS = [
    break_missing,
    break_file_as_folder,
    break_empty,
    break_unknown_extension,
    break_size,
    break_truncated,
    break_fake,
    break_zero_byte,
    break_times,
    break_out_dir,
    flags(hours=("0,6,nan,18", ["nan"])),
    flags(hours=("0,-6,12,18", ["-6"])),
    flags(hours=("-1,6,12,18", [])),
    flags(hours=("0,6,12,25", ["25", "tod_3.png"])),
    flags(hours=("0,6,6,18", ["tod_1.png", "tod_2.png", "same hour 6"])),
    flags(hours=("0,6,12,24", ["tod_0.png", "tod_3.png", "same hour 0", "24 is 0"])),
    flags(hours=("0,6,12", ["3 hours for 4 images"])),
    flags(batch_size=(0, ["0 is not"])),
    flags(batch_size=("many", ["many"])),
    flags(epochs=(-3, ["-3 is not"])),
    flags(epochs=(0, ["0 is not"])),
    flags(latent_dim=(0, ["0 is not"])),
    flags(hidden_f1=(0, [])),
    flags(layers_f2=(0, [])),
    flags(time_harmonics=(0, [])),
    flags(samples_per_epoch=(0, [])),
    flags(lr=("nan", [])),
    flags(lr=(0, [])),
    flags(time_budget=("-1", [])),
    flags(time_budget=("inf", [])),
    flags(seed=(-1, [])),
    flags(num_workers=(-1, [])),
    flags(amp=("fp8", ["fp8"])),
    flags(schedule=("linear", ["linear"])),
    flags(accumulate_steps=(9, ["9 batches per step", "an epoch has 8"])),
    flags(device=("cuda", ["no CUDA device", "--device cpu"])),
    flags(device=("gpu", ["gpu"])),
]


@pytest.mark.parametrize("change", BAD_INPUTS, ids=lambda change: change.__name__)
def test_bad_input_is_one_line_that_names_it(day, tmp_path, monkeypatch, capsys, change):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    given, words = change(day)
    data_dir, out_dir = given.pop("data_dir", day), given.pop("out_dir", tmp_path / "run")
    assert script.main(train_arguments(data_dir, out_dir, **given)) == 2
    line = one_error_line(capsys.readouterr().err)
    for word in words:
        assert word in line
    assert not (tmp_path / "run" / "last.ckpt").exists()


def test_an_unreadable_image(day, tmp_path, monkeypatch, capsys):
    read_bytes = Path.read_bytes

    def refuse(path):
        if path.name == "tod_2.png":
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read everything, whatever the file's mode
    assert script.main(train_arguments(day, tmp_path / "run")) == 2
    line = one_error_line(capsys.readouterr().err)
    assert "tod_2.png: permission denied" in line


@pytest.mark.parametrize("flag", ["--epoch", "--nonsense"])
def test_unknown_flags(day, tmp_path, capsys, flag):
    assert script.main([*train_arguments(day, tmp_path / "run"), flag, "3"]) == 2
    assert flag in one_error_line(capsys.readouterr().err)


def test_checkpoints_that_cannot_be_continued(day, tmp_path, capsys):
    from src.utils import checkpoint

    run = tmp_path / "run"
    tiny_runs.train(day, run)
    whole = (run / "last.ckpt").read_bytes()
    capsys.readouterr()
    (run / "last.ckpt").write_bytes(whole[: len(whole) // 2])
    assert script.main(train_arguments(day, run)) == 2
    assert "last.ckpt: cannot be read as a checkpoint" in one_error_line(capsys.readouterr().err)
    checkpoint.write(run / "last.ckpt", "delit", {})
    assert script.main(train_arguments(day, run)) == 2
    assert "last.ckpt: a checkpoint of kind 'delit', expected 'lightmap'" in one_error_line(capsys.readouterr().err)


# ---- several processes


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    """One process with twice the batch."""
    folder = tmp_path_factory.mktemp("one")
    data_dir = write_day(folder / "day")
    tiny_runs.train(data_dir, folder / "run", batch_size=120)
    return data_dir, folder / "run"


def assert_close_runs(run: Path, other: Path) -> None:
    ours, theirs = last(run), last(other)
    assert ours["step"] == theirs["step"] == 8
    assert ours["best_score"] == pytest.approx(theirs["best_score"], abs=1e-3)
    for name, value in theirs["model"]["state"].items():
        torch.testing.assert_close(ours["model"]["state"][name], value, rtol=1e-3, atol=1e-4, msg=name)


def test_torchrun_gives_what_one_process_with_twice_the_batch_gives(one_process, tmp_path):
    data_dir, run = one_process
    launch = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc_per_node=2",
        str(ROOT / "train.py"),
    ]
    argv = train_arguments(data_dir, tmp_path / "run", batch_size=60)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*launch, *argv], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("PSNR") == 1, "only one process reports"
    assert_close_runs(tmp_path / "run", run)


def print_scores() -> None:
    from src.tasks.siren_task import SirenTask

    validate = SirenTask.validate

    def say(self):
        measures = validate(self)
        print("score", measures["score"].hex())
        return measures

    SirenTask.validate = say


def start_ranks(argv, folder, setup=None):
    return [
        tiny_runs.start(argv, folder / f"log{rank}", environment, setup)
        for rank, environment in enumerate(tiny_runs.ranks(2))
    ]


def test_every_process_validates_to_the_same_figure(one_process, tmp_path):
    data_dir, run = one_process
    processes = start_ranks(train_arguments(data_dir, tmp_path / "run", batch_size=60), tmp_path, print_scores)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    scores = [re.findall(r"score (\S+)", (tmp_path / f"log{rank}").read_text(encoding="utf-8")) for rank in range(2)]
    assert len(scores[1]) == 2 and scores[0][:2] == scores[1]
    assert scores[0][2:] == [max(scores[1], key=float.fromhex)], "what was kept, measured once more at the end"
    assert_close_runs(tmp_path / "run", run)


def interrupt_itself() -> None:
    """Ctrl-C at step 7 of the first process and at step 8 of the second."""
    train_step = Trainer._train_step

    def stop(self, stream):
        if self.step == 7 + self.processes.rank:
            signal.raise_signal(signal.SIGINT)
        train_step(self, stream)

    Trainer._train_step = stop


@pytest.mark.skipif(sys.platform == "win32", reason="needs signals to other processes")
def test_several_processes_stop_together_and_continue(one_process, tmp_path):
    data_dir, _ = one_process
    argv = train_arguments(data_dir, tmp_path / "run", batch_size=60, epochs=50, save_every=50)
    processes = start_ranks(argv, tmp_path, interrupt_itself)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [130, 130]
    assert 0 < last(tmp_path / "run")["step"] < 200, "it was saved where it stopped"
    processes = start_ranks(argv, tmp_path)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    assert last(tmp_path / "run")["step"] == 200


# ---- start


@pytest.mark.parametrize("name", sorted(path.name for path in ROOT.glob("*.py")))
def test_help_loads_no_heavy_library(name):
    """What makes a script slow to start is what it imports."""
    program = (
        "import runpy, sys\n"
        f"sys.argv = [{name!r}, '--help']\n"
        "try:\n    runpy.run_path(sys.argv[0], run_name='__main__')\n"
        "except SystemExit as end:\n    assert not end.code\n"
        "heavy = {'torch', 'numpy', 'PIL', 'cv2', 'OpenEXR', 'av', 'tensorboard', 'tqdm'} & set(sys.modules)\n"
        "print('heavy:', sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "usage:" in done.stdout and done.stdout.endswith("heavy: []\n")
