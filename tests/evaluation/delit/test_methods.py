"""How models are asked when they are measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from src.data.portrait.layout import Pair
from src.data.portrait.pair_batch import PairBatch
from src.evaluation.delit.methods import model_method
from src.models.delit_model import DelitConfig, DelitModel

PAIR = Pair("ID001", "env_001", Path("relit.exr"), Path("flat_lit.exr"), None, None)


@pytest.fixture(scope="module")
def model() -> DelitModel:
    """Random weights all over, so that left and right are not answered alike."""
    torch.manual_seed(3)
    model = DelitModel(DelitConfig(image_size=32, env_height=16, env_width=32, base_dim=32, flat_confidence=True))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return model.eval()


@pytest.fixture(scope="module")
def item() -> PairBatch:
    random = torch.Generator().manual_seed(4)
    relit = torch.rand(1, 3, 32, 32, generator=random)
    return PairBatch(relit, 0.5 * relit, torch.ones(1, 1, 32, 32), torch.ones(1, 3, 16, 32), ["ID001/env_001"])


def test_a_mirrored_picture_has_the_mirrored_answer(model, item):
    ask = model_method("model", model).answer
    answer, mirrored = ask(PAIR, item), ask(PAIR, replace(item, relit=item.relit.flip(-1)))
    for name in ("flat_lit", "environment", "flat_error"):
        ours, theirs = getattr(answer, name), getattr(mirrored, name).flip(-1)
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-5)


def test_the_answer_is_the_mean_of_both_looks(model, item):
    answer = model_method("model", model).answer(PAIR, item)
    with torch.inference_mode():
        one, other = model(item.relit), model(item.relit.flip(-1))
    gains = [torch.log(one.flat_lit / item.relit), torch.log(other.flat_lit.flip(-1) / item.relit)]
    assert (gains[0] - gains[1]).abs().mean() > 1e-3  # there is something to average
    expected = item.relit * torch.exp((gains[0] + gains[1]) / 2)
    torch.testing.assert_close(answer.flat_lit, expected, rtol=1e-4, atol=1e-5)
    environment = (model.environment(one) + model.environment(other).flip(-1)) / 2
    torch.testing.assert_close(answer.environment, environment, rtol=1e-4, atol=1e-5)
