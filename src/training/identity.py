"""What identifies a run: every argument but a listed few, and the content of its data.

A checkpoint records it, and only the same run continues from there: the same command after a new bake, or with another
learning rate, is refused by name instead of being answered with an old result. An argument that a script gains later
belongs to the identity without anybody's doing.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from src.utils.cli import InputError, some_names

# What may differ when a run is continued.
NOT_IDENTITY = frozenset(
    {
        # how fast it goes
        *("device", "num_workers", "compile", "max_memory_gb"),
        # where things lie: what lies there is part of the data's description
        *("data_dir", "data_root", "olat_root", "lights", "env_dir", "pretrained", "lpips_weights"),
        *("out_dir", "output_dir", "cache_dir"),
        # what is chosen of the data: what was chosen is part of its description
        *("lightmap", "val_subjects", "val_envs"),
        # what is done before and after
        *("resume", "overwrite", "compute_latent", "target_psnr", "target_bytes"),
    }
)
MOST_NAMED = 3  # files of a changed set
MOST_ARGUMENTS = 6
LONGEST_VALUE = 60  # characters


def run_identity(
    arguments: argparse.Namespace, data: Mapping[str, Any], process_count: int, without: Collection[str] = ()
) -> dict:
    """The identity of a run with a script's ``arguments`` on ``data``, in plain types.

    ``data`` describes what is trained on, wherever it lies. A value that is a mapping ``{name: hash}`` (see
    :mod:`src.utils.content_hash`) stands for a set of files: what changed is then said with counts and a few
    names. ``without``: arguments that a particular run has no use for.
    """
    taken = {name: value for name, value in vars(arguments).items() if name not in {*NOT_IDENTITY, *without}}
    return {"arguments": _plain({**taken, "processes": process_count}), "data": _plain(data)}


def require_same_run(path: Path, stored: Mapping[str, Any], given: Mapping[str, Any]) -> None:
    """Raise :class:`InputError`, one line, unless the run stored at ``path`` is the one that is ``given``.

    Earlier versions wrote one dictionary of chosen arguments and names of files. What it holds is compared; a warning
    says that it cannot tell whether the content of the files is the same.
    """
    new_arguments, new_data = given.get("arguments", {}), given.get("data", {})
    is_complete = "data" in stored or not stored
    if is_complete:
        old_arguments, old_data = stored.get("arguments", {}), stored.get("data", {})
    else:
        old_data = {name: stored[name] for name in new_data if name in stored}
        old_arguments = {name: stored[name] for name in new_arguments if name in stored and name not in old_data}
        new_data = {name: _names(new_data[name]) for name in old_data}
        new_arguments = {name: new_arguments[name] for name in old_arguments}
    arguments = [
        f"{name} was {_short(old_arguments.get(name))}, now {_short(new_arguments.get(name))}"
        for name in _differing(old_arguments, new_arguments)
    ]
    data = [_data_change(name, old_data.get(name), new_data.get(name)) for name in _differing(old_data, new_data)]
    if arguments or data:
        causes = [f"with other arguments ({some_names(arguments, MOST_ARGUMENTS)})"] if arguments else []
        causes += [f"from other data ({'; '.join(data)})"] if data else []
        same = "arguments" if arguments else "data"
        remedy = f"give the same {same} to continue, another output folder, or --overwrite to start anew"
        raise InputError(path, f"made {' and '.join(causes)}", remedy)
    if not is_complete:
        warnings.warn(
            f"{path}: made by an earlier version, which kept no record of its files' content: taken to be the same",
            stacklevel=2,
        )


def _differing(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Names whose values differ. One that a side does not know is a flag that is not given there."""

    def is_same(name: str) -> bool:
        if name in old and name in new:
            return old[name] == new[name]
        return not (old.get(name) or new.get(name))

    return sorted(name for name in {*old, *new} if not is_same(name))


def _data_change(name: str, old: Any, new: Any) -> str:
    """What changed in ``data[name]``: of a set counts and the first few names, of anything else both values."""
    if not (isinstance(old, list | Mapping) and isinstance(new, list | Mapping)):
        return f"{name} was {_short(old)}, now {_short(new)}"
    names = dict.fromkeys(map(str, old)), dict.fromkeys(map(str, new))
    changes = [
        ("are gone", len(old), [one for one in names[0] if one not in names[1]]),
        ("are new", len(new), [one for one in names[1] if one not in names[0]]),
    ]
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        changes.append(("differ", len(old), [one for one in old if one in new and old[one] != new[one]]))
    said = [
        f"{len(ones)} of {total} {name} {verb}: {some_names(ones, MOST_NAMED)}" for verb, total, ones in changes if ones
    ]
    return ", ".join(said) or f"{name} are in another order"


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= LONGEST_VALUE else f"{text[:LONGEST_VALUE]}..."


def _names(value: Any) -> Any:
    return list(value) if isinstance(value, Mapping) else value


def _plain(value: Any) -> Any:
    """Types that a checkpoint holds: paths become their text, sequences lists."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(one) for one in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
