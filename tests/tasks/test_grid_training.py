import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from src.models.grid.latent_grid import load, load_grid
from src.tasks.grid_task import FREEZE_AT
from src.tasks.grid_training import grid_size, train_grid
from src.tasks.lightmap_options import GridOptions
from src.training.distributed import processes
from src.training.trainer import LAST, Trainer
from src.utils import checkpoint
from src.utils.cli import InputError
from tests.lightmap_example import HOURS, example_dataset, example_frames

OPTIONS = GridOptions(bpp=4.5, seed=3, epochs=10, save_every=5)


def psnr_db(frames: np.ndarray) -> np.ndarray:
    truth, mask = example_frames()
    errors = np.square(frames - truth)[:, mask].mean(axis=(1, 2))
    return 10 * np.log10(truth.max(axis=(1, 2, 3)) ** 2 / errors)


def train(out_dir: Path, options: GridOptions = OPTIONS) -> Path:
    with processes("cpu") as group:
        return train_grid(
            example_dataset(), out_dir, options, group, {"arguments": {"epochs": options.epochs}, "data": {}}
        )


def test_training_passes_its_closed_form_start(tmp_path: Path) -> None:
    start = train(tmp_path / "start", replace(OPTIONS, epochs=1))
    decoder = load(train(tmp_path / "run", replace(OPTIONS, epochs=60, save_every=30)))
    before, after = psnr_db(load(start).render(list(HOURS))), psnr_db(decoder.render(list(HOURS)))
    unfinished = before < 60.0  # without a sun there is nothing left to learn
    assert after[unfinished].mean() > max(before[unfinished].mean() + 0.5, 56.5)  # 57.1; the start, all but there, 56.1
    assert after.min() > before.min()
    assert decoder.bpp_memory() <= 4.5
    assert decoder.config.events == (6.0, 18.0)


@pytest.mark.parametrize("latent_bits", [4, 8])
def test_a_budget_that_is_too_small_says_how_much_would_do(latent_bits: int) -> None:
    data, options = example_dataset(), GridOptions(bpp=0.01, latent_bits=latent_bits)
    with pytest.raises(InputError, match=r"--bpp: 0\.01 is less than one channel takes: give [0-9.]+ or more") as error:
        grid_size(data, options)
    enough = float(re.search(r"give ([0-9.]+) or more", str(error.value))[1])
    assert grid_size(data, replace(options, bpp=enough)).config.latent_dim == 1
    with pytest.raises(InputError):
        grid_size(data, replace(options, bpp=0.99 * enough))


def test_latents_end_where_their_stored_values_are(tmp_path: Path) -> None:
    model = load_grid(train(tmp_path))
    before = model.latents.clone()
    model.round_latents()
    assert torch.equal(before, model.latents)


@pytest.mark.parametrize("share", [0.4, FREEZE_AT + 0.05])
def test_an_interrupted_run_ends_bit_for_bit_as_an_uninterrupted_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    train(tmp_path / "whole")
    step = Trainer._train_step

    def interrupt(trainer: Trainer, stream: object) -> None:
        step(trainer, stream)
        trainer._stop.requested = trainer.step == int(share * trainer._schedule.total_steps)

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "_train_step", interrupt)
        with pytest.raises(KeyboardInterrupt):
            train(tmp_path / "parts")
    train(tmp_path / "parts")
    whole, parts = (checkpoint.read(tmp_path / name / f"{LAST}.ckpt", "lightmap-grid") for name in ("whole", "parts"))
    for name, value in whole["model"]["state"].items():
        assert torch.equal(value, parts["model"]["state"][name]), name


def test_a_checkpoint_of_another_kind_is_refused(tmp_path: Path) -> None:
    checkpoint.write(tmp_path / "other.ckpt", "lightmap", {})
    with pytest.raises(InputError, match="kind"):
        load(tmp_path / "other.ckpt")
