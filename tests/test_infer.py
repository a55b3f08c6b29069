"""The whole command on a tiny checkpoint and its exports."""

import shutil

import numpy as np
import pytest
import torch

import infer
from src.models.compressor import load
from src.utils import checkpoint
from src.utils.color import linear_to_srgb, srgb_to_linear
from src.utils.image_io import read_display, read_linear
from src.utils.video_io import VideoReader
from tests.tiny_runs import one_error_line


def source(trained, name):
    if name == "ckpt":
        return ["--ckpt", str(trained / "best.ckpt")]
    return ["--latent_path", str(trained / "latent_map.npy"), "--f2_path", str(trained / name)]


SOURCES = ["ckpt", "f2_state_dict.pt", "f2_ts.pt"]


def run(arguments, time, out):
    return infer.main([*arguments, "--time", time, "--out", str(out), "--device", "cpu"])


@pytest.mark.parametrize("name", ["picture.png", "picture.jpg"])
@pytest.mark.parametrize("time", ["0", "5.9", "23.99", "12"])
def test_every_source_gives_bit_for_bit_the_same_picture(trained, tmp_path, name, time):
    files = []
    for source_name in SOURCES:
        out = tmp_path / source_name / name
        assert run(source(trained, source_name), time, out) == 0
        files.append(out.read_bytes())
    assert files[0] == files[1] == files[2]


def test_the_picture_is_what_the_decoder_renders(trained, tmp_path):
    frame = load(trained / "best.ckpt").render(5.9)
    for suffix, tolerance in ((".png", 0.5 / 255 + 1e-6), (".jpg", 0.2)):
        assert run(source(trained, "ckpt"), "5.9", tmp_path / f"a{suffix}") == 0
        np.testing.assert_allclose(read_display(tmp_path / f"a{suffix}"), frame, rtol=0, atol=tolerance)
    for suffix, tolerance in ((".exr", 1e-3), (".hdr", 1e-2)):
        assert run(source(trained, "ckpt"), "5.9", tmp_path / f"a{suffix}") == 0
        np.testing.assert_allclose(read_linear(tmp_path / f"a{suffix}"), srgb_to_linear(frame), rtol=0, atol=tolerance)


def test_hour_24_is_hour_0(trained, tmp_path):
    for time in ("0", "24", "48"):
        assert run(source(trained, "ckpt"), time, tmp_path / f"{time}.png") == 0
    pictures = [(tmp_path / f"{time}.png").read_bytes() for time in ("0", "24", "48")]
    assert pictures[0] == pictures[1] == pictures[2]


def test_several_hours_are_named_by_hour_times_100_and_equal_each_alone(trained, tmp_path, capsys):
    assert run(source(trained, "ckpt"), "0,5.9,12,23.5", tmp_path / "set" / "recon_{time}.png") == 0
    names = sorted(path.name for path in (tmp_path / "set").iterdir())
    assert names == ["recon_0000.png", "recon_0590.png", "recon_1200.png", "recon_2350.png"]
    assert "wrote 4 files" in capsys.readouterr().out
    for time, name in (("0", names[0]), ("5.9", names[1]), ("12", names[2]), ("23.5", names[3])):
        assert run(source(trained, "f2_ts.pt"), time, tmp_path / "alone.png") == 0
        assert (tmp_path / "alone.png").read_bytes() == (tmp_path / "set" / name).read_bytes()
    assert run(source(trained, "ckpt"), "0:24:6", tmp_path / "{time}" / "day.png") == 0
    assert all((tmp_path / hour / "day.png").exists() for hour in ("0000", "0600", "1200", "1800"))
    assert run(source(trained, "ckpt"), "5.9", tmp_path / "one_{time}.png") == 0
    assert (tmp_path / "one_0590.png").exists()


