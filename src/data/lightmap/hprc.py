"""Lightmap sets in the layout of Tencent's High-Performance Rendering Contest (HPRC).

``config.json`` lists the lightmaps: ``lightmap_count`` and ``lightmap_list[]`` with ``id``, ``level``,
``resolution {width, height}``, ``lightmaps {"<hour * 100>": file}`` and ``masks {"<hour * 100>": file}``. The files lie
in ``Data/``, or beside ``config.json`` where there is no such folder: frames are float32 little-endian RGB, row-major,
linear radiance; masks are int8, -1 for invalid and 127 for valid texels.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any, TypeVar

import numpy as np

from src.data.lightmap.coverage import Coverage, coverage_from_masks
from src.data.lightmap.day_reader import load_frames
from src.utils.cli import InputError

Kind = TypeVar("Kind", dict, list, int, str)

CONFIG_NAME = "config.json"
DATA_FOLDER = "Data"
_FRAME_TEXEL_BYTES = 3 * 4
_MASK_TEXEL_BYTES = 1


@dataclass(frozen=True)
class HprcLightmap:
    """One lightmap of a set, as ``config.json`` lists it; its files are looked at when they are read.

    ``hours`` are in [0, 24) and strictly increasing, ``frame_files`` and ``mask_files`` go with them (``mask_files``
    is empty when the set has none: every texel is valid).
    """

    level: str
    id: int
    height: int
    width: int
    hours: tuple[float, ...]
    frame_files: tuple[Path, ...]
    mask_files: tuple[Path, ...]

    @property
    def name(self) -> str:
        """``LEVEL:ID``, as ``--lightmap`` takes it."""
        return f"{self.level}:{self.id}"

    @property
    def folder_name(self) -> str:
        """``LEVEL_ID``: different for all lightmaps of a set and safe as a folder name."""
        return f"{self.level}_{self.id}"

    @property
    def is_radiance(self) -> bool:
        """HPRC frames are always linear radiance."""
        return True

    def load(self, remarks: list[str] | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Read ``(frames, hours, mask)``; what is noticed is appended to ``remarks``.

        frames: T x H x W x 3 float32 linear radiance, 0 at invalid texels, repaired at valid ones as
        :class:`DayReader` does; hours: T float64; mask: H x W bool, True where a texel is valid at every hour (coverage
        is geometry, so that the hours' masks agree in practice).
        Raises :class:`InputError` when a file shrank meanwhile or a valid texel is NaN or infinite.
        """
        return load_frames(self, remarks)

    @property
    def files(self) -> tuple[Path, ...]:
        return self.frame_files

    def read_frame(self, t: int) -> np.ndarray:
        """The t-th frame as it is, H x W x 3 float32; anything may stand at invalid texels."""
        return _read_array(self.frame_files[t], "<f4", (self.height, self.width, 3))

    def describe(self) -> list[str]:
        """Nothing: ``config.json`` says all."""
        return []

    def read_coverage(self) -> Coverage:
        """The valid texels. Raises :class:`InputError` when no texel is valid at all hours, or any of the lightmap's
        files is missing or has another size than its resolution says.
        """
        _check_sizes(self)
        if not self.mask_files:
            return Coverage(np.ones((self.height, self.width), bool), "there is no mask")
        masks = [_read_array(file, "i1", (self.height, self.width)) > 0 for file in self.mask_files]
        return coverage_from_masks(self.mask_files, masks, (self.height, self.width))


def is_hprc(folder: str | Path) -> bool:
    """Whether ``folder`` has the ``config.json`` of an HPRC set."""
    return (Path(folder) / CONFIG_NAME).is_file()


def load_hprc(folder: str | Path, select: Sequence[str] = ()) -> list[HprcLightmap]:
    """The lightmaps of an HPRC folder in the order of ``config.json``; ``select`` keeps those named ``LEVEL:ID``.

    No file but that is opened yet: one lightmap with missing or truncated files keeps nobody from the others. Raises
    :class:`InputError` for a malformed ``config.json``, a path that leaves the folder, and a ``LEVEL:ID`` that is not
    there.
    """
    folder = Path(folder)
    config_file = folder / CONFIG_NAME
    config = _read_config(config_file)
    listed = _get(config, "lightmap_list", list, config_file, "the file")
    count = config.get("lightmap_count", len(listed))
    if count != len(listed) or not listed:
        raise InputError(config_file, f"lightmap_count is {count!r} but lightmap_list has {len(listed)}")
    lightmaps: list[HprcLightmap] = []
    for index, entry in enumerate(listed):
        lightmap = _parse_entry(entry, f"lightmap_list[{index}]", config_file)
        if any(lightmap.name == other.name for other in lightmaps):
            raise InputError(config_file, f"lists {lightmap.name} twice")
        lightmaps.append(lightmap)
    known = {lightmap.name: lightmap for lightmap in lightmaps}
    for name in select:
        if name not in known:
            raise InputError("--lightmap", f"no lightmap {name!r} in {folder}", f"it has {', '.join(known)}")
    return [lightmap for lightmap in lightmaps if not select or lightmap.name in select]


