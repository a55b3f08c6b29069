"""Delighting models: from a lit portrait to its flat-lit picture and the environment that lit it.

Parameters, FLOPs, memory and output shapes of both architectures:

    python -m src.models.delit_model [--image_size 512] [--base_dim 64]

``simplified`` is the plain encoder-decoder of :mod:`src.models.delit.simplified`; ``attention`` is described in
:mod:`src.models.delit.attention`. Both see the picture at unit exposure and predict the environment relative to it:
twice the light gives the same flat-lit picture and twice the environment, exactly.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.models.delit.attention import TRANSFER_STRIDE, AttentionDelit
from src.models.delit.outputs import Delit
from src.models.delit.simplified import SimplifiedDelit
from src.utils import checkpoint
from src.utils.color import luminance
from src.utils.hdr_codec import Codec, make_codec

CHECKPOINT_KIND = "delit"
ARCHITECTURES = ("attention", "simplified")
STRIDE = 16  # pictures are padded to a multiple of this
_EXPOSURE_SIGMA = 0.2  # of the window that exposure is measured in, as a share of the picture
_SMALLEST_EXPOSURE = 1e-6


@dataclass(frozen=True)
class DelitConfig:
    """Everything that a model is built from."""

    arch: str = "attention"
    image_size: int = 512  # the side of the square crops it is trained on
    env_height: int = 128
    env_width: int = 256
    base_dim: int = 64
    env_codec: str = "log"
    log_scale: float = 10.0
    without: tuple[str, ...] = ()  # ideas of the attention architecture to do without, see its IDEAS
    flat_confidence: bool = False  # whether it says how wrong its flat-lit picture may be; attention only

    def __post_init__(self) -> None:
        object.__setattr__(self, "without", tuple(self.without))  # a checkpoint may give a list


class DelitModel(nn.Module):
    """A delighting network with what goes in and comes out of it in physical units."""

    def __init__(self, config: DelitConfig) -> None:
        super().__init__()
        self.config = config
        self.codec: Codec = make_codec(config.env_codec, config.log_scale)
        sizes = (config.base_dim, config.env_height, config.env_width, self.codec)
        if config.arch == "attention":
            network = AttentionDelit(*sizes, config.without, config.flat_confidence)
            self.network: AttentionDelit | SimplifiedDelit = network
        elif config.arch == "simplified" and not (config.without or config.flat_confidence):
            self.network = SimplifiedDelit(*sizes)
        else:
            raise ValueError(f"no architecture {config.arch!r} without {config.without}")

    def forward(self, relit: Tensor) -> Delit:
        """``relit``: N x 3 x H x W linear radiance of any exposure, at least 0, any size from 16 x 16 on."""
        height, width = relit.shape[-2:]
        exposure = measure_exposure(relit)  # N x 1 x 1 x 1
        answer = self.network(padded(relit / exposure))
        rows, columns = -(-height // TRANSFER_STRIDE), -(-width // TRANSFER_STRIDE)
        return Delit(
            flat_lit=answer.flat_lit[..., :height, :width].float(),
            environment_code=answer.code.float(),
            exposure=exposure,
            confidence=answer.confidence,
            mask=None if answer.mask is None else answer.mask[..., :height, :width].float(),
            transfer=None if answer.transfer is None else answer.transfer[..., :rows, :columns],
            lobes=None if answer.transfer is None else cast(AttentionDelit, self.network).lobes,
            flat_error=None if answer.flat_error is None else answer.flat_error[..., :height, :width],
        )

    @torch.no_grad()
    def start(self, samples: Iterable[tuple[Tensor, Tensor, Tensor, Tensor]]) -> None:
        """Fit what can be fitted in closed form, before training; attention only.

        ``samples``: batches of relit N x 3 x H x W, environment N x 3 x h x w, flat-lit N x 3 x H x W and mask
        N x 1 x H x W, of which only thumbnails are kept.
        """
        if not isinstance(self.network, AttentionDelit):
            return

        def at_unit_exposure(
            relit: Tensor, environment: Tensor, flat_lit: Tensor, mask: Tensor
        ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
            exposure = measure_exposure(relit)
            # Padded as in :meth:`forward`, so that a thumbnail shows the same there.
            return padded(relit / exposure), environment / exposure, padded(flat_lit), padded(mask)

        self.network.start(at_unit_exposure(*sample) for sample in samples)

    def environment(self, output: Delit) -> Tensor:
        """N x 3 x h x w linear radiance of the predicted environment."""
        return self.codec.decode(output.environment_code) * output.exposure


def padded(pictures: Tensor) -> Tensor:
    """N x C x H x W with its last row and column repeated until both sides are multiples of :data:`STRIDE`."""
    height, width = pictures.shape[-2:]
    return F.pad(pictures, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")


def measure_exposure(relit: Tensor) -> Tensor:
    """N x 1 x 1 x 1: mean luminance under a Gaussian window about the centre, where portraits have the face."""
    height, width = relit.shape[-2:]
    rows, columns = (
        torch.exp(-0.5 * ((torch.arange(n, device=relit.device) + 0.5) / n - 0.5).div(_EXPOSURE_SIGMA).square())
        for n in (height, width)
    )
    window = rows[:, None] * columns / (rows.sum() * columns.sum())
    return (luminance(relit.float()) * window).sum((1, 2)).clamp_min(_SMALLEST_EXPOSURE).view(-1, 1, 1, 1)


def load(path: str | Path, device: str | torch.device = "cpu") -> DelitModel:
    """The model of a checkpoint, ready for inference. Raises :class:`InputError` if the file is not one."""

    def build(stored: dict) -> DelitModel:
        return DelitModel(DelitConfig(**stored["config"]))

    return checkpoint.read_model(path, CHECKPOINT_KIND, build).requires_grad_(False).to(device)


if __name__ == "__main__":
    from importlib import import_module  # that module imports this one

    sys.exit(import_module("src.models.delit.describe").main())
