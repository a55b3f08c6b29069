"""Terms of the relighting loss, against what they mean."""

import pytest
import torch

from src.losses.relit_loss import RelitLoss


@pytest.fixture
def pictures():
    generator = torch.Generator().manual_seed(0)
    true = torch.rand(2, 3, 3, 16, 16, generator=generator) + 0.05
    return true, torch.ones(2, 1, 16, 16), torch.full((2, 1, 16, 16), 0.999999)


def test_a_perfect_picture_costs_nothing_and_its_exposure_does_not_matter(pictures):
    true, mask, seen = pictures
    terms = RelitLoss()(true, true, mask, seen)
    assert float(terms["loss"]) < 1e-5
    wrong = [RelitLoss()(s * true.flip(-1), s * true, mask, seen) for s in (1.0, 50.0)]
    assert float(wrong[0]["loss"]) == pytest.approx(float(wrong[1]["loss"]), rel=1e-3)
    assert wrong[0]["relit_shown"] > 0.05 and wrong[0]["relit_edges"] > 0.05


def test_outside_the_mask_nothing_counts(pictures):
    true, mask, seen = pictures
    mask[..., :8] = 0
    changed = true.clone()
    changed[..., :8] = 9.0
    terms = RelitLoss()(changed, true, mask, seen)
    assert all(float(terms[name]) < 1e-6 for name in ("relit_shown", "relit_log", "relit_edges"))


def test_guidance_is_the_divergence_of_shares(pictures):
    true, mask, seen = pictures
    wanted = torch.tensor([0.5, 0.25, 0.25]).view(1, 1, 3, 1, 1).expand(2, 3, -1, 8, 8)
    given = torch.tensor([0.25, 0.25, 0.5]).view(1, 1, 3, 1, 1).expand(2, 3, -1, 8, 8)
    terms = RelitLoss()(true, true, mask, seen, transfer=wanted, predicted=given, guidance=2.0)
    expected = 0.5 * torch.log(torch.tensor(2.0)) + 0.25 * torch.log(torch.tensor(0.5))
    assert float(terms["transfer"]) == pytest.approx(float(expected), rel=1e-4)
    assert float(terms["loss"]) == pytest.approx(2 * float(expected), rel=1e-3)


def test_an_error_that_moves_with_the_surface_is_steady(pictures):
    _, mask, _ = pictures
    frame = torch.rand(1, 1, 3, 16, 24, generator=torch.Generator().manual_seed(1)) + 0.05
    true = torch.cat([frame[..., 4:20], frame[..., 2:18]])  # two pixels to the right
    error = 0.2 * torch.rand(1, 1, 3, 16, 24, generator=torch.Generator().manual_seed(2))
    moving = true + torch.cat([error[..., 4:20], error[..., 2:18]])
    standing = true + error[..., 4:20]
    flow = torch.zeros(2, 3, 16, 16)
    flow[1, 0], flow[1, 2, :, 2:] = -2.0, 1.0
    figures = [RelitLoss()(p, true, mask, mask, flow=flow) for p in (moving, standing)]
    assert figures[0]["steady"] < 0.25 * figures[1]["steady"]
    assert torch.isfinite(figures[0]["loss"])


def test_what_any_light_shows_is_to_be_steady_and_the_mask_too(pictures):
    _, mask, _ = pictures
    true = torch.full((2, 1, 3, 16, 16), 0.3)
    whole = torch.rand(1, 2, 3, 8, 12, generator=torch.Generator().manual_seed(1)) + 0.1  # under two lights
    moving = torch.cat([whole[..., 2:10], whole[..., 1:9]])  # a pixel to the right: two of the pictures'
    standing = whole[..., 2:10].repeat(2, 1, 1, 1, 1)
    seen = torch.rand(1, 1, 16, 20, generator=torch.Generator().manual_seed(2))
    flow = torch.zeros(2, 3, 16, 16)
    flow[1, 0], flow[1, 2, :, 4:] = -2.0, 1.0
    going = RelitLoss()(true, true, mask, torch.cat([seen[..., 2:18], seen[..., :16]]), flow=flow, skin=moving)
    stuck = RelitLoss()(true, true, mask, seen[..., 2:18].repeat(2, 1, 1, 1), flow=flow, skin=standing)
    for term in ("steady_light", "steady_mask"):
        assert going[term] < 1e-3
        assert stuck[term] > 0.05
    brighter = RelitLoss()(
        true, true, mask, mask, flow=flow, skin=standing * torch.tensor([1.0, 50.0]).view(2, 1, 1, 1)
    )
    assert float(brighter["steady_light"]) == pytest.approx(float(stuck["steady_light"]), rel=1e-3)


def test_labels_that_are_unsure_teach_less(pictures):
    true, mask, seen = pictures
    error = 0.1 * torch.rand(true.shape, generator=torch.Generator().manual_seed(3))
    flow = torch.zeros(2, 3, 16, 16)
    flow[1, 2] = 1.0
    plain, half, none = (
        RelitLoss()(true + error, true, mask, seen, flow=flow, confidence=torch.full_like(mask, sure))
        for sure in (1.0, 0.5, 0.0)
    )
    for name in ("relit_shown", "relit_log", "relit_edges", "steady"):
        assert float(half[name]) == pytest.approx(0.5 * float(plain[name]), rel=1e-4)
        assert float(none[name]) == 0
    left = torch.ones_like(mask)
    left[..., 8:] = 0
    wrong_on_the_right = true.clone()
    wrong_on_the_right[..., 8:] += 1.0
    assert float(RelitLoss()(wrong_on_the_right, true, mask, seen, confidence=left)["relit_shown"]) == 0
    assert float(RelitLoss()(wrong_on_the_right, true, mask, seen)["relit_shown"]) > 0.1
