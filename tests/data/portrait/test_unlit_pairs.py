"""Pairs whose environment is unknown: found, split, batched, and silent about light in the loss and the figures."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from src.data.portrait.check import main as check
from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.layout import choose_pairs, find_pairs
from src.data.portrait.pair_batch import PairBatch, concatenate
from src.data.stage.olat import LightCells
from src.evaluation.delit.methods import mean_environment_methods, model_method
from src.evaluation.delit.quality import measure_methods
from src.losses.delit_loss import ENVIRONMENT_TERMS, DelitLoss, DelitLossOptions
from src.losses.delit_loss_check import sample_tensors
from src.utils.cli import InputError
from src.utils.hdr_codec import make_codec
from src.utils.sphere import fibonacci_sphere
from tests.inference.models import tiny_model
from tests.tiny_stage import write_set, write_stage

SIZES = {"image_size": 16, "env_height": 16, "env_width": 32}


@pytest.fixture(scope="module")
def prepared(tmp_path_factory) -> Path:
    """Four subjects under two environments; of the last two the light is unknown."""
    root = write_stage(tmp_path_factory.mktemp("stage"), subjects=4, environments=2)
    write_set(root)
    for name in ("ID003", "ID004"):
        for path in (root / "set" / "subjects" / name / "relit").iterdir():
            path.rename(path.with_stem(f"stage_{path.stem}"))
    return root / "set"


@pytest.fixture
def own(prepared, tmp_path) -> Path:
    return Path(shutil.copytree(prepared, tmp_path / "set"))


def batch_of(prepared: Path) -> PairBatch:
    """ID002 under a known light between two pairs without."""
    dataset = DelitDataset(find_pairs(prepared), **SIZES, use_augmentation=True)
    return concatenate([dataset[index] for index in (4, 3, 7)])


def test_subjects_without_environments_are_found_and_stay_on_their_side(prepared):
    pairs = find_pairs(prepared)
    assert [pair.environment is None for pair in pairs] == [False] * 4 + [True] * 4
    assert len(pairs[4].files()) == 3 and all(path.is_file() for pair in pairs for path in pair.files())
    names = {
        side: [pair.name for pair in choose_pairs(prepared, side, ["ID002", "ID004"], ["env_001"])]
        for side in ("train", "val")
    }
    assert names["train"] == ["ID001/env_002", "ID003/stage_env_001", "ID003/stage_env_002"]
    assert names["val"] == ["ID002/env_001", "ID004/stage_env_001", "ID004/stage_env_002"]


def test_a_set_without_any_environment_is_split_by_subjects(own):
    shutil.rmtree(own / "env_maps")
    (own / "splits.json").unlink()
    assert len(find_pairs(own)) == 8
    assert {pair.subject for pair in choose_pairs(own, "val", ["2"])} < {pair.subject for pair in find_pairs(own)}
    assert len(choose_pairs(own, "val", ["2"])) == 4
    with pytest.raises(InputError, match="--val_envs"):
        choose_pairs(own, "val", None, ["1"])
    assert mean_environment_methods(DelitDataset(find_pairs(own), **SIZES)) == []


def test_one_picture_without_its_map_is_still_a_mistake(own):
    relit = own / "subjects" / "ID001" / "relit" / "env_001.exr"
    relit.rename(relit.with_stem("env_0001"))
    with pytest.raises(InputError, match="env_0001"):
        find_pairs(own)


def test_the_check_counts_them_and_draws_the_sheet(own, capsys):
    assert check([str(own)]) == 0
    printed = capsys.readouterr().out
    assert "4 pairs of subjects without environments" in printed and "no problems" in printed
    shutil.rmtree(own / "env_maps")
    (own / "splits.json").unlink()
    assert check([str(own)]) == 0


def test_batches_say_which_environments_are_known(prepared):
    batch = batch_of(prepared)
    assert batch.has_environment.tolist() == [False, True, False]
    assert [bool(planes.any()) for planes in batch.environment] == [False, True, False]
    known = batch.known()
    assert known.name == ["ID002/env_002"] and known.has_environment is None
    assert batch.select([0, 2]).known() is None and batch.select([1]).known() is not None
    plain = DelitDataset(find_pairs(prepared), **SIZES)
    assert concatenate([plain[0], plain[1]]).has_environment is None


def test_the_loss_on_light_is_that_of_the_known_pairs():
    """Pairs without an environment count in the flat-lit terms and nowhere else."""
    output, batch = sample_tensors(make_codec("log"))
    loss = DelitLoss(DelitLossOptions(lambda_physical=1.0), make_codec("log"))
    marked = replace(batch, has_environment=torch.tensor([False, True]))
    alone = type(output)(*(value[1:] if value is not None and len(value) == 2 else value for value in output))
    of_second = loss(alone, replace(batch.select([1]), stage=batch.stage.select(torch.tensor([1]))))
    terms = loss(output, marked)
    whole = loss(output, batch)
    for name in ("env_log", "env_chroma", "env_multiscale", "env_sh", "confidence", "physical"):
        torch.testing.assert_close(terms[name], of_second[name])
        assert not torch.isclose(terms[name], whole[name])
    for name in ("flat_l1", "flat_aligned", "mask", "transfer"):
        assert torch.equal(terms[name], whole[name])
    (gradient,) = torch.autograd.grad(terms["loss"], output.environment_code)
    assert not gradient[0].any() and gradient[1].any()


def test_without_any_known_environment_light_costs_nothing_but_has_a_gradient():
    """One of 0, for processes that have to agree on which parameters have one."""
    output, batch = sample_tensors(make_codec("log"))
    loss = DelitLoss(DelitLossOptions(lambda_physical=1.0), make_codec("log"))
    terms = loss(output, replace(batch, stage=None, has_environment=torch.zeros(2, dtype=torch.bool)))
    assert all(terms[name] == 0 for name in ENVIRONMENT_TERMS & terms.keys()) and terms["flat_l1"] > 0
    gradients = torch.autograd.grad(terms["loss"], [output.environment_code, output.confidence])
    assert not any(gradient.any() for gradient in gradients)


def test_figures_of_light_leave_them_out(prepared):
    pairs = find_pairs(prepared)
    dataset = DelitDataset(pairs, **SIZES)
    methods = [model_method("model", tiny_model()), *mean_environment_methods(dataset)]
    cells = LightCells(fibonacci_sphere(12))
    rows = measure_methods(methods, dataset, cells)
    (alone, *_) = measure_methods(methods, DelitDataset(pairs[:4], **SIZES), cells)
    assert all("srgb_psnr_db" in pair.values for pair in rows[0].pairs)
    for figure in ("diffuse_angular_deg", "peak_angle_deg", "c_l_relative_l2"):
        assert [figure in pair.values for pair in rows[0].pairs] == [True] * 4 + [False] * 4
        assert rows[0].mean(figure) == pytest.approx(alone.mean(figure))
    assert [len(row.pairs[7].values) for row in rows[1:]] == [0, 0]
