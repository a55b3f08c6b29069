"""How models are asked when they are measured."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from src.data.portrait.layout import Pair
from src.data.portrait.pair_batch import PairBatch
from src.evaluation.delit.methods import model_method
from src.inference.delit.delighter import Delighter
from src.inference.prediction import FLAT_FLOOR, apply_gain, predicted_flat_lit
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


def test_the_answer_is_that_of_stills_at_inference(model, item):
    answer = model_method("model", model).answer(PAIR, item)
    relit = item.relit[0].permute(1, 2, 0).numpy()
    still = Delighter(model, crops=False)(relit)
    assert answer.flat_lit is not None and answer.environment is not None and answer.flat_error is not None
    light = answer.environment[0].permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(light, still.prediction.environment)
    # The network alone: without the silhouette, restraint and the fade of the gain's floors in the dark.
    bare = replace(still.prediction, mask=None, flat_error=None)
    gain = (apply_gain(np.float32(1e4) * relit, bare) / (np.float32(1e4) * relit)).clip(1e-6)
    floor = still.prediction.relit_floor
    expected = gain * (relit + floor) - FLAT_FLOOR
    np.testing.assert_allclose(answer.flat_lit[0].permute(1, 2, 0).numpy(), expected.clip(0), rtol=1e-3, atol=1e-3)
    np.testing.assert_array_equal(answer.flat_error[0, 0], still.prediction.flat_error)


def test_what_is_seen_once_alone_is_what_the_network_says_and_the_second_look_changes_it(model, item):
    relit = item.relit[0].permute(1, 2, 0).numpy()
    once = predicted_flat_lit(relit, Delighter(model, crops=False, looks_twice=False).look(relit))
    with torch.inference_mode():
        expected = model(item.relit).flat_lit[0].permute(1, 2, 0).numpy()
    np.testing.assert_allclose(once, expected, rtol=1e-4, atol=1e-5)
    twice = model_method("model", model).answer(PAIR, item).flat_lit[0].permute(1, 2, 0).numpy()
    assert np.abs(twice - expected).mean() > 1e-3


def test_pictures_of_another_size_than_the_models_are_measured_at_their_own(model):
    picture = torch.full((1, 3, 48, 48), 0.5)
    item = PairBatch(picture, picture, torch.ones(1, 1, 48, 48), torch.ones(1, 3, 16, 32), ["ID001/env_001"])
    answer = model_method("model", model).answer(PAIR, item)
    shapes = [None if planes is None else tuple(planes.shape) for planes in answer[:2]]
    assert shapes == [(1, 3, 48, 48), (1, 3, 16, 32)]
    assert answer.flat_error is not None and answer.flat_error.shape == (1, 1, 48, 48)
