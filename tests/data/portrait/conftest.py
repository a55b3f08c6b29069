import shutil
from pathlib import Path

import pytest

from prepare_olat import main as prepare
from tests.tiny_stage import write_stage


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    root = write_stage(tmp_path_factory.mktemp("stage"), subjects=4, environments=4)
    out = root / "set"
    assert (
        prepare(
            [
                "--olat_root",
                str(root / "olat"),
                "--env_dir",
                str(root / "envs"),
                "--out_root",
                str(out),
                "--workers",
                "1",
            ]
        )
        == 0
    )
    return out


@pytest.fixture
def own(prepared, tmp_path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "set"))
