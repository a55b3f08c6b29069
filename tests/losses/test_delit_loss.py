import math
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from src.data.portrait.pair_batch import OtherLight, PairBatch
from src.losses import delit_loss
from src.losses.delit_loss import DelitLoss, DelitLossOptions, aligned, masked_mean, physical_error, transfer_error
from src.losses.delit_loss_check import main, sample_tensors
from src.models.delit.outputs import Delit
from src.models.delit_model import ARCHITECTURES, DelitConfig, DelitModel
from src.utils.color import extended_srgb, linear_to_srgb
from src.utils.hdr_codec import CODECS, make_codec
from src.utils.metrics import LPIPS_BACKBONES, load_lpips

SPHERE = {"env_log", "env_chroma", "env_multiscale", "env_sh"}
ORIGINAL = {"env_rgb_l1", "env_log_mse"}
COMMON = {
    "flat_l1",
    "flat_aligned",
    "flat_pattern",
    "flat_edges",
    "flat_lpips",
    "mask",
    "confidence",
    "physical",
    "transfer",
    "loss",
    "flat_confidence",
}
PICTURE = {"flat_l1", "flat_aligned", "flat_pattern", "flat_edges"}
FLAT = PICTURE | {"mask", "transfer"}
LEAVES = ("flat_lit", "environment_code", "confidence", "mask", "transfer")


@pytest.fixture(scope="module")
def random_backbone(tmp_path_factory):
    """Random weights of AlexNet's convolutions: the distances mean nothing, the formula and the gradient are real."""
    pytest.importorskip("lpips")
    torch.manual_seed(0)
    sizes = {0: (3, 64, 11), 3: (64, 192, 5), 6: (192, 384, 3), 8: (384, 256, 3), 10: (256, 256, 3)}
    features = torch.nn.ModuleDict({str(index): torch.nn.Conv2d(*size) for index, size in sizes.items()})
    file = tmp_path_factory.mktemp("lpips") / LPIPS_BACKBONES["alex"]
    torch.save({f"features.{name}": value for name, value in features.state_dict().items()}, file)
    return file


@pytest.fixture(scope="module")
def lpips(random_backbone):
    return load_lpips("alex", random_backbone)


def make(codec="log", lpips=None, **options) -> DelitLoss:
    defaults = {"lambda_physical": 1.0, "lambda_flat_lpips": 0.0 if lpips is None else 0.1}
    return DelitLoss(DelitLossOptions(**(defaults | options)), make_codec(codec), lpips)


def fresh(output: Delit, **changes) -> Delit:
    """The output with its leaves detached and asking for gradients again."""
    output = output._replace(**changes)
    return output._replace(**{name: getattr(output, name).detach().clone().requires_grad_(True) for name in LEAVES})


def filled(batch: PairBatch, value: float, *names: str) -> PairBatch:
    """With tensors of nothing but ``value``; "stage.olats" is the one within ``stage``."""
    for name in names:
        within, _, field = name.rpartition(".")
        record = getattr(batch, within) if within else batch
        record = replace(record, **{field: torch.full_like(getattr(record, field), value)})
        batch = replace(batch, **{within: record}) if within else record
    return batch


def gradients(value: torch.Tensor, output: Delit) -> dict[str, torch.Tensor]:
    leaves = [getattr(output, name) for name in LEAVES]
    found = torch.autograd.grad(value, leaves, retain_graph=True, allow_unused=True)
    return {name: gradient for name, gradient in zip(LEAVES, found, strict=True) if gradient is not None}


