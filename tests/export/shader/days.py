"""Days for shaders to decode, of both kinds."""

from __future__ import annotations

from dataclasses import replace

import torch

from src.export.bundle import read_bundle
from src.models.f2 import F2
from src.models.grid.decoder import GridDecoder
from src.models.grid.latent_grid import LatentGrid
from src.models.siren_decoder import SirenDecoder, StoredLatents
from src.utils.radiance_transfer import RadianceTransfer
from tests.export.test_bundle import STORED, STORED_2, example_decoder
from tests.lightmap_example import example_dataset

EVENTS = (0.0, 6.0, 7.5, 18.0)
REGIONS = (("floor", 0, 16, 48), ("walls", 16, 24, 37))


def changed(decoder: GridDecoder, **values: object) -> GridDecoder:
    return GridDecoder(replace(decoder.config, **values), decoder.latents, decoder.f2, decoder.frame_scale)


def large_network() -> GridDecoder:
    """7 latents, 3 layers of 99: 20,295 multiply-adds, 20,800 with those that fill vectors."""
    data = example_dataset()
    torch.manual_seed(0)
    config = replace(example_decoder().config, latent_dim=7, coarse=(), blocks=True, hidden_f2=99, layers_f2=3)
    grid = LatentGrid(config, data.mask)
    grid.start_from(data.texels)
    torch.nn.init.normal_(grid.f2_weights.hour_weight[config.z_dim :].detach(), std=0.02)
    return grid.decoder()


def siren(transfer: bool = True) -> SirenDecoder:
    """24 x 20 texels of any latents, with events at 6 and 18 where there is a transfer."""
    torch.manual_seed(1)
    latents = StoredLatents(torch.randn(20, 24, 18).numpy(), torch.device("cpu"))
    hours = (0.0, 5.9, 6.0, 12.0, 18.0, 18.1)
    radiance = RadianceTransfer(hours, (0.3, 0.4, 1.0, 14.0, 2.0, 0.4), 2.2)
    return SirenDecoder(latents, F2(18, 37, 4, 3), 20, 24, hours, radiance if transfer else None)


GRIDS = {
    "version 1": lambda: read_bundle(STORED),
    "version 2, coarse": lambda: read_bundle(STORED_2),
    "4 bits, events": lambda: changed(example_decoder(5, 4, (), True), events=EVENTS),
    "6 bits, display": lambda: changed(example_decoder(9, 6, (), True), is_radiance=False),
    "8 bits, coarse": lambda: example_decoder(5, 8, ((3, 2), (7, 1))),
    "20,000 multiply-adds": large_network,
}
