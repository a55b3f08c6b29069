import numpy as np
import pytest
import torch
import torch.nn.functional as F

from src.data.lightmap_dataset import LightmapDataset
from src.models.compressor import CompressorConfig, LightmapCompressor
from src.tasks.siren_task import SirenTask
from src.training.distributed import Processes

HOURS = [0.0, 6.0, 12.0, 18.0]
ALONE = Processes(0, 1, torch.device("cpu"))


@pytest.fixture
def task(day):
    dataset = LightmapDataset.from_folder(day, HOURS)
    torch.manual_seed(3)
    config = CompressorConfig(10, 12, dataset.hour_values, 4, 8, 2, 16, 3, 2)
    return SirenTask(LightmapCompressor(config), dataset, ALONE)


def gradients(model, loss):
    model.zero_grad()
    loss.backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("count", [1, 7, 64, 120])
def test_the_loss_and_its_gradient_are_those_of_the_plain_network(task, count):
    index = torch.randperm(120)[:count]
    xy, target = task.dataset.batch(index)
    model = task.model
    plain = torch.stack([model.f2(model.f1(xy), hour.reshape(1)) for hour in task.dataset.hours], dim=1)
    expected = F.mse_loss(plain, target)
    loss = task(index)["loss"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    ours, theirs = gradients(model, loss), gradients(model, expected)
    for name, gradient in ours.items():
        torch.testing.assert_close(gradient, theirs[name], rtol=1e-3, atol=1e-6, msg=name)


def test_a_step_downhill_lowers_the_loss(task):
    index = torch.arange(120)
    optimizer = torch.optim.SGD(task.parameters(), lr=1e-3)
    before = task(index)["loss"]
    before.backward()
    optimizer.step()
    assert task(index)["loss"].item() < before.item()


def test_autocast_changes_little(task):
    index = torch.arange(120)
    full = task(index)["loss"].item()
    with torch.autocast("cpu", torch.bfloat16):
        terms = task(index)
    assert terms["loss"].dtype == torch.float32
    assert terms["loss"].item() == pytest.approx(full, rel=0.05)


def test_validation_is_the_psnr_of_all_texels_at_all_hours(task):
    measures = task.validate()
    decoder = task.model.decoder()
    errors = [np.square(decoder.render(hour) - task.dataset.frame(t)).mean() for t, hour in enumerate(HOURS)]
    assert measures["psnr_db"] == pytest.approx(-10 * np.log10(np.mean(errors)), abs=1e-4)
    assert measures["worst_hour_psnr_db"] == pytest.approx(-10 * np.log10(np.max(errors)), abs=1e-4)
    assert measures["score"] == measures["psnr_db"]


def test_the_comparison_shows_hours_over_the_day(task):
    sheet = task.figures()["truth_reconstruction_error"]
    assert sheet.ndim == 3 and sheet.shape[2] == 3
    assert sheet.shape[0] > 3 * 10 and sheet.shape[1] > 3 * 12
    assert sheet.min() >= 0 and sheet.max() <= 1


def test_a_bad_batch_is_described_by_the_images_that_spoil_it(task):
    index = torch.arange(20)
    assert task.describe(index) == "20 texels, all of them finite"
    task.dataset.texels[5, 2, 1] = float("nan")
    assert task.describe(index) == "20 texels of tod_2.png"
    assert task.describe(index[6:]) == "14 texels, all of them finite"
    assert task.samples(index) == 80
