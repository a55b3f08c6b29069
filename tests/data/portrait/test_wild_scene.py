"""Lamps, backgrounds and occluders: where they are, and what follows for mask and light."""

import torch

from src.data.portrait import wild_scene as module
from src.data.portrait.pair_batch import PairBatch
from src.data.portrait.wild_scene import lobe, occlude, other_background, stage_lamps, tint_for_flat_lit_alone
from src.utils.seeding import generator
from src.utils.sphere import pixel_directions, pixel_solid_angles

DIRECTIONS = torch.from_numpy(pixel_directions(64, 128)).float()
SHARES = torch.from_numpy(pixel_solid_angles(64, 128)).float() / (4 * torch.pi)


def batch_of(count: int = 40, side: int = 32) -> PairBatch:
    return PairBatch(
        relit=1 + torch.rand(count, 3, side, side, generator=generator(1)),
        flat_lit=torch.ones(count, 3, side, side),
        mask=torch.ones(count, 1, side, side),
        environment=torch.ones(count, 3, 4, 8),
        name=["a/b"] * count,
    )


def test_lobes_have_a_mean_of_one_whatever_their_width():
    centre = torch.nn.functional.normalize(torch.randn(5, 3, generator=generator(0)), dim=1)
    means = (lobe(DIRECTIONS, centre, torch.tensor([0.5, 3.0, 10.0, 50.0, 200.0])) * SHARES).sum((1, 2))
    torch.testing.assert_close(means, torch.ones(5), rtol=0.02, atol=0)


def test_some_are_lit_by_lamps_from_behind_in_front_and_both_sides():
    lamps, left = stage_lamps(generator(2), DIRECTIONS, 400)
    is_lit = lamps.flatten(1).amax(1) > 0
    assert 0.25 < is_lit.float().mean() < 0.45
    assert torch.equal(left.flatten() < 1, is_lit) and left.min() > 0 and lamps.min() >= 0
    lit = lamps[is_lit]
    power = (lit.mean(1) * SHARES).sum((1, 2))
    low, high = module.LAMP_POWER
    assert power.min() > 0.7 * low and power.max() < 2.2 * high
    ahead = (lit.mean(1) * SHARES * (DIRECTIONS[..., 2] > 0)).sum((1, 2)) / power
    assert 0.2 < (ahead > 0.9).float().mean() < 0.5 and (ahead < 0.1).float().mean() > 0.5
    leftward = (lit.mean(1) * SHARES * (DIRECTIONS[..., 0] < 0)).sum((1, 2)) / power
    assert ((leftward > 0.1) & (leftward < 0.9) & (ahead < 0.1)).float().mean() > 0.2  # on either side
    colour = (lit * SHARES).sum((2, 3))
    saturation = colour.amax(1) / colour.amin(1)
    assert saturation.median() > 1.3 and saturation.min() < 1.3


def test_some_backgrounds_are_not_of_the_light():
    behind = torch.rand(400, 3, 4, 4, generator=generator(3)) * torch.arange(1, 401).view(-1, 1, 1, 1)
    other = other_background(generator(4), behind)
    is_same = (other == behind).flatten(1).all(1)
    assert 0.4 < is_same.float().mean() < 0.6
    is_black = (other == 0).flatten(1).all(1)
    is_paper = (other == other[..., :1, :1]).flatten(1).all(1) & ~is_black
    mean = behind.mean((1, 2, 3), keepdim=True)
    neighbours = behind.roll(1, 0) * mean / mean.roll(1, 0)
    is_anothers = torch.isclose(other, neighbours, rtol=1e-4).flatten(1).all(1)
    is_clutter = ~(is_same | is_black | is_paper | is_anothers)
    for chosen, expected in ((is_black, 1 / 6), (is_paper, 1 / 6), (is_anothers, 1 / 3), (is_clutter, 1 / 3)):
        assert abs(chosen.sum() / (~is_same).sum() - expected) < 0.1
    brightness = (other / mean)[is_clutter].mean((1, 2, 3))
    assert brightness.min() > 0.01 and brightness.max() < 30


def test_what_is_in_front_of_a_person_is_not_of_the_person():
    batch = batch_of()
    covered = occlude(generator(5), batch)
    is_covered = (covered.mask < 1).flatten(1).any(1)
    assert 0.1 < is_covered.float().mean() < 0.45
    assert torch.equal(covered.relit[~is_covered], batch.relit[~is_covered])
    assert 0.005 < float(1 - covered.mask[is_covered].mean()) < 0.5
    torch.testing.assert_close(covered.flat_lit, batch.flat_lit * covered.mask)
    clear = (covered.mask == 1).expand_as(batch.relit)
    torch.testing.assert_close(covered.relit[clear], batch.relit[clear])
    hidden = (covered.mask < 0.01).expand_as(batch.relit)
    assert hidden.any() and not torch.isclose(covered.relit[hidden], batch.relit[hidden], rtol=1e-3).all()
    assert torch.equal(batch.mask, torch.ones_like(batch.mask))


def test_tinted_skin_says_nothing_of_the_light():
    is_tinted, batch = tint_for_flat_lit_alone(generator(6), batch_of(200))
    assert 0.4 < is_tinted.float().mean() < 0.6
    assert torch.equal(batch.has_environment, ~is_tinted)
    _, again = tint_for_flat_lit_alone(generator(7), batch)
    assert not (again.has_environment & is_tinted).any()
