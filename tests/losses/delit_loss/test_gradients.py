"""Gradients are those of central differences, finite at every extreme, and lead back from it."""

from dataclasses import replace

import pytest
import torch

from src.data.portrait.pair_batch import OtherLight
from src.losses import delit_loss
from src.losses.delit_loss import aligned, masked_mean, physical_error, transfer_error
from src.losses.delit_loss_check import sample_tensors
from src.utils.color import extended_srgb
from src.utils.hdr_codec import CODECS, make_codec
from tests.losses.delit_loss.terms import (
    COMMON,
    FLAT,
    LEAVES,
    ORIGINAL,
    PICTURE,
    SPHERE,
    filled,
    fresh,
    gradients,
    make,
)


def check_gradients(loss, output, batch, names, step, rel, smallest):
    """The gradients of the terms called ``names`` against central differences."""
    generator = torch.Generator().manual_seed(1)
    terms = loss(output, batch)
    for name in sorted(names):
        for leaf, gradient in gradients(terms[name], output).items():
            # Uphill, and uphill in a random half of the values.
            for direction in (gradient, gradient * (torch.rand(gradient.shape, generator=generator) < 0.5)):
                largest = direction.abs().max()
                if largest == 0:
                    continue
                move = direction / largest * step
                slope = (gradient.double() * move.double()).sum().item()
                with torch.no_grad():
                    values = [
                        loss(output._replace(**{leaf: getattr(output, leaf) + sign * move}), batch)[name].double()
                        for sign in (1, -1)
                    ]
                measured = (values[0] - values[1]).item() / 2
                assert measured == pytest.approx(slope, rel=rel, abs=smallest), f"{name} by {leaf}"


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("env_loss", delit_loss.ENV_LOSSES)
def test_every_gradient_is_that_of_central_differences(codec, env_loss, lpips):
    output, batch = sample_tensors(make_codec(codec), size=64, rows=8)
    # Away from the ends of the codes, where the decoder clamps and a step to both sides would see a kink.
    output = fresh(output, environment_code=output.environment_code.clamp(0.02, 0.98))
    names = {"sphere": SPHERE, "original": ORIGINAL}[env_loss] | COMMON - FLAT - {"loss"}
    check_gradients(make(codec, lpips, env_loss=env_loss), output, batch, names, step=3e-4, rel=0.02, smallest=3e-7)


def test_gradients_of_the_flat_terms_are_those_of_central_differences():
    """In double precision, whose steps are so small that they cross hardly any kink of an absolute value."""
    output, batch = sample_tensors(make_codec("log"), size=64, rows=8)
    output = fresh(output, **{name: getattr(output, name).double() for name in ("flat_lit", "mask", "transfer")})
    other = OtherLight(batch.other.environment.double(), batch.other.shading.double())
    batch = replace(batch, flat_lit=batch.flat_lit.double(), mask=batch.mask.double(), other=other)
    # In the sample most of the differences have no slope at all, which is a kink of the edges' term.
    check_gradients(make(lambda_physical=0), output, batch, FLAT - {"flat_edges"}, step=1e-7, rel=1e-4, smallest=1e-13)


