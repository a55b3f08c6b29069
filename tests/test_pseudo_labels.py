"""``inference_delit.py --pseudo_labels`` as a whole: what it writes, kills and restarts, plans, thresholds."""

import functools
import json
import random
import signal

import numpy as np
import pytest

import inference_delit
from src.data.portrait.manifest import CLIPS, read_clips
from src.data.portrait.pseudo_labels import PseudoLabels
from src.inference.delit import label_set
from src.utils.image_io import image_size, read_linear, write_display
from src.utils.video_io import VideoReader, VideoWriter
from tests import tiny_runs
from tests.inference.models import write_checkpoint

HEIGHT, WIDTH, FRAMES = 32, 40, 4


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return write_checkpoint(tmp_path_factory.mktemp("model") / "tiny.pth", flat_confidence=True)


def arguments(checkpoint, source, folder, *flags):
    argv = ["--checkpoint", checkpoint, "--input", source, "--output_dir", folder, "--device", "cpu"]
    return [str(part) for part in [*argv, "--pseudo_labels", *flags]]


def run(*parts):
    return inference_delit.main(arguments(*parts))


def picture(seed, shift=0):
    rng = np.random.default_rng(seed)
    coarse = rng.uniform(0.1, 0.9, (HEIGHT // 4, WIDTH // 4, 3)).repeat(4, 0).repeat(4, 1)
    return np.roll(coarse.astype(np.float32), shift, axis=1)


def write_clip(path, seed=0, frames=FRAMES):
    """A video, or a folder of frames where the name has no suffix."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix:
        with VideoWriter(path, 8) as video:
            for index in range(frames):
                video.write(picture(seed, index))
    else:
        for index in range(frames):
            write_display(path / f"{index:08d}.png", picture(seed, index))
    return path


@pytest.mark.parametrize("kind", ["mp4", "png"])
def test_what_belongs_to_a_clip(checkpoint, tmp_path, capsys, kind):
    write_clip(tmp_path / "in" / "one.mp4")
    write_clip(tmp_path / "in" / "id" / "two", 1)
    (tmp_path / "in" / "broken.mp4").write_bytes(b"nothing")
    flags = ("--frames_as", kind, "--env_per_frame", "--keep", "cuts<1")
    assert run(checkpoint, tmp_path / "in", tmp_path / "out", *flags) == 1
    printed = capsys.readouterr().out
    assert "2 of 3 clips labelled, 2 kept by cuts<1" in printed and "broken.mp4" in printed
    labels = PseudoLabels(tmp_path / "out")
    assert [clip.name for clip in labels.clips] == ["id/two", "one"]
    assert (tmp_path / "out" / "histograms.png").is_file() and not list((tmp_path / "out").rglob(".partial/*"))
    for clip in labels.clips:
        here = tmp_path / "out" / CLIPS / clip.name
        assert json.loads((here / "report.json").read_text("utf-8")) == json.loads(json.dumps(clip.to_json()))
        for frames in ("flat_lit", "mask", "confidence"):
            if kind == "png":
                assert image_size(here / frames / f"{FRAMES - 1:05d}.png") == (HEIGHT, WIDTH)
            else:
                assert VideoReader(here / f"{frames}.mp4").frame_count == FRAMES
        mean = np.mean([read_linear(here / "env" / f"{index:05d}.hdr") for index in range(FRAMES)], axis=0)
        np.testing.assert_allclose(read_linear(here / "env.hdr"), mean, rtol=0.03, atol=0.01)
        assert image_size(here / "env_confidence.png") == (16, 32)
        assert clip.figures["frames"] == FRAMES and clip.figures["cuts"] == 0 and clip.shots == (0,)
        assert clip.figures["face_share"] == 0 and clip.figures["face_pixels"] is None
        assert 0 < clip.figures["confidence"] < 1 and clip.figures["e_warp_ratio"] > 0
        frames = labels.read(clip, 16)
        assert frames.relit.shape == frames.flat_lit.shape == (FRAMES, 16, 16, 3)
        assert np.abs(frames.relit.astype(int) - frames.flat_lit).mean() > 2


def test_labels_belong_together_whatever_brightness_is_kept(checkpoint, tmp_path):
    """Flat-lit times the mean light stays the same when flat-lit is as bright as the input."""
    source = write_clip(tmp_path / "one.mp4")
    products = []
    for exposure in ("predicted", "keep"):
        out = tmp_path / exposure
        assert run(checkpoint, source, out, "--exposure", exposure, "--frames_as", "png", "--temporal", "none") == 0
        flat_lit = read_linear(out / CLIPS / "one" / "flat_lit" / "00000.png").mean()
        environment = read_linear(out / CLIPS / "one" / "env.hdr").mean()
        products.append((flat_lit, environment))
    (flat, light), (kept_flat, kept_light) = products
    assert abs(np.log(light / kept_light)) > 0.05  # else there is nothing to see
    assert (flat < kept_flat) == (light > kept_light)


def begin_shard(calls_to_live):
    """No picture is drawn, which takes longer than tiny clips; killed at a call of ``make``, or never."""
    label_set.write_histograms = lambda *_: None
    if calls_to_live is not None:
        tiny_runs.die_at_call(calls_to_live, "make")


def test_shards_that_are_killed_anywhere_leave_every_clip_once(checkpoint, tmp_path):
    count, shards, rng = 24, 4, random.Random(0)
    for index in range(count):
        write_clip(tmp_path / "in" / (f"clip{index}.mp4" if index % 2 else f"clip{index}"), index, frames=2)
    out = tmp_path / "out"
    commands = [arguments(checkpoint, tmp_path / "in", out, "--no_crop", "--shard", f"{k}/{shards}") for k in range(4)]

    def run_shards(longest_life):
        processes = []
        for k, argv in enumerate(commands):
            life = functools.partial(begin_shard, longest_life and rng.randrange(longest_life))
            processes.append(tiny_runs.start(argv, tmp_path / f"{k}.txt", setup=life, script="inference_delit"))
        for process in processes:
            process.join()
        return [process.exitcode for process in processes]

    made = {}
    for longest_life in (3000, 4000, None):
        codes = run_shards(longest_life)
        assert codes == [0] * shards if longest_life is None else -signal.SIGKILL in codes
        before, made = made, {path.parent.name: path.stat().st_mtime_ns for path in out.glob("clips/*/report.json")}
        assert before.items() <= made.items()  # what was finished was left alone
    lines = [line for path in out.glob("manifest.*-of-4.jsonl") for line in path.read_bytes().splitlines()]
    names = [json.loads(line)["name"] for line in lines if line.endswith(b"}")]
    assert sorted(names) == sorted(f"clip{index}" for index in range(count))
    assert [clip.name for clip in read_clips(out)] == [f"clip{index}" for index in range(count)]
    assert not list(out.rglob(".partial/*"))


def test_other_thresholds_choose_others_and_make_nothing_again(checkpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(label_set, "write_histograms", lambda *_: None)  # it takes longer than tiny clips
    for index in range(2):
        write_clip(tmp_path / "in" / f"{index}.mp4", index, frames=2 + index)
    out = tmp_path / "out"
    assert run(checkpoint, tmp_path / "in", out, "--keep", "frames>2") == 0
    assert "1 kept by frames>2\nframes>2 does not hold for 1" in capsys.readouterr().out
    assert [clip.name for clip in PseudoLabels(out).clips] == ["1"]
    assert run(checkpoint, tmp_path / "in", out, "--keep") == 0
    printed = capsys.readouterr().out
    assert "2 kept by no thresholds" in printed and "0 done, 2 skipped" in printed
    write_clip(tmp_path / "in" / "1.mp4", 5, frames=3)
    assert run(checkpoint, tmp_path / "in", out, "--keep") == 0
    assert "1 done, 1 skipped" in capsys.readouterr().out
    assert run(checkpoint, tmp_path / "in", out, "--keep", "--frames_as", "png") == 0
    assert "2 done, 0 skipped" in capsys.readouterr().out
    assert len(read_clips(out)) == 2 and not (out / CLIPS / "1" / "flat_lit.mp4").exists()


def test_a_dry_run_says_what_it_takes_and_writes_nothing(checkpoint, tmp_path, capsys):
    for index in range(4):
        write_clip(tmp_path / "in" / f"{index}.mp4", index, frames=2)
    assert run(checkpoint, tmp_path / "in", tmp_path / "out", "--dry_run", "--shard", "0/2") == 0
    printed = capsys.readouterr().out
    assert "plan: 4 clips" in printed and "0 finished, 2 to do" in printed and "disk: " in printed
    assert "probe: 2 clips, 4 frames" in printed
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--keep", "beauty>1"], "--keep: 'beauty' is no figure"),
        (["--keep", "cuts"], "--keep"),
        (["--input", "nothing"], "holds no pictures and no videos"),
    ],
)
def test_wrong_input_is_one_line(checkpoint, tmp_path, capsys, monkeypatch, flags, words):
    monkeypatch.chdir(tmp_path)
    write_clip(tmp_path / "in" / "0.mp4")
    (tmp_path / "nothing").mkdir()
    assert run(checkpoint, tmp_path / "in", tmp_path / "out", *flags) == 2
    assert words in tiny_runs.one_error_line(capsys.readouterr().err)
    assert not (tmp_path / "out").exists()


def test_clips_that_would_lie_in_one_another(checkpoint, tmp_path, capsys):
    write_clip(tmp_path / "in" / "a.mp4")
    write_clip(tmp_path / "in" / "a" / "b.mp4")
    assert run(checkpoint, tmp_path / "in", tmp_path / "out") == 2
    assert "those of a: rename" in tiny_runs.one_error_line(capsys.readouterr().err)


def test_env_per_frame_needs_pseudo_labels(checkpoint, tmp_path, capsys):
    argv = arguments(checkpoint, tmp_path, tmp_path / "out", "--env_per_frame")
    argv.remove("--pseudo_labels")
    assert inference_delit.main(argv) == 2
    assert "--pseudo_labels" in tiny_runs.one_error_line(capsys.readouterr().err)
