import argparse
import warnings
from pathlib import Path

import pytest
import torch

from src.training.identity import NOT_IDENTITY, require_same_run, run_identity
from src.utils import checkpoint
from src.utils.cli import InputError

CHECKPOINT = Path("run/last.ckpt")
ARGUMENTS = {"lr": 0.1, "arch": "attention", "events": None, "device": "cpu", "out_dir": Path("a"), "use_mask": False}
FILES = {f"f{i:04d}.exr": f"{i:016x}" for i in range(2400)}


def identity(data=None, count=1, without=(), **arguments):
    namespace = argparse.Namespace(**{**ARGUMENTS, **arguments})
    return run_identity(namespace, {"files": FILES, "hours": (0.0, 6.0)} if data is None else data, count, without)


def refusal(stored, given):
    with pytest.raises(InputError) as refused:
        require_same_run(CHECKPOINT, stored, given)
    line = str(refused.value)
    assert line.startswith(f"{CHECKPOINT}: made ") and len(line) < 1000
    return line


def test_the_listed_may_differ_and_nothing_else():
    require_same_run(CHECKPOINT, identity(), identity(device="cuda", out_dir=Path("b")))
    for name in ARGUMENTS.keys() - NOT_IDENTITY:
        assert f"({name} was {ARGUMENTS[name]!r}, now 'x')" in refusal(identity(), identity(**{name: "x"}))
    assert "(processes was 1, now 2)" in refusal(identity(), identity(count=2))
    assert "bpp" not in identity(bpp=2.5, without=["bpp"])["arguments"]


def test_a_new_flag_counts_by_default_but_one_that_is_off_is_as_good_as_unknown():
    stored = identity()
    assert "(sharpen was None, now True)" in refusal(stored, identity(sharpen=True))
    assert "(sharpen was True, now None)" in refusal(identity(sharpen=True), stored)
    require_same_run(CHECKPOINT, stored, identity(sharpen=False, limit=None))
    assert "(use_mask was False, now None)" in refusal(stored, identity(use_mask=None))


def test_it_goes_through_a_checkpoint_unchanged(tmp_path):
    given = identity(events=(6.0, 18.0), pretrained=Path("x"), profile=Path("y"))
    checkpoint.write(tmp_path / "a.ckpt", "fit", {"identity": given})
    require_same_run(CHECKPOINT, checkpoint.read(tmp_path / "a.ckpt", "fit")["identity"], given)
    assert given["arguments"]["profile"] == "y" and "pretrained" not in given["arguments"]


def test_changed_files_are_counted_and_the_first_named():
    changed = {**FILES, "f0001.exr": "new", "f0003.exr": "new", "f0005.exr": "new", "f0007.exr": "new"}
    line = refusal(identity(), identity({"files": changed, "hours": (0.0, 6.0)}))
    expected = "4 of 2400 files differ: f0001.exr, f0003.exr, f0005.exr and 1 more"
    assert f"made from other data ({expected}): give the same data to continue" in line
    fewer = {name: value for name, value in FILES.items() if name > "f0001.exr"} | {"new.exr": "0"}
    line = refusal(identity(), identity({"files": fewer, "hours": (0.0, 6.5)}))
    assert "(2 of 2400 files are gone: f0000.exr, f0001.exr, 1 of 2399 files are new: new.exr; " in line
    assert "1 of 2 hours are gone: 6.0, 1 of 2 hours are new: 6.5)" in line
    everything = {f"other_{name}": value for name, value in FILES.items()}
    refusal(identity(), identity({"files": everything}))
    assert "(hours are in another order)" in refusal(identity({"hours": [1, 2]}), identity({"hours": [2, 1]}))


def test_arguments_and_data_are_told_apart_in_one_line():
    line = refusal(identity(), identity({"files": FILES, "hours": (0.0, 6.0), "height": 3}, lr=0.2))
    assert "made with other arguments (lr was 0.1, now 0.2) and from other data (height was None, now 3): give" in line
    many = {f"flag_{i}": "x" * 1000 for i in range(20)}
    assert "and 14 more)" in refusal(identity(), identity(**many))


def test_a_run_of_an_earlier_version_continues_unless_what_it_recorded_differs():
    earlier = {"lr": 0.1, "arch": "attention", "processes": 1, "files": list(FILES), "hours": [0.0, 6.0], "gone": 7}
    with pytest.warns(UserWarning, match=r"last.ckpt: made by an earlier version, .*: taken to be the same"):
        require_same_run(CHECKPOINT, earlier, identity(sharpen=True))
    assert "(lr was 0.1, now 0.2)" in refusal(earlier, identity(lr=0.2))
    names = dict(list(FILES.items())[1:])
    assert "1 of 2400 files are gone: f0000.exr" in refusal(earlier, identity({"files": names, "hours": [0.0, 6.0]}))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        require_same_run(CHECKPOINT, identity(), identity())


def test_what_is_no_plain_type_becomes_text():
    assert run_identity(argparse.Namespace(dtype=torch.float16), {}, 1)["arguments"]["dtype"] == "torch.float16"
