"""Our own files, opened for evaluation: how they decode, what is shipped, and what stays in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from src.data.lightmap.sources import Lightmap
from src.evaluation.lightmap.quality import Coded
from src.export.bundle import encode_bundle, read_bundle
from src.export.files import BUNDLE, F2_WEIGHTS, LATENT_MAP
from src.export.siren import export_siren
from src.models import compressor
from src.models.grid.decoder import GridDecoder
from src.models.lightmap_decoder import LightmapDecoder
from src.utils.cli import InputError

CHECKPOINT = "best.ckpt"  # as it is called in a run's folder


def files_of_set(files: Sequence[Path], lightmaps: Sequence[Lightmap], name: str) -> list[Path]:
    """One file per lightmap. A single one may be the folder of a set, or a file that its lightmaps share.

    In a folder the files are ``LEVEL_ID.tod``, or called ``name`` in folders ``LEVEL_ID``, or there is one that all
    share, called ``name``.
    """
    if len(files) != 1:
        return list(files)
    (path,) = files
    if path.is_dir() and not (path / name).exists():
        flat = [path / f"{lightmap.folder_name}.tod" for lightmap in lightmaps]
        nested = [path / lightmap.folder_name / name for lightmap in lightmaps]
        return flat if name == BUNDLE and all(file.exists() for file in flat) else nested
    path = path / name if path.is_dir() else path
    decoder = read_bundle(path) if name == BUNDLE else compressor.load(path)
    return [path] * len(lightmaps) if decoder.lightmap_names else [path]


def open_bundle(path: Path, lightmap: Lightmap) -> Coded:
    """A bundle as the coder of ``lightmap``.

    Raises :class:`InputError` when it is not one, or belongs to images of another size or kind.
    """
    return _grid_coded(path, read_bundle(path), path.stat().st_size, lightmap)


def open_checkpoint(path: Path, lightmap: Lightmap) -> Coded:
    """A checkpoint as the coder of ``lightmap``; sizes are those of what it is exported to.

    A latent grid is shipped as a bundle. A SIREN is shipped, and resident, as float32 latent map and F2. Raises
    :class:`InputError` as :func:`open_bundle` does.
    """
    model = compressor.load_model(path)
    if isinstance(model, GridDecoder):
        return _grid_coded(path, model, len(encode_bundle(model)), lightmap)
    decoder = model.decoder()
    _require_fit(path, decoder, lightmap)
    with tempfile.TemporaryDirectory() as folder:
        shipped = [file for file in export_siren(model, Path(folder)) if file.name in (LATENT_MAP, F2_WEIGHTS)]
        size_bytes_disk = sum(file.stat().st_size for file in shipped)
    return _coded(decoder, size_bytes_disk, decoder.resident_bytes, lightmap)


def _grid_coded(path: Path, decoder: GridDecoder, size_bytes: int, lightmap: Lightmap) -> Coded:
    """What lightmaps share counts for each of them by its texels."""
    memory, share = decoder.resident_bytes, 1.0
    if decoder.lightmap_names:
        decoder = decoder.lightmap(lightmap.name)
        share = decoder.height * decoder.width / decoder.config.texel_count
    _require_fit(path, decoder, lightmap)
    return _coded(decoder, round(size_bytes * share), round(memory * share), lightmap)


def _coded(decoder: LightmapDecoder, size_bytes_disk: int, size_bytes_memory: int, lightmap: Lightmap) -> Coded:
    hours = list(lightmap.hours)
    return Coded(size_bytes_disk, size_bytes_memory, lambda: decoder.render(hours), decoder.render)


def _require_fit(path: Path, decoder: LightmapDecoder, lightmap: Lightmap) -> None:
    if (decoder.height, decoder.width) != (lightmap.height, lightmap.width):
        mine, other = (f"{image.width} x {image.height}" for image in (decoder, lightmap))
        problem = f"is of {mine} texels, {lightmap.name} has {other}"
        raise InputError(path, problem, "give the file of this lightmap")
    if decoder.is_radiance != lightmap.is_radiance:
        mine, other = ("radiance", "display values") if decoder.is_radiance else ("display values", "radiance")
        problem = f"decodes to {mine}, {lightmap.name} holds {other}"
        raise InputError(path, problem, "evaluate it on the images it was trained on")
