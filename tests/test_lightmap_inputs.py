"""``train.py`` and ``infer.py`` on lightmaps as people have them: baked anew, black, uniform, one of a set damaged."""

import json
import os

import numpy as np
import pytest

import infer
import train
from src.utils import image_io
from tests.data.lightmap.test_hprc import write_config
from tests.tiny_runs import SIZES, one_error_line, smooth_frame

HOURS = (0, 6, 12, 18)
HEIGHT, WIDTH = 12, 16
FLAGS = {
    "grid": {"f1": "grid", "bpp": 400, "epochs": 3},
    "siren": {"f1": "siren", "epochs": 2, "batch_size": 200, **SIZES},
}


def write_day(folder, frame, suffix=".exr", mask=None):
    folder.mkdir(exist_ok=True)
    for hour in HOURS:
        write = image_io.write_linear if suffix == ".exr" else image_io.write_display
        write(folder / f"lm_{hour * 100:04d}{suffix}", np.asarray(frame(hour), np.float32))
    if mask is not None:
        image_io.write_display(folder / "mask.png", np.repeat(mask[..., None], 3, axis=2).astype(np.float32))
    return folder


def write_set(folder, lightmaps):
    """An HPRC set; ``lightmaps`` {id: frame of the hour}."""
    (folder / "Data").mkdir(parents=True)
    entries = []
    for number, frame in lightmaps.items():
        files = {str(hour * 100): f"lm_{number}_{hour}.bin" for hour in HOURS}
        for hour in HOURS:
            np.asarray(frame(hour), "<f4").tofile(folder / "Data" / files[str(hour * 100)])
        resolution = {"width": WIDTH, "height": HEIGHT}
        entries.append({"id": number, "level": "Hall", "lightmaps": files, "resolution": resolution})
    write_config(folder, {"lightmap_count": len(entries), "lightmap_list": entries})
    return folder


def textured(hour):
    return smooth_frame(hour, HEIGHT, WIDTH) + 0.1


def run(data_dir, out_dir, f1, **flags):
    chosen = {"save_every": 1, "device": "cpu", **FLAGS[f1], **flags}
    argv = ["--data_dir", str(data_dir), "--out_dir", str(out_dir)]
    for name, value in chosen.items():
        argv += [f"--{name}"] if value is True else [f"--{name}", str(value)]
    return train.main(argv)


def decode(run_dir, hour, out):
    argv = ["--ckpt", str(run_dir / "best.ckpt"), "--time", str(hour), "--out", str(out), "--device", "cpu"]
    assert infer.main(argv) == 0
    return image_io.read_linear(out) if out.suffix == ".exr" else image_io.read_display(out)


# ---- the same command after a change of the data


@pytest.mark.parametrize("f1", FLAGS)
def test_a_new_bake_is_refused_by_name_and_overwrite_starts_anew(tmp_path, capsys, f1):
    day = write_day(tmp_path / "day", textured)
    assert run(day, tmp_path / "run", f1) == 0
    for file in day.iterdir():  # a copy, a checkout: other times, the same content
        os.utime(file, (1e9, 1e9))
    assert run(day, tmp_path / "run", f1) == 0
    before = (tmp_path / "run" / "last.ckpt").read_bytes()
    status = (day / "lm_1200.exr").stat()
    frame = image_io.read_linear(day / "lm_1200.exr")
    image_io.write_linear(day / "lm_1200.exr", frame[::-1])
    os.utime(day / "lm_1200.exr", ns=(status.st_atime_ns, status.st_mtime_ns))
    capsys.readouterr()
    assert run(day, tmp_path / "run", f1) == 2
    line = one_error_line(capsys.readouterr().err)
    assert "made from other data (1 of 4 files differ: lm_1200.exr)" in line and "--overwrite" in line
    assert (tmp_path / "run" / "last.ckpt").read_bytes() == before
    assert run(day, tmp_path / "run", f1, overwrite=True) == 0
    assert (tmp_path / "run" / "last.ckpt").read_bytes() != before


