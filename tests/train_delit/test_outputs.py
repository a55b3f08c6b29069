"""What a run leaves: a model, its configuration, and what TensorBoard shows."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from src.data.portrait.splits import read_splits
from src.models import delit_model
from tests.train_delit.command import BEST, LATEST, train

FLAT_TERMS = {"flat_l1", "flat_aligned", "flat_pattern", "flat_edges"}


ENVIRONMENT_TERMS = {"env_log", "env_chroma", "env_multiscale", "env_sh", "confidence"}


OWN_TERMS = {"mask", "flat_confidence"}  # of the attention architecture


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
