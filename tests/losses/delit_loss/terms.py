"""The names of the terms, and losses, outputs and batches to ask for them."""

from dataclasses import replace

import torch

from src.data.portrait.pair_batch import PairBatch
from src.losses.delit_loss import DelitLoss, DelitLossOptions
from src.models.delit.outputs import Delit
from src.utils.hdr_codec import make_codec

SPHERE = {"env_log", "env_chroma", "env_multiscale", "env_sh"}


ORIGINAL = {"env_rgb_l1", "env_log_mse"}


COMMON = {
    "flat_l1",
    "flat_aligned",
    "flat_pattern",
    "flat_edges",
    "flat_lpips",
    "mask",
    "confidence",
    "physical",
    "transfer",
    "loss",
    "flat_confidence",
}


PICTURE = {"flat_l1", "flat_aligned", "flat_pattern", "flat_edges"}


FLAT = PICTURE | {"mask", "transfer"}


LEAVES = ("flat_lit", "environment_code", "confidence", "mask", "transfer")


def make(codec="log", lpips=None, **options) -> DelitLoss:
    defaults = {"lambda_physical": 1.0, "lambda_flat_lpips": 0.0 if lpips is None else 0.1}
    return DelitLoss(DelitLossOptions(**(defaults | options)), make_codec(codec), lpips)


def fresh(output: Delit, **changes) -> Delit:
    """The output with its leaves detached and asking for gradients again."""
    output = output._replace(**changes)
    return output._replace(**{name: getattr(output, name).detach().clone().requires_grad_(True) for name in LEAVES})


def filled(batch: PairBatch, value: float, *names: str) -> PairBatch:
    """With tensors of nothing but ``value``; "stage.olats" is the one within ``stage``."""
    for name in names:
        within, _, field = name.rpartition(".")
        record = getattr(batch, within) if within else batch
        record = replace(record, **{field: torch.full_like(getattr(record, field), value)})
        batch = replace(batch, **{within: record}) if within else record
    return batch


def gradients(value: torch.Tensor, output: Delit) -> dict[str, torch.Tensor]:
    leaves = [getattr(output, name) for name in LEAVES]
    found = torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True)
    return {name: gradient for name, gradient in zip(LEAVES, found, strict=True) if gradient is not None}