def test_terms_are_named_and_the_loss_is_their_weighted_sum(lpips):
    output, batch = sample_tensors(make_codec("log"))
    terms = make(lpips=lpips, lambda_flat=3.0, lambda_env=0.5, lambda_physical=0.25)(output, batch)
    assert set(terms) == SPHERE | COMMON
    weights = {"flat_l1": 3, "flat_aligned": 3 * delit_loss.ALIGNED_WEIGHT, "transfer": 3 * delit_loss.TRANSFER_WEIGHT}
    weights |= {"flat_pattern": 3 * delit_loss.PATTERN_WEIGHT, "flat_edges": 3 * delit_loss.EDGES_WEIGHT}
    weights |= {"mask": 3, "flat_lpips": 0.1, "physical": 0.25, "confidence": 0.5}
    weights |= {"flat_confidence": 3 * delit_loss.FLAT_CONFIDENCE_WEIGHT}
    weights |= {name: 0.5 * delit_loss.SPHERE_WEIGHTS[name] for name in SPHERE}
    assert terms["loss"].item() == pytest.approx(sum(weights[name] * terms[name].item() for name in weights), rel=1e-6)

    terms = make(lpips=lpips, env_loss="original", lambda_env=0.5)(output, batch)
    assert set(terms) == ORIGINAL | COMMON
    weights = {"flat_l1": 1, "flat_aligned": delit_loss.ALIGNED_WEIGHT, "transfer": delit_loss.TRANSFER_WEIGHT}
    weights |= {"flat_pattern": delit_loss.PATTERN_WEIGHT, "flat_edges": delit_loss.EDGES_WEIGHT}
    weights |= {"mask": 1, "flat_lpips": 0.1, "physical": 1, "confidence": 0.5}
    weights |= {"flat_confidence": delit_loss.FLAT_CONFIDENCE_WEIGHT}
    weights |= {"env_rgb_l1": 0.5, "env_log_mse": 0.5}
    assert terms["loss"].item() == pytest.approx(sum(weights[name] * terms[name].item() for name in weights), rel=1e-6)


def test_terms_without_input_are_left_out():
    output, batch = sample_tensors(make_codec("log"))
    plain = output._replace(confidence=None, mask=None, transfer=None, lobes=None, flat_error=None)
    assert set(make()(plain, batch)) == SPHERE | PICTURE | {"physical", "loss"}
    assert "mask" not in make(use_mask=False)(output, batch)
    assert "physical" not in make(lambda_physical=0.0)(output, batch)
    assert "physical" not in make()(output, replace(batch, stage=None))
    assert "transfer" not in make()(output, replace(batch, other=None))


def test_impossible_options_are_refused():
    with pytest.raises(ValueError, match="env_loss must be one of"):
        make(env_loss="cube")
    with pytest.raises(ValueError, match="needs the LPIPS distance"):
        make(lambda_flat_lpips=0.1)


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


def test_golden_values_of_the_flat_terms():
    output, batch = sample_tensors(make_codec("log"), size=4)
    mask = torch.zeros(2, 1, 4, 4)
    mask[0, :, :2] = 1
    batch = replace(batch, flat_lit=torch.full((2, 3, 4, 4), 0.5), mask=mask)
    flat = torch.zeros(2, 3, 4, 4)
    flat[0, 0] = 0.5
    terms = make(lambda_physical=0)(output._replace(flat_lit=flat, mask=torch.full((2, 1, 4, 4), 0.25)), batch)
    # sRGB of 0.5 is 0.735357; inside the mask two colours of three are off by it.
    assert terms["flat_l1"].item() == pytest.approx(0.735357 * 2 / 3, abs=1e-5)
    # A quarter of the pixels is inside: -(log(1/4) + 3 log(3/4)) / 4.
    assert terms["mask"].item() == pytest.approx(0.562335, abs=1e-5)
    unmasked = make(lambda_physical=0, use_mask=False)(output._replace(flat_lit=flat), batch)
    assert unmasked["flat_l1"].item() == pytest.approx(0.735357 * 5 / 6, abs=1e-5)


# ---- what pictures are compared by


@pytest.mark.parametrize(("scale", "bias"), [(1.0, 0.0), (0.25, 0.7), (3.0, -0.4)])
def test_aligning_undoes_any_scale_and_bias_of_each_picture_and_colour(scale, bias):
    _, batch = sample_tensors(make_codec("log"), size=32)
    true, mask = 8 * batch.flat_lit, batch.mask
    factor = scale * torch.tensor([1.0, 0.5, 2.0, 1.5, 1.0, 0.8]).view(2, 3, 1, 1)
    again = aligned(factor * true + bias, true, mask)
    inside = (mask > 0).expand_as(true)
    assert inside.float().mean() > 0.3
    torch.testing.assert_close(again[inside], true[inside], rtol=0, atol=0.02)


