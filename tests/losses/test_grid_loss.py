import math

import torch

from src.losses.grid_loss import BALANCE, BalancedError, width_bits


def test_the_gradient_balances_hours() -> None:
    level = torch.tensor([[1e-2, 1e-4]])
    error = BalancedError(torch.zeros(100, dtype=torch.int64), level.clone())
    predicted = torch.zeros(100, 2, 3)
    predicted[:, 0], predicted[:, 1] = 1e-1, 1e-2  # errors equal to the level: the level stays where it is
    predicted.requires_grad_()
    value = error(torch.arange(100), predicted, torch.zeros(100, 2, 3))
    value.backward()
    assert math.isclose(value.item(), 1.0, rel_tol=1e-3)
    per_hour = predicted.grad.abs().mean(dim=(0, 2)) / predicted.detach().mean(dim=(0, 2))
    assert math.isclose(float(per_hour[1] / per_hour[0]), (1e-4 / 1e-2) ** -BALANCE, rel_tol=1e-2)


def test_tiles_without_texels_do_not_count() -> None:
    level = torch.tensor([[1e-3], [0.0]])
    error = BalancedError(torch.zeros(10, dtype=torch.int64), level)
    predicted = torch.full((10, 1, 3), math.sqrt(1e-3))
    assert math.isclose(float(error(torch.arange(10), predicted, torch.zeros(10, 1, 3))), 1.0, rel_tol=1e-3)
    assert float(level[1]) == 0.0


def test_flat_blocks_cost_nothing_and_others_the_logarithm_of_their_range() -> None:
    assert float(width_bits(torch.zeros(3)).sum()) == 0.0
    bits = width_bits(torch.tensor([0.01, 0.02, 1000.0, 2000.0])).tolist()
    assert math.isclose(bits[1] / bits[0], 4.0, rel_tol=0.1)  # quadratic
    assert math.isclose(bits[3] - bits[2], 1.0, rel_tol=0.01)  # one bit more for twice the range


def test_without_any_error_there_is_nothing_to_learn() -> None:
    level = torch.zeros(1, 2)
    error = BalancedError(torch.zeros(10, dtype=torch.int64), level)
    predicted = torch.zeros(10, 2, 3, requires_grad=True)
    value = error(torch.arange(10), predicted, torch.zeros(10, 2, 3))
    value.backward()
    assert value.item() == 0.0 and float(predicted.grad.abs().max()) == 0.0
