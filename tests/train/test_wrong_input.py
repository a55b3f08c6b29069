"""Wrong pictures, hours and flags: one line that names them."""

from pathlib import Path

import numpy as np
import pytest
import torch

import train as script
from src.utils.image_io import write_display
from tests.tiny_runs import one_error_line, train_arguments


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
