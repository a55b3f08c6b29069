"""Where a delighting training set keeps its files, and which of them belong together."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.data.portrait.splits import Split, make_splits, read_splits
from src.data.stage.captures import subject_folders
from src.utils.cli import InputError
from src.utils.image_io import HDR_SUFFIXES, IMAGE_SUFFIXES, list_images, natural_key


@dataclass(frozen=True)
class Pair:
    """The files of one subject under one environment, which may be unknown; its name is then that of the picture."""

    subject: str
    environment_name: str
    relit: Path
    flat_lit: Path
    mask: Path | None
    environment: Path | None

    @property
    def name(self) -> str:
        return f"{self.subject}/{self.environment_name}"

    def files(self) -> list[Path]:
        """All that the pair is read from."""
        return [self.relit, self.flat_lit, *(path for path in (self.environment, self.mask) if path)]


def find_pairs(data_root: Path, side: Split | None = None) -> list[Pair]:
    """All pairs below ``data_root`` in natural order, or those of the subjects and environments of one ``side``.

    A subject none of whose pictures is called like an environment map has pairs without one, as published light-stage
    sets of flat-lit truth alone have; they are on the side of their subject. Raises InputError naming what is missing.
    """
    environments = known_environments(data_root)
    pairs = []
    for folder in subject_folders(data_root / "subjects"):
        if side and folder.name not in side["subjects"]:
            continue
        flat_lit = find_picture(folder, "flat_lit")
        if flat_lit is None:
            raise InputError(folder, "has no flat_lit.exr or flat_lit.png", "prepare this subject again")
        pictures = list_images(folder / "relit")
        is_lit_by_known = any(relit.stem in environments for relit in pictures)
        mask = find_picture(folder, "mask")
        for relit in pictures:
            if is_lit_by_known and side and relit.stem not in side["environments"]:
                continue
            if is_lit_by_known and relit.stem not in environments:
                raise InputError(relit, f"env_maps holds no {relit.stem}.hdr or .exr", "add it, or remove the picture")
            pairs.append(Pair(folder.name, relit.stem, relit, flat_lit, mask, environments.get(relit.stem)))
    if not pairs and side is None:
        raise InputError(data_root, "holds no pairs", "check subjects/*/relit")
    return pairs


def known_environments(data_root: Path) -> dict[str, Path]:
    """The environment maps of a set by name; none where it has no folder of them."""
    folder = data_root / "env_maps"
    return {path.stem: path for path in list_images(folder, HDR_SUFFIXES)} if folder.is_dir() else {}


def choose_pairs(
    data_root: Path, split: str, val_subjects: Sequence[str] | None = None, val_envs: Sequence[str] | None = None
) -> list[Pair]:
    """The pairs of "all", or of "train" or "val" as :func:`choose_split` takes them apart."""
    if split == "all":
        return find_pairs(data_root)
    return pairs_on_side(data_root, split, choose_split(data_root, val_subjects, val_envs))


def pairs_on_side(data_root: Path, side: str, split: Mapping[str, Split]) -> list[Pair]:
    """The pairs of ``split``'s "train" or "val"; InputError where there are none."""
    pairs = find_pairs(data_root, split[side])
    if not pairs:
        fix = "choose other --val_subjects and --val_envs, or check splits.json"
        raise InputError(data_root, f"holds no pairs for {side}", fix)
    return pairs


def choose_split(
    data_root: Path, val_subjects: Sequence[str] | None = None, val_envs: Sequence[str] | None = None
) -> dict[str, Split]:
    """Which subjects and environments are for "train" and which for "val", whether a pair has both or none.

    It is ``splits.json`` unless ``val_subjects`` or ``val_envs`` (names, or one number, as
    :func:`src.data.portrait.splits.choose_validation` takes them) hold out others or there is no such file. Turned
    versions of one environment (``NAME_r090``) stay together.
    """
    if val_subjects is None and val_envs is None and (data_root / "splits.json").exists():
        return read_splits(data_root / "splits.json")
    pairs = find_pairs(data_root)
    environments = sorted({pair.environment_name for pair in pairs if pair.environment}, key=natural_key)
    if val_envs and not environments:
        raise InputError("--val_envs", "no picture is lit by a known environment", "give --val_subjects alone")
    # Where subjects have few of the environments, a tenth of either may have no pair in common: then hold out more.
    most = len({unturned(name) for name in environments}) // 2
    shares = [val_envs] if val_envs else [None, *([str(count)] for count in range(2, most + 1))]
    for share in shares:
        sides = make_splits(
            {pair.subject: pair.subject for pair in pairs},
            {name: unturned(name) for name in environments},
            val_subjects,
            share,
        )
        held = sides["val"]
        envs = held["environments"]
        if any(p.subject in held["subjects"] and (not p.environment or p.environment_name in envs) for p in pairs):
            break
    return sides


def unturned(environment_name: str) -> str:
    """The environment that ``NAME_r090``, as prepare_olat.py names turned versions, was made from: ``NAME``."""
    return re.sub(r"_r\d{3}$", "", environment_name)


def find_picture(folder: Path, stem: str) -> Path | None:
    """The picture called ``stem`` with any known suffix, exr before hdr before the others; None where there is none."""
    for suffix in (".exr", ".hdr", *(s for s in IMAGE_SUFFIXES if s not in HDR_SUFFIXES)):
        path = folder / f"{stem}{suffix}"
        if path.is_file():
            return path
    return None
