"""The defaults, and wrong input: one line that names it."""

import json
import shutil
from pathlib import Path
from unittest import mock
from urllib.error import URLError

import pytest
import torch

import train_delit as script
from src.data.portrait.layout import choose_pairs
from src.utils.metrics import LPIPS_BACKBONES
from tests.tiny_runs import one_error_line
from tests.train_delit.command import LATEST, arguments


def test_the_flags_know_the_ideas_of_model_and_loss():
    from src.losses.delit_loss import DelitLoss, DelitLossOptions
    from src.models.delit.attention import IDEAS
    from src.utils.hdr_codec import make_codec

    terms = DelitLoss(DelitLossOptions(without=("confidence", "transfer")), make_codec("log")).weights
    assert (
        set(script.IDEAS) == {*IDEAS, "confidence", "transfer", "flat_confidence"}
        and terms["confidence"] == terms["transfer"] == 0
    )


def test_without_flags_the_defaults_are_the_documented_ones():
    chosen = script.parse_arguments(["--data_root", "x/y"])
    expected = {"image_size": 512, "env_height": 128, "env_width": 256, "base_dim": 64, "log_scale": 10.0}
    expected |= {"lambda_flat": 1.0, "lambda_env": 1.0, "batch_size": 4, "num_epochs": 100, "learning_rate": 1e-4}
    expected |= {"weight_decay": 1e-4, "num_workers": 4, "use_mask": False, "use_augmentation": False, "resume": "auto"}
    assert {name: getattr(chosen, name) for name in expected} == expected
    assert chosen.output_dir == Path("runs") / "delit_y" and chosen.lambda_flat_lpips == 0.0
    olats = script.parse_arguments(["--data_root", "x", "--olat_root", "y"])
    assert olats.env_dir == Path("x/env_maps")


def flags(*words: str, **given):
    def change(_stage):
        return given, words

    change.__name__ = "_".join(f"{name}={value}" for name, value in given.items())
    return change


def no_such_folder(stage):
    return {"data_root": stage / "nowhere"}, ("nowhere", "no such folder")


def no_pairs_to_validate_with(stage):
    splits = json.loads((stage / "set" / "splits.json").read_text())
    splits["val"]["subjects"] = []
    (stage / "set" / "splits.json").write_text(json.dumps(splits))
    return {}, ("set", "holds no pairs for val", "splits.json")


def unknown_subject(_stage):
    return {"val_subjects": ["ID999"]}, ("--val_subjects", "ID999")


def all_environments_held_out(_stage):
    return {"val_envs": ["env_001", "env_002", "env_003", "env_004"]}, ("--val_envs", "leaves none to train on")


def subjects_without_masks(stage):
    for path in (stage / "set" / "subjects").glob("*/mask.png"):
        path.unlink()
    return {"relight": True}, ("ID001", "mask.png: no such file")


def no_lights(stage):
    (stage / "olat" / "lights.json").unlink()
    return {"relight": True, "lights": stage / "olat" / "lights.json"}, ("lights.json", "no such file")


def too_few_olats(stage):
    (stage / "olat" / "ID001" / "003.exr").unlink()
    return {"relight": True}, ("ID001", "has no 003.exr")


def olats_of_other_people(stage):
    for name in ("ID001", "ID002", "ID003", "ID004"):
        (stage / "olat" / name).rename(stage / "olat" / f"other_{name}")
        shutil.copytree(stage / "set" / "subjects" / name, stage / "set" / "subjects" / f"other_{name}")
        shutil.rmtree(stage / "set" / "subjects" / f"other_{name}" / "relit")
    return {"relight": True}, ("--olat_root", "no captures to train on")


def environments_elsewhere(stage):
    (stage / "empty").mkdir()
    return {"relight": True, "env_dir": stage / "empty"}, ("empty",)


def broken_picture(stage):
    pair = choose_pairs(stage / "set", "train")[0]
    pair.relit.write_bytes(b"nonsense")
    return {"num_workers": 1}, (pair.relit.name,)


def no_checkpoint(stage):
    return {"resume": stage / "lost.pth"}, ("lost.pth", "no such file")


def no_pretrained(stage):
    return {"pretrained": stage / "lost.pth"}, ("lost.pth", "no such file")


def no_perceptual_weights(_stage):
    return {"use_lpips": True}, (LPIPS_BACKBONES["alex"], "no network", "--lpips_weights")


BAD_INPUTS = [
    flags("--data_root", "python prepare_olat.py --synthetic 12 --out_root runs/stage", data_root=None),
    flags("--lambda_physical", "--olat_root", lambda_physical=0.1),
    flags("--base_dim", "48", base_dim=48),
    flags("--ema", "1 is not below 1", ema=1),
    flags("--ema", ema=-0.1),
    flags("--arch", "unet", arch="unet"),
    flags("--batch_size", batch_size=0),
    flags("--learning_rate", learning_rate="nan"),
    flags("--lambda_env", lambda_env=-1),
    flags("--time_budget", time_budget=0),
    flags("--accumulate_steps", "4 batches per step, but an epoch has 3", accumulate_steps=4),
    flags("--device", "no CUDA device", device="cuda"),
    no_such_folder,
    no_pairs_to_validate_with,
    unknown_subject,
    all_environments_held_out,
    subjects_without_masks,
    no_lights,
    too_few_olats,
    olats_of_other_people,
    environments_elsewhere,
    broken_picture,
    no_checkpoint,
    no_pretrained,
    no_perceptual_weights,
]


@pytest.mark.parametrize("change", BAD_INPUTS, ids=lambda change: change.__name__)
def test_wrong_input_is_one_line_that_names_it(own_stage, tmp_path, monkeypatch, capsys, change):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", mock.Mock(side_effect=URLError("no network")))
    given, words = change(own_stage)
    assert script.main(arguments(own_stage, tmp_path / "run", **given)) == 2
    line = one_error_line(capsys.readouterr().err)
    for word in words:
        assert word in line
    assert not (tmp_path / "run" / LATEST).exists()
