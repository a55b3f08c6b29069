"""The lightmap compressor: F1 maps a texel to a latent, F2 maps (latent, hour) to a colour.

from src.models.compressor import load
decoder = load("runs/tod/best.ckpt")
colours = decoder.decode(xy, hours)    # single texels
frames = decoder.render([6, 12.5])     # whole images
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from src.models.siren import OuterSine, Siren
from src.utils import checkpoint
from src.utils.cli import InputError
from src.utils.parallel import run_parallel, worker_count
from src.utils.texel_grid import texel_index, texel_xy
from src.utils.time_encoding import time_features

CHECKPOINT_KIND = "lightmap"
TILE_TEXELS = 8192  # 2 MB of activations at width 64: stays in the processor's cache
RENDER_BYTES = 1 << 29  # of frames decoded together
Result = TypeVar("Result")


@dataclass(frozen=True)
class CompressorConfig:
    """What a :class:`LightmapCompressor` is built from; plain types, stored in every checkpoint."""

    height: int
    width: int
    hours: tuple[float, ...]
    latent_dim: int = 32
    hidden_f1: int = 32
    layers_f1: int = 4
    hidden_f2: int = 64
    layers_f2: int = 4
    time_harmonics: int = 2

    def to_dict(self) -> dict:
        return {**asdict(self), "hours": list(self.hours)}

    @classmethod
    def from_dict(cls, values: dict) -> CompressorConfig:
        known = {field.name for field in fields(cls)}
        return cls(**{**{key: values[key] for key in known}, "hours": tuple(values["hours"])})


class F2(nn.Module):
    """``(z, hour) -> RGB``: a SIREN on ``[z, time features]`` with a sigmoid head, RGB in (0, 1)."""

    def __init__(self, latent_dim: int, hidden: int, layers: int, time_harmonics: int) -> None:
        super().__init__()
        self.latent_dim = latent_dim
        self.time_harmonics = time_harmonics
        self.siren = Siren(latent_dim + 2 * time_harmonics, hidden, layers, 3)

    @classmethod
    def from_state_dict(cls, state: dict[str, Tensor], latent_dim: int) -> F2:
        """Rebuild F2 from its weights alone: every size is a shape. Raises ``ValueError`` if they do not fit."""
        layers = sum(name.endswith("linear.weight") for name in state)
        hidden, in_features = state["siren.layers.0.linear.weight"].shape
        if in_features < latent_dim or (in_features - latent_dim) % 2:
            raise ValueError(
                f"the latent map has {latent_dim} channels, F2 takes {in_features} inputs (latent + 2 x harmonics)"
            )
        f2 = cls(latent_dim, hidden, layers, (in_features - latent_dim) // 2)
        f2.load_state_dict(state)
        return f2

    def forward(self, z: Tensor, hours: Tensor) -> Tensor:
        """``z`` N x latent_dim, ``hours`` N or 1 -> N x 3."""
        features = time_features(hours, self.time_harmonics).expand(z.shape[0], -1)
        return torch.sigmoid(self.siren(torch.cat((z, features), dim=-1)))

    def split_first_layer(self, z: Tensor, hours: Tensor) -> tuple[Tensor, Tensor]:
        """The first layer's argument as a sum: the latents' part (with the bias) and the hours' part."""
        first = self.siren.layers[0]
        weight, bias = first.scaled_weight(), first.scaled_bias()
        features = time_features(hours, self.time_harmonics)
        with torch.autocast(z.device.type, enabled=False):
            return (
                nn.functional.linear(z.float(), weight[:, : self.latent_dim], bias),
                nn.functional.linear(features, weight[:, self.latent_dim :]),
            )

    def outer(self, z: Tensor, hours: Tensor) -> Tensor:
        """All hours of all latents, differentiable: ``z`` M x latent_dim, ``hours`` T -> M x T x 3.

        The latents' share of the first layer is computed once per texel, the hours' share once per hour.
        """
        h = OuterSine.apply(*self.split_first_layer(z, hours)).flatten(0, 1)
        for layer in self.siren.layers[1:]:
            h = layer(h)
        return torch.sigmoid(self.siren.head(h).float()).unflatten(0, (z.shape[0], hours.shape[0]))


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

    def decoder(self) -> LightmapDecoder:
        return LightmapDecoder(self.f1, self.f2, self.config.height, self.config.width, self.config.hours)