def test_gradients_of_the_flat_physical_and_transfer_terms_in_double_precision():
    generator = torch.Generator().manual_seed(2)

    def rand(*shape):
        return torch.rand(shape, generator=generator, dtype=torch.float64) * 2

    true, mask = rand(1, 3, 4, 4), (rand(1, 1, 4, 4) / 2).round()
    assert torch.autograd.gradcheck(
        lambda x: masked_mean((extended_srgb(x) - extended_srgb(true)).abs(), mask), rand(1, 3, 4, 4).requires_grad_()
    )
    assert torch.autograd.gradcheck(lambda x: aligned(x, true, mask), rand(1, 3, 4, 4).requires_grad_())
    olats, light_matrix, environment = rand(1, 5, 3, 4, 4), rand(1, 5, 8), rand(1, 3, 2, 4)
    assert torch.autograd.gradcheck(
        lambda e: physical_error(e, environment, olats, light_matrix, mask), rand(1, 3, 2, 4).requires_grad_()
    )
    assert torch.autograd.gradcheck(
        lambda t: transfer_error(t, light_matrix[0], environment, true, mask), rand(1, 5, 2, 2).requires_grad_()
    )


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("env_loss", delit_loss.ENV_LOSSES)
@pytest.mark.parametrize("case", ["black", "black prediction", "saturated", "empty mask", "equal"])
def test_extreme_inputs_have_finite_terms_and_gradients(codec, env_loss, case, lpips):
    output, batch = sample_tensors(make_codec(codec), rows=8)
    changes = {}
    if case.startswith("black"):
        changes = {name: torch.zeros_like(getattr(output, name)) for name in LEAVES}
        if case == "black":
            batch = filled(batch, 0.0, "relit", "flat_lit", "environment", "stage.olats")
            batch = filled(batch, 0.0, "other.environment", "other.shading")
            changes["exposure"] = torch.full_like(output.exposure, 1e-6)
    elif case == "saturated":
        changes = {name: torch.ones_like(getattr(output, name)) for name in LEAVES}
        changes["flat_lit"] = torch.full_like(output.flat_lit, 6e4)
        batch = filled(filled(batch, 1e9, "environment"), 6e4, "flat_lit", "other.shading")
    elif case == "empty mask":
        batch = filled(batch, 0.0, "mask", "stage.mask")
    else:
        changes = {
            "flat_lit": batch.flat_lit,
            "environment_code": make_codec(codec).encode(batch.environment),
        }
    output = fresh(output, **changes)
    terms = make(codec, lpips, env_loss=env_loss)(output, batch)
    for name, value in terms.items():
        assert value.isfinite(), name
        for leaf, gradient in gradients(value, output).items():
            assert gradient.isfinite().all(), f"{name} by {leaf}"
    if case == "empty mask":
        for name in (*PICTURE, "flat_lpips", "physical", "transfer"):
            assert terms[name].item() == 0
            assert all((gradient == 0).all() for gradient in gradients(terms[name], output).values()), name
    if case in ("equal", "saturated"):
        environment_terms = SPHERE if env_loss == "sphere" else ORIGINAL
        for name in environment_terms | {"flat_l1", "physical"}:
            # The tone-mapped code of the ceiling is not quite 1.
            assert terms[name].item() == pytest.approx(0, abs=1e-4 if case == "saturated" else 0), name
        assert terms["flat_edges"].item() == 0
        for name in ("flat_aligned", "flat_pattern"):
            assert terms[name].item() == pytest.approx(0, abs=1e-3), "scales are drawn towards 0 a little"


def test_a_dark_or_too_bright_prediction_is_still_pulled_back():
    for codec in CODECS:
        output, batch = sample_tensors(make_codec(codec), rows=8)
        for level, flat in ((0.001, 0.0), (0.999, 50.0)):
            code = torch.full_like(output.environment_code, level)
            output = fresh(output, environment_code=code, flat_lit=torch.full_like(output.flat_lit, flat))
            terms = make(codec)(output, batch)
            inside = batch.mask.expand_as(output.flat_lit) > 0
            downhill = -gradients(terms["flat_l1"], output)["flat_lit"][inside]
            assert ((downhill > 0) if level < 0.5 else (downhill < 0)).all()
            for name in ("env_log", "env_multiscale", "env_sh", "physical"):
                gradient = gradients(terms[name], output)["environment_code"][:, 3:]
                assert ((gradient <= 0) if level < 0.5 else (gradient >= 0)).all(), name
                assert (gradient != 0).any(), name


@pytest.mark.parametrize("weight", [1.0, 100.0])
def test_weights_do_not_spoil_the_gradient_of_an_empty_mask_or_a_black_environment(weight):
    output, batch = sample_tensors(make_codec("dual"), rows=8)
    batch = filled(batch, 0.0, "mask", "stage.mask", "environment")
    terms = make("dual", lambda_flat=weight, lambda_env=weight, lambda_physical=weight)(output, batch)
    for leaf, gradient in gradients(terms["loss"], output).items():
        assert gradient.isfinite().all(), leaf
