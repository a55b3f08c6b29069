"""Parameters, FLOPs, memory and output shapes of both delighting architectures.

python -m src.models.delit_model [--image_size 512] [--base_dim 64]
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence

import torch
from torch import Tensor

from src.models.delit_model import ARCHITECTURES, DelitConfig, DelitModel
from src.utils import cli
from src.utils.hdr_codec import CODECS

BASE_DIMS = (32, 64, 128)


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


def add_model_arguments(parser: argparse.ArgumentParser) -> None:
    """The sizes that :class:`DelitConfig` is made of."""
    add = parser.add_argument
    add("--image_size", type=cli.positive_int, default=512, help="side of the square training pictures")
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