@pytest.mark.parametrize("f1", FLAGS)
def test_a_new_mask_and_a_new_size_are_refused(tmp_path, capsys, f1):
    day = write_day(tmp_path / "day", textured)
    assert run(day, tmp_path / "run", f1) == 0
    write_day(day, textured, mask=np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) > 40)
    capsys.readouterr()
    assert run(day, tmp_path / "run", f1) == 2
    assert "1 of 1 mask_files are new: mask.png" in one_error_line(capsys.readouterr().err)
    (day / "mask.png").unlink()
    write_day(day, lambda hour: smooth_frame(hour, 20, 24))
    assert run(day, tmp_path / "run", f1) == 2
    line = one_error_line(capsys.readouterr().err)
    assert "4 of 4 files differ" in line and "height was 12, now 20" in line and len(line) < 500


def test_a_lightmap_of_a_set_that_was_baked_anew(tmp_path, capsys):
    hprc = write_set(tmp_path / "set", {0: textured, 1: textured})
    assert run(hprc, tmp_path / "run", "grid") == 0
    np.asarray(textured(3), "<f4").tofile(hprc / "Data" / "lm_1_6.bin")
    capsys.readouterr()
    assert run(hprc, tmp_path / "run", "grid") == 2
    printed = capsys.readouterr()
    assert "Hall:1 failed: " in printed.err and "1 of 4 files differ: lm_1_6.bin" in printed.err
    assert "1 of 2 lightmaps failed (Hall:1)" in printed.err.splitlines()[-1]
    assert "1 lightmaps in" in printed.out


# ---- black, uniform, one texel

ONE_TEXEL = np.zeros((HEIGHT, WIDTH), bool)
ONE_TEXEL[7, 3] = True
ODD_DAYS = {
    "black": (lambda hour: np.zeros((HEIGHT, WIDTH, 3)), None),
    "uniform": (lambda hour: np.full((HEIGHT, WIDTH, 3), [0.2, 0.4, 0.1 + hour / 40]), None),
    "one valid texel": (textured, ONE_TEXEL),
    "black nights": (lambda hour: textured(hour) * (hour in (6, 12)), None),
}


@pytest.mark.parametrize("suffix", [".png", ".exr"])
@pytest.mark.parametrize("name", ODD_DAYS)
def test_odd_days_become_planes_that_decode_to_what_they_were(tmp_path, name, suffix):
    frame, mask = ODD_DAYS[name]
    day = write_day(tmp_path / "day", lambda hour: np.clip(frame(hour), 0, 1), suffix, mask)
    assert run(day, tmp_path / "run", "grid", compute_latent=True) == 0
    for hour in (0, 12):
        decoded = decode(tmp_path / "run", hour, tmp_path / f"{hour}{suffix}")
        truth = np.where(np.ones((HEIGHT, WIDTH, 1), bool) if mask is None else mask[..., None], frame(hour), 0.0)
        of_peak = 0.03 if name == "black nights" else 2.5 / 255  # a texture has its quantisation, what is flat has none
        tolerance = of_peak if suffix == ".png" else of_peak * truth.max()
        assert np.abs(decoded - truth.clip(0, 1)).max() <= tolerance
    decode(tmp_path / "run", 12, tmp_path / "preview.png")


@pytest.mark.parametrize("suffix", [".png", ".exr"])
@pytest.mark.parametrize("name", ODD_DAYS)
def test_odd_days_become_sirens(tmp_path, name, suffix):
    frame, mask = ODD_DAYS[name]
    day = write_day(tmp_path / "day", lambda hour: np.clip(frame(hour), 0, 1), suffix, mask)
    assert run(day, tmp_path / "run", "siren", compute_latent=True) == 0
    decoded = decode(tmp_path / "run", 0, tmp_path / f"night{suffix}")
    if suffix == ".exr" and "black" in name:
        assert (decoded == 0).all()
    decode(tmp_path / "run", 12, tmp_path / "preview.png")


def test_a_siren_of_uniform_values_comes_near_them_soon(tmp_path):
    for value in (0.0, 0.6):
        day = write_day(tmp_path / f"{value}", lambda hour, value=value: np.full((HEIGHT, WIDTH, 3), value), ".png")
        assert run(day, tmp_path / f"run{value}", "siren", epochs=100, save_every=50, lr=5e-3) == 0
        decoded = decode(tmp_path / f"run{value}", 6, tmp_path / "6.png")
        assert np.abs(decoded - value).max() < 0.08  # a sigmoid never reaches 0, but goes on towards it


