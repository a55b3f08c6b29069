import shutil
from pathlib import Path

import pytest

from tests.tiny_stage import write_set, write_stage


@pytest.fixture(scope="session")
def prepared(tmp_path_factory) -> Path:
    """A set of four people in four environments."""
    return write_set(write_stage(tmp_path_factory.mktemp("stage"), subjects=4, environments=4))


@pytest.fixture
def own(prepared, tmp_path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "set"))


@pytest.fixture(scope="session")
def root(tmp_path_factory) -> Path:
    """A stage of three balls and the set prepared from it."""
    root = write_stage(tmp_path_factory.mktemp("stage"), subjects=3)
    write_set(root)
    return root
