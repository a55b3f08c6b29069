"""Delighting checkpoints that earlier versions wrote load and give what they gave then.

``stored/delit_ARCH.pth.gz`` has base width 8, 8 x 16 environments and rounded random weights; ``stored/delit_ARCH.npz``
is what it answered to :func:`picture`. The transfer is that of every sixth lobe for the picture's upper left 16 x 32.
"""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from src.models.delit_model import ARCHITECTURES, DelitModel, load

STORED = Path(__file__).parent / "stored"
# Sums of convolutions are added up in another order on other processors.
TOLERANCE = {"rtol": 2e-5, "atol": 2e-6}


def picture() -> torch.Tensor:
    y, x = torch.meshgrid(torch.arange(24.0), torch.arange(40.0), indexing="ij")
    planes = [0.4 + 0.3 * torch.sin(x / (5 + c) + c) * torch.cos(y / (7 - c)) for c in range(3)]
    return torch.stack(planes)[None]


def stored_model(arch: str, folder: Path) -> DelitModel:
    path = folder / f"{arch}.pth"
    path.write_bytes(gzip.decompress((STORED / f"delit_{arch}.pth.gz").read_bytes()))
    return load(path)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_stored_models_give_what_they_gave(arch, tmp_path):
    model = stored_model(arch, tmp_path)
    output = model(picture())
    found = output._asdict() | {"environment": model.environment(output)}
    with np.load(STORED / f"delit_{arch}.npz") as stored:
        expected = dict(stored)
    transfer = expected.pop("transfer", None)
    assert {"flat_lit", "environment_code", "environment", "exposure"} <= expected.keys()
    for name, values in expected.items():
        np.testing.assert_allclose(found[name].numpy(), values, **TOLERANCE, err_msg=name)
    if transfer is not None:
        again = model(picture()[..., :16, :32]).transfer[:, ::6]
        np.testing.assert_allclose(again.numpy(), transfer, **TOLERANCE)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_model_is_stored_with_every_number_that_it_was_loaded_with(arch, tmp_path):
    model = stored_model(arch, tmp_path)
    raw = torch.load(tmp_path / f"{arch}.pth", weights_only=True)["model"]
    again = DelitModel(model.config)
    again.load_state_dict(model.state_dict())
    state = again.state_dict()
    assert list(state) == list(raw["state"])
    assert all(torch.equal(state[name], value) for name, value in raw["state"].items())
    assert {name: getattr(model.config, name) for name in raw["config"]} == raw["config"]
