import re

import pytest

from src.export.shader.dialects import DIALECTS
from src.export.shader.emit import SOURCE

LINES = [  # common source, GLSL, HLSL, WGSL
    ("const uint N = 4u;", "const uint N = 4u;", "static const uint N = 4u;", "const N: u32 = 4u;"),
    (
        "private real4 tod_z[TOD_Z4];",
        "vec4 tod_z[TOD_Z4];",
        "static float4 tod_z[TOD_Z4];",
        "var<private> tod_z: array<vec4<f32>, TOD_Z4>;",
    ),
    (
        "vec3 f(uint a, vec2 b) { // a float",
        "vec3 f(uint a, vec2 b) { // a float",
        "float3 f(uint a, float2 b) { // a float",
        "fn f(a: u32, b: vec2<f32>) -> vec3<f32> { // a float",
    ),
    ("void f() {", "void f() {", "void f() {", "fn f() {"),
    (
        "    for (uint k = 0u; k < N; k++) {",
        "    for (uint k = 0u; k < N; k++) {",
        "    for (uint k = 0u; k < N; k++) {",
        "    for (var k: u32 = 0u; k < N; k++) {",
    ),
    (
        "    real x = bits_to_float(tod_word(i)) + float(k);",
        "    float x = uintBitsToFloat(tod_word(i)) + float(k);",
        "    float x = asfloat(tod_word(i)) + float(k);",
        "    var x: f32 = bitcast<f32>(tod_word(i)) + f32(k);",
    ),
    ("    return vec4(x);", "    return vec4(x);", "    return float4(x);", "    return vec4<f32>(x);"),
]


@pytest.mark.parametrize("source, glsl, hlsl, wgsl", LINES)
def test_a_line_in_each_language(source: str, glsl: str, hlsl: str, wgsl: str) -> None:
    translated = [DIALECTS[language].translate(source) for language in ("glsl", "hlsl", "wgsl")]
    assert translated == [glsl, hlsl, wgsl]


def test_half_precision_is_of_the_network_alone() -> None:
    source = "    real4 x = tod_h[0] * real(tod_near);"
    assert DIALECTS["wgsl"].translate(source, half=True) == "    var x: vec4<f16> = tod_h[0] * f16(tod_near);"
    assert DIALECTS["glsl"].translate(source, half=True) == "    f16vec4 x = tod_h[0] * float16_t(tod_near);"
    assert DIALECTS["glsl_es"].translate(source, half=True) == DIALECTS["glsl"].translate(source)


@pytest.mark.parametrize("path", sorted(SOURCE.glob("*.glsl")), ids=lambda path: path.stem)
def test_loops_of_a_function_have_names_of_their_own(path) -> None:
    """In HLSL a loop's variable is still there behind the loop, and a second one of its name is a warning."""
    for function in re.split(r"^\}", path.read_text(encoding="utf-8"), flags=re.MULTILINE):
        counters = re.findall(r"for \(uint (\w+)", function)
        assert len(counters) == len(set(counters))
