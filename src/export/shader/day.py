"""What a shader decodes a day from: an array of integers, one of floats, and the constants that say what lies where.

``words`` (uint32; floats among them by their bits)

    0                 for each lightmap 3 words: first row in the map, height, width
    TOD_HOUR_TABLE    TOD_HOURS + 1 rows of 4 floats: where an interval between baked hours begins (the sum of the first
                      two), its length, its event as a distance from there (-1: none). Row 0 is the interval around
                      midnight, row k begins at the k-th baked hour.
    TOD_SCALE_TABLE   TOD_HOURS floats: what 1.0 stands for at each baked hour
    TOD_LEVEL_TABLE   grid: for each level, full resolution first, 6 words: stride, channels D, bits of a size
                      (len(D b)), groups to a row, where its ``index`` begins, where its records begin. Behind the table
                      ``index`` and ``words`` of each level, as docs/bundle-format.md packs a map in memory.
    TOD_MAP           siren: TOD_LATENTS floats for each texel, row-major

``weights`` (vectors of four floats; what lies beyond the last input or output is 0)

    0                 the hidden layers: for each four outputs a vector of their biases, then for each input a vector of
                      its weights to them
    TOD_HOUR_WEIGHTS  grid: for each baked hour a vector of the biases of R, G, B, then for each four features (z, then
                      the last hidden layer) a vector of their weights to R, one to G, one to B
    TOD_HEAD          siren: the head as a layer of four outputs

F2 reads TOD_Z4 vectors of four inputs, the channels of each level filled up to a multiple of four (siren: z, then the
features of the hour, filled up likewise); TOD_H4 such vectors are a hidden layer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from src.models.f2 import F2
from src.models.grid.block_latents import GROUP, BlockLatents
from src.models.grid.decoder import GridDecoder
from src.models.grid.packed_latents import block_mask
from src.models.grid.quantiser import Quantiser
from src.models.siren_decoder import SirenDecoder
from src.models.turn_cosine import SINE_SHIFT, TURNS_PER_RADIAN, coefficients
from src.utils.hour_interpolation import HOURS_PER_DAY, HourInterpolation, detect_events

_NO_CEILING = 3.0e38
_NO_EVENT = -1.0


@dataclass(frozen=True)
class ShaderDay:
    """The arrays and constants of a day, and its lightmaps by name, in the order of their numbers."""

    kind: str  # "grid" or "siren"
    words: np.ndarray  # uint32
    weights: np.ndarray  # N x 4 float32
    constants: dict[str, int | float]  # ints are uint32 in the shader
    lightmaps: tuple[str, ...]
    is_radiance: bool

    @property
    def multiply_adds(self) -> int:
        """Of the hidden layers for one texel, those with the zeros of the filling included."""
        inputs, outputs, layers = (self.constants[name] for name in ("TOD_Z4", "TOD_H4", "TOD_LAYERS"))
        return int(16 * outputs * (inputs + (layers - 1) * outputs))


def shader_day(decoder: GridDecoder | SirenDecoder) -> ShaderDay:
    """What a shader needs of a decoder, of either kind."""
    return _siren_day(decoder) if isinstance(decoder, SirenDecoder) else _grid_day(decoder)


def _grid_day(decoder: GridDecoder) -> ShaderDay:
    config = decoder.config
    regions = config.regions or (("", 0, config.height, config.width),)
    tables = _Words([row for _, *row in regions])
    tables.add_hours(HourInterpolation(config.hours, config.events), decoder.frame_scale.tolist())
    levels = _levels(decoder)
    packed = [level for _, level in levels]
    first = tables.mark("TOD_LEVEL_TABLE") + 6 * len(levels)
    for stride, level in levels:
        index_at, words_at = first, first + len(level.index)
        first = words_at + len(level.words)
        size_bits = (level.latent_dim * level.bits).bit_length()
        tables.add([stride, level.latent_dim, size_bits, -(-level.width // GROUP), index_at, words_at])
    for level in packed:
        tables.add(_unsigned(level.index))
        tables.add(_unsigned(level.words))

    f2 = decoder.f2.map(lambda array: array.float().cpu())
    inputs = _padded([level.latent_dim for level in packed])
    hidden = [(weight.numpy(), bias.numpy()) for weight, bias in f2.hidden]
    rows = _hidden_rows(hidden, inputs)
    features = [*inputs, *(_filled(inputs) + np.arange(config.hidden_f2)).tolist()]
    by_hour = f2.hour_weight.unflatten(1, (-1, 3)).numpy()  # features x T x 3
    biases = f2.hour_bias.view(-1, 3).numpy()
    hour_rows = [_hour_rows(by_hour[:, t], biases[t], features) for t in range(len(config.hours))]
    return ShaderDay(
        "grid",
        tables.array(),
        np.concatenate((*rows, *hour_rows)),
        {
            **tables.marks,
            "TOD_LEVELS": len(levels),
            "TOD_BITS": config.latent_bits,
            "TOD_WIDTH_BITS": config.latent_bits.bit_length(),
            "TOD_STEP": Quantiser(config.latent_bits).step,
            **_sizes(hidden, inputs),
            "TOD_HOUR_WEIGHTS": sum(map(len, rows)),
            "TOD_CEILING": _NO_CEILING if config.is_radiance else 1.0,
        },
        tuple(name for name, *_ in regions),
        config.is_radiance,
    )


def _levels(decoder: GridDecoder) -> list[tuple[int, BlockLatents]]:
    """Stride and latents of each level; those of rows (before version 3) are packed in blocks too."""
    latents, config = decoder.latents, decoder.config
    if isinstance(latents, BlockLatents):
        return [(1, latents)]
    mask = torch.zeros(config.height * config.width, dtype=torch.bool, device=decoder.device)
    mask[latents.valid[0]] = True
    mask = mask.view(config.height, config.width)
    packed = []
    for level in latents.levels:
        blocks = block_mask(mask, level.stride)
        packed.append((level.stride, BlockLatents.pack(blocks, level.latents.unpack(slice(None)), latents.bits)))
    return packed


def _siren_day(decoder: SirenDecoder) -> ShaderDay:
    f2, transfer = decoder.f2, decoder.transfer
    hours, scale = (transfer.hours, transfer.frame_scale) if transfer else ((0.0,), (1.0,))
    tables = _Words([[0, decoder.height, decoder.width]])
    tables.add_hours(HourInterpolation(hours, detect_events(hours)), scale)
    tables.mark("TOD_MAP")
    for first in range(0, decoder.height * decoder.width, decoder.chunk_texels):
        tables.add(decoder.chunk_latents(first).cpu().numpy().astype(np.float32).view(np.uint32).flatten())

    inputs = _padded([f2.latent_dim, 2 * f2.time_harmonics])
    hidden = _sine_layers(f2)
    head_weight, head_bias = (array.detach().cpu().numpy() for array in (f2.siren.head.weight.T, f2.siren.head.bias))
    rows = _hidden_rows(hidden, inputs)
    head = _layer_rows(head_weight, head_bias, range(len(head_weight)))
    rising, leading = coefficients()
    cosine = [*(float(constant) for constant in rising), leading]
    return ShaderDay(
        "siren",
        tables.array(),
        np.concatenate((*rows, head)),
        {
            **tables.marks,
            "TOD_LATENTS": f2.latent_dim,
            "TOD_HARMONICS": f2.time_harmonics,
            **_sizes(hidden, inputs),
            "TOD_HEAD": sum(map(len, rows)),
            "TOD_GAMMA": float(transfer.gamma) if transfer else 1.0,
            **{f"TOD_COS_{k}": constant for k, constant in enumerate(cosine)},
        },
        ("",),
        decoder.is_radiance,
    )


@torch.no_grad()
def _sine_layers(f2: F2) -> list[tuple[np.ndarray, np.ndarray]]:
    """Weights and biases with which ``cos(2 pi x)`` of a layer's sums is its sine."""
    return [
        (
            (layer.scaled_weight().T * TURNS_PER_RADIAN).cpu().numpy(),
            (layer.scaled_bias() * TURNS_PER_RADIAN + SINE_SHIFT).cpu().numpy(),
        )
        for layer in f2.siren.sine_layers
    ]


