"""One HTML file that shows bundles in a browser, offline: docs/viewer.md.

The page's parts lie readable in ``page/``; ``tod.wasm`` is ``src/export/c/tod.h``, built by ``wasm/build.sh``.
"""

from __future__ import annotations

import base64
import gzip
import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from src.export.shader.dialects import DIALECTS
from src.export.shader.emit import PARTS, SOURCE
from src.export.viewer.truth import TruthPicture
from src.utils.atomic import atomic_path
from src.utils.cli import describe_os_error

_HERE = Path(__file__).resolve().parent
_SCRIPTS = (
    "words",
    "tone",
    "truth",
    "bundle",
    "layout",
    "screen",
    "webgl",
    "webgpu",
    "processor",
    "engines",
    "view",
    "chart",
    "timeline",
    "panel",
    "main",
    "start",
)  # in the order in which they need one another


@dataclass(frozen=True)
class LightmapPart:
    """A lightmap of a bundle as the page lists it, and the pictures it was baked to where there are some."""

    name: str
    height: int
    width: int
    truth: Sequence[TruthPicture] = field(default_factory=tuple)


@dataclass(frozen=True)
class ViewedBundle:
    """The bytes of a .tod file, what the page calls it, and its lightmaps."""

    name: str
    content: bytes
    lightmaps: Sequence[LightmapPart]


def write_viewer(path: Path, bundles: Sequence[ViewedBundle]) -> Path:
    """Write the page atomically. Raises :class:`InputError` when the disk refuses."""
    try:
        with atomic_path(path) as temporary:
            temporary.write_text(viewer_page(bundles), encoding="utf-8")
    except OSError as error:
        raise describe_os_error(error, path) from error
    return path


def viewer_page(bundles: Sequence[ViewedBundle]) -> str:
    """The text of the page. Files are embedded in base64, truth a line for each hour."""
    shaders = f"const SHADERS = {json.dumps(shader_parts())};"
    scripts = "\n".join(_read(f"page/{name}.js").replace('"use strict";\n', "") for name in _SCRIPTS)
    files = []
    for k, bundle in enumerate(bundles):
        files.append(_embedded(f"bundle-{k}", [bundle.content]))
        for number, part in enumerate(bundle.lightmaps):
            if part.truth:
                files.append(_embedded(f"truth-{k}-{number}", [picture.data for picture in part.truth]))
    contents = json.dumps({"bundles": [_describe(bundle) for bundle in bundles]}, ensure_ascii=False)
    parts = {
        "title": html.escape(bundles[0].name),
        "style": _read("page/style.css"),
        "contents": contents.replace("<", "\\u003c"),  # a name may hold what ends a script
        "decoder": base64.b64encode(gzip.compress((_HERE / "tod.wasm").read_bytes(), 9, mtime=0)).decode(),
        "files": "\n".join(files),
        "script": f'"use strict";\n{shaders}\n{scripts}',
    }
    return _fill(_read("page/page.html"), parts)


def shader_parts() -> dict[str, dict[str, str]]:
    """The sources of ``export_latent.py --shader`` in the browser's languages, but for what depends on the day.

    Of each language: version, head, network, tail; the day's constants belong between version and head, and its
    unrolled network may take the place of network.
    """
    parts = {}
    for language in ("glsl_es", "wgsl"):
        dialect = DIALECTS[language]
        first, last = PARTS["grid"].index("network"), len(PARTS["grid"])
        names = [f"head.{dialect.suffix}", *(f"{name}.glsl" for name in PARTS["grid"]), f"pass.{dialect.suffix}"]
        translated = [dialect.translate((SOURCE / name).read_text(encoding="utf-8")) for name in names]
        parts[language] = {
            "version": dialect.version + dialect.first,
            "head": "\n".join(translated[: first + 1]),
            "network": translated[first + 1],
            "tail": "\n".join(translated[first + 2 : last + 2]),
        }
    return parts


def _fill(template: str, parts: Mapping[str, str]) -> str:
    pieces = template.split("{{")
    filled = [pieces[0]]
    for piece in pieces[1:]:
        name, rest = piece.split("}}", 1)
        filled += [parts[name], rest]
    return "".join(filled)


def _embedded(name: str, contents: Sequence[bytes]) -> str:
    lines = "\n".join(base64.b64encode(content).decode() for content in contents)
    return f'<script type="text/plain" id="{name}">{lines}</script>'


def _describe(bundle: ViewedBundle) -> dict:
    lightmaps = [
        {
            "name": part.name,
            "height": part.height,
            "width": part.width,
            "truth": [
                {"hour": picture.hour, "scale": picture.scale, "psnr_db": picture.psnr_db} for picture in part.truth
            ],
        }
        for part in bundle.lightmaps
    ]
    for lightmap in lightmaps:
        if not lightmap["truth"]:
            del lightmap["truth"]
    return {"name": bundle.name, "lightmaps": lightmaps}


def _read(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8")
