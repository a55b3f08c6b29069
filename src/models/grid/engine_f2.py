"""F2 of a latent grid as a network for engines: float latents in, colours at any hour out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from src.models.grid.block_latents import BlockLatents
from src.models.grid.config import GridConfig
from src.models.grid.decoder import GridDecoder
from src.models.grid.f2_weights import F2Weights
from src.models.grid.latent_levels import LatentLevels
from src.models.grid.packed_latents import block_mask, block_of_texels
from src.models.grid.quantiser import Quantiser
from src.models.hour_lookup import HourLookup

STATE_MARK = "hour_weight"  # a key that only the state of this network has


class GridF2(nn.Module):
    """``(z, hour) -> RGB``: ``[z, relu MLP(z)]`` once, then a linear map for each of the two hours around.

    The weights are those of the bundle, rounded to half precision. RGB is linear radiance, or display values.
    """

    frame_scale: Tensor
    is_radiance: Tensor

    def __init__(self, config: GridConfig, f2: F2Weights, frame_scale: Tensor) -> None:
        super().__init__()
        f2, hours = f2.map(lambda array: array.detach().float()), len(config.hours)
        self.hidden = nn.ParameterList([array for layer in f2.hidden for array in layer])
        self.hour_weight = nn.Parameter(f2.hour_weight.unflatten(1, (hours, 3)))  # features x T x 3
        self.hour_bias = nn.Parameter(f2.hour_bias.view(hours, 3))
        self.register_buffer("frame_scale", frame_scale.float())
        self.register_buffer("latent_bits", torch.tensor(config.latent_bits))
        self.register_buffer("blocks", torch.tensor(config.blocks))
        self.register_buffer("is_radiance", torch.tensor(config.is_radiance))
        self.register_buffer("events", torch.tensor(config.events, dtype=torch.float64))
        self.lookup = HourLookup(config.hours, config.events)
        self.register_buffer("coarse", torch.tensor(config.coarse, dtype=torch.int64).view(-1, 2))
        self.latent_dim = config.z_dim

    def forward(self, z: Tensor, hours: Tensor) -> Tensor:
        """``z`` N x z_dim in [-1, 1], ``hours`` N or 1 -> N x 3."""
        first, second, share = self.lookup(hours)
        features = F2Weights.from_arrays([*self.hidden, self.hour_weight, self.hour_bias]).features(z)
        near = self._colours(features, first) * (1.0 - share).float().unsqueeze(1)
        colours = (near + self._colours(features, second) * share.float().unsqueeze(1)).clamp_min(0.0)
        return torch.where(self.is_radiance, colours, colours.clamp_max(1.0))

    def _colours(self, features: Tensor, frame: Tensor) -> Tensor:
        """Features N x F at baked ``frame`` N or 1 -> N x 3."""
        all_frames = torch.einsum("nf,ftc->ntc", features, self.hour_weight) + self.hour_bias
        all_frames = all_frames * self.frame_scale.unsqueeze(1)
        return all_frames.gather(1, frame.expand(features.shape[0]).view(-1, 1, 1).expand(-1, 1, 3)).squeeze(1)


def grid_f2(decoder: GridDecoder) -> GridF2:
    """The network of a grid's decoder."""
    return GridF2(decoder.config, decoder.f2, decoder.frame_scale)


def float_latents(decoder: GridDecoder, rows: Sequence[Tensor | slice]) -> Tensor:
    """Latents of some texels, by their rows at each level, as F2 reads them: M x z_dim float32 in [-1, 1].

    No value is ever 0: in a map, 0 marks an invalid texel.
    """
    return Quantiser(decoder.config.latent_bits).to_value(decoder.latents.unpack(rows))


def decoder_from_exported(latent_map: np.ndarray, state: dict[str, Tensor], device: torch.device) -> GridDecoder:
    """The decoder of an exported latent map H x W x z_dim and the state of :class:`GridF2`.

    It decodes exactly what the checkpoint or bundle decodes. Raises ``ValueError`` when the two do not fit each other,
    ``KeyError`` when the state is incomplete.
    """
    hidden = [state[f"hidden.{k}"] for k in range(sum(name.startswith("hidden.") for name in state))]
    weight, bias = state["hour_weight"], state["hour_bias"]
    height, width, latent_dim = latent_map.shape
    expected = hidden[0].shape[0]
    if latent_dim != expected:
        raise ValueError(f"the latent map has {latent_dim} channels, F2 takes {expected}")
    coarse = tuple(map(tuple, state["coarse"].tolist())) if "coarse" in state else ()  # not in the first exports
    channels = latent_dim - sum(channels for _, channels in coarse)
    if channels < 1 or any(stride < 2 or own < 1 for stride, own in coarse):
        raise ValueError(f"coarser levels {coarse} of {latent_dim} channels")
    config = GridConfig(
        height,
        width,
        tuple(state["lookup.starts"].tolist()),
        tuple(state["events"].tolist()),
        channels,
        int(state["latent_bits"]),
        hidden[0].shape[1],
        len(hidden) // 2,
        bool(state["is_radiance"]),
        coarse=coarse,
        blocks=bool(state.get("blocks", False)),  # not in earlier exports
    )
    f2 = F2Weights.from_arrays([*hidden, weight.flatten(1), bias.flatten()])
    shapes = [tuple(array.shape) for array in f2.arrays()]
    if shapes != config.f2_shapes:
        raise ValueError(f"F2 has arrays of shapes {shapes}, expected {config.f2_shapes}")
    mask = torch.from_numpy((latent_map != 0).any(axis=-1))
    codes = Quantiser(config.latent_bits).to_code(torch.from_numpy(latent_map[mask.numpy()])).to(device)
    mask = mask.to(device)
    if config.blocks:
        latents: BlockLatents | LatentLevels = BlockLatents.pack(mask, codes, config.latent_bits)
    else:
        latents = LatentLevels(mask, _by_level(codes, mask, config), config.latent_bits)
    f2 = f2.map(lambda array: array.half().to(device))
    return GridDecoder(config, latents, f2, state["frame_scale"].to(device))


def _by_level(values: Tensor, mask: Tensor, config: GridConfig) -> Iterator[tuple[int, Tensor]]:
    """The values of valid texels N x z_dim -> (stride, values of the blocks) of each level."""
    texels = torch.nonzero(mask.flatten()).flatten()
    full, *coarser = values.split([config.latent_dim, *(channels for _, channels in config.coarse)], dim=1)
    yield 1, full
    for (stride, channels), of_texels in zip(config.coarse, coarser, strict=True):
        blocks = block_mask(mask, stride).flatten()
        rows = (blocks.cumsum(0) - 1)[block_of_texels(texels, config.width, stride)]
        of_blocks = values.new_zeros(int(blocks.sum()), channels)
        of_blocks[rows] = of_texels  # the same for all texels of a block
        yield stride, of_blocks
