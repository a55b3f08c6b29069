"""The siren's loss: the mean squared error over all texels and hours of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor

from src.models.compressor import LightmapCompressor
from src.utils.core_slices import run_parallel, worker_count

CPU_SLICE_SAMPLES = 4096  # the activations of one slice, 1 MB each at the default width, stay in the cache
WEIGHT_GRADIENT_BLOCKS = 8  # a tall product is faster as several shorter ones


class SirenLoss:
    """``(model, xy M x 2, hours T, target M x T x 3) -> {"loss": scalar}``, with buffers that live as long as it does.

    In full precision F2's loss and gradient are computed together, slice by slice; under autocast, and where
    ``torch.compile`` traces, by PyTorch's own differentiation. Both give the same up to rounding.
    """

    def __init__(self) -> None:
        self._buffers: list[_Buffers] = []

    def __call__(self, model: LightmapCompressor, xy: Tensor, hours: Tensor, target: Tensor) -> dict[str, Tensor]:
        if torch.is_autocast_enabled(xy.device.type) or torch.compiler.is_compiling():
            return {"loss": F.mse_loss(model(xy, hours), target)}
        siren = model.f2.siren
        a, b = model.f2.split_first_layer(model.f1(xy), hours)
        layers = [tensor for layer in siren.sine_layers[1:] for tensor in (layer.scaled_weight(), layer.scaled_bias())]
        head = siren.head.weight, siren.head.bias
        self._buffers += [_Buffers() for _ in range(worker_count(xy.device) - len(self._buffers))]
        return {"loss": _FusedMeanSquaredError.apply(self._buffers, target, a, b, *layers, *head)}


class _FusedMeanSquaredError(torch.autograd.Function):
    """F2 after the first layer's argument ``a[m] + b[t]``, compared with ``target`` M x T x 3.

    The gradient is computed in the forward pass, right after each slice of texels and in the same buffers: nothing of
    the size of the batch is kept, and on a CPU nothing of the size of the activations leaves the cache.
    ``parameters`` alternate weight and bias of the hidden sine layers (scaled by omega_0) and of the head.
    """

    @staticmethod
    def forward(ctx, buffers: list[_Buffers], target: Tensor, a: Tensor, b: Tensor, *parameters: Tensor) -> Tensor:
        workers = worker_count(a.device)
        grad_a = torch.empty_like(a)
        texels = _texels_per_slice(len(a), len(b), workers, a.device)
        parts = [slice(first, min(first + texels, len(a))) for first in range(0, len(a), texels)]
        fused = [_Worker(buffers[k], target, a, b, grad_a, parameters, texels) for k in range(min(workers, len(parts)))]
        # Which worker takes which part is fixed: sums are formed in the same order every time.
        run_parallel([partial(worker.run, parts[k :: len(fused)]) for k, worker in enumerate(fused)])
        squared, grad_b, *grads = (
            torch.stack(values).sum(0) for values in zip(*[w.sums() for w in fused], strict=True)
        )
        ctx.save_for_backward(grad_a, grad_b, *grads)
        return (squared / target.numel()).to(a.dtype)

    @staticmethod
    def backward(ctx, grad: Tensor) -> tuple[Tensor | None, ...]:
        return None, None, *(saved * grad for saved in ctx.saved_tensors)


class _Buffers:
    """Memory that is kept from step to step: asking the system for it anew would cost as much as the sines."""

    def __init__(self) -> None:
        self._stack = torch.empty(0)

    def get(self, count: int, rows: int, width: int, like: Tensor) -> tuple[Tensor, ...]:
        """``count`` uninitialised tensors rows x width on ``like``'s device; the next call may hand out the same."""
        shape = (count, rows, width)
        if self._stack.shape != shape or self._stack.device != like.device or self._stack.dtype != like.dtype:
            self._stack = like.new_empty(shape)
        return self._stack.unbind()


