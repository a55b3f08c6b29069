import shutil
from pathlib import Path

import pytest

from src.tasks import delit_task, delit_training
from src.training import meter
from tests.tiny_stage import write_set, write_stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory) -> Path:
    """``olat``, ``envs`` and the training set ``set``: 6 pairs to train on, 2 of another person to validate with."""
    root = write_stage(tmp_path_factory.mktemp("bühne"), subjects=4, environments=4)
    write_set(root, "--val_subjects", "1", "--val_envs", "2")
    return root


@pytest.fixture
def own_stage(stage, tmp_path) -> Path:
    return Path(shutil.copytree(stage, tmp_path / "stage"))


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """Three steps an epoch, with relighting too, after a start from four batches."""
    monkeypatch.setattr(delit_training, "SAMPLES_PER_EPOCH", 6)
    monkeypatch.setattr(delit_task, "START_SAMPLES", 8)
    monkeypatch.setattr(meter, "LOG_SECONDS", -1.0)