def test_a_video_holds_every_hour(trained, tmp_path):
    out = tmp_path / "day.mp4"
    assert infer.main([*source(trained, "ckpt"), "--time", "0:24:0.5", "--out", str(out), "--fps", "12"]) == 0
    reader = VideoReader(out)
    assert reader.fps == 12 and reader.frame_count == 48
    frames = list(reader)
    assert len(frames) == 48
    decoder = load(trained / "best.ckpt")
    assert reader.size == (12, 14), "11 rows grow to an even number"
    for k in (0, 13, 47):
        difference = np.abs(frames[k][:11] / 255.0 - decoder.render(k * 0.5))
        assert difference.mean() < 0.03
    assert run(source(trained, "f2_ts.pt"), "12", tmp_path / "still.MP4") == 0
    assert len(list(VideoReader(tmp_path / "still.MP4"))) == 1


def test_a_size_gives_means_in_linear_light(trained, tmp_path):
    source_arguments, decoder = source(trained, "ckpt"), load(trained / "best.ckpt")
    linear = srgb_to_linear(decoder.render(5.9).astype(np.float64))  # 11 x 14
    expected = linear.reshape(11, 7, 2, 3).mean(axis=2)
    assert infer.main([*source_arguments, "--time", "5.9", "--size", "7x11", "--out", str(tmp_path / "a.exr")]) == 0
    np.testing.assert_allclose(read_linear(tmp_path / "a.exr"), expected, rtol=0, atol=1e-3)
    assert infer.main([*source_arguments, "--time", "5.9", "--size", "7x11", "--out", str(tmp_path / "a.png")]) == 0
    picture = read_display(tmp_path / "a.png").astype(np.float64)
    np.testing.assert_allclose(picture, linear_to_srgb(expected), rtol=0, atol=0.5 / 255 + 1e-5)
    assert infer.main([*source_arguments, "--time", "0:2:1", "--size", "6x4", "--out", str(tmp_path / "a.mp4")]) == 0
    assert VideoReader(tmp_path / "a.mp4").size == (4, 6)
    for size, name in (("14x11", "same.png"), (None, "plain.png")):
        extra = ["--size", size] if size else []
        assert infer.main([*source_arguments, "--time", "5.9", *extra, "--out", str(tmp_path / name)]) == 0
    assert (tmp_path / "same.png").read_bytes() == (tmp_path / "plain.png").read_bytes()


def test_names_that_are_not_ascii(trained, tmp_path):
    folder = tmp_path / "Latent ü 日"
    folder.mkdir()
    for name in ("latent_map.npy", "f2_ts.pt", "f2_state_dict.pt"):
        shutil.copy(trained / name, folder / name)
    for name in ("f2_ts.pt", "f2_state_dict.pt"):
        assert run(source(folder, name), "3", folder / "Bild.png") == 0


