import errno
import io
import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from src.utils import checkpoint
from src.utils.cli import InputError

CONTENT = {"model": {"w": torch.arange(6.0).reshape(2, 3)}, "step": 7, "names": ["a", "b"], "score": 1.5, "none": None}


@pytest.fixture
def path(tmp_path):
    checkpoint.write(tmp_path / "last.ckpt", "lightmap", CONTENT)
    return tmp_path / "last.ckpt"


def test_round_trip(path):
    content = checkpoint.read(path, "lightmap")
    assert torch.equal(content["model"]["w"], CONTENT["model"]["w"])
    assert {key: content[key] for key in ("step", "names", "score", "none")} == {
        key: CONTENT[key] for key in ("step", "names", "score", "none")
    }
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


@pytest.mark.parametrize("values", [6, 2000])
def test_every_truncation_is_one_clear_error(tmp_path, values):
    path = tmp_path / "last.ckpt"
    checkpoint.write(path, "lightmap", {"model": {"w": torch.arange(float(values)), "b": torch.zeros(3)}})
    whole = path.read_bytes()
    lengths = {*range(0, len(whole), 37), len(whole) // 2, len(whole) - 1, len(whole) - 22}
    for length in lengths:
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"last.ckpt: cannot be read as a checkpoint"):
            checkpoint.read(path, "lightmap")
        with pytest.raises(InputError, match=r"last.ckpt: cannot be read as a checkpoint"):
            checkpoint.read_weights(path)


class Hostile:
    """Makes a file on being unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return Path.touch, (self.mark,)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("is_zip", [True, False])
def test_a_hostile_pickle_is_refused_and_runs_nothing(tmp_path, is_zip):
    mark = tmp_path / "executed"
    content = {"format": checkpoint.FORMAT, "version": 1, "kind": "lightmap", "model": Hostile(mark)}
    torch.save(content, tmp_path / "bad.ckpt", _use_new_zipfile_serialization=is_zip)
    for read in (lambda path: checkpoint.read(path, "lightmap"), checkpoint.read_weights):
        with pytest.raises(InputError, match=r"bad.ckpt: cannot be read as a checkpoint"):
            read(tmp_path / "bad.ckpt")
    (tmp_path / "bad.ckpt").write_bytes(pickle.dumps(content))
    with pytest.raises(InputError, match=r"bad.ckpt: cannot be read as a checkpoint"):
        checkpoint.read(tmp_path / "bad.ckpt", "lightmap")
    assert not mark.exists()


def test_other_files_are_named_with_the_reason(path, tmp_path):
    with pytest.raises(InputError, match=r"a checkpoint of kind 'lightmap', expected 'delit'"):
        checkpoint.read(path, "delit")
    with pytest.raises(InputError, match=r"none.ckpt: no such file"):
        checkpoint.read(tmp_path / "none.ckpt", "lightmap")
    with pytest.raises(InputError, match=r"no such file"):
        checkpoint.read(tmp_path, "lightmap")
    checkpoint.write_tensors(tmp_path / "weights.pt", {"w": torch.zeros(3)})
    with pytest.raises(InputError, match=r"weights.pt: not a checkpoint of this project"):
        checkpoint.read(tmp_path / "weights.pt", "lightmap")
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(InputError, match=r"list.pt: not a checkpoint of this project"):
        checkpoint.read(tmp_path / "list.pt", "lightmap")
    checkpoint.write_tensors(path, {**checkpoint.read(path, "lightmap"), "version": 99})
    with pytest.raises(InputError, match=r"version 99, this code reads 1"):
        checkpoint.read(path, "lightmap")
    (tmp_path / "text.ckpt").write_text("hello")
    with pytest.raises(InputError, match=r"text.ckpt: cannot be read"):
        checkpoint.read(tmp_path / "text.ckpt", "lightmap")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("a/constants.pkl", b"nothing")
    with pytest.raises(InputError, match=r"other.zip: cannot be read as TorchScript"):
        checkpoint.read_weights(tmp_path / "other.zip")


@pytest.mark.filterwarnings("ignore:.*torch.jit")
def test_weights_of_a_torchscript_file_and_of_a_state_dict_are_the_same(tmp_path):
    linear = torch.nn.Linear(3, 2)
    checkpoint.write_tensors(tmp_path / "w.pt", linear.state_dict())
    torch.jit.trace(linear, torch.zeros(1, 3)).save(str(tmp_path / "ts.pt"))
    for name in ("w.pt", "ts.pt"):
        weights = checkpoint.read_weights(tmp_path / name)
        assert set(weights) == {"weight", "bias"}
        assert all(torch.equal(weights[key], value) for key, value in linear.state_dict().items())
    torch.save({"a": "text"}, tmp_path / "text.pt")
    with pytest.raises(InputError, match=r"text.pt: not a state dict of tensors"):
        checkpoint.read_weights(tmp_path / "text.pt")


@pytest.mark.parametrize(("where", "at"), [("write", 0), ("write", 200), ("write", 900), ("fsync", 0), ("replace", 0)])
def test_a_full_disk_leaves_the_previous_checkpoint_and_no_other_file(path, monkeypatch, where, at):
    def full(*_args):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    class FullFile(io.BytesIO):
        written = 0

        def write(self, data):
            self.written += len(data)
            return len(data) if self.written < at else full()

    before = path.read_bytes()
    if where == "write":
        monkeypatch.setattr(checkpoint, "open", lambda *_: FullFile(), raising=False)
    else:
        monkeypatch.setattr(os, where, full)
    with pytest.raises(InputError, match=r"last.ckpt: no space left on the disk: free some space"):
        checkpoint.write(path, "lightmap", {"step": 8})
    monkeypatch.undo()
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]
    assert path.read_bytes() == before


def test_a_model_is_what_was_stored_or_one_clear_error(path):
    def build(stored: dict) -> torch.nn.Linear:
        return torch.nn.Linear(*stored["config"])

    layer = torch.nn.Linear(3, 2)
    stored = {"config": [3, 2], "state": layer.state_dict()}
    checkpoint.write(path, "layer", {"model": stored})
    read = checkpoint.read_model(path, "layer", build)
    assert not read.training and torch.equal(read.weight, layer.weight) and torch.equal(read.bias, layer.bias)
    for model in ({**stored, "config": [2, 3]}, {**stored, "config": ["many", 2]}, {"config": [3, 2]}, {}, None):
        checkpoint.write(path, "layer", {"model": model})
        with pytest.raises(InputError, match="its model does not fit this code: give a checkpoint of this version"):
            checkpoint.read_model(path, "layer", build)
    with pytest.raises(InputError, match="of kind 'layer', expected 'other'"):
        checkpoint.read_model(path, "other", build)


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_a_flipped_bit_is_no_other_weight(tmp_path, share):
    """Of a checkpoint, of a state dict and of a TorchScript file."""
    layer = torch.nn.Linear(50, 50)
    stored = layer.weight.detach().numpy().tobytes()
    checkpoint.write(tmp_path / "a.ckpt", "lightmap", layer.state_dict())
    checkpoint.write_tensors(tmp_path / "b.pt", layer.state_dict())
    torch.jit.trace(layer, torch.zeros(1, 50)).save(str(tmp_path / "c.pt"))
    for path in tmp_path.iterdir():
        content = bytearray(path.read_bytes())
        content[content.index(stored) + round(share * (len(stored) - 1))] ^= 1
        path.write_bytes(content)
        with pytest.raises(InputError, match="damaged"):
            checkpoint.read(path, "lightmap") if path.suffix == ".ckpt" else checkpoint.read_weights(path)
