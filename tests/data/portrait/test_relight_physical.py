"""What the physical loss gets: the captures themselves, and the way from the seen environment to theirs."""

from dataclasses import replace

import numpy as np
import torch

from src.data.portrait.pair_batch import PairBatch
from src.data.stage.captures import Stage
from src.data.stage.settings import Settings
from src.utils.sphere_torch import sample
from tests.data.portrait.relighting import make, stage_of


def rendered(batch: PairBatch, environment: torch.Tensor) -> torch.Tensor:
    """The n subjects as captured under environments in the stage's frame."""
    light = torch.einsum("nlp,ncp->nlc", batch.stage.light_matrix, environment.flatten(2))
    return torch.einsum("nlc,nlchw->nchw", light, batch.stage.olats)


def test_olats_rerender_the_picture_itself_where_nothing_is_moved(root, tmp_path):
    batch = make(root, tmp_path, image_size=32, physical=True, augment=False).batch(0, 0)
    again = rendered(batch, sample(batch.environment, batch.stage.to_stage))
    inside = (batch.mask == 1).expand_as(again)
    assert inside.sum() > 1000
    torch.testing.assert_close(again[inside], batch.relit[inside], rtol=1e-3, atol=1e-4)


def test_the_moved_environment_finds_back_to_the_light_that_the_subject_was_relit_under(root, tmp_path, monkeypatch):
    batches = make(root, tmp_path, physical=True, env_size=(32, 64), batch_size=24)
    relit_under = []  # (subject, c_l) as captured, before the pose moves picture and light
    relight = batches.stacks.relight

    def record(k, coefficients):
        relit_under.extend((k, light) for light in coefficients[: len(coefficients) // 2])  # then the other light's
        return relight(k, coefficients)

    monkeypatch.setattr(batches.stacks, "relight", record)
    batch = batches.batch(0, 0)
    names = [capture.name for capture in batches.stacks.stage.captures]
    subjects = [names.index(name.split("/")[0]) for name in batch.name]
    order = sorted(range(24), key=subjects.__getitem__)
    assert [k for k, _ in relit_under] == [subjects[index] for index in order]
    light = torch.stack([light for _, light in relit_under])[np.argsort(order)]  # 24 x 3 x L
    truth = torch.einsum("ncl,nlchw->nchw", light, batch.stage.olats)

    def errors(environment: torch.Tensor) -> torch.Tensor:
        difference = (rendered(batch, environment) - truth) * batch.stage.mask
        return difference.flatten(1).norm(dim=1) / (truth * batch.stage.mask).flatten(1).norm(dim=1)

    found = errors(sample(batch.environment, batch.stage.to_stage))
    assert found.max() < 0.1 and found.mean() < 0.03  # the map is interpolated twice
    assert errors(batch.environment).mean() > 4 * found.mean()


def test_subjects_with_lights_of_their_own_are_lit_by_them(root, tmp_path):
    """One has its lights in another order, in a set of equal count; another is captured under half of them."""
    stage = stage_of(root)
    directions, order = stage.light_sets["stage"], np.random.default_rng(0).permutation(24)
    first, second, third = stage.captures
    mixed = Stage(
        (
            first,
            replace(second, light_set="other", images=tuple(second.images[k] for k in order)),
            replace(third, light_set="few", images=third.images[::2]),
        ),
        {"stage": directions, "other": directions[order], "few": directions[::2]},
    )
    options = {"augment": False, "physical": True, "batch_size": 12}
    expected = make(root, tmp_path, **options).batch(0, 0)
    batch = make(root, tmp_path, stage=mixed, **options).batch(0, 0)
    shaded = rendered(batch, sample(batch.environment, batch.stage.to_stage))
    truth = rendered(expected, sample(expected.environment, expected.stage.to_stage))
    seen = set()
    for index, name in enumerate(batch.name):
        seen.add(subject := name.split("/")[0])
        if subject == "ID003":  # fewer lights are another approximation of the same light
            assert batch.stage.olats[index, 12:].abs().max() == 0 and batch.stage.light_matrix[index, 12:].max() == 0
            inside = truth[index] > 0.01
            assert (shaded[index][inside] / truth[index][inside] - 1).abs().mean() < 0.2
        else:
            torch.testing.assert_close(batch.relit[index], expected.relit[index], rtol=1e-4, atol=1e-5)
            torch.testing.assert_close(shaded[index], truth[index], rtol=1e-4, atol=1e-5)
    assert seen == {"ID001", "ID002", "ID003"}


def test_captures_are_taken_as_the_set_was_prepared(root, tmp_path):
    """Four times the exposure is four times the person, before the same background."""
    stage = stage_of(root)
    plain = make(root, tmp_path, augment=False, physical=True).batch(0, 0)
    bright_stage = replace(stage, settings=Settings(exposure=4.0))
    bright = make(root, tmp_path, stage=bright_stage, augment=False, physical=True).batch(0, 0)
    assert torch.equal(bright.environment, plain.environment)
    torch.testing.assert_close(bright.flat_lit, 4 * plain.flat_lit)
    torch.testing.assert_close(bright.relit * bright.mask, 4 * plain.relit * plain.mask)
    outside = (plain.mask == 0).expand_as(plain.relit)
    assert torch.equal(bright.relit[outside], plain.relit[outside])
    torch.testing.assert_close(bright.other.shading, plain.other.shading)
    torch.testing.assert_close(
        rendered(bright, bright.environment), 4 * rendered(plain, plain.environment), rtol=1e-4, atol=1e-5
    )
