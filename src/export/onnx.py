"""F2 as ONNX: for any runtime, and at one hour for runtimes that know little.

``f2.onnx``: ``(z N x latent_dim, hours N) -> rgb N x 3``, by torch's exporter, exactly what f2_ts.pt computes.
``f2_at_hour.onnx``: ``(z N x latent_dim, hour 1) -> rgb N x 3``, see :mod:`src.export.onnx_at_hour`.
"""

from __future__ import annotations

import copy
import importlib.util
import inspect
import warnings
from pathlib import Path

import torch
from torch import nn

from src.export.files import F2_ONNX, F2_ONNX_AT_HOUR
from src.export.networks import example_inputs
from src.utils import checkpoint
from src.utils.cli import InputError

PACKAGES = ("onnx", "onnxscript")


def require_onnx(flag: str) -> None:
    """Raises :class:`InputError` where a package that writes ONNX is missing, or PyTorch is too old for it."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise InputError(flag, f"needs {' and '.join(missing)}", f"pip install {' '.join(missing)}")
    if "dynamic_shapes" not in inspect.signature(torch.onnx.export).parameters:
        raise InputError(flag, f"needs a newer PyTorch than {torch.__version__}", "pip install --upgrade torch")


def export_onnx(f2: nn.Module, latent_dim: int, out_dir: Path) -> list[Path]:
    """Write ``f2``, the network of :func:`siren_f2` or :func:`grid_f2`, as both files; returns the paths.

    Raises :class:`InputError` when the disk refuses.
    """
    from src.export.onnx_at_hour import at_hour

    whole, at_one_hour = paths = [out_dir / name for name in (F2_ONNX, F2_ONNX_AT_HOUR)]
    f2 = copy.deepcopy(f2).cpu().eval()
    checkpoint.write_bytes(whole, _by_torch(f2, latent_dim))
    checkpoint.write_bytes(at_one_hour, at_hour(f2).SerializeToString())
    return paths


def _by_torch(f2: nn.Module, latent_dim: int) -> bytes:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that both inputs have the same number of rows
        program = torch.onnx.export(
            f2,
            example_inputs(latent_dim),
            dynamo=True,
            verbose=False,
            input_names=["z", "hours"],
            output_names=["rgb"],
            dynamic_shapes=({0: "texels"}, {0: "texels"}),
        )
    assert program is not None
    model = program.model_proto
    graph = model.graph
    for part in (model, graph, *graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]  # traces with paths of this machine
    return model.SerializeToString()
