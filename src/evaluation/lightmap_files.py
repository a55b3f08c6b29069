"""Our own files, opened for evaluation: how they decode, what is shipped, and what stays in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from src.evaluation.lightmap_quality import Coded
from src.export.bundle import encode_bundle, read_bundle
from src.export.lightmap import F2_WEIGHTS, LATENT_MAP, export_lightmap
from src.models import compressor, latent_grid
from src.utils import checkpoint
from src.utils.cli import InputError


def open_bundle(path: Path, lightmap: Any) -> Coded:
    """A bundle as the coder of ``lightmap`` (which has name, height, width, hours and is_radiance).

    Raises :class:`InputError` when it is not one, or belongs to images of another size or kind.
    """
    decoder = read_bundle(path)
    _require_fit(path, decoder, decoder.config.is_radiance, lightmap)
    return Coded(path.stat().st_size, decoder.resident_bytes, _rendering(decoder.render, lightmap.hours))


def open_checkpoint(path: Path, lightmap: Any) -> Coded:
    """A checkpoint as the coder of ``lightmap``; sizes are those of what it is exported to.

    A latent grid is shipped as a bundle. A SIREN is shipped, and resident, as float32 latent map and F2. Raises
    :class:`InputError` as :func:`open_bundle` does.
    """
    if checkpoint.read_kind(path) == latent_grid.CHECKPOINT_KIND:
        grid = latent_grid.load(path)
        _require_fit(path, grid, grid.config.is_radiance, lightmap)
        return Coded(len(encode_bundle(grid)), grid.resident_bytes, _rendering(grid.render, lightmap.hours))
    model = compressor.load_model(path)
    decoder = model.decoder()
    _require_fit(path, decoder, False, lightmap)
    with tempfile.TemporaryDirectory() as folder:
        shipped = [file for file in export_lightmap(model, Path(folder)) if file.name in (LATENT_MAP, F2_WEIGHTS)]
        size_bytes_disk = sum(file.stat().st_size for file in shipped)
    values = lightmap.height * lightmap.width * model.config.latent_dim
    values += sum(parameter.numel() for parameter in model.f2.parameters())
    return Coded(size_bytes_disk, 4 * values, _rendering(decoder.render, lightmap.hours))


def _rendering(render: Callable[[list[float]], np.ndarray], hours: Sequence[float]) -> Callable[[], np.ndarray]:
    return lambda: render(list(hours))


def _require_fit(path: Path, decoder: Any, is_radiance: bool, lightmap: Any) -> None:
    if (decoder.height, decoder.width) != (lightmap.height, lightmap.width):
        mine, other = (f"{image.width} x {image.height}" for image in (decoder, lightmap))
        problem = f"is of {mine} texels, {lightmap.name} has {other}"
        raise InputError(path, problem, "give the file of this lightmap")
    if is_radiance != lightmap.is_radiance:
        mine, other = ("radiance", "display values") if is_radiance else ("display values", "radiance")
        problem = f"decodes to {mine}, {lightmap.name} holds {other}"
        raise InputError(path, problem, "evaluate it on the images it was trained on")
