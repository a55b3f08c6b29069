"""What the viewer's page embeds of a trained grid: its bundle, and the run's images where they are given."""

from __future__ import annotations

from pathlib import Path

from src.data.lightmap.hprc import is_hprc
from src.data.lightmap.sources import Lightmap, open_lightmaps
from src.export.bundle import encode_bundle
from src.export.viewer.page import LightmapPart, ViewedBundle
from src.export.viewer.truth import TruthPicture, truth_pictures
from src.models.grid.decoder import GridDecoder
from src.utils.cli import InputError


def viewed_bundle(name: str, decoder: GridDecoder, data_dir: Path | None = None) -> ViewedBundle:
    """The bundle of ``decoder`` as ``name``; with ``data_dir`` truth goes with it.

    Raises :class:`InputError` when the images are others than those of the run: other names, sizes, hours or kind.
    """
    parts = decoder.config.regions or (("", 0, decoder.height, decoder.width),)
    lightmaps = [
        LightmapPart(part, height, width, _truth(part or name, _part(decoder, part), data_dir) if data_dir else ())
        for part, _, height, width in parts
    ]
    return ViewedBundle(name, encode_bundle(decoder), lightmaps)


def _part(decoder: GridDecoder, name: str) -> GridDecoder:
    return decoder.lightmap(name) if name else decoder


def _truth(name: str, decoder: GridDecoder, data_dir: Path) -> list[TruthPicture]:
    made = decoder.config.made_hours
    baked = [hour for hour in decoder.config.hours if hour not in made]
    lightmap = _find(name, data_dir, baked)
    if (lightmap.height, lightmap.width) != (decoder.height, decoder.width):
        sizes = f"{lightmap.width} x {lightmap.height}, the run's are {decoder.width} x {decoder.height}"
        raise InputError(data_dir, f"its images are {sizes}", "give the images of the run")
    if lightmap.is_radiance != decoder.is_radiance:
        kind = "radiance" if lightmap.is_radiance else "display values"
        raise InputError(data_dir, f"holds {kind}, which the run does not", "give the images of the run")
    frames, hours, mask = lightmap.load()
    return truth_pictures(decoder, frames, hours.tolist(), mask)


def _find(name: str, data_dir: Path, hours: list[float]) -> Lightmap:
    """The lightmap of a run: the only one of a folder, whose hours the run knows, or one of a set by its name."""
    if not is_hprc(data_dir):
        (lightmap,) = open_lightmaps(data_dir)
        if len(lightmap.files) != len(hours):
            problem = f"holds {len(lightmap.files)} images, the run has {len(hours)} hours"
            raise InputError(data_dir, problem, "give the images of the run")
        return open_lightmaps(data_dir, hours)[0]
    found = [lightmap for lightmap in open_lightmaps(data_dir) if name in (lightmap.name, lightmap.folder_name)]
    if len(found) != 1 or list(found[0].hours) != hours:
        raise InputError(data_dir, f"holds no lightmap {name!r} of the run's hours", "give the images of the run")
    return found[0]
