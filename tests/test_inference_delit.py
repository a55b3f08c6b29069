"""The whole command on small models: pictures, videos, folders, failures, and the same command again."""

import json
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

import inference_delit
from src.inference.crops import portrait_crop
from src.inference.delit import stills as delit_stills
from src.inference.delit.delighter import Delighter
from src.inference.faces import FaceTracker, find_face, find_faces
from src.inference.temporal import CutDetector
from src.models import shipped
from src.utils.color import linear_to_srgb
from src.utils.image_io import image_size, read_alpha, read_display, read_linear, write_display, write_linear
from src.utils.resize import resize_area
from src.utils.video_io import VideoReader, VideoWriter
from tests.inference.models import write_checkpoint
from tests.tiny_runs import one_error_line, ranks
from tests.tiny_stage import write_stage

ROOT = Path(__file__).resolve().parents[1]
PORTRAITS = ROOT.parent / "shared" / "data" / "portraits"
CLIP = PORTRAITS / "clip_headpose_male_480x270.mp4"
needs_portraits = pytest.mark.skipif(not PORTRAITS.is_dir(), reason="real portraits are not here")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("model") / "tiny.pth")


def run(checkpoint, source, output_dir, *flags):
    argv = ["--checkpoint", checkpoint, "--input", source, "--output_dir", output_dir, "--device", "cpu", *flags]
    return inference_delit.main([str(part) for part in argv])


