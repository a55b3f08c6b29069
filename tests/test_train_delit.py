"""The whole command for phase 1, on a tiny light stage: what it leaves, and that it survives everything."""

import json
import os
import random
import re
import shutil
import signal
import sys
from functools import partial
from pathlib import Path
from unittest import mock
from urllib.error import URLError

import cv2
import numpy as np
import pytest
import torch

import prepare_olat
import train_delit as script
from src.data.portrait import relight_batches
from src.data.portrait.layout import choose_pairs
from src.data.portrait.pair_batches import PairBatches
from src.data.portrait.relight_batches import RelightBatches
from src.data.portrait.splits import read_splits
from src.models import delit_model, shipped
from src.tasks import delit_task, delit_training
from src.tasks.portrait_training import open_portrait_data
from src.training import meter
from src.training.distributed import processes
from src.training.trainer import Trainer
from src.utils import checkpoint
from src.utils.image_io import read_linear, write_linear
from src.utils.metrics import LPIPS_BACKBONES
from src.utils.sphere import fibonacci_sphere
from tests import tiny_runs
from tests.tiny_runs import one_error_line
from tests.tiny_stage import write_stage

LATEST, BEST = "checkpoint_latest.pth", "checkpoint_best.pth"
SIZES = {"image_size": 32, "env_height": 8, "env_width": 16, "base_dim": 32}
FLAT_TERMS = {"flat_l1", "flat_aligned", "flat_pattern", "flat_edges"}
ENVIRONMENT_TERMS = {"env_log", "env_chroma", "env_multiscale", "env_sh", "confidence"}
OWN_TERMS = {"mask", "flat_confidence"}  # of the attention architecture


@pytest.fixture(scope="module")
def stage(tmp_path_factory) -> Path:
    """``olat``, ``envs`` and the training set ``set``: 6 pairs to train on, 2 of another person to validate with."""
    root = write_stage(tmp_path_factory.mktemp("bühne"), subjects=4, environments=4)
    folders = ["--olat_root", str(root / "olat"), "--env_dir", str(root / "envs"), "--out_root", str(root / "set")]
    assert prepare_olat.main([*folders, "--val_subjects", "1", "--val_envs", "2", "--workers", "1"]) == 0
    return root


@pytest.fixture
def own_stage(stage, tmp_path) -> Path:
    return Path(shutil.copytree(stage, tmp_path / "stage"))


