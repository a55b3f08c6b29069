import pytest
import torch
import torch.nn.functional as F

from src.losses import siren_loss
from src.losses.siren_loss import SirenLoss
from src.models.compressor import CompressorConfig, LightmapCompressor


def make(layers: int) -> LightmapCompressor:
    torch.manual_seed(layers)
    return LightmapCompressor(CompressorConfig(10, 10, (0.0,), 5, 8, 2, 16, layers, 2))


def inputs(texels: int, hours: int):
    return torch.rand(texels, 2) * 2 - 1, torch.rand(hours) * 24, torch.rand(texels, hours, 3)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.fixture
def threads():
    """Sets the number of threads for one test."""
    yield torch.set_num_threads
    torch.set_num_threads(1)


@pytest.mark.parametrize("thread_count", [1, 2, 3])
@pytest.mark.parametrize("slice_samples", [1, 64, 8192])
@pytest.mark.parametrize(("texels", "hours", "layers"), [(1, 1, 1), (7, 24, 2), (64, 5, 4), (203, 3, 3)])
def test_slices_give_the_loss_and_gradient_of_the_plain_network(
    monkeypatch, threads, thread_count, slice_samples, texels, hours, layers
):
    threads(thread_count)
    monkeypatch.setattr(siren_loss, "CPU_SLICE_SAMPLES", slice_samples)
    model = make(layers)
    xy, t, target = inputs(texels, hours)
    plain = torch.stack([model.f2(model.f1(xy), hour.reshape(1)) for hour in t], dim=1)
    expected = F.mse_loss(plain, target)
    theirs = gradients(model, expected)
    loss = SirenLoss()
    for _ in range(2):  # the second time in buffers that are in use already
        value = loss(model, xy, t, target)["loss"]
        assert value.item() == pytest.approx(expected.item(), rel=1e-5)
        ours = gradients(model, value)
        for name, gradient in ours.items():
            scale = float(theirs[name].abs().max())
            torch.testing.assert_close(gradient, theirs[name], rtol=1e-3, atol=1e-4 * scale, msg=name)


def test_the_gradient_is_scaled_with_the_loss():
    model = make(3)
    xy, t, target = inputs(20, 4)
    once = gradients(model, SirenLoss()(model, xy, t, target)["loss"])
    half = gradients(model, SirenLoss()(model, xy, t, target)["loss"] * 0.5)
    for name, gradient in half.items():
        assert torch.equal(gradient, once[name] * 0.5)


@pytest.mark.parametrize("thread_count", [1, 2])
def test_the_same_input_gives_the_same_bits(threads, thread_count, monkeypatch):
    threads(thread_count)
    monkeypatch.setattr(siren_loss, "CPU_SLICE_SAMPLES", 64)
    model = make(3)
    xy, t, target = inputs(300, 4)
    runs = [gradients(model, SirenLoss()(model, xy, t, target)["loss"]) for _ in range(5)]
    for run in runs[1:]:
        assert all(torch.equal(run[name], gradient) for name, gradient in runs[0].items())


def test_autocast_trains_through_the_plain_network():
    model = make(3)
    xy, t, target = inputs(50, 4)
    full = SirenLoss()(model, xy, t, target)["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        low = SirenLoss()(model, xy, t, target)["loss"]
    assert low.dtype == torch.float32
    assert low.item() == pytest.approx(full.item(), rel=0.05)
    gradient = gradients(model, low)["f1.head.weight"]
    assert gradient.dtype == torch.float32 and gradient.abs().sum() > 0
