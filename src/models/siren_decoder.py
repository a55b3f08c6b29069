"""Decoding: colours of any texel at any hour, from F1 or from a stored latent map."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from src.models.day_peak import day_peak
from src.models.f2 import F2
from src.models.lightmap_decoder import LightmapDecoder, chunk_texels
from src.models.siren import Siren
from src.models.turn_cosine import SINE_SHIFT, TURNS_PER_RADIAN, cos_turns
from src.utils.cli import InputError
from src.utils.core_slices import run_parallel, worker_count
from src.utils.radiance_transfer import RadianceTransfer
from src.utils.texel_grid import texel_index, texel_xy
from src.utils.time_encoding import time_features

RENDER_BYTES = 1 << 29  # of frames decoded together
Result = TypeVar("Result")


class LatentSource(Protocol):
    """Where a decoder's latents come from."""

    def at(self, xy: Tensor) -> Tensor:
        """``xy`` N x 2 in [-1, 1] -> N x latent_dim."""
        ...

    def texels(self, first: int, stop: int) -> Tensor:
        """The row-major texels from ``first`` to before ``stop`` -> M x latent_dim."""
        ...


class ComputedLatents:
    """Latents from F1, at any coordinates."""

    def __init__(self, f1: Siren, height: int, width: int) -> None:
        self.at = f1
        self._height, self._width = height, width
        self._device = next(f1.parameters()).device

    def texels(self, first: int, stop: int) -> Tensor:
        return self.at(texel_xy(torch.arange(first, stop, device=self._device), self._height, self._width))


class StoredLatents:
    """Latents from a map H x W x latent_dim float32 (writable or not a map of a file), read as needed.

    On a GPU the map is kept there where half of the free memory holds it.
    """

    def __init__(self, latent_map: np.ndarray, device: torch.device) -> None:
        self._rows = torch.from_numpy(latent_map.reshape(-1, latent_map.shape[-1]))
        self._height, self._width = latent_map.shape[:2]
        self._device = device
        if device.type == "cuda" and latent_map.nbytes <= torch.cuda.mem_get_info(device)[0] // 2:
            self._rows = self._rows.to(device)

    def at(self, xy: Tensor) -> Tensor:
        """The latents of the texels around ``xy``."""
        index = texel_index(xy, self._height, self._width).to(self._rows.device)
        return self._rows.index_select(0, index).to(self._device)

    def texels(self, first: int, stop: int) -> Tensor:
        return self._rows[first:stop].to(self._device)