class _Words:
    """Integers one after another, floats among them by their bits, and where each table begins."""

    def __init__(self, lightmaps: Iterable[Sequence[int]]) -> None:
        self.marks: dict[str, int | float] = {}
        self._parts: list[np.ndarray] = []
        self._count = 0
        for row in lightmaps:
            self.add(row)

    def add(self, values: Sequence[int] | np.ndarray) -> None:
        self._parts.append(np.asarray(values, np.uint32))
        self._count += len(self._parts[-1])

    def mark(self, name: str) -> int:
        self.marks[name] = self._count
        return self._count

    def add_hours(self, interpolation: HourInterpolation, scale: Sequence[float]) -> None:
        starts, lengths, events = (np.roll(np.append(part, part[-1]), 1) for part in interpolation.intervals())
        starts[0] -= HOURS_PER_DAY
        high = starts.astype(np.float32)
        low = starts - high
        table = np.stack((high, low, lengths, np.where(np.isnan(events), _NO_EVENT, events)), axis=1)
        self.marks["TOD_HOURS"] = len(lengths) - 1
        self.mark("TOD_HOUR_TABLE")
        self.add(table.astype(np.float32).view(np.uint32).flatten())
        self.mark("TOD_SCALE_TABLE")
        self.add(np.asarray(scale, np.float32).view(np.uint32))

    def array(self) -> np.ndarray:
        return np.concatenate(self._parts)


