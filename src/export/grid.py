"""A trained latent grid as files: the bundle, and what an engine without the bundle's decoder reads."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch

from src.export.bundle import write_bundle
from src.export.files import BUNDLE, F2_CONFIG, F2_PROGRAM, F2_TORCHSCRIPT, LATENT_MAP, write_latent_map
from src.export.networks import write_networks
from src.models.grid.block_records import GROUP
from src.models.grid.decoder import GridDecoder
from src.models.grid.engine_f2 import float_latents, grid_f2
from src.models.lightmap_decoder import CHUNK_TEXELS
from src.utils.atomic import atomic_path
from src.utils.cli import describe_os_error


def export_grid(decoder: GridDecoder, out_dir: Path) -> list[Path]:
    """Write the bundle and what :func:`export_parts` does; returns the paths."""
    bundle = out_dir / BUNDLE
    write_bundle(bundle, decoder)
    return [bundle, *export_parts(decoder, out_dir)]


def export_parts(decoder: GridDecoder, out_dir: Path) -> list[Path]:
    """Write the latent map, F2 as weights and as programs, and how to use them; returns the paths."""
    latent_map, config = out_dir / LATENT_MAP, out_dir / F2_CONFIG
    try:
        _write_latent_map(decoder, latent_map)
        networks = write_networks(grid_f2(decoder), decoder.config.z_dim, out_dir)
        with atomic_path(config) as temporary:
            temporary.write_text(json.dumps(describe(decoder), indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise describe_os_error(error, out_dir) from error
    return [latent_map, *networks, config]


@torch.no_grad()
def _write_latent_map(decoder: GridDecoder, path: Path) -> None:
    config = decoder.config
    texels, coarser = decoder.latents.valid
    texels = texels.cpu()
    width = config.width
    rows_at_once = max(1, CHUNK_TEXELS // width // GROUP) * GROUP

    def parts():
        for top in range(0, config.height, rows_at_once):
            stop = min(top + rows_at_once, config.height)
            begin, end = decoder.latents.span(top, stop)
            part = np.zeros(((stop - top) * width, config.z_dim), np.float32)
            rows: list[torch.Tensor | slice] = [slice(begin, end), *(row[begin:end] for row in coarser)]
            part[(texels[begin:end] - top * width).numpy()] = float_latents(decoder, rows).cpu().numpy()
            yield part

    write_latent_map(path, (config.height, width, config.z_dim), parts())


def describe(decoder: GridDecoder) -> dict:
    """How to use the other files: sizes, hours, and the formulas an engine needs."""
    config = decoder.config
    return {
        "f1": "grid",
        "latent_dim": config.z_dim,
        "latent_bits": config.latent_bits,
        "hidden_f2": config.hidden_f2,
        "layers_f2": config.layers_f2,
        "height": config.height,
        "width": config.width,
        "trained_hours": list(config.hours),
        "made_hours": list(config.made_hours),
        "events": list(config.events),
        "regions": [list(region) for region in config.regions],
        "latent_map": f"{LATENT_MAP}: float32 in [-1, 1], height x width x latent_dim; row 0 is the top row of the "
        "images; all channels 0 where a texel is invalid, which no valid value is; the last channels are shared by "
        "blocks of stride x stride texels, as 'coarse' lists: (stride, channels)",
        "coarse": [list(level) for level in config.coarse],
        "network": "h = z; for each hidden layer h = relu(h W + b); features = [z, h]; at a baked hour t "
        "rgb_t = max(0, (features hour_weight[:, t] + hour_bias[t]) * frame_scale[t])",
        "between_hours": "rgb = (1 - s) rgb_first + s rgb_second with s = share of the interval, around midnight; in "
        "an interval with an event s is 0 before the event and 1 from it on",
        "torchscript": f"{F2_TORCHSCRIPT}: forward(z: N x latent_dim float32, hours: N or 1 float32) -> N x 3",
        "torch.export": f"{F2_PROGRAM}: the same with as many hours as rows of z",
        "rgb": "linear radiance" if config.is_radiance else "values of the training images in [0, 1]",
    }
