"""The files that engines read, of either way to store a day, and how they are written."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import nn

from src.utils import checkpoint
from src.utils.atomic import atomic_path

BUNDLE = "day.tod"
LATENT_MAP = "latent_map.npy"
F2_WEIGHTS = "f2_state_dict.pt"
F2_TORCHSCRIPT = "f2_ts.pt"
F2_CONFIG = "f2_config.json"


def write_latent_map(path: Path, shape: tuple[int, int, int], parts: Iterable[np.ndarray]) -> None:
    """Write an H x W x latent_dim float32 .npy of ``parts`` (M x latent_dim each, row-major), atomically."""
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype="<f4").data)


def write_torchscript(f2: nn.Module, latent_dim: int, path: Path) -> None:
    """Write ``f2`` (of ``latent_dim`` channels; ``(z N x latent_dim, hours N or 1) -> N x 3``) as TorchScript."""
    device = next(f2.parameters()).device
    example = torch.zeros(2, latent_dim, device=device), torch.zeros(2, device=device)
    buffer = io.BytesIO()  # a full disk then shows as OSError, not as an error inside PyTorch's zip writer
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # deprecated or not, TorchScript is what engines with libtorch load
        torch.jit.save(torch.jit.trace(f2.eval(), example, check_trace=False).cpu(), buffer)
    checkpoint.write_bytes(path, buffer.getbuffer())


def describe_sizes(source_bytes: int, values: int, exports: Sequence[Path], is_radiance: bool = False) -> str:
    """One clause that sets the exported files beside the images, of so many ``values``, that they stand for."""
    parts = [f"{path.name} {_megabytes(path.stat().st_size)}" for path in exports]
    raw = f"{_megabytes(2 * values)} as half-float RGB" if is_radiance else f"{_megabytes(values)} as 8-bit RGB"
    images = f"{_megabytes(source_bytes)} of images ({raw})"
    return f"{', '.join(parts)} for {images}" if parts else f"trained on {images}"


def _megabytes(size_bytes: int) -> str:
    return f"{size_bytes / 1e6:.3g} MB"