def _unsigned(words: torch.Tensor) -> np.ndarray:
    return words.cpu().numpy().view(np.uint32)


def _padded(counts: Iterable[int]) -> list[int]:
    """Where values go when each of these runs of them is filled up to a multiple of four."""
    places: list[int] = []
    for count in counts:
        places += range(_filled(places), _filled(places) + count)
    return places


def _filled(places: Sequence[int]) -> int:
    """Values up to the last of ``places``, filled up to a multiple of four."""
    return -(-(places[-1] + 1) // 4) * 4 if places else 0


def _sizes(hidden: Sequence[tuple[np.ndarray, np.ndarray]], inputs: Sequence[int]) -> dict[str, int | float]:
    outputs = len(hidden[0][1])
    return {"TOD_Z4": _filled(inputs) // 4, "TOD_H4": -(-outputs // 4), "TOD_LAYERS": len(hidden)}


def _hidden_rows(hidden: Sequence[tuple[np.ndarray, np.ndarray]], inputs: Sequence[int]) -> list[np.ndarray]:
    (weight, bias), *others = hidden
    return [_layer_rows(weight, bias, inputs), *(_layer_rows(w, b, range(len(w))) for w, b in others)]


def _layer_rows(weight: np.ndarray, bias: np.ndarray, inputs: Sequence[int]) -> np.ndarray:
    """``weight`` I x O of the inputs at these places -> vectors of four, see above."""
    quads = -(-len(bias) // 4)
    rows = np.zeros((1 + _filled(inputs), 4 * quads), np.float32)  # bias, then an input to a row
    rows[0, : len(bias)] = bias
    rows[1 + np.asarray(inputs), : len(bias)] = weight
    return rows.reshape(-1, quads, 4).swapaxes(0, 1).reshape(-1, 4)


def _hour_rows(weight: np.ndarray, bias: np.ndarray, features: Sequence[int]) -> np.ndarray:
    """``weight`` F x 3 of the features at these places, ``bias`` 3 -> vectors of four, see above."""
    dense = np.zeros((_filled(features), 3), np.float32)
    dense[np.asarray(features)] = weight
    rows = dense.reshape(-1, 4, 3).swapaxes(1, 2).reshape(-1, 4)
    return np.concatenate((np.append(bias, 0.0).astype(np.float32)[None], rows))