EXPORT = {"--latent_path": "{run}/latent_map.npy", "--f2_path": "{run}/f2_state_dict.pt"}
CASES = {
    "no_time": ({"--time": None}, ["--time"]),
    "nan": ({"--time": "nan"}, ["--time", "nan"]),
    "negative": ({"--time": "-1"}, ["--time", "-1"]),
    "negative_in_a_list": ({"--time": "3,-1"}, ["--time", "-1"]),
    "backwards": ({"--time": "12:6:1", "--out": "{tmp}/out/{{time}}.png"}, ["--time", "12:6:1"]),
    "one_name": ({"--time": "0,12"}, ["--out", "a.png gives several hours one name", "{time}"]),
    "close_hours": ({"--time": "0,0.001", "--out": "{tmp}/out/{{time}}.png"}, ["--out", "several hours one name"]),
    "unknown_extension": ({"--out": "{tmp}/out/a.bmp"}, ["a.bmp", "unknown extension '.bmp'"]),
    "no_extension": ({"--out": "{tmp}/out/a"}, ["out/a", "unknown extension"]),
    "other_video": ({"--out": "{tmp}/out/a.avi"}, ["a.avi", "unknown extension '.avi'"]),
    "out_below_a_file": ({"--out": "{run}/best.ckpt/a.png"}, ["best.ckpt", "a file is in the way"]),
    "no_source": ({"--ckpt": None}, ["--ckpt", "give either"]),
    "two_sources": (EXPORT, ["--ckpt", "give either"]),
    "half_a_source": ({"--ckpt": None, "--f2_path": "{run}/f2_ts.pt"}, ["--latent_path", "go together"]),
    "missing_checkpoint": ({"--ckpt": "{run}/none.ckpt"}, ["none.ckpt", "no such file"]),
    "truncated_checkpoint": ({"--ckpt": "{tmp}/half.ckpt"}, ["half.ckpt", "cannot be read as a checkpoint"]),
    "hostile_checkpoint": ({"--ckpt": "{tmp}/hostile.ckpt"}, ["hostile.ckpt", "cannot be read as a checkpoint"]),
    "wrong_kind": ({"--ckpt": "{tmp}/delit.ckpt"}, ["delit.ckpt", "kind 'delit', expected 'lightmap'"]),
    "weights_as_checkpoint": ({"--ckpt": "{run}/f2_state_dict.pt"}, ["f2_state_dict.pt", "not a checkpoint"]),
    "missing_map": ({**EXPORT, "--ckpt": None, "--latent_path": "{run}/none.npy"}, ["none.npy"]),
    "missing_f2": ({**EXPORT, "--ckpt": None, "--f2_path": "{run}/none.pt"}, ["none.pt", "no such file"]),
    "map_that_does_not_fit": (
        {**EXPORT, "--ckpt": None, "--latent_path": "{tmp}/narrow.npy"},
        ["narrow.npy", "f2_state_dict.pt", "3 channels", "F2 takes 5"],
    ),
    "truncated_map": ({**EXPORT, "--ckpt": None, "--latent_path": "{tmp}/half.npy"}, ["half.npy", "not a readable"]),
    "truncated_f2": ({**EXPORT, "--ckpt": None, "--f2_path": "{tmp}/half.pt"}, ["half.pt", "cannot be read"]),
    "exchanged": (
        {"--ckpt": None, "--latent_path": "{run}/f2_state_dict.pt", "--f2_path": "{run}/latent_map.npy"},
        ["f2_state_dict.pt", "an archive"],
    ),
    "checkpoint_as_f2": ({**EXPORT, "--ckpt": None, "--f2_path": "{run}/best.ckpt"}, ["best.ckpt"]),
    "no_cuda": ({"--device": "cuda"}, ["--device", "no CUDA device"]),
    "larger_size": ({"--size": "15x4"}, ["--size", "15x4 is more than the lightmap's 14x11"]),
    "no_size": ({"--size": "0x4"}, ["--size", "'0x4' is not WIDTHxHEIGHT"]),
    "half_a_size": ({"--size": "256"}, ["--size", "'256' is not WIDTHxHEIGHT"]),
    "no_fps": ({"--fps": "0"}, ["--fps"]),
}


class Hostile:
    def __reduce__(self):
        return exec, ("raise SystemExit('executed')",)


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_line_that_names_it(trained, tmp_path, monkeypatch, capsys, case):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for name, whole in (("half.ckpt", "best.ckpt"), ("half.npy", "latent_map.npy"), ("half.pt", "f2_ts.pt")):
        content = (trained / whole).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2])
    torch.save({"kind": "lightmap", "model": Hostile()}, tmp_path / "hostile.ckpt")
    checkpoint.write(tmp_path / "delit.ckpt", "delit", {})
    np.save(tmp_path / "narrow.npy", np.zeros((4, 4, 3), np.float32))

    changes, words = CASES[case]
    flags = {"--ckpt": "{run}/best.ckpt", "--time": "12", "--out": "{tmp}/out/a.png", **changes}
    argv = [part.format(run=trained, tmp=tmp_path) for item in flags.items() if item[1] is not None for part in item]
    assert infer.main(argv) == 2
    captured = capsys.readouterr()
    line = one_error_line(captured.err)
    for word in words:
        assert word in line
    assert captured.out == "" and not list((tmp_path / "out").glob("*"))
