import json
from pathlib import Path

import numpy as np
import pytest

from src.data.portrait.layout import choose_pairs, find_pairs, unturned
from src.utils.cli import InputError
from src.utils.image_io import write_display, write_linear


def write_set(root: Path, shown: dict[str, list[str]]) -> Path:
    """A training set without a split; ``shown``: the environments that each subject has a picture under."""
    pixel = np.full((2, 2, 3), 0.5, np.float32)
    for subject, environments in shown.items():
        write_display(root / "subjects" / subject / "flat_lit.png", pixel)
        for name in environments:
            write_display(root / "subjects" / subject / "relit" / f"{name}.png", pixel)
            write_linear(root / "env_maps" / f"{name}.hdr", pixel)
    return root


def sides(root: Path, *args) -> tuple[list[str], list[str]]:
    train, val = ([pair.name for pair in choose_pairs(root, side, *args)] for side in ("train", "val"))
    for kind in (0, 1):
        assert not {n.split("/")[kind] for n in train} & {n.split("/")[kind] for n in val}, "nothing is on both sides"
    return train, val


def test_a_tenth_of_subjects_and_environments_is_held_out(tmp_path):
    names = [f"e{index:02d}" for index in range(20)]
    train, val = sides(write_set(tmp_path, {f"s{index}": names for index in range(4)}))
    assert len({name.split("/")[0] for name in val}) == 1 and len({name.split("/")[1] for name in val}) == 2
    assert len(val) == 2 and len(train) == 3 * 18


def test_more_environments_are_held_out_where_a_tenth_leaves_no_pair(tmp_path):
    """Every subject was photographed in a few places only, and none of them is alike."""
    shown = {f"s{index}": [f"e{3 * index + k:02d}" for k in range(3)] for index in range(4)}
    root = write_set(tmp_path, shown)
    train, val = sides(root)
    assert val and {name.split("/")[0] for name in val} == {"s2"}
    assert len(train) >= 6
    with pytest.raises(InputError, match="holds no pairs for val"):
        choose_pairs(root, "val", None, ["e00"])
    assert sides(root, ["s1"], None)[1] and all(name.startswith("s1/") for name in sides(root, ["s1"], None)[1])
    assert choose_pairs(root, "all") == find_pairs(root)


def test_turned_versions_stay_together_however_many_are_held_out(tmp_path):
    shown = {f"s{index}": [f"e{index}_r000", f"e{index}_r090", "both_r000", "both_r180"] for index in range(3)}
    train, val = ({unturned(name.split("/")[1]) for name in names} for names in sides(write_set(tmp_path, shown)))
    assert val and train and not val & train


@pytest.mark.parametrize("turns", [[""], ["_r000", "_r090", "_r180", "_r270"]], ids=["once", "turned"])
def test_nothing_in_common_is_said_in_one_line(tmp_path, turns):
    root = write_set(tmp_path, {f"s{index}": [f"e{index}{turn}" for turn in turns] for index in range(2)})
    with pytest.raises(InputError, match="holds no pairs for val: choose other --val_subjects and --val_envs"):
        choose_pairs(root, "val")


def test_the_file_decides_unless_flags_do(tmp_path):
    root = write_set(tmp_path, {f"s{index}": ["e0", "e1", "e2"] for index in range(3)})
    split = {
        "train": {"subjects": ["s1", "s2"], "environments": ["e1", "e2"]},
        "val": {"subjects": ["s0"], "environments": ["e0"]},
    }
    (root / "splits.json").write_text(json.dumps(split), encoding="utf-8")
    assert sides(root) == (["s1/e1", "s1/e2", "s2/e1", "s2/e2"], ["s0/e0"])
    assert sides(root, ["s2"], ["e1"])[1] == ["s2/e1"]
