"""What no flags, or few, do."""

from pathlib import Path

import numpy as np

import train as script
from tests import tiny_runs


def test_no_arguments_train_on_the_samples_with_exports():
    arguments = script.parse_arguments([])
    assert arguments.data_dir == Path(script.__file__).parent / "samples" / "tod_courtyard"
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
