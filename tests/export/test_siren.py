import errno
import json
import os
import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch

from src.export.files import describe_sizes
from src.export.siren import export_siren
from src.models import lightmap_decoder
from src.models.compressor import CompressorConfig, LightmapCompressor, load_siren
from src.models.f2 import F2
from src.utils.cli import InputError
from src.utils.texel_grid import texel_xy

NAMES = ["latent_map.npy", "f2_state_dict.pt", "f2_ts.pt", "f2.pt2", "f2_config.json"]


@pytest.fixture
def model(trained):
    return load_siren(trained / "best.ckpt")


def test_the_latent_map_is_f1_at_every_texel(model, trained):
    latents = np.load(trained / "latent_map.npy", allow_pickle=False)
    assert latents.shape == (11, 14, 5) and latents.dtype == np.float32 and latents.flags.c_contiguous
    expected = model.f1(texel_xy(torch.arange(11 * 14), 11, 14)).detach().reshape(11, 14, 5)
    np.testing.assert_allclose(latents, expected, rtol=0, atol=1e-6)


def test_chunk_by_chunk_is_the_whole(model, tmp_path, monkeypatch):
    whole = export_siren(model, tmp_path / "whole")
    rows = []
    forward = model.f1.forward

    def record(xy):
        rows.append(len(xy))
        return forward(xy)

    monkeypatch.setattr(model.f1, "forward", record)
    monkeypatch.setattr(lightmap_decoder, "CHUNK_TEXELS", 20)
    in_chunks = export_siren(model, tmp_path / "in_chunks")
    assert rows == [20] * 7 + [14], "no more than a chunk at a time"
    assert [path.name for path in whole] == [path.name for path in in_chunks] == NAMES
    a, b = np.load(whole[0]), np.load(in_chunks[0])
    assert a.shape == b.shape
    np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)
    assert whole[1].read_bytes() == in_chunks[1].read_bytes()


def test_memory_stays_bounded_on_a_large_map(tmp_path):
    model = LightmapCompressor(CompressorConfig(1024, 1024, (0.0,), 4, 4, 1, 4, 1, 1))
    tracemalloc.start()
    latent_map = export_siren(model, tmp_path)[0]
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert latent_map.stat().st_size == 1024 * 1024 * 4 * 4 + 128
    assert peak_bytes < 4e6, "numpy never holds the 16 MB of the map"


@pytest.mark.filterwarnings("ignore:.*torch.jit")
@pytest.mark.parametrize("count", [1, 2, 3, 1000])
def test_torchscript_is_f2_for_any_number_of_texels(model, trained, count):
    script = torch.jit.load(str(trained / "f2_ts.pt"))
    generator = torch.Generator().manual_seed(count)
    z, hours = torch.randn(count, 5, generator=generator), torch.rand(count, generator=generator) * 24
    with torch.no_grad():
        torch.testing.assert_close(script(z, hours), model.f2(z, hours), rtol=0, atol=1e-6)
        torch.testing.assert_close(script(z, hours[:1]), model.f2(z, hours[:1]), rtol=0, atol=1e-6)
        assert torch.equal(script(z, torch.tensor([24.0])), script(z, torch.tensor([0.0])))


def test_the_weights_alone_rebuild_f2(model, trained):
    state = torch.load(trained / "f2_state_dict.pt", weights_only=True)
    f2 = F2.from_state_dict(state, 5)
    assert (f2.latent_dim, f2.time_harmonics, len(f2.siren.layers)) == (5, 3, 3)
    assert all(torch.equal(value, model.f2.state_dict()[name]) for name, value in f2.state_dict().items())


def test_the_description_is_enough_to_decode_without_this_project(trained, model):
    config = json.loads((trained / "f2_config.json").read_text(encoding="utf-8"))
    assert (config["height"], config["width"], config["trained_hours"]) == (11, 14, [0, 6, 12, 18])
    weights = {
        name: value.numpy() for name, value in torch.load(trained / "f2_state_dict.pt", weights_only=True).items()
    }
    latents = np.load(trained / "latent_map.npy")
    assert latents.shape == (config["height"], config["width"], config["latent_dim"])
    t, k = 5.9, np.arange(1, config["time_harmonics"] + 1)
    angles = 2 * np.pi * k * t / 24
    features = np.stack([np.sin(angles), np.cos(angles)], axis=1).ravel()
    h = np.concatenate([latents, np.broadcast_to(features, (11, 14, len(features)))], axis=-1)
    for i in range(config["layers_f2"]):
        weight, bias = weights[f"siren.layers.{i}.linear.weight"], weights[f"siren.layers.{i}.linear.bias"]
        assert weight.shape[0] == config["hidden_f2"]
        h = np.sin(config["omega_0"] * (h @ weight.T + bias))
    rgb = 1 / (1 + np.exp(-(h @ weights["siren.head.weight"].T + weights["siren.head.bias"])))
    np.testing.assert_allclose(rgb, model.decoder().render(t), rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_a_full_disk_is_one_clear_error_and_leaves_no_half_file(model, tmp_path, monkeypatch, name):
    out_dir = tmp_path / "export"
    export_siren(model, out_dir)
    before = {path.name: path.read_bytes() for path in out_dir.iterdir()}
    fsync = os.fsync

    def full(descriptor):
        if re.fullmatch(rf"\.{Path(name).stem}\.\d+\.tmp.*", Path(os.readlink(f"/proc/self/fd/{descriptor}")).name):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    if not Path("/proc/self/fd").exists():
        pytest.skip("needs the names of open files")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(InputError, match=r"export.*no space left on the disk"):
        export_siren(model, out_dir)
    monkeypatch.undo()
    assert sorted(path.name for path in out_dir.iterdir()) == sorted(NAMES)
    assert (out_dir / name).read_bytes() == before[name]


def test_sizes_are_told_beside_those_of_the_images(tmp_path):
    (tmp_path / "latent_map.npy").write_bytes(bytes(1_500_000))
    assert describe_sizes(4_000_000, 6_000_000, [tmp_path / "latent_map.npy"]) == (
        "latent_map.npy 1.5 MB for 4 MB of images (6 MB as 8-bit RGB)"
    )
    assert describe_sizes(4_000_000, 6_000_000, []) == "trained on 4 MB of images (6 MB as 8-bit RGB)"
