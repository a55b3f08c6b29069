"""The lightmap compressor: F1 maps a texel to a latent, F2 maps (latent, hour) to a colour.

In Python:

    from src.models.compressor import load
    decoder = load("runs/tod/best.ckpt")
    colours = decoder.decode(xy, hours)    # single texels
    frames = decoder.render([6, 12.5])     # whole images
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from src.models import siren_sizes
from src.models.f2 import F2
from src.models.grid import latent_grid
from src.models.grid.decoder import GridDecoder
from src.models.grid.engine_f2 import STATE_MARK, decoder_from_exported
from src.models.lightmap_decoder import LightmapDecoder
from src.models.radiance_f2 import split_transfer
from src.models.siren import Siren
from src.models.siren_decoder import ComputedLatents, SirenDecoder, StoredLatents
from src.utils import checkpoint
from src.utils.cli import InputError
from src.utils.radiance_transfer import RadianceTransfer

CHECKPOINT_KIND = "lightmap"  # a siren's: the name is from before there were grids


@dataclass(frozen=True)
class CompressorConfig:
    """What a :class:`LightmapCompressor` is built from; plain types, stored in every checkpoint."""

    height: int
    width: int
    hours: tuple[float, ...]
    latent_dim: int = siren_sizes.LATENT_DIM
    hidden_f1: int = siren_sizes.HIDDEN_F1
    layers_f1: int = siren_sizes.LAYERS_F1
    hidden_f2: int = siren_sizes.HIDDEN_F2
    layers_f2: int = siren_sizes.LAYERS_F2
    time_harmonics: int = siren_sizes.TIME_HARMONICS
    frame_scale: tuple[float, ...] = ()  # of the radiance transfer; empty for display values
    gamma: float = 1.0

    def to_dict(self) -> dict:
        return {**asdict(self), "hours": list(self.hours), "frame_scale": list(self.frame_scale)}

    @classmethod
    def from_dict(cls, values: dict) -> CompressorConfig:
        known = {field.name: values[field.name] for field in fields(cls) if field.name in values}
        known |= {name: tuple(known[name]) for name in ("hours", "frame_scale") if name in known}
        return cls(**known)

    @property
    def transfer(self) -> RadianceTransfer | None:
        """How F2's output becomes linear radiance; None when it is the images' display values."""
        return RadianceTransfer(self.hours, self.frame_scale, self.gamma) if self.frame_scale else None


class LightmapCompressor(nn.Module):
    """F1 and F2 for one lightmap."""

    def __init__(self, config: CompressorConfig) -> None:
        super().__init__()
        self.config = config
        self.f1 = Siren(2, config.hidden_f1, config.layers_f1, config.latent_dim)
        self.f2 = F2(config.latent_dim, config.hidden_f2, config.layers_f2, config.time_harmonics)

    def forward(self, xy: Tensor, hours: Tensor) -> Tensor:
        """Texels ``xy`` M x 2 at every one of ``hours`` T -> M x T x 3 in (0, 1)."""
        return self.f2.outer(self.f1(xy), hours)

    def decoder(self) -> SirenDecoder:
        size = self.config.height, self.config.width
        latents = ComputedLatents(self.f1, *size)
        return SirenDecoder(latents, self.f2, *size, self.config.hours, self.config.transfer)


def load(path: str | Path, device: str | torch.device = "cpu") -> LightmapDecoder:
    """The decoder of a checkpoint that ``train.py`` wrote, whatever its F1.

    Raises :class:`InputError` if it is not one.
    """
    model = load_model(path, device)
    return model.decoder() if isinstance(model, LightmapCompressor) else model


def load_model(path: str | Path, device: str | torch.device = "cpu") -> GridDecoder | LightmapCompressor:
    """What is exported of a checkpoint: a siren's networks, or a latent grid as it decodes."""
    is_grid = checkpoint.read_kind(path) == latent_grid.CHECKPOINT_KIND
    return latent_grid.load(path, device) if is_grid else load_siren(path, device)


def load_siren(path: str | Path, device: str | torch.device = "cpu") -> LightmapCompressor:
    """The model of a checkpoint of ``--f1 siren``, in evaluation mode."""

    def build(stored: dict) -> LightmapCompressor:
        return LightmapCompressor(CompressorConfig.from_dict(stored["config"]))

    return checkpoint.read_model(path, CHECKPOINT_KIND, build).to(device)


def load_exported(latent_path: str | Path, f2_path: str | Path, device: str | torch.device = "cpu") -> LightmapDecoder:
    """The decoder of ``latent_map.npy`` with ``f2_state_dict.pt`` or ``f2_ts.pt``.

    Raises :class:`InputError` if a file is not what it should be or the two do not fit each other.
    """
    try:
        latents = np.load(latent_path, mmap_mode="c", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(latent_path, "not a readable .npy file", "export the latent map again") from error
    if not isinstance(latents, np.ndarray):
        raise InputError(latent_path, "an archive of several arrays", "give latent_map.npy here and F2 as --f2_path")
    if latents.ndim != 3 or latents.dtype != np.float32 or 0 in latents.shape:
        raise InputError(
            latent_path,
            f"holds {latents.dtype} of shape {latents.shape}, a latent map is H x W x latent_dim float32",
            "give the latent_map.npy that export_latent.py wrote",
        )
    state = checkpoint.read_weights(f2_path)
    try:
        if STATE_MARK in state:
            return decoder_from_exported(latents, state, torch.device(device))
        own, transfer = split_transfer(state)
        f2 = F2.from_state_dict(own, latents.shape[-1])
    except ValueError as error:
        raise InputError(f"{latent_path} with {f2_path}", str(error), "give two files of the same export") from error
    except (LookupError, TypeError, RuntimeError) as error:
        raise InputError(f2_path, "does not hold the weights of an F2", "give f2_state_dict.pt or f2_ts.pt") from error
    f2 = f2.to(device)
    stored = StoredLatents(latents, torch.device(device))
    height, width = latents.shape[:2]
    return SirenDecoder(stored, f2, height, width, transfer=transfer)
