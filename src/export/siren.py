"""A trained compressor as files that an engine or another program reads."""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from src.models.compressor import LightmapCompressor
from src.models.radiance_f2 import RadianceF2
from src.utils import checkpoint
from src.utils.atomic import atomic_path
from src.utils.cli import describe_os_error

LATENT_MAP = "latent_map.npy"
F2_WEIGHTS = "f2_state_dict.pt"
F2_TORCHSCRIPT = "f2_ts.pt"
F2_CONFIG = "f2_config.json"


def export_siren(model: LightmapCompressor, out_dir: Path) -> list[Path]:
    """Write the latent map, F2's weights, F2 as TorchScript and how to use them; returns the paths.

    The latent map is computed and written tile by tile: memory stays bounded for any size of map.
    """
    paths = [out_dir / name for name in (LATENT_MAP, F2_WEIGHTS, F2_TORCHSCRIPT, F2_CONFIG)]
    latent_map, weights, torchscript, config = paths
    try:
        _write_latent_map(model, latent_map)
        transfer = model.config.transfer
        f2 = model.f2 if transfer is None else RadianceF2(model.f2, transfer)
        checkpoint.write_tensors(weights, {name: value.cpu() for name, value in f2.state_dict().items()})
        write_torchscript(f2, torchscript)
        with atomic_path(config) as temporary:
            temporary.write_text(json.dumps(_describe_f2(model), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise describe_os_error(error, out_dir) from error
    return paths


@torch.no_grad()
def _write_latent_map(model: LightmapCompressor, path: Path) -> None:
    shape = (model.config.height, model.config.width, model.config.latent_dim)
    decoder = model.decoder()
    firsts = range(0, shape[0] * shape[1], decoder.tile_texels)
    write_latent_map(path, shape, (decoder.tile_latents(first).cpu().numpy() for first in firsts))


def write_latent_map(path: Path, shape: tuple[int, int, int], parts: Iterable[np.ndarray]) -> None:
    """Write an H x W x latent_dim float32 .npy of ``parts`` (M x latent_dim each, row-major), atomically."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype="<f4").data)


def write_torchscript(f2: nn.Module, path: Path) -> None:
    """Write ``f2`` (``latent_dim`` channels; ``(z N x latent_dim, hours N or 1) -> N x 3``) as TorchScript."""
    device = next(f2.parameters()).device
    example = torch.zeros(2, f2.latent_dim, device=device), torch.zeros(2, device=device)
    buffer = io.BytesIO()  # a full disk then shows as OSError, not as an error inside PyTorch's zip writer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated or not, TorchScript is what engines with libtorch load
        torch.jit.save(torch.jit.trace(f2.eval(), example, check_trace=False).cpu(), buffer)
    checkpoint.write_bytes(path, buffer.getbuffer())


def _describe_f2(model: LightmapCompressor) -> dict:
    config = model.config
    described = {
        "latent_dim": config.latent_dim,
        "hidden_f2": config.hidden_f2,
        "layers_f2": config.layers_f2,
        "time_harmonics": config.time_harmonics,
        "omega_0": model.f2.siren.layers[0].omega_0,
        "height": config.height,
        "width": config.width,
        "trained_hours": list(config.hours),
        "latent_map": f"{LATENT_MAP}: float32, height x width x latent_dim; row 0 is the top row of the images",
        "time_features": "hour t (24 is 0) -> sin(2 pi k t / 24), cos(2 pi k t / 24) for k = 1..time_harmonics",
        "network": "h = [z, time_features]; each sine layer: h = sin(omega_0 * (W h + b)); rgb = sigmoid(W h + b)",
        "torchscript": f"{F2_TORCHSCRIPT}: forward(z: N x latent_dim float32, hours: N or 1 float32) -> N x 3",
        "rgb": "values of the training images in [0, 1] (display-referred for png and jpg)",
    }
    if config.transfer is not None:
        described |= {
            "gamma": config.gamma,
            "frame_scale": list(config.frame_scale),
            "network": "h = [z, time_features]; each sine layer: h = sin(omega_0 * (W h + b)); "
            "rgb = sigmoid(W h + b)^gamma * frame_scale at the hour (interpolated between trained_hours)",
            "rgb": "linear radiance",
        }
    return described


def describe_sizes(source_bytes: int, values: int, exports: Sequence[Path], is_radiance: bool = False) -> str:
    """One clause that sets the exported files beside the images, of so many ``values``, that they stand for."""
    parts = [f"{path.name} {_megabytes(path.stat().st_size)}" for path in exports]
    raw = f"{_megabytes(2 * values)} as half-float RGB" if is_radiance else f"{_megabytes(values)} as 8-bit RGB"
    images = f"{_megabytes(source_bytes)} of images ({raw})"
    return f"{', '.join(parts)} for {images}" if parts else f"trained on {images}"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.3g} MB"
