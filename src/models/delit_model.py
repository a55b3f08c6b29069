"""Delighting models: from a lit portrait to its flat-lit picture and the environment that lit it.

Parameters, FLOPs, memory and output shapes of both architectures:

    python -m src.models.delit_model [--image_size 512] [--base_dim 64]

``simplified`` is the plain encoder-decoder with two decoders; ``attention`` is described in
:mod:`src.models.delit.attention`. Both see the picture at unit exposure and predict the environment relative to it:
twice the light gives the same flat-lit picture and twice the environment, exactly.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.models.delit.attention import AttentionDelit
from src.utils import checkpoint, cli
from src.utils.color import luminance, srgb_to_linear
from src.utils.hdr_codec import CODECS, Codec, make_codec

CHECKPOINT_KIND = "delit"
ARCHITECTURES = ("attention", "simplified")
BASE_DIMS = (32, 64, 128)
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


class Delit(NamedTuple):
    """What a model gives for N pictures."""

    flat_lit: Tensor  # N x 3 x H x W, linear radiance under a uniform environment of radiance 1, at least 0
    environment_code: Tensor  # N x C x h x w in [0, 1]: the codec's code of environment / exposure
    exposure: Tensor  # N x 1 x 1 x 1: luminance about the picture's centre; the network sees relit / exposure
    confidence: Tensor | None  # N x 1 x h x w in [0, 1]: exp(-error) expected of the log environment; attention only
    mask: Tensor | None  # N x 1 x H x W in [0, 1]: where the network sees the person; attention only
    transfer: Tensor | None = (
        None  # N x K x H' x W': share of a pixel's light that comes through lobe k; attention only
    )
    lobes: Tensor | None = None  # K x (h * w): radiance seen through lobe k is lobes @ environment


class DelitModel(nn.Module):
    """A delighting network with what goes in and comes out of it in physical units."""

    def __init__(self, config: DelitConfig) -> None:
        super().__init__()
        self.config = config
        self.codec: Codec = make_codec(config.env_codec, config.log_scale)
        network = {"attention": AttentionDelit, "simplified": SimplifiedDelit}[config.arch]
        self.network = network(config.base_dim, config.env_height, config.env_width, self.codec)

    def forward(self, relit: Tensor) -> Delit:
        """``relit``: N x 3 x H x W linear radiance of any exposure, at least 0, any size from 16 x 16 on."""
        height, width = relit.shape[-2:]
        exposure = measure_exposure(relit)
        picture = F.pad(relit / exposure, (0, -width % STRIDE, 0, -height % STRIDE), mode="replicate")
        flat_lit, code, confidence, mask, transfer = self.network(picture)
        flat_lit = flat_lit[..., :height, :width].float()
        mask = None if mask is None else mask[..., :height, :width].float()
        if transfer is None:
            return Delit(flat_lit, code.float(), exposure, confidence, mask)
        return Delit(flat_lit, code.float(), exposure, confidence, mask, transfer, self.network.shading.lobes)

    @torch.no_grad()
    def start(self, batches: Iterable[Mapping[str, Tensor]]) -> None:
        """Fit what can be fitted in closed form to training batches, before training; attention only."""
        if self.config.arch != "attention":
            return

        def at_unit_exposure(batch: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
            exposure = measure_exposure(batch["relit"])
            return batch["relit"] / exposure, batch["environment"] / exposure, batch["flat_lit"], batch["mask"]

        self.network.start(map(at_unit_exposure, batches))

    def environment(self, output: Delit) -> Tensor:
        """N x 3 x h x w linear radiance of the predicted environment."""
        return self.codec.decode(output.environment_code) * output.exposure


def measure_exposure(relit: Tensor) -> Tensor:
    """N x 1 x 1 x 1: mean luminance under a Gaussian window about the centre, where portraits have the face."""
    height, width = relit.shape[-2:]
    rows, columns = (
        torch.exp(-0.5 * ((torch.arange(n, device=relit.device) + 0.5) / n - 0.5).div(_EXPOSURE_SIGMA).square())
        for n in (height, width)
    )
    window = rows[:, None] * columns / (rows.sum() * columns.sum())
    return (luminance(relit.float()) * window).sum((1, 2)).clamp_min(_SMALLEST_EXPOSURE).view(-1, 1, 1, 1)


class SimplifiedDelit(nn.Module):
    """The reference: 4 convolutions down to an eighth, 4 up again for flat-lit, 2 up to the environment's size."""

    def __init__(self, base_dim: int, env_height: int, env_width: int, codec: Codec) -> None:
        super().__init__()
        self.env_size = (env_height, env_width)
        widths = [base_dim, 2 * base_dim, 4 * base_dim]

        def block(n_in: int, n_out: int, stride: int = 1) -> list[nn.Module]:
            return [nn.Conv2d(n_in, n_out, 3, stride, 1), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]

        def doubling(n_in: int, n_out: int) -> list[nn.Module]:
            return [nn.ConvTranspose2d(n_in, n_out, 4, 2, 1), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]

        self.encoder = nn.Sequential(
            *block(3, widths[0], 2), *block(widths[0], widths[1], 2), *block(widths[1], widths[2], 2),
            *block(widths[2], widths[2]),
        )  # fmt: skip
        self.flat_decoder = nn.Sequential(
            *doubling(widths[2], widths[1]), *doubling(widths[1], widths[0]), *doubling(widths[0], widths[0]),
            nn.Conv2d(widths[0], 3, 3, 1, 1),
        )  # fmt: skip
        self.env_up = nn.Sequential(*doubling(widths[2], widths[1]))
        self.env_head = nn.Conv2d(widths[1], codec.channels, 3, 1, 1)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        features = self.encoder(torch.log1p(picture))  # N x 4B x H/8 x W/8
        flat_lit = srgb_to_linear(torch.sigmoid(self.flat_decoder(features).float()))
        up = F.interpolate(self.env_up(features), self.env_size, mode="bilinear", align_corners=False)
        return flat_lit, torch.sigmoid(self.env_head(up).float()), None, None, None


