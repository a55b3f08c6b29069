"""Figures of relit pictures, against values worked out by hand."""

import numpy as np
import pytest
import torch

from src.evaluation.relit.metrics import relit_metrics
from src.utils.color import linear_to_srgb


def picture(seed=0, size=24):
    return torch.from_numpy(np.random.default_rng(seed).uniform(0.05, 0.4, (1, 3, size, size)).astype(np.float32))


def test_brightness_alone_costs_nothing_but_is_told():
    truth, mask = picture(), torch.ones(1, 1, 24, 24)
    figures = relit_metrics(3.0 * truth, truth, mask)
    assert figures["psnr_db"] > 60
    assert figures["exposure_stops"] == pytest.approx(-np.log2(3.0), abs=0.01)
    assert figures["psnr_db_as_is"] < 20


def test_light_of_any_strength_is_measured_alike_and_outside_the_mask_nothing():
    truth, prediction = picture(), picture(1)
    mask = torch.zeros(1, 1, 24, 24)
    mask[..., 6:18, 6:18] = 1
    figures = relit_metrics(prediction, truth, mask)
    changed = torch.where(mask > 0, prediction, 100.0)
    for other in (relit_metrics(50 * prediction, 50 * truth, mask), relit_metrics(changed, truth, mask)):
        assert float(other["psnr_db"]) == pytest.approx(float(figures["psnr_db"]), abs=0.01)


def test_the_best_exposure_is_no_worse_than_any_on_a_grid():
    truth, prediction, mask = picture(), picture(1), torch.ones(1, 1, 24, 24)
    luminance = (truth * torch.tensor([0.2126, 0.7152, 0.0722]).view(1, 3, 1, 1)).sum(1).mean()
    shown = linear_to_srgb(truth * 0.25 / luminance)
    best = max(
        float(-10 * torch.log10((linear_to_srgb(prediction * 2.0**stops) - shown).square().mean()))
        for stops in np.arange(-3, 3, 0.01)
    )
    assert float(relit_metrics(prediction, truth, mask)["psnr_db"]) == pytest.approx(best, abs=0.005)
