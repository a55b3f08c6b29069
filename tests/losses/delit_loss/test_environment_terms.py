"""The terms of the environment, and the pictures that it gives: the physical term."""

from dataclasses import replace

import pytest
import torch

from src.losses.delit_loss import physical_error
from src.losses.delit_loss_check import sample_tensors
from src.utils.hdr_codec import CODECS, make_codec
from tests.losses.delit_loss.terms import (
    SPHERE,
    make,
)


def test_golden_values_of_the_original_environment_loss():
    """By hand: radiance (2, 1, 0) is chroma (1, 0.5, 0) and log(3) / 10 = 0.109861 as the fourth channel."""
    output, batch = sample_tensors(make_codec("log"), rows=4)
    radiance = torch.tensor([2.0, 1.0, 0.0]).view(1, 3, 1, 1)
    batch = replace(batch, environment=3 * radiance.expand(2, 3, 4, 8))
    code = torch.tensor([0.7, 0.7, 0.3, 0.309861]).view(1, 4, 1, 1).expand(2, 4, 4, 8)
    output = output._replace(environment_code=code, exposure=torch.full((2, 1, 1, 1), 3.0))
    terms = make(env_loss="original")(output, batch)
    assert terms["env_rgb_l1"].item() == pytest.approx((0.3 + 0.2 + 0.3) / 3, abs=1e-6)
    assert terms["env_log_mse"].item() == pytest.approx(0.04, abs=1e-6)

    # dual: rgb / (1 + rgb) is (2/3, 1/2, 0), log(1 + rgb) / 10 is (0.109861, 0.069315, 0).
    code = torch.tensor([0.5, 0.5, 0.5, 0.209861, 0.069315, 0.3]).view(1, 6, 1, 1).expand(2, 6, 4, 8)
    terms = make("dual", env_loss="original")(output._replace(environment_code=code), batch)
    assert terms["env_rgb_l1"].item() == pytest.approx((2 / 3 - 0.5 + 0.5) / 3, abs=1e-6)
    assert terms["env_log_mse"].item() == pytest.approx((0.01 + 0.09) / 3, abs=1e-6)


def test_subjects_of_different_light_sets_are_lit_by_their_own():
    """Of two subjects one has its two lights in the other order."""
    output, batch = sample_tensors(make_codec("log"))
    swapped = replace(
        batch.stage,
        olats=torch.stack([batch.stage.olats[0], batch.stage.olats[1].flip(0)]),
        light_matrix=torch.stack([batch.stage.light_matrix[0], batch.stage.light_matrix[1].flip(0)]),
    )
    expected = make()(output, batch)["physical"].item()
    assert make()(output, replace(batch, stage=swapped))["physical"].item() == pytest.approx(expected, rel=1e-5)
    wrong = replace(swapped, light_matrix=batch.stage.light_matrix)
    assert make()(output, replace(batch, stage=wrong))["physical"].item() != pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("codec", CODECS)
def test_the_physical_term_is_zero_for_the_true_light_and_indifferent_to_exposure(codec):
    output, batch = sample_tensors(make_codec(codec))
    perfect = output._replace(environment_code=make_codec(codec).encode(batch.environment))
    assert make(codec)(perfect, batch)["physical"].item() == 0
    wrong = make(codec)(output, batch)
    assert wrong["physical"].item() > 0.1
    longer = replace(batch, relit=8 * batch.relit, environment=8 * batch.environment)
    again = make(codec)(output._replace(exposure=8 * output.exposure), longer)
    for name in SPHERE | {"physical", "confidence"}:
        assert again[name].item() == pytest.approx(wrong[name].item(), rel=1e-5), name


def test_the_physical_term_is_the_log_ratio_of_the_pictures():
    # Two lights, each half of the sphere, each lighting one pixel; the second one is seen half as bright as it is.
    light_matrix = torch.zeros(1, 2, 8)
    light_matrix[:, 0, :4] = light_matrix[:, 1, 4:] = 0.5
    olats = torch.zeros(1, 2, 3, 1, 2)
    olats[0, 0, :, 0, 0] = olats[0, 1, :, 0, 1] = 10.0
    true = torch.ones(1, 3, 2, 4)
    predicted = true.clone()
    predicted[:, :, 1] = 0.5
    mask = torch.ones(1, 1, 1, 2)
    expected = torch.log(torch.tensor((20 + 0.02) / (10 + 0.02))).item()
    assert physical_error(predicted, true, olats, light_matrix, mask).item() == pytest.approx(expected / 2, rel=1e-5)
    mask[..., :1] = 0
    assert physical_error(predicted, true, olats, light_matrix, mask).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("codec", CODECS)
def test_turning_both_environments_leaves_the_environment_terms(codec):
    output, batch = sample_tensors(make_codec(codec))
    before = make(codec)(output, batch)
    turned = output._replace(
        environment_code=output.environment_code.roll(5, -1), confidence=output.confidence.roll(5, -1)
    )
    after = make(codec)(turned, replace(batch, environment=batch.environment.roll(5, -1)))
    for name in SPHERE | {"confidence"}:
        assert after[name].item() == pytest.approx(before[name].item(), rel=1e-5), name