def short_epochs() -> None:
    delit_training.SAMPLES_PER_EPOCH = 6
    delit_task.START_SAMPLES = 8


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Three steps an epoch, with relighting too, after a start from four batches."""
    monkeypatch.setattr(delit_training, "SAMPLES_PER_EPOCH", 6)
    monkeypatch.setattr(delit_task, "START_SAMPLES", 8)
    monkeypatch.setattr(meter, "LOG_SECONDS", -1.0)


def arguments(stage: Path, run: Path, relight: bool = False, **flags) -> list[str]:
    """``flags`` add to the arguments or replace them, None takes one out."""
    chosen = {"data_root": stage / "set", "output_dir": run, **SIZES, "batch_size": 2, "num_epochs": 2}
    chosen |= {"warmup_steps": 2, "num_workers": 0, "device": "cpu", "cache_dir": stage / "cache", "seed": 1}
    if relight:
        chosen |= {"olat_root": stage / "olat", "lambda_physical": 0.5}
    argv = []
    for name, value in (chosen | flags).items():
        if value is True:
            argv.append(f"--{name}")
        elif value is not None and value is not False:
            argv += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return argv


def train(stage: Path, run: Path, **flags) -> dict:
    assert script.main(arguments(stage, run, **flags)) == 0
    return stored(run)


def stored(run: Path, name: str = LATEST) -> dict:
    return checkpoint.read(run / name, "delit")


def assert_same_runs(ours: Path, theirs: Path) -> None:
    for name in (LATEST, BEST):
        one, other = stored(ours, name), stored(theirs, name)
        tiny_runs.assert_same_state(one, other)
        averages = (content.get("trained_parameters", []) for content in (one, other))
        assert all(torch.equal(a, b) for a, b in zip(*averages, strict=True))


def interrupt_at(monkeypatch, step: int) -> None:
    """Ctrl-C while the step is computed."""
    train_step = Trainer._train_step

    def stop(self, stream):
        if self.step == step - 1:
            signal.raise_signal(signal.SIGINT)
        train_step(self, stream)

    monkeypatch.setattr(Trainer, "_train_step", stop)


# ---- what it leaves


@pytest.mark.parametrize("arch", ["attention", "simplified"])
@pytest.mark.parametrize("relight", [False, True], ids=["pairs", "relit"])
def test_a_run_leaves_what_the_help_says(stage, tmp_path, capsys, arch, relight):
    run = tmp_path / "läuft"
    stored = train(stage, run, relight=relight, arch=arch, use_mask=True, use_augmentation=True, cache_dir=None)
    assert {path.name for path in run.iterdir()} == {LATEST, BEST, "config.json", "logs", "cache"}
    assert stored["step"] == 6 and np.isfinite(stored["best_score"])
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    assert config["arguments"]["arch"] == arch and len(config["data"]["pairs"]) == 6
    assert len(config["data"]["captures"]) == (3 if relight else 0)
    assert not set(config["data"]["environments"]) & {n.split("/")[1] for n in config["data"]["validation_pairs"]}
    closing = capsys.readouterr().out.splitlines()[-1]
    assert closing == f"best validation loss {-stored['best_score']:.4f}: {run / BEST}"
    model = delit_model.load(run / BEST)
    assert (model.config.arch, model.config.image_size, model.config.env_height) == (arch, 32, 8)
    output = model(torch.rand(1, 3, 40, 24))
    assert output.flat_lit.shape == (1, 3, 40, 24) and output.flat_lit.isfinite().all()


def events_of(run: Path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run / "logs"))
    events.Reload()
    return events


@pytest.mark.parametrize(
    ("flags", "terms", "only_trained"),
    [
        ({"use_mask": True}, FLAT_TERMS | OWN_TERMS | ENVIRONMENT_TERMS, set()),
        ({"relight": True, "use_mask": True}, FLAT_TERMS | OWN_TERMS | ENVIRONMENT_TERMS, {"physical", "transfer"}),
        ({"arch": "simplified", "env_loss": "original"}, FLAT_TERMS | {"env_rgb_l1", "env_log_mse"}, set()),
    ],
    ids=["pairs", "relit", "original"],
)
def test_tensorboard_gets_every_term_measures_and_pictures(stage, tmp_path, flags, terms, only_trained):
    contents = train(stage, tmp_path / "run", **flags)
    events = events_of(tmp_path / "run")
    found = set(events.Tags()["scalars"])
    own = {"loss", "learning_rate", "images_per_s", "data_wait_share"}
    assert {name[6:] for name in found if name.startswith("train/")} == terms | own | only_trained
    validated = {name[11:] for name in found if name.startswith("validation/")}
    assert validated >= terms | {"loss", "score", "srgb_psnr_db", "srgb_psnr_db_aligned", "mirror_angular_deg"}
    assert len(events.Scalars("train/loss")) == 6
    scores = [event.value for event in events.Scalars("validation/score")]
    assert len(scores) == 2 and max(scores) == pytest.approx(contents["best_score"])
    assert all(0 <= event.value <= 1 for event in events.Scalars("train/data_wait_share"))
    assert all(event.value > 0 for event in events.Scalars("train/images_per_s"))
    assert len(events.Images("validation")) == 2


@pytest.mark.parametrize("relight", [False, True], ids=["pairs", "relit"])
def test_pairs_without_an_environment_are_trained_and_validated_on(own_stage, tmp_path, capsys, relight):
    """One person to train on and the one to validate with: figures of light come from nobody then."""
    for name in ("ID001", read_splits(own_stage / "set" / "splits.json")["val"]["subjects"][0]):
        for path in (own_stage / "set" / "subjects" / name / "relit").iterdir():
            path.rename(path.with_stem(f"unknown_{path.stem}"))
    train(own_stage, tmp_path / "run", relight=relight, use_mask=True, use_augmentation=True)
    assert "4 pairs without an environment, for the flat-lit picture alone: ID001" in capsys.readouterr().out
    validated = {name for name in events_of(tmp_path / "run").Tags()["scalars"] if name.startswith("validation/")}
    assert {"validation/flat_l1", "validation/srgb_psnr_db"} <= validated
    assert not {"validation/env_log", "validation/confidence", "validation/mirror_angular_deg"} & validated


def test_training_in_the_wild_is_resumed_and_each_of_it_can_be_left_out(stage, tmp_path, capsys):
    assert script.WILD == relight_batches.WILD
    flags = {"relight": True, "use_mask": True, "use_augmentation": True, "in_the_wild": True}
    stored = train(stage, tmp_path / "run", **flags, without=["framing", "flat_confidence"])
    assert stored["step"] == 6 and not stored["model"]["config"]["flat_confidence"]
    for wrong, said in (
        ({"in_the_wild": True}, "--in_the_wild: varies batches"),
        ({"without": ["blur"]}, "--without: what --in_the_wild varies is off"),
    ):
        assert script.main(arguments(stage, tmp_path / "other", **wrong)) == 2
        assert said in one_error_line(capsys.readouterr().err)


@pytest.mark.parametrize("relight", [False, True], ids=["pairs", "relit"])
@pytest.mark.parametrize("arch", ["attention", "simplified"])
def test_training_learns(stage, tmp_path, arch, relight):
    flags = {"arch": arch, "num_epochs": 15, "learning_rate": 2e-3, "use_mask": True, "ema": 0}
    flags |= {"val_every": 15, "save_every": 15}
    train(stage, tmp_path / "run", relight=relight, **flags)
    losses = tiny_runs.scalars(tmp_path / "run", "train/loss")
    assert len(losses) == 45
    # What a closed-form start leaves to be learnt is less.
    assert np.mean(losses[-9:]) < (0.9 if arch == "attention" else 0.8) * np.mean(losses[:9])


@pytest.mark.parametrize("relight", [False, True], ids=["pairs", "relit"])
def test_the_first_guess_is_fitted_before_training_and_stays(stage, tmp_path, monkeypatch, capsys, relight):
    counts, fitted = [], {}
    start = delit_model.DelitModel.start

    def record(self, samples):
        samples = list(samples)
        counts.append(sum(len(relit) for relit, *_ in samples))
        start(self, samples)
        fitted.update({k: v.clone() for k, v in self.network.first_guess.state_dict().items()})

    monkeypatch.setattr(delit_model.DelitModel, "start", record)
    content = train(stage, tmp_path / "run", relight=relight, ema=0.9, learning_rate=1e-2, weight_decay=0.1)
    assert counts == [8] and "first guess: " in capsys.readouterr().err
    assert fitted["light.weight"].abs().max() > 0 and fitted["reduced.weight"].abs().max() > 0
    for name, value in fitted.items():
        assert torch.equal(content["model"]["state"][f"network.first_guess.{name}"], value), name
    train(stage, tmp_path / "run", relight=relight, ema=0.9, learning_rate=1e-2, weight_decay=0.1)
    assert "first guess" not in capsys.readouterr().err
    assert counts == [8], "a run that goes on is not started again"


def test_two_runs_are_the_same_bit_for_bit_and_another_seed_is_not(stage, tmp_path):
    for name in "ab":
        train(stage, tmp_path / name, relight=True, use_augmentation=True)
    assert_same_runs(tmp_path / "a", tmp_path / "b")
    other = train(stage, tmp_path / "c", relight=True, use_augmentation=True, seed=2)
    assert other["best_score"] != stored(tmp_path / "a")["best_score"]


def test_other_ways_to_train(stage, tmp_path, clock, monkeypatch):
    """Mixed precision, accumulation, a time budget: each to its end."""
    clock.let_steps_take(monkeypatch, 0.1)
    mixed = train(stage, tmp_path / "amp", amp="bf16", accumulate_steps=3)
    assert mixed["step"] == 2
    timed = train(stage, tmp_path / "time", relight=True, time_budget=1.5 / 60, val_every=1000)
    assert timed["step"] == timed["validated_step"] == pytest.approx(15, abs=1)
    rates = tiny_runs.scalars(tmp_path / "time", "train/learning_rate")
    assert rates[-1] < 0.05 * max(rates)


def test_the_perceptual_loss_takes_the_weights_that_are_given(stage, tmp_path):
    from torchvision.models import squeezenet1_1

    torch.manual_seed(0)
    torch.save(squeezenet1_1(weights=None).state_dict(), tmp_path / "squeeze.pth")
    flags = {"use_lpips": True, "lpips_net": "squeeze", "lpips_weights": tmp_path / "squeeze.pth", "num_epochs": 1}
    content = train(stage, tmp_path / "run", **flags)
    assert len(tiny_runs.scalars(tmp_path / "run", "train/flat_lpips")) == 3
    assert not any("lpips" in name for name in content["model"]["state"]), "the backbone is no part of the model"


def test_no_version_of_a_held_out_environment_lights_the_training(stage, tmp_path):
    """The set has turned versions of the environments, the folder to relight with has what they were made from."""
    folders = [
        "--olat_root",
        str(stage / "olat"),
        "--env_dir",
        str(stage / "envs"),
        "--out_root",
        str(tmp_path / "set"),
    ]
    assert prepare_olat.main([*folders, "--rotations", "2", "--val_envs", "env_002", "--workers", "1"]) == 0
    flags = {"data_root": tmp_path / "set", "env_dir": stage / "envs", "num_epochs": 1}
    train(stage, tmp_path / "run", relight=True, **flags)
    data = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["data"]
    assert {name.split("/")[1] for name in data["validation_pairs"]} == {"env_002_r000", "env_002_r180"}
    assert list(data["environments"]) == ["env_001", "env_003", "env_004"]


def test_a_held_out_environment_without_a_validation_pair_lights_no_training(stage, tmp_path):
    root = Path(shutil.copytree(stage / "set", tmp_path / "set"))
    (root / "splits.json").unlink()
    for path in (root / "subjects" / "ID002" / "relit").glob("env_003.*"):
        path.unlink()
    flags = {"data_root": root, "num_epochs": 1, "val_subjects": ["ID002"], "val_envs": ["env_002", "env_003"]}
    train(stage, tmp_path / "run", relight=True, **flags)
    data = json.loads((tmp_path / "run" / "config.json").read_text(encoding="utf-8"))["data"]
    assert list(data["validation_pairs"]) == ["ID002/env_002"]
    assert list(data["environments"]) == ["env_001", "env_004"]


def test_the_flags_know_the_ideas_of_model_and_loss():
    from src.losses.delit_loss import DelitLoss, DelitLossOptions
    from src.models.delit.attention import IDEAS
    from src.utils.hdr_codec import make_codec

    terms = DelitLoss(DelitLossOptions(without=("confidence", "transfer")), make_codec("log")).weights
    assert (
        set(script.IDEAS) == {*IDEAS, "confidence", "transfer", "flat_confidence"}
        and terms["confidence"] == terms["transfer"] == 0
    )


def test_without_flags_the_defaults_are_the_documented_ones():
    chosen = script.parse_arguments(["--data_root", "x/y"])
    expected = {"image_size": 512, "env_height": 128, "env_width": 256, "base_dim": 64, "log_scale": 10.0}
    expected |= {"lambda_flat": 1.0, "lambda_env": 1.0, "batch_size": 4, "num_epochs": 100, "learning_rate": 1e-4}
    expected |= {"weight_decay": 1e-4, "num_workers": 4, "use_mask": False, "use_augmentation": False, "resume": "auto"}
    assert {name: getattr(chosen, name) for name in expected} == expected
    assert chosen.output_dir == Path("runs") / "delit_y" and chosen.lambda_flat_lpips == 0.0
    olats = script.parse_arguments(["--data_root", "x", "--olat_root", "y"])
    assert olats.env_dir == Path("x/env_maps")


# ---- continuing

WAYS = {
    "pairs": {"num_epochs": 4, "val_every": 2, "use_augmentation": True, "use_mask": True},
    "relit": {"num_epochs": 4, "val_every": 2, "use_augmentation": True, "relight": True, "arch": "simplified"},
}


@pytest.fixture(scope="module", params=WAYS)
def whole(request, stage, tmp_path_factory):
    """A run that nobody interrupted: its flags and folder."""
    run = tmp_path_factory.mktemp("whole") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delit_training, "SAMPLES_PER_EPOCH", 6)
        patch.setattr(delit_task, "START_SAMPLES", 8)
        train(stage, run, **WAYS[request.param])
    return WAYS[request.param], run


@pytest.mark.parametrize("step", [1, 6, 8])
def test_interrupted_and_continued_equals_uninterrupted(whole, stage, tmp_path, monkeypatch, capsys, step):
    flags, run = whole
    argv = arguments(stage, tmp_path / "run", **flags)
    with monkeypatch.context() as patch:
        interrupt_at(patch, step)
        assert script.main(argv) == 130
    assert "interrupted: run the same command again" in capsys.readouterr().err
    assert stored(tmp_path / "run")["step"] == step
    workers = 1 if "relight" not in flags and step == 6 else 0  # says only how fast
    assert script.main(arguments(stage, tmp_path / "run", **flags, num_workers=workers)) == 0
    assert_same_runs(tmp_path / "run", run)


def test_a_checkpoint_of_another_folder_is_continued(whole, stage, tmp_path, monkeypatch):
    flags, run = whole
    with monkeypatch.context() as patch:
        interrupt_at(patch, 5)
        assert script.main(arguments(stage, tmp_path / "first", **flags)) == 130
    train(stage, tmp_path / "second", **flags, resume=tmp_path / "first" / LATEST)
    assert_same_runs(tmp_path / "second", run)


def short_until(moment) -> None:
    """Short epochs, until ``moment`` kills."""
    short_epochs()
    moment()


@pytest.mark.skipif(sys.platform == "win32", reason="processes take long to start without fork")
@pytest.mark.parametrize("way", WAYS)
def test_killed_at_random_moments(stage, tmp_path, way):
    flags = {**WAYS[way], "num_epochs": 16}
    run, chance = tmp_path / "run", random.Random(0)
    argv = arguments(stage, run, **flags)
    steps = [0]
    for _ in range(3):
        # The second save ends after some 13,000 calls, an epoch takes some 7,000.
        moment = partial(tiny_runs.die_at_call, chance.randrange(14_000, 24_000), "_train_step")
        process = tiny_runs.start(argv, setup=partial(short_until, moment), script="train_delit")
        process.join()
        assert process.exitcode == -signal.SIGKILL, "otherwise nothing was killed"
        steps.append(stored(run)["step"])
        assert delit_model.load(run / LATEST).config.image_size == 32
    assert steps == sorted(steps) and 0 < steps[1] <= steps[-1] < 48, "nothing saved is ever lost"
    assert script.main(argv) == 0
    assert [path.name for path in run.iterdir() if ".tmp" in path.name] == []
    train(stage, tmp_path / "whole", **flags)
    assert_same_runs(run, tmp_path / "whole")


def test_a_finished_run_again_does_nothing_and_other_wishes_are_met(stage, tmp_path, capsys):
    run = tmp_path / "run"
    train(stage, run, num_epochs=1)
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()}
    train(stage, run, num_epochs=1)
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*") if path.is_file()} == before
    capsys.readouterr()
    assert script.main(arguments(stage, run, num_epochs=1, resume="never")) == 2
    assert "already holds a run" in one_error_line(capsys.readouterr().err)
    assert train(stage, run, num_epochs=1, overwrite=True, seed=5)["identity"]["arguments"]["seed"] == 5


def test_changed_arguments_and_data_are_refused_by_name(stage, tmp_path, capsys):
    run = tmp_path / "run"
    train(stage, run, num_epochs=1)
    before = (run / LATEST).read_bytes()
    capsys.readouterr()
    changes = {"learning_rate": 0.01, "use_mask": True, "env_height": 16, "num_workers": 1}
    assert script.main(arguments(stage, run, num_epochs=1, **changes)) == 2
    line = one_error_line(capsys.readouterr().err)
    expected = "env_height was 8, now 16, learning_rate was 0.0001, now 0.01, use_mask was False, now True"
    assert f"{LATEST}: made with other arguments ({expected})" in line
    assert script.main(arguments(stage, run, num_epochs=1, val_subjects=["ID001"], val_envs=["env_001"])) == 2
    assert "validation_pairs are gone:" in one_error_line(capsys.readouterr().err)
    assert script.main(arguments(stage, run, num_epochs=1, relight=True)) == 2
    assert "captures are new: ID001" in one_error_line(capsys.readouterr().err)
    assert (run / LATEST).read_bytes() == before


NEW_FILES = {
    "pairs": "set/subjects/ID001/relit/env_001.exr",
    "validation_pairs": "set/subjects/ID003/flat_lit.exr",
    "environments": "envs/env_001.hdr",
}


@pytest.mark.parametrize("kind", NEW_FILES)
def test_new_files_under_old_names_are_another_run(own_stage, tmp_path, capsys, kind):
    run, path = tmp_path / "run", own_stage / NEW_FILES[kind]
    flags = {"num_epochs": 1, "relight": kind == "environments", "env_dir": own_stage / "envs"}
    train(own_stage, run, **flags)
    before = (run / LATEST).read_bytes()
    os.utime(path)  # another date alone is no other file
    train(own_stage, run, **flags)
    capsys.readouterr()
    write_linear(path, 2 * read_linear(path))
    assert script.main(arguments(own_stage, run, **flags)) == 2
    line = one_error_line(capsys.readouterr().err)
    named = {"pairs": "ID001/env_001", "validation_pairs": "ID003/env_002, ID003/env_004", "environments": "env_001"}
    assert f" {kind} differ: {named[kind]}" in line and "--overwrite" in line
    assert (run / LATEST).read_bytes() == before
    train(own_stage, run, **flags, overwrite=True)


def test_captures_are_taken_as_they_were_prepared(tmp_path, capsys):
    """Exposure 4, gamma 2.2, Voronoi weights, 60 degrees: what training is shown is what was prepared, by hand too."""
    root = write_stage(tmp_path, suffix=".png")
    folders = ["--olat_root", str(root / "olat"), "--env_dir", str(root / "envs"), "--out_root", str(root / "set")]
    taken = ["--exposure", "4", "--transfer", "gamma22", "--weights", "voronoi", "--fov", "60"]
    assert prepare_olat.main([*folders, *taken, "--val_subjects", "ID002", "--val_envs", "env_001"]) == 0
    shutil.copytree(root / "olat" / "ID001", root / "olat" / "ID009")  # not prepared, and not even whole
    (root / "olat" / "ID009" / "000.png").unlink()
    chosen = script.parse_arguments(arguments(root, tmp_path / "run", olat_root=root / "olat", image_size=10))
    capsys.readouterr()
    with processes("cpu") as group:
        batches = delit_training.make_batches(chosen, open_portrait_data(chosen), group)
    said = capsys.readouterr().out
    assert "exposure 4" in said and "left out: captures of ID009" in said

    lights = fibonacci_sphere(24)
    codes = np.stack([cv2.imread(str(root / "olat" / "ID001" / f"{k:03d}.png"))[..., ::-1] for k in range(24)])
    y = np.cos(np.pi * (np.arange(400) + 0.5) / 400)
    phi = 2 * np.pi * (np.arange(800) + 0.5) / 800
    ring = np.sqrt(1 - y**2)[:, None]
    sphere = np.stack(np.broadcast_arrays(ring * np.sin(phi), y[:, None], -ring * np.cos(phi)), -1)
    nearest = (sphere @ lights.T).argmax(-1)
    weights = np.broadcast_to(ring * (np.pi / 400) * (2 * np.pi / 800), nearest.shape)
    solid_angles = np.bincount(nearest.ravel(), weights.ravel(), 24)
    flat_lit = 4 * np.einsum("l,lhwc->hwc", solid_angles, (codes / 255.0) ** 2.2)[1:11]  # the square about the middle
    assert flat_lit.max() > 1
    stacks = batches.stacks
    np.testing.assert_allclose(stacks.flat_lit[0].permute(1, 2, 0), flat_lit, rtol=0.01, atol=2e-3)
    prepared = read_linear(root / "set" / "subjects" / "ID001" / "flat_lit.exr")[1:11]
    np.testing.assert_allclose(stacks.flat_lit[0].permute(1, 2, 0), prepared, rtol=2e-3, atol=1e-3)
    environment = torch.ones(2, 8 * 16) * torch.tensor([1.0, 3.0])[:, None]
    shares = torch.einsum("lp,np->nl", stacks.light_matrices(8, 16)[0], environment)[:, None].expand(-1, 3, -1)
    np.testing.assert_allclose(stacks.relight(0, shares)[1].permute(1, 2, 0), 3 * flat_lit, rtol=0.01, atol=6e-3)
    assert batches.options.fov_degrees == 60


def test_training_begins_from_the_model_in_the_box_at_another_size(stage, tmp_path, monkeypatch, capsys):
    train(stage, tmp_path / "first", num_epochs=1)
    box = tmp_path / "delit.pth"
    shipped.write_half(tmp_path / "first" / BEST, box)
    monkeypatch.setattr(shipped, "SHIPPED", {"delit": box})
    flags = {"pretrained": "default", "num_epochs": 1, "ema": 0, "image_size": 16}
    run = train(stage, tmp_path / "run", **flags, learning_rate=1e-30, weight_decay=0)
    assert run["model"]["config"]["image_size"] == 16
    for name, value in checkpoint.read(box, "delit")["model"]["state"].items():
        torch.testing.assert_close(run["model"]["state"][name], value.float(), rtol=0, atol=1e-12, msg=name)
    box.unlink()
    capsys.readouterr()
    assert script.main(arguments(stage, tmp_path / "lost", **flags)) == 2
    assert "--pretrained: the default" in one_error_line(capsys.readouterr().err)


def test_training_begins_from_other_weights(stage, tmp_path, capsys):
    first = train(stage, tmp_path / "first", num_epochs=1)
    flags = {"pretrained": tmp_path / "first" / BEST, "num_epochs": 1, "ema": 0}
    second = train(stage, tmp_path / "second", **flags, learning_rate=1e-30, weight_decay=0)
    assert second["step"] == 3
    for name, value in stored(tmp_path / "first", BEST)["model"]["state"].items():
        assert torch.equal(second["model"]["state"][name], value), name
    trained = train(stage, tmp_path / "third", **flags, learning_rate=1e-3)
    assert any(not torch.equal(value, first["model"]["state"][k]) for k, value in trained["model"]["state"].items())
    capsys.readouterr()
    assert script.main(arguments(stage, tmp_path / "other", **flags, base_dim=64, arch="simplified")) == 2
    line = one_error_line(capsys.readouterr().err)
    assert f"{BEST}: its model has another shape (arch is attention, base_dim is 32)" in line


# ---- faults


def test_a_full_disk_is_one_line_and_leaves_the_previous_checkpoint(stage, tmp_path, monkeypatch, capsys):
    argv = arguments(stage, tmp_path / "full", num_epochs=3)
    replace, saves = os.replace, []

    def refuse(*args):
        """From the second time on that the latest state is saved."""
        if f".{Path(LATEST).stem}." in str(args[0]):
            saves.append(args)
            if len(saves) > 1:
                raise OSError(28, "No space left on device")
        return replace(*args)

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        assert script.main(argv) == 2
    line = one_error_line(capsys.readouterr().err)
    assert f"{LATEST}: no space left on the disk: free some space and run the same command again" in line
    assert stored(tmp_path / "full")["step"] == 3, "the checkpoint before"
    assert [path.name for path in (tmp_path / "full").iterdir() if ".tmp" in path.name] == []
    assert script.main(argv) == 0
    train(stage, tmp_path / "whole", num_epochs=3)
    assert_same_runs(tmp_path / "full", tmp_path / "whole")


@pytest.mark.parametrize("relight", [False, True], ids=["pairs", "relit"])
def test_a_loss_that_is_not_finite_names_the_samples_and_keeps_the_last_good_state(
    stage, tmp_path, monkeypatch, capsys, relight
):
    run = tmp_path / "run"
    owner = RelightBatches if relight else PairBatches
    epoch = owner.epoch
    spoilt = []

    def spoil(self, number, start):
        for index, batch in enumerate(epoch(self, number, start), start):
            if (number, index) == (2, 1):
                batch.relit[1, 0, 16, 16] = float("nan")
                spoilt.append(", ".join(batch.name))
            yield batch

    with monkeypatch.context() as patch:
        patch.setattr(owner, "epoch", spoil)
        assert script.main(arguments(stage, run, relight, num_epochs=4)) == 2
    line = one_error_line(capsys.readouterr().err)
    assert f"loss: not finite at step 7 (batch: {spoilt[0]})" in line and "/env_0" in spoilt[0]
    assert "still holds the last good state" in line
    assert stored(run)["step"] == 6
    assert all(value.isfinite().all() for value in stored(run)["model"]["state"].values())
    assert train(stage, run, relight=relight, num_epochs=4)["step"] == 12


# ---- wrong input


def flags(*words: str, **given):
    def change(_stage):
        return given, words

    change.__name__ = "_".join(f"{name}={value}" for name, value in given.items())
    return change


def no_such_folder(stage):
    return {"data_root": stage / "nowhere"}, ("nowhere", "no such folder")


def no_pairs_to_validate_with(stage):
    splits = json.loads((stage / "set" / "splits.json").read_text())
    splits["val"]["subjects"] = []
    (stage / "set" / "splits.json").write_text(json.dumps(splits))
    return {}, ("set", "holds no pairs for val", "splits.json")


def unknown_subject(_stage):
    return {"val_subjects": ["ID999"]}, ("--val_subjects", "ID999")


def all_environments_held_out(_stage):
    return {"val_envs": ["env_001", "env_002", "env_003", "env_004"]}, ("--val_envs", "leaves none to train on")


def subjects_without_masks(stage):
    for path in (stage / "set" / "subjects").glob("*/mask.png"):
        path.unlink()
    return {"relight": True}, ("ID001", "mask.png: no such file")


def no_lights(stage):
    (stage / "olat" / "lights.json").unlink()
    return {"relight": True, "lights": stage / "olat" / "lights.json"}, ("lights.json", "no such file")


def too_few_olats(stage):
    (stage / "olat" / "ID001" / "003.exr").unlink()
    return {"relight": True}, ("ID001", "has no 003.exr")


def olats_of_other_people(stage):
    for name in ("ID001", "ID002", "ID003", "ID004"):
        (stage / "olat" / name).rename(stage / "olat" / f"other_{name}")
        shutil.copytree(stage / "set" / "subjects" / name, stage / "set" / "subjects" / f"other_{name}")
        shutil.rmtree(stage / "set" / "subjects" / f"other_{name}" / "relit")
    return {"relight": True}, ("--olat_root", "no captures to train on")


def environments_elsewhere(stage):
    (stage / "empty").mkdir()
    return {"relight": True, "env_dir": stage / "empty"}, ("empty",)


def broken_picture(stage):
    pair = choose_pairs(stage / "set", "train")[0]
    pair.relit.write_bytes(b"nonsense")
    return {"num_workers": 1}, (pair.relit.name,)


def no_checkpoint(stage):
    return {"resume": stage / "lost.pth"}, ("lost.pth", "no such file")


def no_pretrained(stage):
    return {"pretrained": stage / "lost.pth"}, ("lost.pth", "no such file")


def no_perceptual_weights(_stage):
    return {"use_lpips": True}, (LPIPS_BACKBONES["alex"], "no network", "--lpips_weights")


BAD_INPUTS = [
    flags("--data_root", "python prepare_olat.py --synthetic 12 --out_root runs/stage", data_root=None),
    flags("--lambda_physical", "--olat_root", lambda_physical=0.1),
    flags("--base_dim", "48", base_dim=48),
    flags("--ema", "1 is not below 1", ema=1),
    flags("--ema", ema=-0.1),
    flags("--arch", "unet", arch="unet"),
    flags("--batch_size", batch_size=0),
    flags("--learning_rate", learning_rate="nan"),
    flags("--lambda_env", lambda_env=-1),
    flags("--time_budget", time_budget=0),
    flags("--accumulate_steps", "4 batches per step, but an epoch has 3", accumulate_steps=4),
    flags("--device", "no CUDA device", device="cuda"),
    no_such_folder,
    no_pairs_to_validate_with,
    unknown_subject,
    all_environments_held_out,
    subjects_without_masks,
    no_lights,
    too_few_olats,
    olats_of_other_people,
    environments_elsewhere,
    broken_picture,
    no_checkpoint,
    no_pretrained,
    no_perceptual_weights,
]


@pytest.mark.parametrize("change", BAD_INPUTS, ids=lambda change: change.__name__)
def test_wrong_input_is_one_line_that_names_it(own_stage, tmp_path, monkeypatch, capsys, change):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", mock.Mock(side_effect=URLError("no network")))
    given, words = change(own_stage)
    assert script.main(arguments(own_stage, tmp_path / "run", **given)) == 2
    line = one_error_line(capsys.readouterr().err)
    for word in words:
        assert word in line
    assert not (tmp_path / "run" / LATEST).exists()


def test_checkpoints_that_cannot_be_continued(stage, tmp_path, capsys):
    run = tmp_path / "run"
    train(stage, run, num_epochs=1)
    whole = (run / LATEST).read_bytes()
    capsys.readouterr()
    (run / LATEST).write_bytes(whole[: len(whole) // 2])
    assert script.main(arguments(stage, run, num_epochs=1)) == 2
    assert f"{LATEST}: cannot be read as a checkpoint" in one_error_line(capsys.readouterr().err)
    checkpoint.write(run / LATEST, "lightmap", {})
    assert script.main(arguments(stage, run, num_epochs=1)) == 2
    assert "a checkpoint of kind 'lightmap', expected 'delit'" in one_error_line(capsys.readouterr().err)


# ---- several processes


def print_scores() -> None:
    from src.tasks.delit_task import DelitTask

    short_epochs()
    validate = DelitTask.validate

    def say(self):
        measures = validate(self)
        print("score", measures["score"].hex())
        return measures

    DelitTask.validate = say


def run_ranks(argv: list[str], folder: Path) -> list[list[str]]:
    """The validation scores that each of two processes saw."""
    processes = [
        tiny_runs.start(argv, folder / f"log{rank}", environment, print_scores, "train_delit")
        for rank, environment in enumerate(tiny_runs.ranks(2))
    ]
    for process in processes:
        process.join()
    logs = [(folder / f"log{rank}").read_text(encoding="utf-8") for rank in range(2)]
    assert [process.exitcode for process in processes] == [0, 0], logs
    assert ["best validation loss" in log for log in logs] == [True, False], "only one process reports"
    return [re.findall(r"score (\S+)", log) for log in logs]


def test_two_processes_are_one_with_twice_the_batch(stage, tmp_path):
    """All masks of the stage are alike; else a mean over pixels would not be the mean of the processes' means.

    Both begin from given weights: a start is fitted to the batches of one process.
    """
    train(stage, tmp_path / "first", num_epochs=1)
    flags = {"num_epochs": 3, "use_mask": True, "ema": 0.9, "pretrained": tmp_path / "first" / BEST}
    one = train(stage, tmp_path / "one", batch_size=2, **flags)
    scores = run_ranks(arguments(stage, tmp_path / "two", batch_size=1, **flags), tmp_path)
    assert len(scores[0]) == 3 and scores[0] == scores[1]
    two = stored(tmp_path / "two")
    assert one["step"] == two["step"] == 9
    assert two["best_score"] == pytest.approx(one["best_score"], rel=1e-3)
    for name, value in one["model"]["state"].items():
        torch.testing.assert_close(two["model"]["state"][name], value, rtol=1e-2, atol=3e-4, msg=name)


def test_two_processes_relight_different_batches_and_write_one_checkpoint(stage, tmp_path):
    flags = {"relight": True, "use_augmentation": True, "arch": "simplified", "batch_size": 1}
    scores = run_ranks(arguments(stage, tmp_path / "run", **flags), tmp_path)
    assert len(scores[0]) == 2 and scores[0] == scores[1]
    assert stored(tmp_path / "run")["step"] == 6 and stored(tmp_path / "run")["identity"]["arguments"]["processes"] == 2
