"""What is not finite is named and never saved."""

import pytest
import torch

from src.training import meter
from src.utils.cli import InputError
from tests.training.polynomial import Fit, Points, make, stored


class Spoilt(Points):
    """A NaN in batch 1 of epoch 2."""

    def epoch(self, epoch, start):
        for i, batch in enumerate(super().epoch(epoch, start), start):
            if (epoch, i) == (2, 1):
                batch[3] = float("nan")
            yield batch


@pytest.mark.parametrize("log_seconds", [1.0, -1.0])
def test_a_loss_that_is_not_finite_names_step_and_batch_and_keeps_the_last_good_state(
    tmp_path, monkeypatch, log_seconds
):
    monkeypatch.setattr(meter, "LOG_SECONDS", log_seconds)
    trainer = make(tmp_path, batches=Spoilt(), save_every=1)
    with pytest.raises(InputError, match=r"loss: not finite at step 11 \(batch: 8 points\).*last.ckpt still holds"):
        trainer.fit()
    last = stored(trainer)
    assert last["step"] == 10
    assert all(value.isfinite().all() for value in last["model"]["state"].values())


def test_a_bad_first_step_promises_no_checkpoint(tmp_path):
    class Bad(Points):
        def epoch(self, epoch, start):
            yield from [torch.full((8, 1), float("nan"))] * 5

    with pytest.raises(InputError, match=r"not finite at step 0 ") as stopped:
        make(tmp_path, batches=Bad()).fit()
    assert "still holds" not in str(stopped.value)
    assert not (tmp_path / "last.ckpt").exists()


def test_parameters_that_are_not_finite_are_never_saved(tmp_path):
    """A gradient that overflows shows in no loss before the next step."""

    class Overflow(Fit):
        def forward(self, batch):
            terms = super().forward(batch)
            if self.calls == 10:
                terms["loss"].register_hook(lambda grad: grad * float("inf"))
            return terms

    trainer = make(tmp_path, Overflow(), save_every=1)
    with pytest.raises(InputError, match=r"model: its parameters are not finite after step 9.*last.ckpt still holds"):
        trainer.fit()
    assert stored(trainer)["step"] == 5
