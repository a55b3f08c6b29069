"""A trained siren as files that an engine or another program reads."""

from __future__ import annotations

import json
from pathlib import Path

import torch

from src.export.files import F2_CONFIG, F2_PROGRAM, F2_TORCHSCRIPT, LATENT_MAP, write_latent_map
from src.export.networks import write_networks
from src.models.compressor import LightmapCompressor
from src.models.f2 import F2
from src.models.radiance_f2 import RadianceF2
from src.utils.atomic import atomic_path
from src.utils.cli import describe_os_error


def export_siren(model: LightmapCompressor, out_dir: Path) -> list[Path]:
    """Write the latent map, F2 as weights and as programs, and how to use them; returns the paths.

    The latent map is computed and written chunk by chunk: memory stays bounded for any size of map.
    """
    latent_map, config = out_dir / LATENT_MAP, out_dir / F2_CONFIG
    try:
        _write_latent_map(model, latent_map)
        networks = write_networks(siren_f2(model), model.config.latent_dim, out_dir)
        with atomic_path(config) as temporary:
            temporary.write_text(json.dumps(_describe_f2(model), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise describe_os_error(error, out_dir) from error
    return [latent_map, *networks, config]


def siren_f2(model: LightmapCompressor) -> F2:
    """The network for engines: F2 with the radiance transfer behind it where there is one."""
    transfer = model.config.transfer
    return model.f2 if transfer is None else RadianceF2(model.f2, transfer)


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
        "torch.export": f"{F2_PROGRAM}: the same with as many hours as rows of z",
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
