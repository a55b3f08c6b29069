import shutil
from pathlib import Path

import pytest

from src.training import meter
from tests.tiny_stage import write_set, write_stage
from tests.train_delit.command import shorten


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
    """Short epochs, each step of which is logged."""
    shorten(monkeypatch)
    monkeypatch.setattr(meter, "LOG_SECONDS", -1.0)
