"""What ``export_latent.py`` makes of runs or bundles: which there are, and the files that an engine reads of one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch

from src.export.bundle import read_bundle
from src.export.grid import export_grid
from src.export.onnx import export_onnx
from src.export.shader.day import shader_day
from src.export.shader.files import write_shaders, write_textures
from src.export.siren import export_siren, siren_f2
from src.models.compressor import LightmapCompressor, load_model
from src.models.f2 import F2
from src.models.grid.decoder import GridDecoder
from src.models.grid.engine_f2 import GridF2, grid_f2
from src.models.siren_decoder import SirenDecoder
from src.training.checkpoints import BEST, FILE_NAMES
from src.utils.cli import InputError

BUNDLE_SUFFIX = ".tod"


def find_days(path: Path) -> dict[str, Path]:
    """The checkpoints or bundles in ``path`` by name: of a file, and of a single run's folder, "";
    of a set's run the folders', of a folder of bundles the files'."""
    best = FILE_NAMES[BEST]
    if not path.is_dir():
        return {"": path}
    if (path / best).exists():
        return {"": path / best}
    found = {file.parent.name: file for file in sorted(path.glob(f"*/{best}"))}
    found = found or {file.stem: file for file in sorted(path.glob(f"*{BUNDLE_SUFFIX}"))}
    if not found:
        problem = f"holds no {best} and no bundle, and none of its folders does"
        raise InputError(path, problem, "give the folder of a run or of bundles")
    return found


def load_day(path: Path, device: torch.device) -> GridDecoder | LightmapCompressor:
    """What is exported of a checkpoint or of a bundle."""
    return read_bundle(path, device) if path.suffix == BUNDLE_SUFFIX else load_model(path, device)


def export_for_engines(
    model: GridDecoder | LightmapCompressor,
    out_dir: Path,
    *,
    onnx: bool = False,
    shaders: Sequence[str] = (),
    baked: bool = False,
    textures: bool = False,
    half: bool = False,
) -> list[Path]:
    """Write the latent map and F2, and what else is asked for, into ``out_dir``; returns the paths.

    ``shaders`` names languages; ``baked`` and ``half`` as in :func:`write_shaders`. Raises :class:`InputError` when the
    disk refuses, or for a model that a form cannot hold.
    """
    f2: F2 | GridF2
    decoder: SirenDecoder | GridDecoder
    if isinstance(model, LightmapCompressor):
        written = export_siren(model, out_dir)
        f2, decoder = siren_f2(model), model.decoder()
    else:
        written = export_grid(model, out_dir)
        f2, decoder = grid_f2(model), model
    if onnx:
        written += export_onnx(f2, f2.latent_dim, out_dir)
    if shaders or textures:
        day = shader_day(decoder)
        if shaders:
            written += write_shaders(day, shaders, out_dir, baked, half)
        if textures:
            written += write_textures(day, out_dir, half)
    return written
