import copy

import pytest
import torch
import torch.nn.functional as F

from src.training import row_adam
from src.training.row_adam import RowAdam


def test_dense_parameters_get_plain_adam() -> None:
    torch.manual_seed(0)
    ours, theirs = torch.nn.Linear(5, 3), torch.nn.Linear(5, 3)
    theirs.load_state_dict(ours.state_dict())
    optimizers = RowAdam(ours.parameters(), lr=0.01), torch.optim.Adam(theirs.parameters(), 0.01, (0.9, 0.99), 1e-12)
    for _ in range(20):
        x = torch.randn(7, 5)
        for layer, optimizer in zip((ours, theirs), optimizers, strict=True):
            optimizer.zero_grad()
            layer(x).square().mean().backward()
            optimizer.step()
    assert torch.allclose(ours.weight, theirs.weight, atol=1e-6)


def test_rows_move_as_if_each_had_an_optimizer_of_its_own() -> None:
    generator = torch.Generator().manual_seed(0)
    start = torch.randn(6, 4, generator=generator)
    table = torch.nn.Parameter(start.clone())
    optimizer = RowAdam([table], lr=0.05)
    single = [torch.nn.Parameter(row.clone()) for row in start]
    singles = [torch.optim.Adam([row], 0.05, (0.9, 0.99), 1e-12) for row in single]
    for step in range(30):
        rows = torch.randperm(6, generator=generator)[: 1 + step % 3]
        optimizer.zero_grad()
        F.embedding(rows, table, sparse=True).pow(4).sum().backward()
        optimizer.step()
        for row in rows.tolist():
            singles[row].zero_grad()
            single[row].pow(4).sum().backward()
            singles[row].step()
    assert torch.allclose(table, torch.stack(list(single)), atol=1e-5)


@pytest.mark.parametrize("large", [row_adam.LARGE, 1])
def test_its_state_continues(large: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_adam, "LARGE", large)

    def run(table: torch.nn.Parameter, optimizer: RowAdam, steps: range) -> None:
        for step in steps:
            optimizer.zero_grad()
            F.embedding(torch.tensor([step % 4, 5]), table, sparse=True).square().sum().backward()
            optimizer.step()

    whole = torch.nn.Parameter(torch.ones(6, 2))
    optimizer = RowAdam([whole])
    run(whole, optimizer, range(6))
    state = copy.deepcopy(optimizer.state_dict())
    continued = torch.nn.Parameter(whole.detach().clone())
    other = RowAdam([continued])
    other.load_state_dict(state)
    run(whole, optimizer, range(6, 12))
    run(continued, other, range(6, 12))
    assert torch.equal(whole, continued)
    kept = torch.bfloat16 if large == 1 else torch.float32
    assert all(optimizer.state[whole][moment].dtype == kept for moment in ("mean", "square"))


def test_half_of_the_memory_is_enough_for_the_moments_of_a_large_table(monkeypatch: pytest.MonkeyPatch) -> None:
    target = torch.linspace(-1.0, 1.0, 24).view(6, 4)
    errors = []
    for large in (row_adam.LARGE, 1):
        monkeypatch.setattr(row_adam, "LARGE", large)
        table = torch.nn.Parameter(torch.zeros(6, 4))
        optimizer = RowAdam([table], lr=0.02)
        for step in range(120):
            optimizer.zero_grad()
            rows = torch.tensor([step % 6, (step + 1) % 6])
            (F.embedding(rows, table, sparse=True) - target[rows]).square().sum().backward()
            optimizer.step()
        errors.append(float((table.detach() - target).square().mean()))
    assert errors[1] < 1.5 * errors[0] + 1e-4 and errors[0] < 0.1


def test_rows_that_hardly_matter_stay_where_they_are() -> None:
    weight = torch.tensor([1.0, 1.0, 1.0, 1e-3])

    def moved(row_floor: float) -> torch.Tensor:
        table = torch.nn.Parameter(torch.zeros(4, 1))
        optimizer = RowAdam([table], lr=0.01, row_floor=row_floor)
        for _ in range(20):
            optimizer.zero_grad()
            (weight * F.embedding(torch.arange(4), table, sparse=True)[:, 0]).sum().backward()
            optimizer.step()
        return table.detach()[:, 0].abs()

    assert torch.allclose(moved(0.0), torch.full((4,), 0.2), atol=1e-3)
    assert moved(1.0)[3] < 0.01 * moved(1.0)[0]
