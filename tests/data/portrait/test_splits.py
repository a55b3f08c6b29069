"""People and environments to validate with."""

import pytest

from src.data.portrait.splits import make_splits
from src.utils.cli import InputError


def test_splits_never_mix():
    subjects = {f"ID{n:03d}": f"person{n // 2}" for n in range(20)}
    environments = {f"env_{n}_r{r}": f"env_{n}" for n in range(6) for r in (0, 90)}
    splits = make_splits(subjects, environments, ["2"], ["env_3"])
    held = {subjects[name] for name in splits["val"]["subjects"]}
    assert len(held) == 2 and not held & {subjects[name] for name in splits["train"]["subjects"]}
    assert splits["val"]["environments"] == ["env_3_r0", "env_3_r90"]
    with pytest.raises(InputError, match="there is no env_9"):
        make_splits(subjects, environments, None, ["env_9"])
    with pytest.raises(InputError, match="none to train on"):
        make_splits(subjects, environments, None, ["6"])
