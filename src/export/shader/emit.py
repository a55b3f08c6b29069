"""The source of a day's shader: ``tod_sample(uv, hour)`` and the pass that decodes an hour into a texture.

A source is: constants, the two buffers, and parts of ``source/`` in the chosen language. Nothing behind the constants
depends on the day, unless the layers are unrolled: who opens another day at run time replaces the constants
(:func:`constant_lines`) and both arrays (:class:`src.export.shader.day.ShaderDay`).

GLSL ES (WebGL 2) reads both arrays from textures, R32UI and RGBA32F (RGBA16F), :func:`texture_width` wide; the others
read storage buffers, ``words`` at binding 0 and ``weights`` at binding 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from src.export.shader.day import ShaderDay
from src.export.shader.dialects import DIALECTS

SOURCE = Path(__file__).parent / "source"
PARTS = {
    "grid": ("hours", "packed_latents", "relu", "product", "network", "grid_f2", "sampling"),
    "siren": ("hours", "latent_map", "sine", "product", "network", "siren_f2", "sampling"),
}
_TEXTURE_WIDTHS = (2048, 4096, 8192)  # the first is what every WebGL 2 has


def sample_source(day: ShaderDay, language: str, baked: bool = False, half: bool = False) -> str:
    """The functions alone, to be included: ``tod_sample(uv, hour)`` and what else sampling.glsl has.

    ``language`` is a key of ``DIALECTS``; ``baked`` unrolls the hidden layers with their weights as constants; ``half``
    computes the network in half precision, from ``weights`` kept so (``glsl_es``: only keeps them so).
    """
    dialect = DIALECTS[language]
    parts = [_part(f"head.{dialect.suffix}"), *(_part(f"{name}.glsl") for name in PARTS[day.kind])]
    if baked:
        parts[parts.index(_part("network.glsl"))] = _unrolled(day)
    first = dialect.first + (dialect.half_first if half else "")
    sources = [dialect.translate(part, half) for part in parts]
    return "\n".join([_about(day, language) + first + constant_lines(day, language), *sources])


def pass_source(day: ShaderDay, language: str, baked: bool = False, half: bool = False) -> str:
    """A whole shader, entry point ``main``: decodes an hour of a lightmap into a texture, a thread to a texel.

    The texture is ``rgba32f``, with ``half`` ``rgba16f``; alpha is 1 where a texel is valid, all four are 0 elsewhere.
    """
    dialect = DIALECTS[language]
    own_pass = dialect.translate(_part(f"pass.{dialect.suffix}"), half)
    return dialect.version + sample_source(day, language, baked, half) + "\n" + own_pass


def constant_lines(day: ShaderDay, language: str) -> str:
    """The constants' declarations, one to a line."""
    constants: Mapping[str, int | float] = day.constants
    if language == "glsl_es":
        constants = {**constants, "TOD_TEXTURE_WIDTH": texture_width(day)}
    lines = (
        f"const uint {name} = {value}u;" if isinstance(value, int) else f"const float {name} = {_literal(value)};"
        for name, value in constants.items()
    )
    return DIALECTS[language].translate("\n".join(lines)) + "\n"


def texture_width(day: ShaderDay) -> int:
    """Of the textures from which GLSL ES reads both arrays row by row, the last row filled up with zeros."""
    texels = max(len(day.words), len(day.weights))
    return next((width for width in _TEXTURE_WIDTHS if texels <= width**2), _TEXTURE_WIDTHS[-1])


def _part(name: str) -> str:
    return (SOURCE / name).read_text(encoding="utf-8")


def _about(day: ShaderDay, language: str) -> str:
    """A comment that says how the functions are called."""
    colours = "linear radiance" if day.is_radiance else "display values in [0, 1]"
    buffers = "textures tod_words and tod_weights" if language == "glsl_es" else "buffers at bindings 0 and 1"
    lines = [
        f"A day of lightmaps: {colours} at any hour, from two {buffers}. The layout is in docs/engines.md.",
        "tod_sample(uv, hour) is bilinear between valid texels; u runs to the right, v downwards, both from 0 to 1.",
        "tod_sample_lightmap(number, uv, hour) does it in one of several lightmaps; tod_texel(number, x, y, hour)",
        "is a single texel with alpha 1, or zeros where it is not valid.",
    ]
    for number, name in enumerate(day.lightmaps):
        height, width = day.words[3 * number + 1 : 3 * number + 3].tolist()
        lines.append(f"Lightmap {number}{' ' if name else ''}{name}: {width} x {height} texels.")
    return "".join(f"// {' '.join(line.split())}\n" for line in lines)


def _literal(value: float) -> str:
    return np.format_float_scientific(np.float32(value), trim="0")


def _unrolled(day: ShaderDay) -> str:
    """``network.glsl`` with every weight as a constant; inputs without any weight are left out."""
    inputs, outputs, layers = (int(day.constants[name]) for name in ("TOD_Z4", "TOD_H4", "TOD_LAYERS"))
    lines = [f"    real4 x0_{j} = tod_z[{j}];" for j in range(inputs)]
    rows = iter(day.weights)
    for layer in range(layers):
        for k in range(outputs):
            terms = [_vector(next(rows))]
            for j in range(inputs if layer == 0 else outputs):
                weights = [next(rows) for _ in range(4)]
                terms += [f"{_vector(w)} * x{layer}_{j}.{c}" for w, c in zip(weights, "xyzw", strict=True) if w.any()]
            lines.append(f"    real4 x{layer + 1}_{k} = tod_activation({' + '.join(terms)});")
    lines += [f"    tod_h[{k}] = x{layers}_{k};" for k in range(outputs)]
    return "\n".join(
        ["// F2's hidden layers, unrolled: tod_z becomes tod_h.", "", "void tod_hidden() {", *lines, "}", ""]
    )


def _vector(values: np.ndarray) -> str:
    return f"real4({', '.join(map(_literal, values))})"
