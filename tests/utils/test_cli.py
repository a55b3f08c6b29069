"""Scripts: expected failures are one line and status 2, bugs keep their traceback, arguments are checked."""

from __future__ import annotations

import argparse
import errno
import io
import os
import pickle
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tqdm import tqdm

from src.utils import cli
from src.utils.cli import InputError, Parser, script


def run(body) -> int:
    return script(lambda argv: body())([])


def raising(error: BaseException):
    def body() -> int:
        raise error

    return body


def test_wrong_input_is_one_line_and_status_2(capsys):
    assert run(raising(InputError("a.png", "is\nempty", "copy it again"))) == 2
    assert capsys.readouterr().err == "error: a.png: is empty: copy it again\n"
    assert run(raising(InputError("a.png", "is empty"))) == 2
    assert capsys.readouterr().err == "error: a.png: is empty\n"


def test_success_and_failure_statuses_pass_through():
    assert run(lambda: 0) == 0 and run(lambda: 1) == 1


def test_interruption(capsys):
    assert run(raising(KeyboardInterrupt())) == 130
    assert "run the same command again" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("encoding", "name", "shown"),
    [
        ("cp1252", "肖像.png", b"\\u8096\\u50cf.png"),
        ("utf-8", os.fsdecode("照.png".encode("gbk")), b"\\udcd5\\udcd5.png"),
        ("utf-8", "肖像.png", "肖像.png".encode()),
    ],
)
def test_any_name_can_be_shown_in_any_encoding(monkeypatch, encoding, name, shown):
    streams = [io.TextIOWrapper(io.BytesIO(), encoding, errors="strict", newline="\n") for _ in range(2)]
    monkeypatch.setattr(sys, "stdout", streams[0])
    monkeypatch.setattr(sys, "stderr", streams[1])

    def body() -> int:
        print(name)
        tqdm.write(name)
        raise InputError(name, "is broken")

    assert run(body) == 2
    for stream in streams:
        stream.flush()
        assert stream.errors == "strict"
    assert streams[0].buffer.getvalue() == shown + b"\n" + shown + b"\n"
    assert streams[1].buffer.getvalue() == b"error: " + shown + b": is broken\n"


def test_warnings_are_one_line_while_a_script_runs_and_as_before_afterwards():
    before = warnings.formatwarning

    def body() -> int:
        assert warnings.formatwarning("3 images", UserWarning, "x.py", 1, None) == "warning: 3 images\n"
        raise InputError("a", "b")

    assert run(body) == 2
    assert warnings.formatwarning is before


def test_the_rank_is_named(capsys, monkeypatch):
    monkeypatch.setenv("RANK", "3")
    assert run(raising(InputError("a", "b"))) == 2
    assert capsys.readouterr().err == "error (rank 3): a: b\n"


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (errno.ENOSPC, "no space left"),
        (getattr(errno, "EDQUOT", errno.ENOSPC), "no space left"),
        (errno.EACCES, "permission denied"),
        (errno.EROFS, "permission denied"),
        (errno.ENOTDIR, "a file is in the way"),
        (errno.EEXIST, "a file is in the way"),
        (errno.ENOENT, "no such file or folder: check the name"),
        (errno.EISDIR, "is a folder, not a file: give the name"),
        (errno.ENAMETOOLONG, "name too long"),
    ],
)
def test_a_file_system_that_refuses_is_one_line(capsys, code, expected):
    assert run(raising(OSError(code, os.strerror(code), "out/a.png"))) == 2
    line = capsys.readouterr().err
    assert line.startswith("error: out/a.png: ") and expected in line.lower() and line.count("\n") == 1


def test_a_failed_rename_names_the_wanted_file():
    error = OSError(errno.EACCES, "denied", ".a.1.tmp.png", None, "a.png")
    assert str(cli.describe_os_error(error)).startswith("a.png: permission denied")


@pytest.mark.parametrize("error", [ValueError("bug"), OSError(errno.EBADF, "bug"), AssertionError("bug")])
def test_bugs_keep_their_traceback(error):
    with pytest.raises(type(error), match="bug"):
        run(raising(error))


def test_a_file_where_a_folder_is_needed(tmp_path, capsys):
    from src.utils.atomic import atomic_path

    (tmp_path / "file").touch()

    def body() -> int:
        with atomic_path(tmp_path / "file" / "a.txt") as temporary:
            temporary.write_text("x")
        return 0

    assert run(body) == 2
    assert "a file is in the way" in capsys.readouterr().err


def test_input_errors_travel_between_processes():
    error = pickle.loads(pickle.dumps(InputError("a.png", "is empty", "copy it again")))
    assert isinstance(error, InputError) and str(error) == "a.png: is empty: copy it again"


class Broken(torch.utils.data.Dataset):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        raise InputError("a.png", "is empty", "copy it again")


def test_input_errors_of_loader_workers_stay_one_line(capsys):
    assert run(lambda: list(torch.utils.data.DataLoader(Broken(), num_workers=1))) == 2
    assert capsys.readouterr().err == "error: a.png: is empty: copy it again\n"


# --- arguments ------------------------------------------------------------------------------------------------------


