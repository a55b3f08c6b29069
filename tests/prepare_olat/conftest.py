import shutil
from pathlib import Path

import pytest

from tests.tiny_stage import write_stage


@pytest.fixture(scope="session")
def stage(tmp_path_factory) -> Path:
    return write_stage(tmp_path_factory.mktemp("bühne"))


@pytest.fixture
def own_stage(stage, tmp_path) -> Path:
    return Path(shutil.copytree(stage, tmp_path / "stage"))
