"""GLSL, HLSL and WGSL: one source, and a table of what differs.

The parts in ``source/`` are written in the words that GLSL and HLSL share, a declaration to a line, and some more:
``private`` marks a variable of one invocation, ``real`` and ``real4`` are what the network computes with (in half
precision where asked), ``bits_to_float`` reads an integer's bits as a float. A dialect replaces words; WGSL also writes
declarations and functions the other way round. Loops of one function count with different names: HLSL's variables
outlive their loop.

``head.*`` (the two buffers) and ``pass.*`` (the entry point that decodes an hour into a texture) are of one language
each; in them ``stored4`` is what four weights are kept as, and ``load4`` makes a ``real4`` of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

_WORD = re.compile(r"\b[a-z_]\w*\b(?!<)")
_TYPE = r"(?:bool|float|uint|u?vec[234]|real4?)"
_FUNCTION = re.compile(rf"^({_TYPE}|void) (\w+)\((.*)\) \{{(.*)$")
_CONSTANT = re.compile(rf"^const ({_TYPE}) (\w+)(.*)$")
_PRIVATE = re.compile(rf"^private ({_TYPE}) (\w+)(?:\[(\w+)\])?(;.*)$")
_LOCAL = re.compile(rf"^(\s+(?:for \()?)({_TYPE}) (\w+)(?:\[(\w+)\])?( = .*|;.*)$")


@dataclass(frozen=True)
class Dialect:
    """How a language differs from the common source, in single (``words``) and in half precision (``half_words``)."""

    suffix: str
    words: Mapping[str, str]
    half_words: Mapping[str, str]
    private: str = ""
    constant: str = "const "
    version: str = ""  # the first line of a file with an entry point
    first: str = ""  # lines that come before all but the version
    half_first: str = ""  # lines that come there in half precision
    name_first: bool = False  # declarations are ``name: type``

    def translate(self, source: str, half: bool = False) -> str:
        """A part of the common source, or of this language's own, in this language; comments stay as they are."""
        words = {**self.words, **(self.half_words if half else {})}
        lines = []
        for line in source.split("\n"):
            code, slashes, comment = line.partition("//")
            if self.name_first:
                code = _name_first(code)
            else:
                code = re.sub("^private ", self.private, re.sub("^const ", self.constant, code))
            lines.append(_WORD.sub(lambda match: words.get(match[0], match[0]), code) + slashes + comment)
        return "\n".join(lines)


def _name_first(code: str) -> str:
    """A line with a declaration in WGSL's order; its words stay."""
    if match := _FUNCTION.match(code):
        result, name, listed, rest = match.groups()
        pairs = [parameter.split(" ") for parameter in listed.split(", ")] if listed else []
        parameters = ", ".join(f"{parameter}: {type_}" for type_, parameter in pairs)
        return f"fn {name}({parameters}){'' if result == 'void' else f' -> {result}'} {{{rest}"
    if match := _CONSTANT.match(code):
        return f"const {match[2]}: {match[1]}{match[3]}"
    if match := _PRIVATE.match(code):
        return f"var<private> {match[2]}: {_array(match[1], match[3])}{match[4]}"
    if match := _LOCAL.match(code):
        return f"{match[1]}var {match[3]}: {_array(match[2], match[4])}{match[5]}"
    return code


def _array(type_: str, count: str | None) -> str:
    return f"array<{type_}, {count}>" if count else type_


_GLSL = {"real": "float", "real4": "vec4", "bits_to_float": "uintBitsToFloat", "load4": ""}
_VECTORS = [(prefix, n) for prefix in ("", "u") for n in (2, 3, 4)]
_HLSL_VECTORS = {f"{prefix}vec{n}": f"{'uint' if prefix else 'float'}{n}" for prefix, n in _VECTORS}
_WGSL_VECTORS = {f"{prefix}vec{n}": f"vec{n}<{'u32' if prefix else 'f32'}>" for prefix, n in _VECTORS}

DIALECTS = {
    "glsl": Dialect(
        suffix="glsl",
        words={**_GLSL, "stored4": "vec4", "target_format": "rgba32f"},
        half_words={
            "real": "float16_t",
            "real4": "f16vec4",
            "stored4": "uvec2",
            "load4": "TOD_LOAD4",
            "target_format": "rgba16f",
        },
        version="#version 450\n",
        half_first="#extension GL_EXT_shader_explicit_arithmetic_types_float16 : require\n"
        "#define TOD_LOAD4(halves) f16vec4(vec4(unpackHalf2x16(halves.x), unpackHalf2x16(halves.y)))\n",
    ),
    "glsl_es": Dialect(
        suffix="essl",
        words={**_GLSL, "stored4": "RGBA32F"},
        half_words={"stored4": "RGBA16F"},
        version="#version 300 es\n",
        first="precision highp float;\nprecision highp int;\n",
    ),
    "hlsl": Dialect(
        suffix="hlsl",
        words={
            **_HLSL_VECTORS,
            "real": "float",
            "real4": "float4",
            "bits_to_float": "asfloat",
            "stored4": "float4",
            "load4": "",
        },
        half_words={
            "real": "min16float",
            "real4": "min16float4",
            "stored4": "uint2",
            "load4": "TOD_LOAD4",
        },
        private="static ",
        constant="static const ",
        half_first="#define TOD_LOAD4(h) min16float4(f16tof32(h.x), f16tof32(h.x >> 16), f16tof32(h.y), "
        "f16tof32(h.y >> 16))\n",
    ),
    "wgsl": Dialect(
        suffix="wgsl",
        words={
            **_WGSL_VECTORS,
            "float": "f32",
            "uint": "u32",
            "real": "f32",
            "real4": "vec4<f32>",
            "bits_to_float": "bitcast<f32>",
            "stored4": "vec4<f32>",
            "load4": "",
            "target_format": "rgba32float",
        },
        half_words={
            "real": "f16",
            "real4": "vec4<f16>",
            "stored4": "vec2<u32>",
            "load4": "tod_load4",
            "target_format": "rgba16float",
        },
        half_first="enable f16;\n\nfn tod_load4(halves: vec2<u32>) -> vec4<f16> {\n"
        "    return vec4<f16>(vec4<f32>(unpack2x16float(halves.x), unpack2x16float(halves.y)));\n}\n",
        name_first=True,
    ),
}
