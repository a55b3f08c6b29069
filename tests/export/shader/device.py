"""Compute shaders on whatever Vulkan device there is (Mesa's lavapipe on a CPU), through wgpu.

For a process of its own: lavapipe and Triton, which PyTorch loads at times, bring one LLVM each, and the second to be
loaded crashes the process.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

WANTED = ("shader-f16", "texture-adapter-specific-format-features")  # half precision; HLSL's textures, also read


class Texture(NamedTuple):
    """To be written: RGBA of floats, or of halves."""

    height: int
    width: int
    half: bool


@lru_cache(maxsize=1)
def _device() -> Any | None:
    try:
        import wgpu
    except ImportError:
        return None
    adapters = [a for a in wgpu.gpu.enumerate_adapters_sync() if a.info["backend_type"] == "Vulkan"]
    if not adapters:
        return None
    return adapters[0].request_device_sync(required_features=[name for name in WANTED if name in adapters[0].features])


def features() -> set[str] | None:
    """Those of ``WANTED`` that the device has; None where there is no device, or no wgpu."""
    device = _device()
    return None if device is None else {name for name in WANTED if name in device.features}


def run(code: str | bytes, bound: list[np.ndarray | Texture], written: int, groups: tuple[int, int, int]) -> np.ndarray:
    """Run ``main`` of WGSL or SPIR-V with these at bindings 0, 1, ... -> what is at binding ``written`` afterwards.

    A texture comes back as H x W x 4 float32, an array flat, in its type.
    """
    import wgpu

    device = _device()
    assert device is not None
    module = device.create_shader_module(code=code)
    pipeline = device.create_compute_pipeline(layout="auto", compute={"module": module, "entry_point": "main"})
    storage = wgpu.BufferUsage.STORAGE | wgpu.BufferUsage.COPY_SRC | wgpu.BufferUsage.UNIFORM
    objects = []
    for part in bound:
        if isinstance(part, Texture):
            usage = wgpu.TextureUsage.STORAGE_BINDING | wgpu.TextureUsage.COPY_SRC
            format_ = "rgba16float" if part.half else "rgba32float"
            objects.append(device.create_texture(size=(part.width, part.height, 1), format=format_, usage=usage))
        else:
            objects.append(device.create_buffer_with_data(data=np.ascontiguousarray(part), usage=storage))
    entries = [
        {"binding": k, "resource": made.create_view() if isinstance(part, Texture) else {"buffer": made}}
        for k, (part, made) in enumerate(zip(bound, objects, strict=True))
    ]
    group = device.create_bind_group(layout=pipeline.get_bind_group_layout(0), entries=entries)
    encoder = device.create_command_encoder()
    compute = encoder.begin_compute_pass()
    compute.set_pipeline(pipeline)
    compute.set_bind_group(0, group)
    compute.dispatch_workgroups(*groups)
    compute.end()
    device.queue.submit([encoder.finish()])

    part = bound[written]
    if not isinstance(part, Texture):
        return np.frombuffer(device.queue.read_buffer(objects[written]), part.dtype)
    row = {"bytes_per_row": part.width * (8 if part.half else 16), "rows_per_image": part.height}
    data = device.queue.read_texture({"texture": objects[written]}, row, (part.width, part.height, 1))
    values = np.frombuffer(data, np.float16 if part.half else np.float32)
    return values.reshape(part.height, part.width, 4).astype(np.float32)
