import math

import pytest
import torch
from torch import nn

from src.models.siren import OMEGA_0, OuterSine, SineLayer, Siren


def assert_uniform(values: torch.Tensor, bound: float) -> None:
    """U(-bound, bound): inside, up to the edges, mean 0, variance bound^2 / 3."""
    count = values.numel()
    assert values.abs().max() <= bound
    assert values.max() > 0.98 * bound and values.min() < -0.98 * bound
    deviation = bound / math.sqrt(3)
    assert abs(float(values.mean())) < 5 * deviation / math.sqrt(count)
    # the variance of a uniform variable's square is 4/45 bound^4
    assert float(values.square().mean()) == pytest.approx(bound**2 / 3, abs=5 * bound**2 * math.sqrt(4 / 45 / count))


@pytest.mark.parametrize(("inputs", "hidden"), [(2, 512), (36, 64), (100, 100)])
def test_initialisation_is_that_of_the_paper(inputs, hidden):
    torch.manual_seed(0)
    siren = Siren(inputs, hidden, layers=3, out_features=128)
    inner = math.sqrt(6 / hidden) / 30
    assert_uniform(siren.layers[0].linear.weight.detach(), 1 / inputs)
    assert_uniform(siren.layers[1].linear.weight.detach(), inner)
    assert_uniform(siren.layers[2].linear.weight.detach(), inner)
    assert_uniform(siren.head.weight.detach(), inner)
    assert siren.layers[0].linear.bias.detach().abs().max() <= 1 / math.sqrt(inputs)
    assert siren.layers[1].linear.bias.detach().abs().max() <= 1 / math.sqrt(hidden)


def test_arguments_of_the_sines_keep_their_spread_through_the_layers():
    """Sitzmann et al.: the argument of every sine after the first is N(0, 1), its output arcsine distributed."""
    torch.manual_seed(0)
    siren = Siren(2, 256, layers=5, out_features=1)
    x = torch.rand(2000, 2) * 2 - 1
    with torch.no_grad():
        for layer in siren.layers:
            argument = nn.functional.linear(x, layer.scaled_weight())
            x = layer(x)
            if not layer.is_first:
                assert float(argument.std()) == pytest.approx(1.0, abs=0.1)
            assert float(x.square().mean()) == pytest.approx(0.5, abs=0.05)


def test_layers_compute_the_formula():
    torch.manual_seed(1)
    siren = Siren(3, 7, layers=2, out_features=4)
    x = torch.rand(5, 3)
    h = x.double()
    for layer in siren.layers:
        h = torch.sin(OMEGA_0 * (h @ layer.linear.weight.double().T + layer.linear.bias.double()))
    expected = h @ siren.head.weight.double().T + siren.head.bias.double()
    torch.testing.assert_close(siren(x), expected.float(), rtol=0, atol=1e-5)
    inner = SineLayer(3, 7, is_first=False)
    inner.load_state_dict(siren.layers[0].state_dict())
    torch.testing.assert_close(inner(x), siren.layers[0](x), msg="only the start and autocast differ")


def test_outer_sine_gradients():
    torch.manual_seed(0)
    a = torch.randn(5, 3, dtype=torch.float64, requires_grad=True)
    b = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(OuterSine.apply, (a, b))


def test_outer_sine_is_the_sine_of_every_sum():
    torch.manual_seed(0)
    a, b = 30 * torch.randn(50, 8, dtype=torch.float64), 30 * torch.randn(24, 8, dtype=torch.float64)
    torch.testing.assert_close(OuterSine.apply(a, b), torch.sin(a[:, None] + b), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_arguments_of_sines_are_float32_under_autocast(monkeypatch, dtype):
    arguments, products = [], []
    sine, linear = torch.sin, nn.functional.linear

    def record_sine(x):
        arguments.append(x.dtype)
        return sine(x)

    def record_linear(*inputs):
        product = linear(*inputs)
        products.append(product.dtype)
        return product

    monkeypatch.setattr(torch, "sin", record_sine)
    monkeypatch.setattr(nn.functional, "linear", record_linear)
    siren = Siren(2, 16, layers=3, out_features=5)
    with torch.autocast("cpu", dtype):
        out = siren(torch.rand(10, 2))
    assert arguments == [torch.float32] * 3
    assert products == [torch.float32, dtype, dtype, dtype], "the first layer is exact, products of the rest are not"
    assert out.dtype == torch.float32


def test_neighbouring_coordinates_stay_apart_under_bfloat16():
    torch.manual_seed(0)
    siren = Siren(2, 16, layers=1, out_features=1)
    x = torch.stack((torch.linspace(0.9, 0.901, 9), torch.zeros(9)), dim=-1)
    with torch.autocast("cpu", torch.bfloat16):
        h = siren.layers[0](x)
    assert (h.diff(dim=0).abs().sum(-1) > 0).all()