def load(path: str | Path, device: str | torch.device = "cpu") -> DelitModel:
    """The model of a checkpoint, ready for inference. Raises :class:`InputError` if the file is not one."""
    stored = checkpoint.read(path, CHECKPOINT_KIND)
    try:
        model = DelitModel(DelitConfig(**stored["model"]["config"]))
        model.load_state_dict(stored["model"]["state"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise cli.InputError(path, "its model does not fit this code", "train it again") from error
    return model.eval().requires_grad_(False).to(device)


def describe(config: DelitConfig) -> str:
    """Parameters, FLOPs of one picture, memory and output shapes."""
    from torch.utils.flop_counter import FlopCounterMode

    model = DelitModel(config)
    relit = torch.rand(1, 3, config.image_size, config.image_size)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    kept: dict[int, int] = {}

    def count(tensor: Tensor) -> Tensor:
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        model(relit)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        output = model.eval()(relit)
    shapes = {name: tuple(value.shape) for name, value in output._asdict().items() if value is not None}
    lines = [
        f"{config.arch}, base_dim {config.base_dim}, pictures of {config.image_size} x {config.image_size}",
        f"  parameters   {parameters:,} ({parameters * 4 / 2**20:.1f} MiB)",
        f"  FLOPs        {counter.get_total_flops() / 1e9:.2f} G per picture",
        f"  memory       {sum(kept.values()) / 2**20:.0f} MiB kept per picture for the backward pass",
        *(f"  {name:<18} {shape}" for name, shape in shapes.items()),
    ]
    return "\n".join(lines)


def add_model_arguments(parser: argparse.ArgumentParser, image_size: int = 512) -> None:
    """The flags that :class:`DelitConfig` is made of."""
    add = parser.add_argument
    add("--image_size", type=cli.positive_int, default=image_size, help="side of the square training pictures")
    add("--env_height", type=cli.positive_int, default=128)
    add("--env_width", type=cli.positive_int, default=256)
    add("--base_dim", type=int, choices=BASE_DIMS, default=64, help="width of the network")
    add("--env_codec", choices=CODECS, default="log", help="how radiance becomes codes in [0, 1]")
    add("--log_scale", type=cli.positive_float, default=10.0, help="of the codec: its ceiling is exp(log_scale) - 1")


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.Parser(__doc__)
    add_model_arguments(parser)
    sizes = vars(parser.parse_args(argv))
    for arch in ARCHITECTURES:
        print(describe(DelitConfig(arch, **sizes)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
