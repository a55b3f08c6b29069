"""F2 as files of PyTorch: weights, TorchScript, and a program of torch.export."""

from __future__ import annotations

import copy
import io
import warnings
from pathlib import Path

import torch
import torch.fx
from torch import Tensor, nn

from src.export.files import F2_PROGRAM, F2_TORCHSCRIPT, F2_WEIGHTS
from src.utils import checkpoint


def write_networks(f2: nn.Module, latent_dim: int, out_dir: Path) -> list[Path]:
    """Write ``f2`` (``(z N x latent_dim, hours N) -> N x 3``, float32) in all three ways; returns the paths.

    Raises :class:`InputError` when the disk refuses.
    """
    weights, torchscript, program = paths = [out_dir / name for name in (F2_WEIGHTS, F2_TORCHSCRIPT, F2_PROGRAM)]
    f2 = copy.deepcopy(f2).cpu().eval()
    checkpoint.write_tensors(weights, f2.state_dict())
    # Through memory: a full disk then shows as itself, not as an error inside PyTorch's zip writer.
    for path, encode in ((torchscript, _torchscript), (program, _program)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecated or not, TorchScript is what engines with libtorch load
            checkpoint.write_bytes(path, encode(f2, example_inputs(latent_dim)).getbuffer())
    return paths


def example_inputs(latent_dim: int) -> tuple[Tensor, Tensor]:
    """What ``f2`` is traced with: two rows, as one would be taken for a constant, and as files may keep them."""
    return torch.zeros(2, latent_dim), torch.zeros(2)


def _torchscript(f2: nn.Module, inputs: tuple[Tensor, Tensor]) -> io.BytesIO:
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(f2, inputs, check_trace=False), buffer)
    return buffer


def _program(f2: nn.Module, inputs: tuple[Tensor, Tensor]) -> io.BytesIO:
    texels = torch.export.Dim("texels")
    program = torch.export.export(f2, inputs, dynamic_shapes=({0: texels}, {0: texels}))
    for module in program.graph_module.modules():
        for node in module.graph.nodes if isinstance(module, torch.fx.GraphModule) else ():
            node.meta.pop("stack_trace", None)  # paths of this machine
    buffer = io.BytesIO()
    torch.export.save(program, buffer)
    return buffer
