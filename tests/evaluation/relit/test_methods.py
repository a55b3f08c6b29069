"""What models are compared with, on balls whose picture under any light is known."""

import numpy as np
import pytest
import torch

from src.data.portrait.relit_batches import RelitBatch
from src.evaluation.relit.methods import inflated_normals, model_methods, reference_methods
from src.evaluation.relit.metrics import relit_metrics
from src.evaluation.relit.physics import physics_figures
from src.utils.sphere import pixel_directions, pixel_solid_angles
from tests.inference.relit_models import tiny_relit_model
from tests.tiny_stage import ball_normals

SIZE = 48


@pytest.fixture(scope="module")
def ball() -> RelitBatch:
    """A Lambertian ball in light from the upper right, by the sum over all directions."""
    normals, mask = ball_normals(SIZE, SIZE)
    directions = pixel_directions(16, 32)
    light = np.exp(3 * (directions @ np.array([0.6, 0.5, 0.62]) - 1))[..., None] * [3.0, 2.0, 1.0]
    cosine = np.einsum("hwk,vuk->hwvu", normals, directions).clip(0, None) * pixel_solid_angles(16, 32)
    albedo = np.array([0.6, 0.5, 0.4]) * mask[..., None]
    planes = [np.einsum("hwvu,vuc->hwc", cosine, light) / np.pi * albedo, albedo]
    relit, flat = (torch.from_numpy(p.transpose(2, 0, 1).astype(np.float32))[None] for p in planes)
    masks = torch.from_numpy(mask)[None, None]
    environment = torch.from_numpy(light.transpose(2, 0, 1).astype(np.float32))[None, None]
    return RelitBatch(flat, flat, masks, environment, relit[:, None], ["ball/light"], torch.zeros(1, dtype=torch.long))


def test_a_discs_mask_inflates_to_half_a_ball(ball):
    normals, mask = ball_normals(SIZE, SIZE)
    inner = mask.astype(bool) & (normals[..., 2] > 0.5)
    assert (inflated_normals(ball) * normals).sum(-1)[inner].min() > 0.95


def test_references_are_as_good_as_what_they_know(ball):
    scores = [
        float(relit_metrics(m.answer(ball), ball.relit[:, 0], ball.mask)["psnr_db"]) for m in reference_methods(None)
    ]
    assert [m.name for m in reference_methods(None)] == ["mean colour", "SH-2, normals of the mask"]
    assert scores[1] > scores[0] + 6


def test_models_keep_to_what_light_does_and_lose_by_other_light(ball):
    model = tiny_relit_model(SIZE)
    right, wrong = (m.answer(ball) for m in model_methods("tiny", model))
    assert right.shape == wrong.shape == (1, 3, SIZE, SIZE)
    assert (right - wrong).abs().max() > 1e-3
    figures = physics_figures(model, ball)
    assert all(figures[f"{name}_error"] < 1e-5 for name in ("linearity", "exposure", "white"))
    assert 0 < figures["mirror_error"] < 1