def test_aligning_looks_at_nothing_outside_the_mask():
    _, batch = sample_tensors(make_codec("log"), size=32)
    true, mask = batch.flat_lit, batch.mask
    outside = 1 - mask
    predicted = true.flip(-1)
    expected = aligned(predicted, true, mask) * mask
    assert torch.equal(aligned(predicted + 100 * outside, true + 50 * outside, mask) * mask, expected)
    assert not torch.allclose(expected, predicted * mask, atol=0.05)


def test_aligning_a_picture_without_pattern_gives_the_mean():
    _, batch = sample_tensors(make_codec("log"), size=32)
    true, mask = batch.flat_lit, batch.mask
    mean = (true * mask).sum((2, 3), keepdim=True) / mask.sum((2, 3), keepdim=True)
    torch.testing.assert_close(aligned(torch.full_like(true, 0.3), true, mask), mean.expand_as(true))


def lit_by_lobes(size: int = 16) -> tuple[torch.Tensor, ...]:
    """Transfer, lobes, an environment, the shading that they give, and a mask that covers some of it."""
    output, batch = sample_tensors(make_codec("log"), size=size)
    environment = batch.other.environment
    light = environment.flatten(2) @ output.lobes.T
    shading = torch.einsum("nkhw,nck->nchw", output.transfer.detach(), light)
    mask = F.interpolate(batch.mask, shading.shape[-2:], mode="nearest")
    assert 0.2 < mask.mean() < 1
    return output.transfer.detach(), output.lobes, environment, shading, mask


def test_the_transfer_term_is_zero_where_transfer_and_lobes_give_the_shading():
    transfer, lobes, environment, shading, mask = lit_by_lobes()
    assert transfer_error(transfer, lobes, environment, shading, mask).item() == pytest.approx(0, abs=1e-6)
    # Pictures are larger than transfer; outside the mask they hold nothing that is known.
    large = [picture.repeat_interleave(4, 2).repeat_interleave(4, 3) for picture in (shading, mask)]
    large[0] = torch.where(large[1] > 0, large[0], 1e3)
    assert transfer_error(transfer, lobes, environment, *large).item() == pytest.approx(0, abs=1e-6)
    assert transfer_error(transfer.roll(1, 1), lobes, environment, shading, mask).item() > 0.1