class _Worker:
    """The loss and all gradients over some of the slices, summed."""

    def __init__(
        self,
        buffers: _Buffers,
        target: Tensor,
        a: Tensor,
        b: Tensor,
        grad_a: Tensor,
        parameters: Sequence[Tensor],
        texels: int,
    ) -> None:
        self._target, self._a, self._grad_a = target, a, grad_a
        self._sin_b, self._cos_b = b.sin(), b.cos()
        self._weights, self._biases = parameters[0::2], parameters[1::2]
        hidden = len(self._weights) - 1
        stack = buffers.get(2 * hidden + 2, texels * len(b), a.shape[1], a)
        self._activations, self._arguments, self._below = stack[: hidden + 1], stack[hidden + 1 : -1], stack[-1]
        self._squared = torch.zeros((), dtype=torch.float64, device=a.device)
        self._grad_b = torch.zeros_like(b)
        self._grad_weights = [w.new_zeros(WEIGHT_GRADIENT_BLOCKS, *w.shape) for w in self._weights]
        self._grad_biases = [w.new_zeros(w.shape[0]) for w in self._weights]

    def run(self, parts: Sequence[slice]) -> None:
        for part in parts:
            self._run(part)

    def sums(self) -> list[Tensor]:
        """Squared error, gradient of b, then alternating gradients of weights and biases."""
        pairs = zip(self._grad_weights, self._grad_biases, strict=True)
        return [self._squared, self._grad_b, *(tensor for w, bias in pairs for tensor in (w.sum(0), bias))]

    def _run(self, part: slice) -> None:
        sin_a, cos_a = self._a[part].sin()[:, None], self._a[part].cos()[:, None]
        shape = (len(sin_a), *self._sin_b.shape)
        rows = shape[0] * shape[1]
        first = self._activations[0][:rows].view(shape)
        torch.mul(sin_a, self._cos_b, out=first).addcmul_(cos_a, self._sin_b)

        colours = self._forward(rows)
        error = colours - self._target[part].flatten(0, 1)
        self._squared += error.square().sum(dtype=torch.float64)

        grad = error.mul_(2.0 / self._target.numel()).mul_(colours).mul_(1.0 - colours)
        grad_first = self._backward(grad).view(shape)
        # d sin(a + b) = cos(a + b), again by the addition theorem
        torch.mul(cos_a, self._cos_b, out=first).addcmul_(sin_a, self._sin_b, value=-1.0).mul_(grad_first)
        torch.sum(first, 1, out=self._grad_a[part])
        self._grad_b += first.sum(0)

    def _forward(self, rows: int) -> Tensor:
        """From the first ``rows`` of the first activation on -> colours rows x 3."""
        h = self._activations[0][:rows]
        for layer, argument in enumerate(self._arguments):
            z = torch.addmm(self._biases[layer], h, self._weights[layer].t(), out=argument[:rows])
            h = torch.sin(z, out=self._activations[layer + 1][:rows])
        return torch.addmm(self._biases[-1], h, self._weights[-1].t()).sigmoid_()

    def _backward(self, grad: Tensor) -> Tensor:
        """From the head's ``grad`` rows x 3 -> the gradient of the first activation, in a buffer."""
        rows = len(grad)
        self._add_gradients(-1, grad)
        below = torch.mm(grad, self._weights[-1], out=self._below[:rows])
        for layer in reversed(range(len(self._arguments))):
            grad = self._arguments[layer][:rows].cos_().mul_(below)
            self._add_gradients(layer, grad)
            torch.mm(grad, self._weights[layer], out=below)
        return below

    def _add_gradients(self, layer: int, grad: Tensor) -> None:
        rows, blocks = len(grad), WEIGHT_GRADIENT_BLOCKS
        h, total = self._activations[layer][:rows], self._grad_weights[layer]
        self._grad_biases[layer] += grad.sum(0)
        if rows % blocks:
            total[0].addmm_(grad.t(), h)
        else:
            total.baddbmm_(grad.view(blocks, -1, grad.shape[1]).transpose(1, 2), h.view(blocks, -1, h.shape[1]))


def _texels_per_slice(texels: int, hours: int, workers: int, device: torch.device) -> int:
    """As many as fit in the cache, fewer when all workers would not get equal shares; whole blocks where possible."""
    if device.type != "cpu":
        return texels
    blocks = WEIGHT_GRADIENT_BLOCKS
    limit = max(1, CPU_SLICE_SAMPLES // hours)
    slices = -(-texels // (limit * workers)) * workers
    return -(-texels // (slices * blocks)) * blocks