@pytest.mark.parametrize("f1", FLAGS)
def test_a_set_with_black_uniform_and_damaged_ones(tmp_path, capsys, f1):
    lightmaps = {0: textured, 1: ODD_DAYS["black"][0], 2: ODD_DAYS["uniform"][0], 3: textured, 4: textured, 5: textured}
    hprc = write_set(tmp_path / "set", lightmaps)
    data = hprc / "Data"
    (data / "lm_3_6.bin").write_bytes((data / "lm_3_6.bin").read_bytes()[:-10])
    (data / "lm_4_6.bin").unlink()
    broken = textured(6)
    broken[2, 5] = np.nan
    broken.astype("<f4").tofile(data / "lm_5_6.bin")
    assert run(hprc, tmp_path / "run", f1) == 2
    printed = capsys.readouterr()
    for words in ("lm_3_6.bin: has ", "lm_4_6.bin: no such file", "lm_5_6.bin: holds NaN", "texel (5, 2)"):
        assert words in printed.err
    assert "3 of 6 lightmaps failed (Hall:3, Hall:4, Hall:5)" in printed.err.splitlines()[-1]
    assert "Traceback" not in printed.err
    rows = {line.split(" | ")[0].strip("| "): line.split(" | ") for line in printed.out.splitlines() if " | " in line}
    assert rows["Hall:1"][1] == "black" and rows["Hall:2"][1] == "uniform"
    assert rows["all 3 (mean of 1)"][1] == rows["Hall:0"][1], "black and uniform ones are left out of the mean"
    assert sorted(file.parent.name for file in (tmp_path / "run").glob("*/best.ckpt")) == ["Hall_0", "Hall_1", "Hall_2"]


# ---- hot texels


@pytest.mark.parametrize("f1", FLAGS)
@pytest.mark.parametrize("hot", [60.0, 1e20])
def test_a_hot_texel_leaves_the_others_and_the_preview_as_they_are(tmp_path, capsys, f1, hot):
    results = []
    for name, value in (("usual", None), ("hot", hot)):

        def frame(hour, value=value):
            image = smooth_frame(hour, 40, 48) + 0.1
            if hour == 12 and value:
                image[5, 7] = value
            return image

        day = tmp_path / name
        day.mkdir()
        for hour in HOURS:
            image_io.write_linear(day / f"lm_{hour * 100:04d}.exr", frame(hour), bits=32)
        flags = {"bpp": 60, "epochs": 20} if f1 == "grid" else {"epochs": 30, "batch_size": 2000}
        assert run(day, tmp_path / f"run_{name}", f1, save_every=10, **flags) == 0
        said = capsys.readouterr().out
        decoded = decode(tmp_path / f"run_{name}", 12, tmp_path / "12.exr")
        preview = decode(tmp_path / f"run_{name}", 12, tmp_path / "12.png")
        others = np.ones((40, 48), bool)
        others[5, 7] = False
        error = np.sqrt(np.square((decoded - frame(12))[others]).mean())
        results.append((error, preview.mean()))
        assert ("hot texel" in said and "texel (7, 5) of lm_1200.exr" in said) == (value is not None)
    (usual_error, usual_mean), (error, mean) = results
    assert error < 1.2 * usual_error + 1e-3
    assert mean == pytest.approx(usual_mean, rel=0.05)


def test_what_was_taken_from_the_data_is_printed_once(tmp_path, capsys):
    day = write_day(tmp_path / "day", textured, ".png", mask=np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH) > 40)
    (day / "notes.tiff").write_bytes(b"")
    (day / "__MACOSX").mkdir()
    assert run(day, tmp_path / "run", "grid") == 0
    said = capsys.readouterr().out
    assert said.count("lm_0000.png = 0, lm_0600.png = 6, lm_1200.png = 12, lm_1800.png = 18") == 1
    assert said.count(f"{HEIGHT * WIDTH - 41} of {HEIGHT * WIDTH} texels valid, from mask.png") == 1
    assert said.count("passed over: __MACOSX/, notes.tiff") == 1
    described = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["data"]
    assert described["hours"] == list(HOURS)