@pytest.mark.parametrize(("height", "width"), [(15, 16), (13, 18), (16, 9)])
def test_the_transfer_stays_in_place_where_the_picture_ends_within_one_of_its_pixels(height, width):
    generator = torch.Generator().manual_seed(0)
    transfer = torch.rand(1, 5, -(-height // 2), -(-width // 2), generator=generator)
    lobes, environment = torch.rand(5, 8, generator=generator), torch.rand(1, 3, 2, 4, generator=generator)
    shading = torch.einsum("nkhw,nck->nchw", transfer, environment.flatten(2) @ lobes.T)
    shading = shading.repeat_interleave(2, 2).repeat_interleave(2, 3)[..., :height, :width]
    mask = (torch.rand(1, 1, height, width, generator=generator) > 0.3).float()
    assert transfer_error(transfer, lobes, environment, shading, mask).item() == pytest.approx(0, abs=1e-6)
    moved = shading.roll(2, -1)
    assert transfer_error(transfer, lobes, environment, moved, mask).item() > 0.01


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


def test_terms_to_do_without_are_told_but_do_not_count():
    output, batch = sample_tensors(make_codec("log"))
    whole, without = make()(output, batch), make(without=("transfer", "confidence"))(output, batch)
    assert set(whole) == set(without)
    left = whole["loss"] - delit_loss.TRANSFER_WEIGHT * whole["transfer"] - whole["confidence"]
    assert without["loss"].item() == pytest.approx(left.item(), rel=1e-6)
    with pytest.raises(ValueError, match="no terms called"):
        make(without=("colour",))


def test_the_transfer_term_does_not_depend_on_how_bright_the_other_light_is():
    transfer, lobes, environment, shading, mask = lit_by_lobes()
    wrong = shading.flip(-1)
    error = transfer_error(transfer, lobes, environment, wrong, mask).item()
    assert error > 0.05
    for gain in (0.01, 30.0):
        again = transfer_error(transfer, lobes, gain * environment, gain * wrong, mask).item()
        assert again == pytest.approx(error, rel=1e-5)
    # A light that is twice as bright as the shading says is an error of log 2 where shading is not dark.
    twice = transfer_error(transfer, lobes, 2 * environment, shading, mask).item()
    assert 0.55 < twice < torch.log(torch.tensor(2.0)).item()


def test_the_transfer_term_counts_the_person_only_though_the_other_terms_count_all():
    output, batch = sample_tensors(make_codec("log"))
    options = dict(lambda_physical=0, use_mask=False)
    beyond = replace(batch.other, shading=torch.where(batch.mask > 0, batch.other.shading, 1e3))
    expected = make(**options)(output, batch)["transfer"].item()
    assert make(**options)(output, replace(batch, other=beyond))["transfer"].item() == expected


@pytest.mark.parametrize("weight", [1.0, 100.0])
def test_weights_do_not_spoil_the_gradient_of_an_empty_mask_or_a_black_environment(weight):
    output, batch = sample_tensors(make_codec("dual"), rows=8)
    batch = filled(batch, 0.0, "mask", "stage.mask", "environment")
    terms = make("dual", lambda_flat=weight, lambda_env=weight, lambda_physical=weight)(output, batch)
    for leaf, gradient in gradients(terms["loss"], output).items():
        assert gradient.isfinite().all(), leaf


def test_the_display_curve_goes_on_below_black_and_above_white():
    linear = torch.linspace(0, 1, 301)
    assert torch.equal(extended_srgb(linear), linear_to_srgb(linear))
    bright = torch.tensor([-0.1, 0.0, 1.0, 4.0, 100.0], requires_grad=True)
    curve = extended_srgb(bright)
    assert curve.tolist() == pytest.approx([-1.292, 0.0, 1.0, 1.824796, 7.132631], rel=1e-6)
    assert (torch.autograd.grad(curve.sum(), bright)[0] > 0).all()


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


@pytest.mark.parametrize("env_loss", delit_loss.ENV_LOSSES)
def test_terms_are_the_same_float32_under_autocast(env_loss, lpips):
    output, batch = sample_tensors(make_codec("log"))
    loss = make(lpips=lpips, env_loss=env_loss)
    plain = loss(output, batch)
    with torch.autocast("cpu", torch.bfloat16):
        cast = loss(output, batch)
    assert all(value.dtype == torch.float32 and value.shape == () for value in cast.values())
    assert {name: value.item() for name, value in cast.items()} == {name: value.item() for name, value in plain.items()}


class NoHostAccess(TorchDispatchMode):
    """Refuses what makes the host wait for a GPU: reading a value, sizes that depend on values, new constants."""

    REFUSED = ("_local_scalar_dense", "nonzero", "masked_select", "lift_fresh", "_unique2")

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        assert func.overloadpacket.__name__ not in self.REFUSED, func
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("env_loss", delit_loss.ENV_LOSSES)
def test_the_loss_never_waits_for_a_value(codec, env_loss):
    output, batch = sample_tensors(make_codec(codec))
    loss = make(codec, env_loss=env_loss)
    loss(output, batch)  # makes the constants of the sphere
    with NoHostAccess():
        terms = loss(output, batch)
        with pytest.raises(AssertionError):
            terms["loss"].item()


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("codec", CODECS)
def test_a_few_steps_on_one_batch_lower_every_term(arch, codec):
    torch.manual_seed(0)
    model = DelitModel(DelitConfig(arch, 32, 16, 32, 32, codec))
    _, batch = sample_tensors(model.codec, size=32)
    model.start([(batch.relit, batch.environment, batch.flat_lit, batch.mask)])
    loss = make(codec)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    history = []
    for _ in range(90):
        terms = loss(model(batch.relit), batch)
        optimizer.zero_grad()
        terms["loss"].backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
        optimizer.step()
        history.append({name: value.item() for name, value in terms.items()})
    for name, value in history[-1].items():
        if name != "confidence":  # it follows an error that changes
            assert value < history[0][name], name


@pytest.mark.parametrize("codec", CODECS)
def test_the_command_prints_every_term_and_says_why_lpips_is_skipped(codec, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    assert main(["--env_codec", codec]) == 0
    printed = capsys.readouterr().out
    for name in SPHERE | ORIGINAL | COMMON - {"flat_lpips"}:
        line = next(line for line in printed.splitlines() if line.split()[:1] == [name])
        value, norm = map(float, line.split()[1:])
        assert value > 0 or name == "flat_confidence"  # the logarithm of a density
        assert norm > 0
    assert f"flat_lpips skipped: {tmp_path}" in printed
    assert main(["--lpips_weights", str(tmp_path / "absent.pth")]) == 2


def test_the_command_runs_lpips_where_weights_are(random_backbone, capsys):
    assert main(["--lpips_weights", str(random_backbone)]) == 0
    assert "\n  flat_lpips " in capsys.readouterr().out


def test_patterns_are_judged_by_their_own_error():
    """An error of 0.1 in two of four pixels: MSE 0.005."""
    difference = torch.zeros(2, 3, 2, 4)
    difference[0, :, 0, :2] = 0.1
    difference[:, :, :, 2:] = 7.0
    mask = torch.zeros(2, 1, 2, 4)
    mask[..., :2] = 1
    assert float(delit_loss.pattern_error(difference, mask)) == pytest.approx(0.5 * math.log(6) / 2, rel=1e-5)


def test_edges_cost_more_than_what_changes_slowly():
    ramp = torch.linspace(-0.1, 0.1, 16).expand(1, 3, 16, 16)
    step = 0.1 * torch.sign(ramp)
    whole = torch.ones(1, 1, 16, 16)
    errors = [float(delit_loss.edge_error(picture, whole)) for picture in (ramp, step, step.mT, 0 * step + 3)]
    assert errors[3] == 0 and errors[1] == pytest.approx(errors[2])
    # One step of 0.2 in rows of 15, 7 and 3 slopes; a ramp has the same sum, less what its ends are averaged to.
    assert errors[1] == pytest.approx(0.2 * (1 / 15 + 1 / 7 + 1 / 3) / 3, rel=1e-5)
    assert errors[0] < errors[1]
    noise = torch.randn(1, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    mask = torch.rand(1, 1, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    assert torch.autograd.gradcheck(lambda picture: delit_loss.edge_error(picture, mask), noise)
    beyond = torch.where(torch.arange(16) < 8, 1.0, 0.0).expand(1, 1, 16, 16)
    assert float(delit_loss.edge_error(step, beyond)) == pytest.approx(0, abs=1e-7)


def test_free_exposure_asks_for_flat_lit_up_to_one_factor_of_brightness():
    output, batch = sample_tensors(make_codec("log"))
    loss = DelitLoss(DelitLossOptions(flat_exposure="free"), make_codec("log"))
    terms = loss(output, batch)
    brighter = loss(output._replace(flat_lit=output.flat_lit * torch.tensor([2.0, 0.3]).view(2, 1, 1, 1)), batch)
    for name in ("flat_l1", "flat_aligned"):
        torch.testing.assert_close(brighter[name], terms[name], rtol=1e-4, atol=1e-6)
    factors = [math.log(1.3), math.log(1.3 * 2.0), math.log(1.3 * 0.3)]
    assert float(terms["flat_brightness"]) == pytest.approx(factors[0], abs=0.01)
    assert float(brighter["flat_brightness"]) == pytest.approx((factors[1] - factors[2]) / 2, abs=0.01)
    # The sample is 1.3 times its truth, which only the free one forgives; another colour neither does.
    strict = DelitLoss(DelitLossOptions(), make_codec("log"))(output, batch)
    assert "flat_brightness" not in strict and terms["flat_l1"] < 1e-5 and strict["flat_l1"] > 0.01
    tinted = output._replace(flat_lit=output.flat_lit * torch.tensor([1.2, 1.0, 0.8]).view(3, 1, 1))
    assert loss(tinted, batch)["flat_l1"] > 0.01
    with pytest.raises(ValueError, match="flat_exposure"):
        DelitLoss(DelitLossOptions(flat_exposure="none"), make_codec("log"))