class LatentMap:
    """A stored latent map as the source of latents: ``xy`` -> the latent of the texel around it."""

    def __init__(self, array: np.ndarray, device: torch.device) -> None:
        """``array`` is H x W x latent_dim float32; it may be memory-mapped and is read texel by texel as needed."""
        self._flat = array.reshape(-1, array.shape[-1])
        self._height, self._width = array.shape[:2]
        self._device = device

    def __call__(self, xy: Tensor) -> Tensor:
        index = texel_index(xy, self._height, self._width).cpu().numpy()
        return torch.from_numpy(self._flat[index]).to(self._device)


class LightmapDecoder:
    """Colours of any texel at any hour, from F1 or from a stored latent map.

    Values are those of the training images: display-referred in (0, 1) for png and jpg.
    """

    def __init__(
        self, latents: Callable[[Tensor], Tensor], f2: F2, height: int, width: int, hours: Sequence[float] = ()
    ) -> None:
        self.latents = latents
        self.f2 = f2.eval()
        self.height = height
        self.width = width
        self.hours = tuple(hours)
        self.device = next(f2.parameters()).device

    @torch.no_grad()
    def decode(self, xy: Tensor, hours: Tensor | float) -> Tensor:
        """Single texels: ``xy`` N x 2 in [-1, 1], ``hours`` a number or N of them -> N x 3.

        The work is cut into pieces, so that memory stays bounded for any N.
        """
        xy = torch.as_tensor(xy, dtype=torch.float32, device=self.device)
        hours = torch.as_tensor(hours, dtype=torch.float32, device=self.device).reshape(-1).expand(len(xy))
        pieces = [
            self._decode_rows(self.latents(part_xy), part_hours)
            for part_xy, part_hours in zip(xy.split(TILE_TEXELS), hours.split(TILE_TEXELS), strict=True)
        ]
        return torch.cat(pieces) if pieces else xy.new_zeros(0, 3)

    def render(self, hours: float | Sequence[float]) -> np.ndarray:
        """Whole frames: one hour -> H x W x 3 float32, several -> T x H x W x 3."""
        if isinstance(hours, int | float):
            return next(self.frames([hours]))
        return np.stack(list(self.frames(hours)))

    @torch.no_grad()
    def frames(self, hours: Sequence[float]) -> Iterator[np.ndarray]:
        """The frames one by one, H x W x 3 float32 each, decoded a few hours at a time in tiles.

        What belongs to a texel alone (its latent and the latent's share of the first layer) is computed once for the
        hours decoded together. A frame does not depend on which others are asked for.
        """
        texels = self.height * self.width
        group = max(1, RENDER_BYTES // (texels * 12))
        for start in range(0, len(hours), group):
            chosen = torch.tensor(hours[start : start + group], dtype=torch.float32, device=self.device)
            frames = np.empty((len(chosen), texels, 3), np.float32)

            def fill(first: int, z: Tensor, chosen: Tensor = chosen, frames: np.ndarray = frames) -> None:
                for k, colours in enumerate(self.decode_tile(z, chosen)):
                    frames[k, first : first + len(z)] = colours.cpu().numpy()

            self.map_tiles(fill)
            yield from frames.reshape(-1, self.height, self.width, 3)

    def map_tiles(self, function: Callable[[int, Tensor], Result], share: tuple[int, int] = (0, 1)) -> list[Result]:
        """``function(first texel, latents M x latent_dim)`` of every row-major tile, on all cores, without gradients.

        With ``share`` (i, n) only of the i-th of every n tiles.
        """
        index, count = share
        firsts = range(0, self.height * self.width, TILE_TEXELS)[index::count]
        workers = max(1, min(worker_count(self.device), len(firsts)))

        def work(k: int) -> list[Result]:
            return [function(first, self.tile_latents(first)) for first in firsts[k::workers]]

        results = run_parallel([partial(work, k) for k in range(workers)])
        return [results[i % workers][i // workers] for i in range(len(firsts))]

    def tile_latents(self, first: int) -> Tensor:
        """Latents ``M x latent_dim`` of the tile of up to ``TILE_TEXELS`` texels from row-major texel ``first`` on."""
        index = torch.arange(first, min(first + TILE_TEXELS, self.height * self.width), device=self.device)
        return self.latents(texel_xy(index, self.height, self.width))

    @torch.no_grad()
    def decode_tile(self, z: Tensor, hours: Tensor) -> Iterator[Tensor]:
        """``z`` M x latent_dim -> M x 3 for each of ``hours`` in turn."""
        a, b = self.f2.split_first_layer(z, hours)
        sin_a, cos_a, sin_b, cos_b = a.sin(), a.cos_(), b.sin(), b.cos_()
        buffers = torch.empty_like(sin_a), torch.empty_like(sin_a)
        for t in range(len(hours)):
            h = torch.mul(sin_a, cos_b[t], out=buffers[0]).addcmul_(cos_a, sin_b[t])
            yield self._hidden_and_head(h, buffers[1])

    def _decode_rows(self, z: Tensor, hours: Tensor) -> Tensor:
        a, b = self.f2.split_first_layer(z, hours)
        h = (a.sin() * b.cos()).addcmul_(a.cos_(), b.sin())
        return self._hidden_and_head(h, torch.empty_like(h))

    def _hidden_and_head(self, h: Tensor, spare: Tensor) -> Tensor:
        for layer in self.f2.siren.layers[1:]:
            torch.addmm(layer.scaled_bias(), h, layer.scaled_weight().t(), out=spare)
            h, spare = spare.sin_(), h
        head = self.f2.siren.head
        return torch.addmm(head.bias, h, head.weight.t()).sigmoid_()


def load(path: str | Path, device: str | torch.device = "cpu") -> LightmapDecoder:
    """The decoder of a checkpoint that ``train.py`` wrote. Raises :class:`InputError` if it is not one."""
    return load_model(path, device).decoder()


def load_model(path: str | Path, device: str | torch.device = "cpu") -> LightmapCompressor:
    """The model of a checkpoint, in evaluation mode."""
    stored = checkpoint.read(path, CHECKPOINT_KIND)["model"]
    try:
        model = LightmapCompressor(CompressorConfig.from_dict(stored["config"]))
        model.load_state_dict(stored["state"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(path, f"its model cannot be rebuilt ({error})", "use a checkpoint of this version") from error
    return model.eval().to(device)


def load_exported(latent_path: str | Path, f2_path: str | Path, device: str | torch.device = "cpu") -> LightmapDecoder:
    """The decoder of ``latent_map.npy`` with ``f2_state_dict.pt`` or ``f2_ts.pt``.

    Raises :class:`InputError` if a file is not what it should be or the two do not fit each other.
    """
    try:
        latents = np.load(latent_path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise InputError(latent_path, "not a readable .npy file", "export the latent map again") from error
    if latents.ndim != 3 or latents.dtype != np.float32 or 0 in latents.shape:
        raise InputError(
            latent_path,
            f"holds {latents.dtype} of shape {latents.shape}, a latent map is H x W x latent_dim float32",
            "give the latent_map.npy that export_latent.py wrote",
        )
    try:
        f2 = F2.from_state_dict(checkpoint.read_weights(f2_path), latents.shape[-1])
    except ValueError as error:
        raise InputError(f"{latent_path} with {f2_path}", str(error), "give two files of the same export") from error
    except (KeyError, RuntimeError) as error:
        raise InputError(f2_path, "does not hold the weights of an F2", "give f2_state_dict.pt or f2_ts.pt") from error
    f2 = f2.to(device)
    return LightmapDecoder(LatentMap(latents, torch.device(device)), f2, *latents.shape[:2])