def picture(seed=0, height=72, width=60):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.1, 0.9, (height // 4, width // 4, 3)).repeat(4, 0).repeat(4, 1).astype(np.float32)


def write_video(path, frames=9, fps=4, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    with VideoWriter(path, fps, **options) as video:
        for index in range(frames):
            video.write(np.roll(picture(), index, axis=1))
    return path


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


STILL = ["_env.hdr", "_env_confidence.png", "_env_preview.png", "_flat_lit.png"]


@pytest.mark.parametrize("suffix", [".png", ".jpg", ".exr", ".hdr", ".webp"])
def test_every_kind_of_picture(checkpoint, tmp_path, suffix):
    source = tmp_path / f"porträt{suffix}"
    if suffix == ".webp":
        from PIL import Image

        Image.fromarray((picture() * 255).astype(np.uint8)).save(source)
    else:
        write_linear(source, picture())
    assert run(checkpoint, source, tmp_path / "out", "--save_exr") == 0
    assert files(tmp_path / "out") == sorted("porträt" + ending for ending in [*STILL, "_flat_lit.exr"])
    linear = read_linear(tmp_path / "out" / "porträt_flat_lit.exr")
    shown = read_display(tmp_path / "out" / "porträt_flat_lit.png")
    np.testing.assert_allclose(shown, linear_to_srgb(linear), atol=0.006)
    assert image_size(tmp_path / "out" / "porträt_flat_lit.png") == (72, 60)
    assert read_linear(tmp_path / "out" / "porträt_env.hdr").shape == (16, 32, 3)
    assert image_size(tmp_path / "out" / "porträt_env_confidence.png") == (16, 32)
    assert not np.allclose(linear, read_linear(source), atol=0.02)


def test_the_first_command_needs_nothing_but_a_picture(checkpoint, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(shipped, "SHIPPED", {"delit": checkpoint})
    write_linear(tmp_path / "photo.png", picture())
    assert inference_delit.main(["--input", "photo.png"]) == 0
    assert files(tmp_path / "out") == ["photo" + ending for ending in STILL]
    monkeypatch.setattr(shipped, "SHIPPED", {"delit": tmp_path / "delit.pth"})
    capsys.readouterr()
    assert inference_delit.main(["--input", "photo.png"]) == 2
    assert "--checkpoint: the default" in one_error_line(capsys.readouterr().err)


def test_alpha_is_kept_and_what_it_hides_is_not_looked_at(checkpoint, tmp_path):
    alpha = np.ones((72, 60), np.float32)
    alpha[:, :20] = 0
    hidden = picture()
    hidden[:, :20] = picture(1)[:, :20]
    for name, content in (("a", picture()), ("b", hidden)):
        write_display(tmp_path / "in" / f"{name}.png", content, alpha=alpha)
    assert run(checkpoint, tmp_path / "in", tmp_path / "out", "--save_exr") == 0
    for ending in ("_flat_lit.png", "_flat_lit.exr"):
        np.testing.assert_array_equal(read_alpha(tmp_path / "out" / f"a{ending}"), alpha)
    first, second = (read_linear(tmp_path / "out" / f"{name}_flat_lit.exr") for name in "ab")
    np.testing.assert_array_equal(first[:, 20:], second[:, 20:])
    assert (tmp_path / "out" / "a_env.hdr").read_bytes() == (tmp_path / "out" / "b_env.hdr").read_bytes()


def test_a_model_without_confidence_and_mask(tmp_path):
    checkpoint = write_checkpoint(tmp_path / "simplified.pth", "simplified")
    write_display(tmp_path / "a.png", picture())
    assert run(checkpoint, tmp_path / "a.png", tmp_path / "out") == 0
    assert files(tmp_path / "out") == ["a_env.hdr", "a_env_preview.png", "a_flat_lit.png"]


@pytest.mark.parametrize("exposure", ["keep", "predicted"])
def test_brightness_is_the_pictures_or_the_models_and_how_sure_it_is_is_drawn(tmp_path, exposure):
    checkpoint = write_checkpoint(tmp_path / "sure.pth", flat_confidence=True)
    write_display(tmp_path / "a.png", picture())
    flags = [] if exposure == "keep" else ["--exposure", exposure]
    assert run(checkpoint, tmp_path / "a.png", tmp_path / "out", "--self_check", *flags) == 0
    assert files(tmp_path / "out") == sorted("a" + end for end in [*STILL, "_flat_confidence.png", "_report.json"])
    factor = json.loads((tmp_path / "out" / "a_report.json").read_text())["flat_lit_exposure"]
    assert (factor == 1.0) == (exposure == "predicted")
    confidence = read_display(tmp_path / "out" / "a_flat_confidence.png")
    assert confidence.shape[:2] == (72, 60) and 0 < confidence.min() < confidence.max() <= 1


def test_a_folder_goes_on_after_failures_and_only_they_are_tried_again(checkpoint, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    write_display(source / "a.png", picture())
    write_display(source / "sub" / "a.jpg", picture(1))
    (source / "broken.png").write_bytes(b"\x89PNG no more")
    (source / "sub" / "broken.mp4").write_bytes(b"nothing")
    write_video(source / "clip.mp4")
    assert run(checkpoint, source, out) == 1
    printed = capsys.readouterr().out
    assert "3 done, 0 skipped, 2 failed" in printed and printed.count("failed: ") == 2
    assert "broken.png" in printed and "broken.mp4" in printed
    assert not [name for name in files(out) if "broken" in name or "tmp" in name]
    assert {"a_flat_lit.png", "sub/a_flat_lit.png", "clip_flat_lit.mp4"} <= set(files(out))

    before = {name: (out / name).stat().st_mtime_ns for name in files(out)}
    (source / "broken.png").unlink()
    write_display(source / "broken.png", picture(2))
    assert run(checkpoint, source, out) == 1
    assert "1 done, 3 skipped, 1 failed" in capsys.readouterr().out
    assert all((out / name).stat().st_mtime_ns == at for name, at in before.items())
    (out / "a_env.hdr").unlink()
    (source / "sub" / "broken.mp4").unlink()
    assert run(checkpoint, source, out) == 0
    assert "1 done, 3 skipped, 0 failed" in capsys.readouterr().out
    assert run(checkpoint, source, out, "--overwrite") == 0
    assert "4 done, 0 skipped, 0 failed" in capsys.readouterr().out


def test_no_old_result_is_given_out_for_a_new_picture(checkpoint, tmp_path, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    write_display(source / "a.png", picture())
    write_display(source / "b.png", picture(1))
    write_video(source / "clip.mp4")
    flags = ("--save_exr", "--self_check")
    assert run(checkpoint, source, out, *flags) == 0
    untouched = (out / "b_flat_lit.png").stat().st_mtime_ns
    os.utime(source / "b.png", ns=(0, 0))  # another date is not another picture
    write_display(source / "a.png", picture(2))
    write_video(source / "clip.mp4", frames=3)
    capsys.readouterr()
    assert run(checkpoint, source, out) == 0
    assert "2 done, 1 skipped" in capsys.readouterr().out
    assert (out / "b_flat_lit.png").stat().st_mtime_ns == untouched
    # Nothing of the old picture stays, whatever flags it was made with.
    assert [name for name in files(out) if name.startswith("a_")] == sorted(f"a{ending}" for ending in STILL)
    assert [name for name in files(out) if name.startswith("clip")] == [
        "clip_env_avg.hdr",
        "clip_env_frame_00000.png",
        "clip_flat_lit.mp4",
    ]
    assert VideoReader(out / "clip_flat_lit.mp4").frame_count == 3
    alone = tmp_path / "alone"
    assert run(checkpoint, source / "a.png", alone) == 0
    np.testing.assert_array_equal(read_display(out / "a_flat_lit.png"), read_display(alone / "a_flat_lit.png"))


def test_another_checkpoint_or_flag_makes_other_results(checkpoint, tmp_path, capsys):
    other = write_checkpoint(tmp_path / "other.pth", "simplified")
    write_display(tmp_path / "in" / "a.png", picture())
    write_video(tmp_path / "in" / "clip.mp4", frames=3)
    for flags, expected in (
        ([], "2 done, 0 skipped"),
        ([], "0 done, 2 skipped"),
        (["--no_crop"], "2 done, 0 skipped"),
        (["--no_crop", "--temporal", "none"], "1 done, 1 skipped"),  # nothing to a picture
        (["--no_crop", "--temporal", "none", "--flat_size", "96"], "1 done, 1 skipped"),  # nor this to a video
        (["--no_crop", "--temporal", "none", "--flat_size", "96", "--save_exr"], "1 done, 1 skipped"),
    ):
        assert run(checkpoint, tmp_path / "in", tmp_path / "out", *flags) == 0
        assert expected in capsys.readouterr().out, flags
    assert run(other, tmp_path / "in", tmp_path / "out") == 0
    assert "2 done, 0 skipped" in capsys.readouterr().out
    assert "a_env_confidence.png" not in files(tmp_path / "out")  # of the other checkpoint
    checkpoint_again = tmp_path / "copy.pth"
    checkpoint_again.write_bytes(other.read_bytes())
    assert run(checkpoint_again, tmp_path / "in", tmp_path / "out") == 0
    assert "0 done, 2 skipped" in capsys.readouterr().out


def test_a_changed_frame_makes_its_video_anew(checkpoint, tmp_path, capsys):
    for index in range(3):
        write_display(tmp_path / "in" / "take" / f"{index}.png", picture(index))
    for changed, expected in ((None, "1 done"), (None, "1 skipped"), ("1.png", "1 done")):
        if changed:
            write_display(tmp_path / "in" / "take" / changed, picture(9))
        assert run(checkpoint, tmp_path / "in", tmp_path / "out", "--frames") == 0
        assert expected in capsys.readouterr().out


def test_an_unexpected_error_is_a_failure_of_its_input_alone(checkpoint, tmp_path, capsys, monkeypatch):
    for name in "ab":
        write_display(tmp_path / "in" / f"{name}.png", picture())
    original = delit_stills.write_preview

    def failing(path, environment):
        if path.name.startswith("a"):
            raise RuntimeError("out of memory")
        original(path, environment)

    monkeypatch.setattr(delit_stills, "write_preview", failing)
    assert run(checkpoint, tmp_path / "in", tmp_path / "out") == 1
    captured = capsys.readouterr()
    assert "a.png: RuntimeError: out of memory" in captured.out and "Traceback" in captured.err
    assert "a_flat_lit.png" not in files(tmp_path / "out") and "b_flat_lit.png" in files(tmp_path / "out")


def test_an_interrupted_video_leaves_nothing_under_its_name(checkpoint, tmp_path, capsys, monkeypatch):
    write_video(tmp_path / "clip.mp4", frames=12)
    calls = []

    def interrupting(self, pictures, *options, **named):
        calls.append(len(pictures))
        if len(calls) == 2:
            raise KeyboardInterrupt
        return original(self, pictures, *options, **named)

    original = Delighter.predict
    monkeypatch.setattr(Delighter, "predict", interrupting)
    assert run(checkpoint, tmp_path / "clip.mp4", tmp_path / "out", "--batch_size", "4") == 130
    assert not [name for name in files(tmp_path / "out") if name.endswith(".mp4")]
    monkeypatch.undo()
    assert run(checkpoint, tmp_path / "clip.mp4", tmp_path / "out") == 0


@pytest.mark.parametrize("temporal", ["none", "ema"])
def test_a_video(checkpoint, tmp_path, temporal):
    source = write_video(tmp_path / "clip.mp4", frames=9, fps=4)
    assert run(checkpoint, source, tmp_path / "out", "--temporal", temporal, "--batch_size", "4") == 0
    frames = [f"clip_env_frame_{index:05d}.png" for index in (0, 4, 8)]
    assert files(tmp_path / "out") == sorted([*frames, "clip_env_avg.hdr", "clip_flat_lit.mp4"])
    video = VideoReader(tmp_path / "out" / "clip_flat_lit.mp4")
    assert video.fps == 4 and video.frame_count == 9 and video.size == (72, 60)
    assert np.isfinite(read_linear(tmp_path / "out" / "clip_env_avg.hdr")).all()


def test_a_videos_frames_are_those_of_stills_and_its_environment_their_mean(checkpoint, tmp_path, monkeypatch):
    """A folder of frames, without averages: what each frame gives alone, seen once as a video's frames are."""
    predict_views = Delighter.predict_views
    monkeypatch.setattr(Delighter, "predict_views", lambda self, views, mirrors=False: predict_views(self, views))
    for index in range(5):
        grey = picture(index).mean(axis=2)  # yuv420p halves the resolution of colour
        write_display(tmp_path / "in" / "take" / f"frame_{index}.png", grey)
    assert run(checkpoint, tmp_path / "in", tmp_path / "stills", "--no_crop") == 0
    flags = ("--frames", "--fps", "23.976", "--temporal", "none", "--batch_size", "3", "--no_crop")
    assert run(checkpoint, tmp_path / "in", tmp_path / "video", *flags) == 0
    video = VideoReader(tmp_path / "video" / "take_flat_lit.mp4")
    assert video.fps == Fraction(24000, 1001)
    for index, frame in enumerate(video):
        still = read_display(tmp_path / "stills" / "take" / f"frame_{index}_flat_lit.png")
        assert np.abs(frame / 255 - still).mean() < 0.02  # x264
    environments = [read_linear(tmp_path / "stills" / "take" / f"frame_{index}_env.hdr") for index in range(5)]
    mean = read_linear(tmp_path / "video" / "take_env_avg.hdr")
    np.testing.assert_allclose(mean, np.mean(environments, axis=0), rtol=0.02, atol=0.01)


def test_sound_is_kept(checkpoint, tmp_path):
    silent = write_video(tmp_path / "silent.mp4", frames=8, fps=4)
    source = tmp_path / "in" / "clip.mp4"
    source.parent.mkdir()
    with av.open(str(silent)) as video, av.open(str(source), "w") as output:
        picture_track = output.add_stream_from_template(video.streams.video[0])
        sound = output.add_stream("aac", rate=44100)
        for packet in video.demux(video.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture_track
                output.mux(packet)
        wave = np.sin(np.arange(44100 * 2) * 0.05).astype(np.float32)[None]
        tone = av.AudioFrame.from_ndarray(np.repeat(wave, 2, 0), format="fltp", layout="stereo")
        tone.sample_rate = 44100
        output.mux([*sound.encode(tone), *sound.encode(None)])
    assert run(checkpoint, source, tmp_path / "out") == 0
    with av.open(str(tmp_path / "out" / "clip_flat_lit.mp4")) as result:
        assert len(result.streams.audio) == 1
        assert float(result.streams.audio[0].duration * result.streams.audio[0].time_base) > 1.5


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
            cwd=ROOT,
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


def test_self_check_by_olats_and_by_shading(checkpoint, tmp_path):
    stage = write_stage(tmp_path / "stage", subjects=1, lights=12, environments=1) / "olat"
    write_linear(tmp_path / "in" / "ID001" / "env.exr", 5 * read_linear(stage / "ID001" / "003.exr"))
    write_display(tmp_path / "in" / "other.png", picture())
    write_video(tmp_path / "in" / "clip.mp4", frames=9, fps=4)
    assert run(checkpoint, tmp_path / "in", tmp_path / "out", "--self_check", "--olat_root", stage) == 0
    by_olats = json.loads((tmp_path / "out" / "ID001" / "env_report.json").read_text("utf-8"))
    assert by_olats["method"] == "olat" and by_olats["log_rmse"] > 0 and np.isfinite(by_olats["psnr_db"])
    by_shading = json.loads((tmp_path / "out" / "other_report.json").read_text("utf-8"))
    assert by_shading["method"] == "sh" and -1 <= by_shading["correlation"] <= 1
    of_video = json.loads((tmp_path / "out" / "clip_report.json").read_text("utf-8"))
    assert [frame["frame"] for frame in of_video["frames"]] == [0, 4, 8]
    assert of_video["mean_correlation"] == pytest.approx(np.mean([f["correlation"] for f in of_video["frames"]]))


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--input", "missing"], "missing"),
        (["--checkpoint", "missing.pth"], "missing.pth"),
        (["--shard", "2/2"], "--shard"),
        (["--olat_root", "somewhere"], "--self_check"),
        (["--flat_size", "0"], "--flat_size"),
        (["--device", "abacus"], "--device"),
    ],
)
def test_wrong_input_is_one_line_and_status_2(checkpoint, tmp_path, capsys, flags, words):
    write_display(tmp_path / "a.png", picture())
    assert run(checkpoint, tmp_path / "a.png", tmp_path / "out", *flags) == 2
    assert words in one_error_line(capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


@needs_portraits
def test_the_faces_of_real_portraits_are_found():
    """Centres and sides as measured by eye, in shares of the picture."""
    known = {
        "astronaut_512.png": (0.44, 0.22, 0.19),
        "chris_pratt_2018_ccby2.jpg": (0.53, 0.40, 0.50),
        "grace_hopper.jpg": (0.52, 0.36, 0.42),
        "luciano_codait_cc0.png": (0.50, 0.33, 0.42),
        "obama_2012_official.jpg": (0.54, 0.22, 0.32),
    }
    for name, (x, y, side) in known.items():
        shown = np.rint(read_display(PORTRAITS / name) * 255).astype(np.uint8)
        face = find_face(shown)
        assert face is not None, name
        height, width = shown.shape[:2]
        assert (face.x / width, face.y / height) == pytest.approx((x, y), abs=0.05), name
        assert face.side / width == pytest.approx(side, rel=0.2), name


@needs_portraits
def test_both_faces_of_a_picture_and_one_that_is_tilted_are_found():
    first, second = (read_linear(PORTRAITS / name) for name in ("grace_hopper.jpg", "luciano_codait_cc0.png"))
    pair = np.concatenate([resize_area(picture, 400, 400) for picture in (first, second)], axis=1)
    faces = find_faces(np.rint(linear_to_srgb(pair) * 255).astype(np.uint8))
    assert len(faces) == 2
    assert sorted(face.x > 400 for face in faces) == [False, True]
    matrix = cv2.getRotationMatrix2D((200, 200), -35, 1.0)  # clockwise
    tilted = cv2.warpAffine(linear_to_srgb(pair[:, 400:]), matrix, (400, 400), borderMode=cv2.BORDER_REPLICATE)
    (face,) = find_faces(np.rint(tilted * 255).astype(np.uint8))
    assert face.roll in (20.0, 40.0)
    expected = matrix @ (0.5 * 400, 0.33 * 400, 1)
    assert np.hypot(*(expected - (face.x, face.y))) < 0.12 * 400


def test_a_mask_that_is_given_says_what_changes(checkpoint, tmp_path, capsys):
    write_display(tmp_path / "a.png", picture())
    mask = np.zeros((72, 60))
    mask[:, 30:] = 1
    write_display(tmp_path / "mask.png", mask)
    flags = ("--no_crop", "--exposure", "predicted", "--mask", tmp_path / "mask.png")
    assert run(checkpoint, tmp_path / "a.png", tmp_path / "out", *flags) == 0
    difference = np.abs(read_display(tmp_path / "out" / "a_flat_lit.png") - read_display(tmp_path / "a.png"))
    assert difference[:, :30].max() < 0.01 and difference[:, 30:].mean() > 0.02
    write_display(tmp_path / "mask.png", 1 - mask)  # another mask under the same name
    assert run(checkpoint, tmp_path / "a.png", tmp_path / "out", *flags) == 0
    difference = np.abs(read_display(tmp_path / "out" / "a_flat_lit.png") - read_display(tmp_path / "a.png"))
    assert difference[:, 30:].max() < 0.01
    capsys.readouterr()
    assert run(checkpoint, tmp_path / "a.png", tmp_path / "new", "--mask", tmp_path / "missing.png") == 2
    assert "missing.png: no such file" in one_error_line(capsys.readouterr().err)


@needs_portraits
def test_a_real_clip_keeps_its_face_and_what_is_around_it(checkpoint, tmp_path):
    assert run(checkpoint, CLIP, tmp_path, "--exposure", "predicted") == 0
    source, result = list(VideoReader(CLIP)), list(VideoReader(tmp_path / f"{CLIP.stem}_flat_lit.mp4"))
    assert len(result) == len(source) == 62
    face = FaceTracker().track(source[:1], [True])[0]
    crop = portrait_crop(face)
    inside = np.s_[crop.top + 60 : crop.top + 140, crop.left + 60 : crop.left + 140]
    outside = np.s_[:, : crop.left - 20]
    for index in (0, 31, 61):
        before, after = source[index].astype(int), result[index].astype(int)
        assert np.abs(before[outside] - after[outside]).mean() < 1
        assert np.abs(before[inside] - after[inside]).mean() > 4


@needs_portraits
def test_the_cut_between_two_real_clips_is_the_only_one():
    first, second = (list(VideoReader(path)) for path in sorted(PORTRAITS.glob("clip_*.mp4")))
    first = [frame[60:330] for frame in first]
    detector = CutDetector()
    found = [index for index, frame in enumerate(first + second) if detector.is_cut(frame)]
    assert found == [0, len(first)]
