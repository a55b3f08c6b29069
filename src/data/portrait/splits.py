"""Which subjects and environments are for training and which for validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from src.utils.cli import InputError
from src.utils.json_files import read_json

Split = dict[str, list[str]]


def choose_validation(groups: Mapping[str, str], wanted: Sequence[str] | None, flag: str) -> set[str]:
    """The names held out for validation. ``groups``: name -> what must stay together (a person, an environment file).

    ``wanted``: names, group names, or one whole number: that many groups, evenly spread in the order given. None
    holds out a tenth, at least one when there are three or more.
    """
    order = list(dict.fromkeys(groups.values()))
    if wanted is None:
        wanted = [str(max(1, len(order) // 10) if len(order) >= 3 else 0)]
    if len(wanted) == 1 and wanted[0].isdigit() and wanted[0] not in groups and wanted[0] not in order:
        count = int(wanted[0])
        if count and count >= len(order):
            raise InputError(flag, f"{count} of {len(order)} leave none to train on", "give a smaller number")
        held = {order[(2 * index + 1) * len(order) // (2 * count)] for index in range(count)}
    else:
        unknown = [name for name in wanted if name not in groups and name not in order]
        if unknown:
            raise InputError(flag, f"there is no {', '.join(unknown)}", f"give names like {next(iter(groups))}")
        held = {groups.get(name, name) for name in wanted}
        if held == set(order):
            raise InputError(flag, "leaves none to train on", "hold out fewer")
    return {name for name, group in groups.items() if group in held}


def make_splits(
    subjects: Mapping[str, str],
    environments: Mapping[str, str],
    val_subjects: Sequence[str] | None,
    val_envs: Sequence[str] | None,
) -> dict[str, Split]:
    """``{"train": {"subjects": [...], "environments": [...]}, "val": ...}``: the two share neither."""
    held_subjects = choose_validation(subjects, val_subjects, "--val_subjects")
    held_envs = choose_validation(environments, val_envs, "--val_envs")
    return {
        "train": {
            "subjects": [name for name in subjects if name not in held_subjects],
            "environments": [name for name in environments if name not in held_envs],
        },
        "val": {
            "subjects": [name for name in subjects if name in held_subjects],
            "environments": [name for name in environments if name in held_envs],
        },
    }


def update_splits(
    path: Path,
    subjects: Mapping[str, str],
    environments: Mapping[str, str],
    val_subjects: Sequence[str] | None,
    val_envs: Sequence[str] | None,
) -> dict[str, Split]:
    """:func:`make_splits`, but what ``path`` holds out already stays held out unless new names are given."""
    if path.exists():
        held = read_splits(path)["val"]
        val_subjects = val_subjects or [name for name in held["subjects"] if name in subjects]
        val_envs = val_envs or [name for name in held["environments"] if name in environments]
    return make_splits(subjects, environments, val_subjects, val_envs)


def read_splits(path: Path) -> dict[str, Split]:
    """The content of ``splits.json``; InputError when it is not one or a name is on both sides."""
    content: Any = read_json(path)
    try:
        splits = {
            side: {kind: [str(name) for name in content[side][kind]] for kind in ("subjects", "environments")}
            for side in ("train", "val")
        }
    except (KeyError, TypeError):
        raise InputError(path, "is not a split into train and val", "make it with prepare_olat.py") from None
    for kind in ("subjects", "environments"):
        both = set(splits["train"][kind]) & set(splits["val"][kind])
        if both:
            raise InputError(path, f"has {', '.join(sorted(both))} in both train and val", "keep them apart")
    return splits
