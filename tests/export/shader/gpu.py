"""Shaders on whatever Vulkan device there is (Mesa's lavapipe on a CPU), through wgpu."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from src.export.shader.day import ShaderDay
from src.export.shader.emit import pass_source, sample_source

# Entry points of the test: colours of points (u, v, hour, lightmap).
POINTS = {
    "wgsl": """
@group(0) @binding(2) var<storage, read> points: array<vec4<f32>>;
@group(0) @binding(3) var<storage, read_write> colours: array<vec4<f32>>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) thread: vec3<u32>) {
    let point = points[thread.x];
    colours[thread.x] = vec4<f32>(CALL, 1.0);
}
""",
    "glsl": """
layout(local_size_x = 64) in;
layout(std430, set = 0, binding = 2) readonly buffer Points { vec4 points[]; };
layout(std430, set = 0, binding = 3) buffer Colours { vec4 colours[]; };

void main() {
    vec4 point = points[gl_GlobalInvocationID.x];
    colours[gl_GlobalInvocationID.x] = vec4(CALL, 1.0);
}
""",
    "hlsl": """
[[vk::binding(2, 0)]] StructuredBuffer<float4> points : register(t2);
[[vk::binding(3, 0)]] RWStructuredBuffer<float4> colours : register(u0);

[numthreads(64, 1, 1)]
void main(uint3 thread : SV_DispatchThreadID) {
    float4 point_ = points[thread.x];
    colours[thread.x] = float4(CALL, 1.0);
}
""",
}
COMPILERS = {
    "glsl": ["glslangValidator", "-V", "-S", "comp"],
    "hlsl": ["glslangValidator", "-D", "-V", "-S", "comp", "-e", "main", "--define-macro", "TOD_VULKAN=1"],
    "glsl_es": ["glslangValidator", "-S", "frag"],
}


def missing(language: str) -> str | None:
    """Why sources of this language cannot be compiled here, if so."""
    if language in COMPILERS and shutil.which("glslangValidator") is None:
        return "glslangValidator is not installed (glslang-tools)"
    return None


@lru_cache(maxsize=1)
def device() -> Any | None:
    """A Vulkan device, with half precision where it has it; None where there is none, or no wgpu."""
    try:
        import wgpu
    except ImportError:
        return None
    adapters = [a for a in wgpu.gpu.enumerate_adapters_sync() if a.info["backend_type"] == "Vulkan"]
    if not adapters:
        return None
    wanted = ("shader-f16", "texture-adapter-specific-format-features")  # half precision; HLSL's textures, also read
    features = [name for name in wanted if name in adapters[0].features]
    return adapters[0].request_device_sync(required_features=features)


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
    """A day's shader, compiled, with its buffers on the device."""

    def __init__(self, day: ShaderDay, language: str, baked: bool = False, half: bool = False) -> None:
        self.day, self.language, self.baked, self.half = day, language, baked, half
        self.gpu = device()
        assert self.gpu is not None
        weights = day.weights.astype(np.float16 if half else np.float32)
        self.buffers = [self._buffer(array) for array in (day.words, weights)]

    def _buffer(self, array: np.ndarray) -> Any:
        import wgpu

        usage = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_SRC | wgpu.BufferUsage.UNIFORM
        return self.gpu.create_buffer_with_data(data=np.ascontiguousarray(array), usage=usage)

    def _run(self, source: str, bound: list[dict], groups: tuple[int, ...]) -> None:
        code: str | bytes = source if self.language == "wgsl" else spirv(source, self.language)
        module = self.gpu.create_shader_module(code=code)
        pipeline = self.gpu.create_compute_pipeline(layout="auto", compute={"module": module, "entry_point": "main"})
        resources = [{"buffer": buffer} for buffer in self.buffers] + bound
        entries = [{"binding": k, "resource": resource} for k, resource in enumerate(resources)]
        group = self.gpu.create_bind_group(layout=pipeline.get_bind_group_layout(0), entries=entries)
        encoder = self.gpu.create_command_encoder()
        compute = encoder.begin_compute_pass()
        compute.set_pipeline(pipeline)
        compute.set_bind_group(0, group)
        compute.dispatch_workgroups(*groups)
        compute.end()
        self.gpu.queue.submit([encoder.finish()])

    def sample(self, uv: np.ndarray, hours: np.ndarray, lightmap: int | None = None) -> np.ndarray:
        """``tod_sample`` (or that of one of several lightmaps) at points N x 2 and hours N -> N x 3."""
        points = np.zeros((-(-len(uv) // 64) * 64, 4), np.float32)
        points[: len(uv), :2], points[: len(uv), 2] = uv, hours
        name = "point_" if self.language == "hlsl" else "point"
        call = f"tod_sample({name}.xy, {name}.z)"
        if lightmap is not None:
            call = f"tod_sample_lightmap({lightmap}u, {name}.xy, {name}.z)"
        version = "#version 450\n" if self.language == "glsl" else ""
        source = version + sample_source(self.day, self.language, self.baked, self.half)
        colours = self._buffer(np.zeros_like(points))
        source += POINTS[self.language].replace("CALL", call)
        self._run(source, [{"buffer": self._buffer(points)}, {"buffer": colours}], (len(points) // 64, 1, 1))
        return np.frombuffer(self.gpu.queue.read_buffer(colours), np.float32).reshape(-1, 4)[: len(uv), :3]

    def frame(self, hour: float, height: int, width: int, lightmap: int = 0) -> np.ndarray:
        """What the decode pass writes, H x W x 4."""
        import wgpu

        narrow = self.half and self.language != "hlsl"
        texture = self.gpu.create_texture(
            size=(width, height, 1),
            format="rgba16float" if narrow else "rgba32float",
            usage=wgpu.TextureUsage.STORAGE_BINDING | wgpu.TextureUsage.COPY_SRC,
        )
        settings = self._buffer(np.frombuffer(struct.pack("<fIII", hour, lightmap, 0, 0), np.uint8))
        source = pass_source(self.day, self.language, self.baked, self.half)
        bound = [texture.create_view(), {"buffer": settings}]
        self._run(source, bound, (-(-width // 8), -(-height // 8), 1))
        row = width * (8 if narrow else 16)
        data = self.gpu.queue.read_texture(
            {"texture": texture}, {"bytes_per_row": row, "rows_per_image": height}, (width, height, 1)
        )
        values = np.frombuffer(data, np.float16 if narrow else np.float32)
        return values.reshape(height, width, 4).astype(np.float32)
