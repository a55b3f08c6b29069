"""Which terms there are, how they are weighted, and how they are computed."""

from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from src.losses import delit_loss
from src.losses.delit_loss_check import sample_tensors
from src.models.delit_model import ARCHITECTURES, DelitConfig, DelitModel
from src.utils.hdr_codec import CODECS, make_codec
from tests.losses.delit_loss.terms import (
    COMMON,
    ORIGINAL,
    PICTURE,
    SPHERE,
    make,
)


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


def test_terms_to_do_without_are_told_but_do_not_count():
    output, batch = sample_tensors(make_codec("log"))
    whole, without = make()(output, batch), make(without=("transfer", "confidence"))(output, batch)
    assert set(whole) == set(without)
    left = whole["loss"] - delit_loss.TRANSFER_WEIGHT * whole["transfer"] - whole["confidence"]
    assert without["loss"].item() == pytest.approx(left.item(), rel=1e-6)
    with pytest.raises(ValueError, match="no terms called"):
        make(without=("colour",))


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
