"""A day's shaders: compiled here, run in a process of their own (see device.py)."""

from __future__ import annotations

import importlib.util
import multiprocessing
import shutil
import struct
import subprocess
import tempfile
from concurrent.futures import ProcessPoolExecutor
from functools import lru_cache
from pathlib import Path

import numpy as np

from src.export.shader.day import ShaderDay
from src.export.shader.emit import pass_source, sample_source
from tests.export.shader import device

# Entry points of the test: colours of points (u, v, hour).
POINTS = {
    "wgsl": """
@group(0) @binding(2) var<storage, read> points: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> colours: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
    let point = points[thread.x];
    colours[thread.x] = vec4<f32>(tod_sample(point.xy, point.z), 1.0);
}
""",
    "glsl": """
layout(local_size_x = 64) in;
layout(std430, set = 0, binding = 2) readonly buffer Points { vec4 points[]; };
layout(std430, set = 0, binding = 3) buffer Colours { vec4 colours[]; };

void main() {
    vec4 point = points[gl_GlobalInvocationID.x];
    colours[gl_GlobalInvocationID.x] = vec4(tod_sample(point.xy, point.z), 1.0);
}
""",
    "hlsl": """
[[vk::binding(2, 0)]] StructuredBuffer<float4> points : register(t2);
[[vk::binding(3, 0)]] RWStructuredBuffer<float4> colours : register(u0);

[numthreads(64, 1, 1)]
void main(uint3 thread : SV_DispatchThreadID) {
    float4 point_ = points[thread.x];
    colours[thread.x] = float4(tod_sample(point_.xy, point_.z), 1.0);
}
""",
}
COMPILERS = {
    "glsl": ["glslangValidator", "-V", "-S", "comp"],
    "hlsl": ["glslangValidator", "-D", "-V", "-S", "comp", "-e", "main", "-DTOD_VULKAN=1"],
    "glsl_es": ["glslangValidator", "-S", "frag"],
}


def missing(language: str) -> str | None:
    """Why sources of this language cannot be compiled here, if so."""
    if language in COMPILERS and shutil.which("glslangValidator") is None:
        return "glslangValidator is not installed (glslang-tools)"
    return None


@lru_cache(maxsize=1)
def _process() -> ProcessPoolExecutor:
    return ProcessPoolExecutor(1, multiprocessing.get_context("spawn"))


@lru_cache(maxsize=1)
def features() -> set[str] | None:
    """What a Vulkan device can do, see :func:`device.features`; None where there is none."""
    if importlib.util.find_spec("wgpu") is None:
        return None
    return _process().submit(device.features).result()


def spirv(source: str, language: str) -> bytes:
    """Raises :class:`AssertionError` with what the compiler said."""
    with tempfile.TemporaryDirectory() as folder:
        text, binary = Path(folder) / "shader.txt", Path(folder) / "shader.spv"
        text.write_text(source, encoding="utf-8")
        out = [] if language == "glsl_es" else ["-o", str(binary)]
        done = subprocess.run([*COMPILERS[language], *out, str(text)], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout
        if language == "glsl_es":
            return b""
        if shutil.which("spirv-val"):
            checked = subprocess.run(["spirv-val", str(binary)], check=False, capture_output=True, text=True)
            assert checked.returncode == 0, checked.stderr
        return binary.read_bytes()


class Shader:
    """A day's shader and its buffers."""

    def __init__(self, day: ShaderDay, language: str, baked: bool = False, half: bool = False) -> None:
        self.day, self.language, self.baked, self.half = day, language, baked, half
        self.buffers = [day.words, day.weights.astype(np.float16 if half else np.float32)]

    def sample(self, uv: np.ndarray, hours: np.ndarray) -> np.ndarray:
        """``tod_sample`` at points N x 2 and hours N -> N x 3."""
        points = np.zeros((-(-len(uv) // 64) * 64, 4), np.float32)
        points[: len(uv), :2], points[: len(uv), 2] = uv, hours
        version = "#version 450\n" if self.language == "glsl" else ""
        source = version + sample_source(self.day, self.language, self.baked, self.half) + POINTS[self.language]
        colours = self._run(source, [points, np.zeros_like(points)], 3, (len(points) // 64, 1, 1))
        return colours.reshape(-1, 4)[: len(uv), :3]

    def frame(self, hour: float, height: int, width: int, lightmap: int = 0) -> np.ndarray:
        """What the decode pass writes, H x W x 4."""
        texture = device.Texture(height, width, self.half and self.language != "hlsl")
        settings = np.frombuffer(struct.pack("<fIII", hour, lightmap, 0, 0), np.uint8)
        source = pass_source(self.day, self.language, self.baked, self.half)
        return self._run(source, [texture, settings], 2, (-(-width // 8), -(-height // 8), 1))

    def _run(self, source: str, bound: list, written: int, groups: tuple[int, int, int]) -> np.ndarray:
        code = source if self.language == "wgsl" else spirv(source, self.language)
        return _process().submit(device.run, code, [*self.buffers, *bound], written, groups).result()
