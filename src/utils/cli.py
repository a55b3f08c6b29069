"""What every script shares: one-line errors, exit codes, the argument parser and its value types."""

from __future__ import annotations

import argparse
import errno
import functools
import math
import os
import re
import sys
import warnings
from collections.abc import Callable, Sequence
from io import TextIOWrapper
from pathlib import Path
from typing import Any, Protocol

EXIT_WRONG_INPUT = 2
EXIT_INTERRUPTED = 130
MAX_HOURS = MAX_ANGLES = 100_000

# Windows has no disk quota of this kind.
_NO_SPACE = frozenset({errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)})
_NOT_PERMITTED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
_NO_FOLDER = frozenset({errno.ENOTDIR, errno.EEXIST})
_ENVIRONMENT_ERRNOS = (
    _NO_SPACE | _NOT_PERMITTED | _NO_FOLDER | {errno.ENOENT, errno.EISDIR, errno.EFBIG, errno.ENAMETOOLONG, errno.EIO}
)


class InputError(Exception):
    """Something the user gave is wrong. A script prints it as one line and ends with exit status 2.

    ``subject`` is the file or flag, ``problem`` what is wrong with it, ``remedy`` what to do (may be empty).
    """

    def __init__(self, subject: object, problem: str = "", remedy: str = "") -> None:
        # Strings only, all in ``args``: so the error survives the way back from a worker process.
        super().__init__(str(subject), problem, remedy)

    def __str__(self) -> str:
        line = " ".join(": ".join(part for part in self.args if part).split())
        # A torch worker process hands errors back as InputError(<traceback as text>), which ends in the line wanted.
        return line.rpartition(f"{InputError.__name__}: ")[2]


class MainFunction(Protocol):
    """A script's ``main``: exit status of ``argv``, by default of the command line."""

    def __call__(self, argv: Sequence[str] | None = None) -> int: ...


def script(main: Callable[[Sequence[str] | None], int]) -> MainFunction:
    """Decorate a script's ``main(argv) -> exit status``: expected failures become one line on stderr.

    Wrong input and a file system that refuses give status 2, Ctrl-C gives 130; anything else is a bug and keeps its
    traceback. Names that the console's encoding cannot hold are shown with replacements.
    """

    @functools.wraps(main)
    def guarded(argv: Sequence[str] | None = None) -> int:
        format_before = warnings.formatwarning
        warnings.formatwarning = _format_warning
        streams_before = show_any_text()
        try:
            return main(argv)
        except InputError as error:
            return _fail(str(error))
        except OSError as error:
            if error.errno not in _ENVIRONMENT_ERRNOS:
                raise
            return _fail(str(describe_os_error(error)))
        except KeyboardInterrupt:
            print("\ninterrupted: run the same command again to continue", file=sys.stderr)
            return EXIT_INTERRUPTED
        finally:
            warnings.formatwarning = format_before
            for stream, errors in streams_before:
                stream.reconfigure(errors=errors)

    return guarded


def show_any_text() -> list[tuple[TextIOWrapper, str | None]]:
    """Let stdout and stderr show what their encoding cannot hold as ``\\u8096``; returns (stream, how it was before).

    A Western Windows console has no Chinese file names, and UTF-8 no names in GBK bytes: work must not fail by them.
    """
    before: list[tuple[TextIOWrapper, str | None]] = []
    for stream in (sys.stdout, sys.stderr):
        # A test, a notebook or a windowed program may have put something else in their place, or nothing.
        if isinstance(stream, TextIOWrapper) and not stream.closed:
            before.append((stream, stream.errors))
            stream.reconfigure(errors="backslashreplace")
    return before


def _format_warning(
    message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
) -> str:
    return f"warning: {message}\n"


def _fail(line: str) -> int:
    rank = os.environ.get("RANK", "0")
    prefix = "error" if rank == "0" else f"error (rank {rank})"
    print(f"{prefix}: {line}", file=sys.stderr, flush=True)
    return EXIT_WRONG_INPUT


def describe_os_error(error: OSError, path: object = None) -> InputError:
    """The :class:`InputError` that says what the operating system refused, on which file, and what helps."""
    # A failed rename names the temporary file first; the file that was wanted comes second.
    subject = path if path is not None else (error.filename2 or error.filename or "file system")
    if error.errno in _NO_SPACE:
        return InputError(subject, "no space left on the disk", "free some space and run the same command again")
    if error.errno in _NOT_PERMITTED:
        return InputError(subject, "permission denied", "check the permissions or choose another path")
    if error.errno in _NO_FOLDER:
        return InputError(subject, "a file is in the way where a folder is needed", "choose another path")
    if error.errno == errno.EISDIR:
        return InputError(subject, "is a folder, not a file", "give the name of a file")
    if error.errno == errno.ENOENT:
        return InputError(subject, "no such file or folder", "check the name")
    return InputError(subject, error.strerror or str(error))


