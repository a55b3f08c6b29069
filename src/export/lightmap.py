"""A trained compressor as files that an engine or another program reads."""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from src.models.compressor import F2, TILE_TEXELS, LightmapCompressor
from src.utils import checkpoint
from src.utils.atomic import atomic_path
from src.utils.cli import describe_os_error

LATENT_MAP = "latent_map.npy"
F2_WEIGHTS = "f2_state_dict.pt"
F2_TORCHSCRIPT = "f2_ts.pt"
F2_CONFIG = "f2_config.json"


def export_lightmap(model: LightmapCompressor, out_dir: Path) -> list[Path]:
    """Write the latent map, F2's weights, F2 as TorchScript and how to use them; returns the paths.

    The latent map is computed and written tile by tile: memory stays bounded for any size of map.
    """
    paths = [out_dir / name for name in (LATENT_MAP, F2_WEIGHTS, F2_TORCHSCRIPT, F2_CONFIG)]
    latent_map, weights, torchscript, config = paths
    try:
        _write_latent_map(model, latent_map)
        checkpoint.write_tensors(weights, {name: value.cpu() for name, value in model.f2.state_dict().items()})
        _write_torchscript(model.f2, torchscript)
        with atomic_path(config) as temporary:
            temporary.write_text(json.dumps(_describe_f2(model), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise describe_os_error(error, out_dir) from error
    return paths


@torch.no_grad()
def _write_latent_map(model: LightmapCompressor, path: Path) -> None:
    shape = (model.config.height, model.config.width, model.config.latent_dim)
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        header = {"descr": "<f4", "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(file, header)
        decoder = model.decoder()
        for first in range(0, shape[0] * shape[1], TILE_TEXELS):
            z = decoder.tile_latents(first)
            file.write(np.ascontiguousarray(z.cpu().numpy(), dtype="<f4").data)


def _write_torchscript(f2: F2, path: Path) -> None:
    device = next(f2.parameters()).device
    example = torch.zeros(2, f2.latent_dim, device=device), torch.zeros(2, device=device)
    with warnings.catch_warnings(), atomic_path(path) as temporary:
        warnings.simplefilter("ignore")  # deprecated or not, TorchScript is what engines with libtorch load
        torch.jit.trace(f2.eval(), example, check_trace=False).cpu().save(str(temporary))


def _describe_f2(model: LightmapCompressor) -> dict:
    config = model.config
    return {
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


def describe_sizes(source_bytes: int, raw_bytes: int, exports: Sequence[Path]) -> str:
    """One clause that sets the exported files beside the images they stand for."""
    parts = [f"{path.name} {_megabytes(path.stat().st_size)}" for path in exports]
    images = f"{_megabytes(source_bytes)} of images ({_megabytes(raw_bytes)} as 8-bit RGB)"
    return f"{', '.join(parts)} for {images}" if parts else f"trained on {images}"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.3g} MB"