class SirenDecoder(LightmapDecoder):
    """Colours of any texel at any hour, from F1 or from a stored latent map.

    Values are those of the training images: display-referred in (0, 1) for png and jpg, linear radiance with a
    ``transfer`` that leads from F2's output back to it.
    """

    def __init__(
        self,
        latents: LatentSource,
        f2: F2,
        height: int,
        width: int,
        hours: Sequence[float] = (),
        transfer: RadianceTransfer | None = None,
    ) -> None:
        self.latents = latents
        self.f2 = f2.eval()
        self.height = height
        self.width = width
        self.hours = tuple(hours)
        self.transfer = transfer
        self.is_radiance = transfer is not None
        self.device = next(f2.parameters()).device
        with torch.no_grad():
            layers = [
                (layer.scaled_weight().t() * TURNS_PER_RADIAN, layer.scaled_bias() * TURNS_PER_RADIAN + SINE_SHIFT)
                for layer in f2.siren.sine_layers
            ]
        (first_weight, self._latent_bias), *self._hidden = layers
        self._latent_weight, self._hour_weight = first_weight.split((f2.latent_dim, 2 * f2.time_harmonics))
        self._kept = threading.local()

    @property
    def lightmap_names(self) -> tuple[str, ...]:
        """None: a SIREN belongs to one lightmap."""
        return ()

    @property
    def peak(self) -> float:
        """What previews show as white: of radiance how bright the day gets, see :func:`day_peak`, else 1."""
        if self.transfer is None:
            return 1.0
        return day_peak(self.decode, self.transfer.hours, self.height, self.width, self.device)

    def lightmap(self, name: str) -> SirenDecoder:
        """Always refused: a SIREN belongs to one lightmap (see :meth:`GridDecoder.lightmap`)."""
        raise InputError("--lightmap", f"no lightmap {name!r} in the file", "it holds a single one, without a name")

    @property
    def resident_bytes(self) -> int:
        """Of the latent map and F2, float32 both."""
        parameters = sum(parameter.numel() for parameter in self.f2.parameters())
        return 4 * (self.height * self.width * self.f2.latent_dim + parameters)

    @property
    def chunk_texels(self) -> int:
        """How many texels are decoded together."""
        return chunk_texels(self.device)

    @torch.no_grad()
    def decode(self, xy: Tensor, hours: Tensor | float) -> Tensor:
        """Single texels: ``xy`` N x 2 in [-1, 1], ``hours`` a number or N of them -> N x 3.

        The work is cut into pieces, so that memory stays bounded for any N.
        """
        xy = torch.as_tensor(xy, dtype=torch.float32, device=self.device)
        hours = torch.as_tensor(hours, dtype=torch.float32, device=self.device).reshape(-1).expand(len(xy))
        out = xy.new_empty(len(xy), 3)

        def work(first: int) -> None:
            piece = slice(first, first + self.chunk_texels)
            code = self._layers(self._latent_turns(self.latents.at(xy[piece])), self._hour_turns(hours[piece]))
            out[piece] = self._to_images(code, hours[piece])

        self._share_out(work, range(0, len(xy), self.chunk_texels))
        return out

    def is_valid(self, texels: Tensor) -> Tensor:
        """All of them: a SIREN has a colour everywhere."""
        return torch.ones_like(texels, dtype=torch.bool)

    @torch.no_grad()
    def frames(self, hours: Sequence[float]) -> Iterator[np.ndarray]:
        """The frames one by one, H x W x 3 float32 each, decoded a few hours at a time, chunk by chunk.

        What belongs to a texel alone (its latent and the latent's share of the first layer) is computed once for the
        hours decoded together. A frame does not depend on which others are asked for.
        """
        texels = self.height * self.width
        group = max(1, RENDER_BYTES // (texels * 12))
        for start in range(0, len(hours), group):
            chosen = torch.tensor(hours[start : start + group], dtype=torch.float32, device=self.device)
            frames = np.empty((len(chosen), texels, 3), np.float32)
            self.map_chunks(partial(self._fill, frames, self.hour_parts(chosen)))
            yield from frames.reshape(-1, self.height, self.width, 3)

    def _fill(self, frames: np.ndarray, hour_parts: Sequence[tuple[Tensor, Tensor]], first: int, z: Tensor) -> None:
        for frame, colours in zip(frames, self.decode_chunk(z, hour_parts), strict=True):
            frame[first : first + len(z)] = colours.cpu().numpy()

    def map_chunks(self, function: Callable[[int, Tensor], Result], share: tuple[int, int] = (0, 1)) -> list[Result]:
        """``function(first texel, latents M x latent_dim)`` of every row-major chunk, on all cores, without gradients.

        With ``share`` (i, n) only of the i-th of every n chunks.
        """
        index, count = share
        firsts = range(0, self.height * self.width, self.chunk_texels)[index::count]
        return self._share_out(lambda first: function(first, self.chunk_latents(first)), firsts)

    def _share_out(self, work: Callable[[int], Result], items: Sequence[int]) -> list[Result]:
        workers = max(1, min(worker_count(self.device), len(items)))
        shares = run_parallel([partial(_call_each, work, items[k::workers]) for k in range(workers)])
        return [shares[i % workers][i // workers] for i in range(len(items))]

    def chunk_latents(self, first: int) -> Tensor:
        """Latents ``M x latent_dim`` of the up to ``chunk_texels`` texels from row-major texel ``first`` on."""
        return self.latents.texels(first, min(first + self.chunk_texels, self.height * self.width))

    @torch.no_grad()
    def hour_parts(self, hours: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Each of ``hours`` with its share of F2's first layer: what :meth:`decode_chunk` needs, the same for all.

        Each is computed alone: a product of several rows may round otherwise than that of one.
        """
        return [(hour, self._hour_turns(hour)) for hour in hours.split(1)]

    @torch.no_grad()
    def decode_chunk(self, z: Tensor, hour_parts: Sequence[tuple[Tensor, Tensor]]) -> Iterator[Tensor]:
        """``z`` M x latent_dim -> M x 3 for each hour of ``hour_parts`` in turn."""
        a = self._latent_turns(z)
        for hour, b in hour_parts:
            yield self._to_images(self._layers(a, b), hour)

    def _to_images(self, code: Tensor, hours: Tensor) -> Tensor:
        return code if self.transfer is None else self.transfer.decode(code, hours)

    def _latent_turns(self, z: Tensor) -> Tensor:
        """What ``z`` M x latent_dim adds to the first layer's argument, in turns, in a buffer."""
        return torch.addmm(self._latent_bias, z, self._latent_weight, out=self._buffers(len(z))[0])

    def _hour_turns(self, hours: Tensor) -> Tensor:
        return time_features(hours, self.f2.time_harmonics) @ self._hour_weight

    def _layers(self, a: Tensor, b: Tensor) -> Tensor:
        """The two parts of the first layer's argument in turns, M x hidden and M or 1 x hidden -> M x 3."""
        _, argument, h = self._buffers(len(a))
        cos_turns(torch.add(a, b, out=argument), out=h)
        for weight, bias in self._hidden:
            cos_turns(torch.addmm(bias, h, weight, out=argument), out=h)
        head = self.f2.siren.head
        # three long rows: much faster than M rows of three
        return torch.addmm(head.bias[:, None], head.weight, h.t()).sigmoid_().t()

    def _buffers(self, texels: int) -> Tensor:
        """This thread's three buffers, kept: asking the system for memory anew costs as much as a layer."""
        stack = getattr(self._kept, "buffers", None)
        if stack is None or stack.shape[1] < texels:
            stack = self._kept.buffers = self._latent_weight.new_empty(3, texels, self._latent_weight.shape[1])
        return stack[:, :texels]


@torch.inference_mode()  # a few microseconds less for each of thousands of operations than without gradients
def _call_each(work: Callable[[int], Result], items: Sequence[int]) -> list[Result]:
    return [work(item) for item in items]
