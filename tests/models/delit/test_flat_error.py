"""The head that foretells its own error: what it may learn from, and what it learns."""

from dataclasses import replace

import pytest
import torch

from src.losses.delit_loss import expected_error_nll, exposure_factor
from src.models.delit.flat_error import LARGEST_ERROR, SMALLEST_ERROR, USUAL_ERROR, FlatErrorHead, log_flat_error
from src.models.delit_model import DelitConfig, DelitModel

TINY = DelitConfig(image_size=32, env_height=8, env_width=16, base_dim=32, flat_confidence=True)


def test_only_models_that_are_asked_to_say_how_wrong_they_are():
    picture = torch.rand(2, 3, 40, 24)
    output = DelitModel(TINY)(picture)
    assert output.flat_error.shape == (2, 1, 40, 24)
    torch.testing.assert_close(output.flat_error, torch.full((2, 1, 40, 24), USUAL_ERROR))
    assert DelitModel(replace(TINY, flat_confidence=False))(picture).flat_error is None
    with pytest.raises(ValueError, match="simplified"):
        DelitModel(replace(TINY, arch="simplified"))


def test_the_rest_of_the_network_does_not_learn_from_it():
    model = DelitModel(TINY)
    with torch.no_grad():
        for parameter in model.network.flat_error.parameters():
            parameter.normal_()
    model(torch.rand(1, 3, 32, 32)).flat_error.sum().backward()
    learning = {name.split(".")[1] for name, one in model.named_parameters() if one.grad is not None}
    assert learning == {"flat_error"}


def test_errors_stay_in_their_range_whatever_the_weights():
    head = FlatErrorHead(8)
    for sign, bound in ((1, LARGEST_ERROR), (-1, SMALLEST_ERROR)):
        torch.nn.init.constant_(head.to_log_error.bias, sign * 50.0)
        error = head(torch.rand(1, 8, 6, 10), [torch.rand(1, 3, 6, 10)] * 3, torch.rand(1, 3, 6, 10))
        torch.testing.assert_close(error, torch.full_like(error, bound))


def test_the_found_error_does_not_count_brightness():
    mask = (torch.rand(2, 1, 8, 8) > 0.4).float()
    true = 0.5 + torch.rand(2, 3, 8, 8)
    inside = mask.expand_as(true) > 0
    # 0.01 of radiance stands beside both, so a factor is not a constant difference exactly.
    assert log_flat_error(3 * true, true, mask).expand_as(true)[inside].max() < 0.02
    half = torch.cat([torch.ones(1, 3, 8, 4), torch.full((1, 3, 8, 4), 4.0)], dim=3)
    error = log_flat_error(half, torch.ones(1, 3, 8, 8), torch.ones(1, 1, 8, 8))
    torch.testing.assert_close(error, torch.full_like(error, 0.5 * torch.tensor(4.01 / 1.01).log().item()))


def test_the_likelihood_is_greatest_where_the_mean_error_is_expected():
    generator = torch.Generator().manual_seed(0)
    true = 0.5 + torch.rand(4, 3, 16, 16, generator=generator)
    predicted = true * torch.exp(0.3 * torch.randn(4, 3, 16, 16, generator=generator))
    mask = torch.ones(4, 1, 16, 16)
    found = log_flat_error(predicted, true, mask).mean()
    nll = {
        factor: float(expected_error_nll(torch.full_like(mask, float(factor * found)), predicted, true, mask))
        for factor in (0.5, 0.9, 1.0, 1.1, 2.0)
    }
    assert min(nll, key=nll.get) == 1.0


def test_the_factor_of_brightness_is_that_of_the_mean_luminance_within_the_mask():
    predicted, true = torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8)
    mask = torch.zeros(2, 1, 8, 8)
    mask[0, :, 2:5] = 1
    weights = torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)
    expected = (true[0] * weights)[:, 2:5].sum() / (predicted[0] * weights)[:, 2:5].sum()
    factor = exposure_factor(predicted, true, mask).flatten()
    torch.testing.assert_close(factor, torch.stack([expected, torch.tensor(1.0)]), rtol=1e-4, atol=1e-4)