def some_names(names: Sequence[str], most: int = 5) -> str:
    """The first ``most`` names, for a line of text, and how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


class Parser(argparse.ArgumentParser):
    """An argument parser whose errors are :class:`InputError`, whose help shows defaults, and that never guesses."""

    def __init__(self, description: str | None = None, **kwargs: Any) -> None:
        super().__init__(description=description, formatter_class=_HelpFormatter, allow_abbrev=False, **kwargs)

    def given(self, argv: Sequence[str] | None) -> frozenset[str]:
        """The names of the arguments that ``argv`` itself gives, be it with their defaults."""
        of_actions, of_parser = [action.default for action in self._actions], self._defaults
        try:
            self._defaults = {}
            for action in self._actions:
                action.default = argparse.SUPPRESS
            return frozenset(vars(self.parse_args(argv)))
        finally:
            self._defaults = of_parser
            for action, default in zip(self._actions, of_actions, strict=True):
                action.default = default

    def error(self, message: str) -> None:  # type: ignore[override]
        match = re.fullmatch(r"argument ([^:]+): (.*)", message, re.DOTALL)
        subject, problem = match.groups() if match else (self.prog, message)
        raise InputError(subject.split("/")[0], problem, f"see {self.prog} --help")


class _HelpFormatter(argparse.ArgumentDefaultsHelpFormatter, argparse.RawDescriptionHelpFormatter):
    def _get_help_string(self, action: argparse.Action) -> str | None:
        if action.default in (None, False, [], argparse.SUPPRESS) or not action.option_strings:
            return action.help
        return super()._get_help_string(action)


def _bounded(kind: Callable[[str], float], name: str, is_valid: Callable[[float], bool], wanted: str) -> Callable:
    def parse(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            raise argparse.ArgumentTypeError(f"{text!r} is not {wanted}") from None
        if not is_valid(value):
            raise argparse.ArgumentTypeError(f"{text} is not {wanted}")
        return value

    parse.__name__ = name
    return parse


positive_int = _bounded(int, "positive_int", lambda v: v > 0, "a whole number above 0")
non_negative_int = _bounded(int, "non_negative_int", lambda v: v >= 0, "a whole number of at least 0")
positive_float = _bounded(float, "positive_float", lambda v: math.isfinite(v) and v > 0, "a finite number above 0")
non_negative_float = _bounded(
    float, "non_negative_float", lambda v: math.isfinite(v) and v >= 0, "a finite number of at least 0"
)
share = _bounded(float, "share", lambda v: 0 <= v < 1, "below 1 and at least 0")


def hour_list(text: str) -> list[float]:
    """``'12'``, ``'0,5.9,12'`` or ``'start:stop:step'`` (stop excluded) -> hours, finite and at least 0."""
    try:
        parts = [float(part) for part in re.split("[,:]", text)]
    except ValueError:
        parts = []
    if not parts or any(not math.isfinite(part) or part < 0 for part in parts) or ("," in text and ":" in text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an hour (at least 0), a list 0,5.9,12 or a range 0:24:0.5")
    if ":" not in text:
        return parts
    if len(parts) != 3 or parts[2] == 0 or parts[1] <= parts[0]:
        raise argparse.ArgumentTypeError(f"{text!r} is not start:stop:step with start < stop and step > 0")
    start, stop, step = parts
    count = math.ceil((stop - start) / step - 1e-9)
    if count > MAX_HOURS:
        raise argparse.ArgumentTypeError(f"{text!r} means {count} hours, at most {MAX_HOURS} are allowed")
    return [start + k * step for k in range(count)]


def angle_list(text: str) -> list[float]:
    """``'30'``, ``'0,90,180'`` or ``'start:stop:step'`` (stop excluded) -> degrees, finite, of either sign."""
    try:
        parts = [float(part) for part in re.split("[,:]", text)]
    except ValueError:
        parts = []
    if not parts or not all(map(math.isfinite, parts)) or ("," in text and ":" in text):
        raise argparse.ArgumentTypeError(f"{text!r} is not an angle, a list 0,90,180 or a range 0:360:2")
    if ":" not in text:
        return parts
    if len(parts) != 3 or parts[2] == 0 or (parts[1] - parts[0]) / parts[2] <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not start:stop:step with a step from start towards stop")
    start, stop, step = parts
    count = math.ceil((stop - start) / step - 1e-9)
    if count > MAX_ANGLES:
        raise argparse.ArgumentTypeError(f"{text!r} means {count} angles, at most {MAX_ANGLES} are allowed")
    return [start + k * step for k in range(count)]


def picture_size(text: str) -> tuple[int, int]:
    """``'WxH'`` -> (width, height), both above 0."""
    match = re.fullmatch(r"(\d{1,9})x(\d{1,9})", text)
    if not match or not int(match[1]) or not int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not WIDTHxHEIGHT, as 256x256")
    return int(match[1]), int(match[2])


def path_ending_in(*suffixes: str) -> Callable[[str], Path]:
    """A value type: the path of a file with one of ``suffixes``."""

    def parse(text: str) -> Path:
        if Path(text).suffix.lower() not in suffixes:
            raise argparse.ArgumentTypeError(f"{text!r} does not end in one of {', '.join(suffixes)}")
        return Path(text)

    return parse


def parse_shard(text: str) -> tuple[int, int]:
    """``'i/n'`` -> ``(i, n)`` with ``0 <= i < n``: the i-th (from 0) of n equal shares of the work."""
    match = re.fullmatch(r"(\d+)/(\d+)", text)
    if not match or not int(match[1]) < int(match[2]):
        raise argparse.ArgumentTypeError(f"{text!r} is not i/n with 0 <= i < n")
    return int(match[1]), int(match[2])
