"""The term of transfer and lobes: the shading that they give under another light."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from src.losses.delit_loss import transfer_error
from src.losses.delit_loss_check import sample_tensors
from src.utils.hdr_codec import make_codec
from tests.losses.delit_loss.terms import (
    make,
)


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
