import pytest
import torch
from torch import nn

from src.training.weight_average import WeightAverage


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, 2.0], dtype=torch.float64))
        self.frozen = nn.Parameter(torch.tensor([5.0]), requires_grad=False)
        self.register_buffer("count", torch.zeros(1))


def move(model: Model, values: list[float]) -> None:
    with torch.no_grad():
        model.weight.copy_(torch.tensor(values, dtype=torch.float64))


def test_the_average_is_what_the_formula_says_by_hand():
    model = Model()
    average = WeightAverage(model, 0.5)
    # Decays: (1 + 1) / (10 + 1), (1 + 2) / (10 + 2), ..., at most 0.5, which it reaches at step 8.
    expected = torch.tensor([1.0, 2.0], dtype=torch.float64)
    for step, decay in ((1, 2 / 11), (2, 3 / 12), (3, 4 / 13), (8, 0.5), (100, 0.5)):
        move(model, [step + 0.5, -step])
        average.update(step)
        expected = decay * expected + (1 - decay) * torch.tensor([step + 0.5, -step], dtype=torch.float64)
        torch.testing.assert_close(average.state()[0], expected)


def test_a_decay_of_zero_is_the_weights_themselves():
    model = Model()
    average = WeightAverage(model, 0.0)
    move(model, [7.0, 8.0])
    average.update(1)
    assert average.state()[0].tolist() == [7.0, 8.0]


def test_the_average_is_swapped_in_for_a_block_and_out_again_whatever_happens():
    model = Model()
    average = WeightAverage(model, 0.9)
    parameter = model.weight
    move(model, [3.0, 4.0])
    with average.swapped_in():
        assert model.weight is parameter, "optimizers hold it"
        assert model.weight.tolist() == [1.0, 2.0] and average.state()[0].tolist() == [3.0, 4.0]
    assert model.weight.tolist() == [3.0, 4.0] and average.state()[0].tolist() == [1.0, 2.0]
    with pytest.raises(ZeroDivisionError), average.swapped_in():
        raise ZeroDivisionError
    assert model.weight.tolist() == [3.0, 4.0]
    assert model.frozen.tolist() == [5.0] and model.count.tolist() == [0.0]


def test_the_state_goes_through_a_file_and_the_average_goes_on_the_same(tmp_path):
    one, other = Model(), Model()
    averages = [WeightAverage(one, 0.9), WeightAverage(other, 0.9)]
    move(one, [3.0, 4.0])
    averages[0].update(1)
    torch.save(averages[0].state(), tmp_path / "state.pt")
    averages[1].load_state(torch.load(tmp_path / "state.pt", weights_only=True))
    for model, average in zip((one, other), averages, strict=True):
        move(model, [-1.0, 9.0])
        average.update(2)
    assert torch.equal(averages[0].state()[0], averages[1].state()[0])


def test_the_average_has_no_graph_and_does_not_change_what_is_trained():
    model = Model()
    average = WeightAverage(model, 0.9)
    model.weight.square().sum().backward()
    before, gradient = model.weight.detach().clone(), model.weight.grad.clone()
    average.update(5)
    assert not average.state()[0].requires_grad
    assert torch.equal(model.weight, before) and torch.equal(model.weight.grad, gradient)