def _read_config(path: Path) -> dict:
    try:
        config = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise InputError(path, "no such file", "an HPRC folder has config.json and Data/") from None
    except (ValueError, RecursionError) as error:
        raise InputError(path, f"is not JSON ({error})", "restore the file") from None
    if not isinstance(config, dict):
        raise InputError(path, "is not a JSON object", "an HPRC config has lightmap_count and lightmap_list")
    return config


def _get(mapping: object, key: str, kind: type[Kind], config_file: Path, where: str) -> Kind:
    value = mapping.get(key) if isinstance(mapping, dict) else None
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = {dict: "an object", list: "a list", int: "a whole number", str: "a string"}[kind]
        raise InputError(config_file, f"{key} of {where} is missing or not {wanted}")
    return value


def _parse_entry(entry: Any, where: str, config_file: Path) -> HprcLightmap:
    level = _get(entry, "level", str, config_file, where)
    lightmap_id = _get(entry, "id", int, config_file, where)
    if not re.fullmatch(r'[^/\\:*?"<>|\x00-\x1f]{1,200}', level) or level.startswith(".") or lightmap_id < 0:
        raise InputError(config_file, f"{where} has level {level!r} and id {lightmap_id}, which cannot name a result")
    resolution = _get(entry, "resolution", dict, config_file, where)
    width = _get(resolution, "width", int, config_file, f"resolution of {where}")
    height = _get(resolution, "height", int, config_file, f"resolution of {where}")
    if width <= 0 or height <= 0:
        raise InputError(config_file, f"{where} has resolution {width} x {height}")
    frames = _files_by_hour(_get(entry, "lightmaps", dict, config_file, where), f"lightmaps of {where}", config_file)
    if not frames:
        raise InputError(config_file, f"{where} has no lightmaps")
    masks = _files_by_hour(entry.get("masks") or {}, f"masks of {where}", config_file)
    if masks and masks.keys() != frames.keys():
        hour = min(masks.keys() ^ frames.keys())
        raise InputError(config_file, f"{where} has a {'mask' if hour in masks else 'frame'} alone at hour {hour:g}")
    return HprcLightmap(level, lightmap_id, height, width, tuple(frames), tuple(frames.values()), tuple(masks.values()))


def _files_by_hour(names: Mapping[str, object], where: str, config_file: Path) -> dict[float, Path]:
    """``{hour: file}``, sorted by hour."""
    if not isinstance(names, dict):
        raise InputError(config_file, f"{where} is not an object")
    files: dict[float, Path] = {}
    for key, name in names.items():
        if not re.fullmatch(r"[0-9]{1,4}", key) or int(key) > 2400:
            raise InputError(config_file, f"{where} has the key {key!r}", "keys are hour * 100, from 0 to 2400")
        hour = int(key) % 2400 / 100
        if hour in files:
            raise InputError(config_file, f"{where} has hour {hour:g} twice", "24 is 0")
        files[hour] = _inside(config_file, name, where)
    return dict(sorted(files.items()))


def _inside(config_file: Path, name: object, where: str) -> Path:
    """The file ``name`` when it is inside the folder also after following links, whatever system wrote the name."""
    if not isinstance(name, str) or not name or "\0" in name:
        raise InputError(config_file, f"{where} names {name!r}, which is not a file name")
    windows, posix = PureWindowsPath(name), PurePosixPath(name)
    root = os.path.realpath(config_file.parent)
    data = os.path.join(root, DATA_FOLDER)
    target = os.path.realpath(os.path.join(data if os.path.isdir(data) else root, name))
    is_rooted = windows.drive or windows.root or posix.root
    if is_rooted or ".." in windows.parts or not Path(target).is_relative_to(root):
        raise InputError(config_file, f"{where} names {name!r}, which leaves the folder", "all files lie in Data/")
    return Path(target)


def _check_sizes(lightmap: HprcLightmap) -> None:
    texels = lightmap.height * lightmap.width
    for files, texel_bytes in (
        (lightmap.frame_files, _FRAME_TEXEL_BYTES),
        (lightmap.mask_files, _MASK_TEXEL_BYTES),
    ):
        for file in files:
            if not os.path.isfile(file):
                raise InputError(file, "no such file", f"{CONFIG_NAME} names it for {lightmap.name}")
            size_bytes = os.path.getsize(file)
            if size_bytes != texels * texel_bytes:
                raise InputError(
                    file,
                    f"has {size_bytes} bytes, not the {texels * texel_bytes} of {lightmap.width} x {lightmap.height}",
                    "truncated, or the resolution in config.json is wrong",
                )


def _read_array(file: Path, dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    values = np.fromfile(file, dtype)
    if values.size != np.prod(shape):
        raise InputError(file, f"has {values.size} values, not {np.prod(shape)}", "it changed while it was in use")
    return values.reshape(shape)
