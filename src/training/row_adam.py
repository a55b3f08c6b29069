"""Adam for large tables of which a step touches a few rows."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

LARGE = 1 << 26  # values: the moments of such a table are kept in half the memory
COLUMN_RATE = 0.01  # at which the mean square of a column's gradients is followed


class RowAdam(torch.optim.Optimizer):
    """Adam that updates only the rows with a gradient, each by its own step count.

    A parameter with a sparse gradient (``F.embedding(..., sparse=True)``) is a table: its other rows and their moments
    stay untouched, so that a step costs what the batch costs. Other parameters get plain Adam. One without a gradient
    is taken to be frozen from then on.
    ``torch.optim.SparseAdam`` corrects the moments' bias by the number of all steps, which makes the first steps of
    rarely seen rows up to ten times too large. Kingma and Ba, ICLR 2015. Of a table of :data:`LARGE` values or more the
    moments are kept as bfloat16.
    """

    # As they are below the decorator that keeps torch.compile out of them: it imports the compiler, which takes longer
    # than the first usable grid.
    add_param_group = inspect.unwrap(torch.optim.Optimizer.add_param_group)
    zero_grad = inspect.unwrap(torch.optim.Optimizer.zero_grad)
    state_dict = inspect.unwrap(torch.optim.Optimizer.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Optimizer.load_state_dict)

    def __init__(
        self,
        params: Iterable,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.99),
        eps: float = 1e-12,
        row_floor: float = 0.0,
    ) -> None:
        """``row_floor``: a table's rows are scaled by at least so many times the column's mean gradient (RMS). Rows
        that hardly matter then stay where they are; plain Adam lets them walk as far as all others."""
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "row_floor": row_floor})

    @torch.no_grad()
    def step(self, closure: Any = None) -> Any:
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    self.state.pop(parameter, None)  # it is frozen: its moments are of no use
                elif parameter.grad.is_sparse:
                    self._step_rows(parameter, group)
                else:
                    self._step_dense(parameter, group)

    def _step_rows(self, parameter: Tensor, group: dict) -> None:
        state = self.state[parameter]
        kept = torch.bfloat16 if parameter.numel() >= LARGE else parameter.dtype
        if not state:
            state["steps"] = parameter.new_zeros(len(parameter), 1)
            state["mean"], state["square"] = (torch.zeros_like(parameter, dtype=kept) for _ in range(2))
        for moment in ("mean", "square"):
            state[moment] = state[moment].to(kept)  # of a continued run they are as the parameter
        assert parameter.grad is not None
        summed = parameter.grad.coalesce()
        rows, gradient = summed.indices()[0], summed.values()
        column = gradient.square().mean(dim=0)
        state["column"] = state["column"].lerp(column, COLUMN_RATE) if "column" in state else column
        beta1, beta2 = group["betas"]
        steps = state["steps"][rows] + 1.0
        mean = state["mean"][rows].to(gradient.dtype).lerp_(gradient, 1.0 - beta1)
        square = state["square"][rows].to(gradient.dtype).mul_(beta2).addcmul_(gradient, gradient, value=1.0 - beta2)
        state["steps"][rows], state["mean"][rows], state["square"][rows] = steps, mean.to(kept), square.to(kept)
        floor = state["column"] * group["row_floor"] ** 2
        root = (square / (1.0 - beta2**steps) + floor).sqrt_().add_(group["eps"])
        parameter[rows] -= mean.mul_(group["lr"] / (1.0 - beta1**steps)).div_(root)

    def _step_dense(self, parameter: Tensor, group: dict) -> None:
        state = self.state[parameter]
        if not state:
            state["step"] = 0
            state["mean"], state["square"] = torch.zeros_like(parameter), torch.zeros_like(parameter)
        state["step"] += 1
        beta1, beta2 = group["betas"]
        state["mean"].lerp_(parameter.grad, 1.0 - beta1)
        state["square"].mul_(beta2).addcmul_(parameter.grad, parameter.grad, value=1.0 - beta2)
        root = (state["square"] / (1.0 - beta2 ** state["step"])).sqrt_().add_(group["eps"])
        parameter.addcdiv_(state["mean"], root, value=-group["lr"] / (1.0 - beta1 ** state["step"]))