def make_parser() -> Parser:
    parser = Parser("What it does.")
    parser.add_argument("--epochs", type=cli.positive_int, default=3, help="rounds")
    parser.add_argument("--out_dir", help="folder")
    parser.add_argument("--verbose", action="store_true", help="talk")
    parser.add_argument("--shard", type=cli.parse_shard, help="share")
    return parser


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (["--epochs", "0"], "--epochs: 0 is not a whole number above 0: see"),
        (["--epochs", "x"], "--epochs: 'x' is not a whole number above 0: see"),
        (["--epoch", "3"], "unrecognized arguments: --epoch 3"),
        (["--shard", "2/2"], "--shard: '2/2' is not i/n with 0 <= i < n"),
        (["--out_dir"], "--out_dir: expected one argument"),
    ],
)
def test_wrong_arguments(argv, line):
    with pytest.raises(InputError) as caught:
        make_parser().parse_args(argv)
    assert line in str(caught.value) and "\n" not in str(caught.value)


def test_help_shows_defaults_that_mean_something(capsys):
    with pytest.raises(SystemExit) as caught:
        make_parser().parse_args(["--help"])
    text = capsys.readouterr().out
    assert caught.value.code == 0
    assert "rounds (default: 3)" in text and "None" not in text and "False" not in text


def test_commands_of_a_script():
    parser = Parser("What it does.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("lightmap", help="one").add_argument("--tile", type=cli.positive_int, default=256)
    assert parser.parse_args(["lightmap"]).tile == 256
    with pytest.raises(InputError, match="--tile: -1 is not a whole number above 0"):
        parser.parse_args(["lightmap", "--tile", "-1"])
    with pytest.raises(InputError, match="invalid choice"):
        parser.parse_args(["nothing"])


@pytest.mark.parametrize(
    ("parse", "good", "bad"),
    [
        (cli.positive_int, {"1": 1, "12": 12}, ["0", "-1", "1.5", "nan", ""]),
        (cli.non_negative_int, {"0": 0, "7": 7}, ["-1", "x"]),
        (cli.positive_float, {"0.5": 0.5, "1e-4": 1e-4}, ["0", "-1", "nan", "inf", "x"]),
        (cli.non_negative_float, {"0": 0.0, "2.5": 2.5}, ["-0.1", "nan", "inf"]),
        (cli.parse_shard, {"0/1": (0, 1), "3/8": (3, 8)}, ["1/1", "0/0", "-1/2", "a/b", "1"]),
        (cli.path_ending_in(".png", ".jpg"), {"a/b.PNG": Path("a/b.PNG")}, ["b.gif", "png", ""]),
    ],
)
def test_value_types(parse, good, bad):
    assert {text: parse(text) for text in good} == good
    for text in bad:
        with pytest.raises(argparse.ArgumentTypeError):
            parse(text)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("12", [12.0]),
        ("24", [24.0]),
        ("0,5.9,12", [0.0, 5.9, 12.0]),
        ("0:24:6", [0.0, 6.0, 12.0, 18.0]),
        ("6:7:0.25", [6.0, 6.25, 6.5, 6.75]),
        ("0:1:0.4", [0.0, 0.4, 0.8]),
    ],
)
def test_hours(text, hours):
    assert cli.hour_list(text) == pytest.approx(hours)


@given(st.integers(0, 20), st.integers(1, 200), st.sampled_from([0.05, 0.1, 0.25, 0.3, 0.7, 1.0]))
def test_a_range_of_hours_stops_before_its_end(start, count, step):
    hours = cli.hour_list(f"{start}:{start + count * step}:{step}")
    assert len(hours) == count
    assert hours == pytest.approx([start + k * step for k in range(count)])


@pytest.mark.parametrize(
    "text",
    ["", "x", "nan", "inf", "-1", "0,-0.5", "0,,1", "0:24", "0:24:0", "6:6:1", "9:6:1", "0:1:2:3", "0:1,2", "0:1e9:1"],
)
def test_what_is_no_hour(text):
    with pytest.raises(argparse.ArgumentTypeError, match=re.escape(repr(text))):
        cli.hour_list(text)


def test_what_argument_parsing_needs_imports_no_heavy_library():
    program = (
        "import sys, src.utils.cli, src.utils.atomic, src.utils.color, src.utils.image_io, src.utils.video_io\n"
        "print(*sorted({'torch', 'cv2', 'PIL', 'OpenEXR', 'av'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_flags_given_with_their_defaults_are_given():
    parser = cli.Parser(prog="x")
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--lightmap", action="append", default=[])
    parser.add_argument("--share", action="store_true")
    parser.add_argument("--bpp", type=float)
    parser.set_defaults(epochs=200)
    assert parser.given([]) == frozenset()
    assert parser.given(["--epochs", "200", "--lightmap", "a:0", "--lightmap", "a:1"]) == {"epochs", "lightmap"}
    assert parser.given(["--share"]) == {"share"}
    assert vars(parser.parse_args([])) == {"epochs": 200, "lightmap": [], "share": False, "bpp": None}, "as before"
    with pytest.raises(cli.InputError, match="--bpp: invalid float value"):
        parser.given(["--bpp", "much"])
