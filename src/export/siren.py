"""A trained siren as files that an engine or another program reads."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from src.export.files import F2_CONFIG, F2_TORCHSCRIPT, F2_WEIGHTS, LATENT_MAP, write_latent_map, write_torchscript
from src.models.compressor import LightmapCompressor
from src.models.radiance_f2 import RadianceF2
from src.utils import checkpoint
from src.utils.atomic import atomic_path
from src.utils.cli import describe_os_error


def export_siren(model: LightmapCompressor, out_dir: Path) -> list[Path]:
    """Write the latent map, F2's weights, F2 as TorchScript and how to use them; returns the paths.

    The latent map is computed and written chunk by chunk: memory stays bounded for any size of map.
    """
    paths = [out_dir / name for name in (LATENT_MAP, F2_WEIGHTS, F2_TORCHSCRIPT, F2_CONFIG)]
    latent_map, weights, torchscript, config = paths
    try:
        _write_latent_map(model, latent_map)
        transfer = model.config.transfer
        f2 = model.f2 if transfer is None else RadianceF2(model.f2, transfer)
        checkpoint.write_tensors(weights, {name: value.cpu() for name, value in f2.state_dict().items()})
        write_torchscript(f2, model.config.latent_dim, torchscript)
        with atomic_path(config) as temporary:
            temporary.write_text(json.dumps(_describe_f2(model), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise describe_os_error(error, out_dir) from error
    return paths


@torch.no_grad()
def _write_latent_map(model: LightmapCompressor, path: Path) -> None:
    shape = (model.config.height, model.config.width, model.config.latent_dim)
    decoder = model.decoder()
    firsts = range(0, shape[0] * shape[1], decoder.chunk_texels)
    write_latent_map(path, shape, (decoder.chunk_latents(first).cpu().numpy() for first in firsts))


def _describe_f2(model: LightmapCompressor) -> dict:
    config = model.config
    described = {
        "latent_dim": config.latent_dim,
        "hidden_f2": config.hidden_f2,
        "layers_f2": config.layers_f2,
        "time_harmonics": config.time_harmonics,
        "omega_0": model.f2.siren.sine_layers[0].omega_0,
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
