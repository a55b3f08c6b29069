import threading
import tracemalloc

import numpy as np
import pytest
import torch
from torch import nn

from src.models import lightmap_decoder, siren_decoder
from src.models.compressor import CHECKPOINT_KIND, CompressorConfig, LightmapCompressor, load, load_exported, load_siren
from src.models.f2 import F2
from src.models.lightmap_decoder import CHUNK_TEXELS
from src.utils import checkpoint
from src.utils.cli import InputError
from src.utils.texel_grid import texel_xy
from src.utils.time_encoding import time_features

HOURS = [0.0, 5.9, 12.0, 18.25, 24.0]


@pytest.fixture
def decoder(trained):
    return load(trained / "best.ckpt")


@pytest.mark.parametrize(("layers", "harmonics"), [(1, 1), (2, 4), (4, 2)])
def test_f2_computes_the_formula(layers, harmonics):
    torch.manual_seed(0)
    f2 = F2(6, 16, layers, harmonics)
    z, hours = torch.randn(7, 6), torch.rand(7) * 24
    h = torch.cat((z, time_features(hours, harmonics)), dim=-1)
    for layer in f2.siren.layers:
        h = torch.sin(30.0 * (h @ layer.linear.weight.T + layer.linear.bias))
    expected = 1 / (1 + torch.exp(-(h @ f2.siren.head.weight.T + f2.siren.head.bias)))
    torch.testing.assert_close(f2(z, hours), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("layers", [1, 3])
def test_outer_is_forward_for_every_pair_with_equal_gradients(layers):
    torch.manual_seed(0)
    f2 = F2(6, 16, layers, 2)
    z, hours = torch.randn(9, 6), torch.rand(5) * 24
    gradients = []
    for values in (f2.outer(z, hours).flatten(0, 1), f2(z.repeat_interleave(5, 0), hours.repeat(9))):
        f2.zero_grad()
        values.square().sum().backward()
        gradients.append([values.detach(), *(parameter.grad.clone() for parameter in f2.parameters())])
    for outer, forward in zip(*gradients, strict=True):
        torch.testing.assert_close(outer, forward, rtol=1e-4, atol=1e-5)


def test_compressor_is_f2_after_f1():
    torch.manual_seed(0)
    model = LightmapCompressor(CompressorConfig(4, 5, (0.0, 6.0), 6, 8, 2, 16, 3, 2))
    xy, hours = torch.rand(7, 2) * 2 - 1, torch.tensor([0.0, 6.0, 13.0])
    every = model(xy, hours)
    assert every.shape == (7, 3, 3)
    for t, hour in enumerate(hours):
        torch.testing.assert_close(every[:, t], model.f2(model.f1(xy), hour.reshape(1)), rtol=0, atol=1e-6)


def test_render_decode_and_the_plain_network_agree(decoder, trained):
    model = load_siren(trained / "best.ckpt")
    xy = texel_xy(torch.arange(11 * 14), 11, 14)
    for hour in HOURS:
        frame = decoder.render(hour)
        assert frame.shape == (11, 14, 3) and frame.dtype == np.float32
        single = decoder.decode(xy, hour)
        plain = model.f2(model.f1(xy), torch.tensor([hour])).detach()
        np.testing.assert_allclose(single.reshape(11, 14, 3), frame, rtol=0, atol=1e-6)
        np.testing.assert_allclose(plain.reshape(11, 14, 3), frame, rtol=0, atol=1e-6)


def test_decode_takes_an_hour_for_each_texel_in_any_number(decoder, monkeypatch):
    generator = torch.Generator().manual_seed(0)
    xy = torch.rand(50, 2, generator=generator) * 2 - 1
    hours = torch.rand(50, generator=generator) * 24
    whole = decoder.decode(xy, hours)
    for i in (0, 17, 49):
        torch.testing.assert_close(decoder.decode(xy[i : i + 1], float(hours[i])), whole[i : i + 1], rtol=0, atol=1e-6)
    monkeypatch.setattr(lightmap_decoder, "CHUNK_TEXELS", 7)
    torch.testing.assert_close(decoder.decode(xy, hours), whole, rtol=0, atol=1e-6)
    assert decoder.decode(torch.zeros(0, 2), 12).shape == (0, 3)
    assert decoder.decode([[0.0, 0.0]], 12).shape == (1, 3)


@pytest.mark.parametrize("hidden", [12, 64])
def test_a_frame_is_bit_for_bit_the_same_whatever_else_is_asked_for(decoder, hidden, monkeypatch):
    if hidden == 64:
        torch.manual_seed(0)
        decoder = LightmapCompressor(CompressorConfig(90, 100, (0.0,))).decoder()
    hours = [k * 0.7 for k in range(33)]
    alone = [decoder.render(hour) for hour in hours]
    for count in (2, 5, 8, 33):
        several = decoder.render(hours[:count])
        for frame, expected in zip(several, alone, strict=False):
            assert np.array_equal(frame, expected)
    monkeypatch.setattr(siren_decoder, "RENDER_BYTES", 3 * decoder.height * decoder.width * 12)
    assert np.array_equal(decoder.render(hours[:8]), np.stack(alone[:8])), "in groups of three"


def test_hour_24_is_hour_0(decoder):
    assert np.array_equal(decoder.render(24), decoder.render(0))
    assert np.array_equal(decoder.render(24.0 * 3 + 6), decoder.render(6))
    xy = torch.rand(20, 2)
    assert torch.equal(decoder.decode(xy, 24.0), decoder.decode(xy, 0.0))


@pytest.mark.parametrize("weights", ["f2_state_dict.pt", "f2_ts.pt"])
def test_exported_files_decode_bit_for_bit_as_the_checkpoint(decoder, trained, weights):
    exported = load_exported(trained / "latent_map.npy", trained / weights)
    assert (exported.height, exported.width) == (11, 14)
    assert np.array_equal(exported.render(HOURS), decoder.render(HOURS))
    xy = texel_xy(torch.tensor([0, 20, 153]), 11, 14)
    torch.testing.assert_close(exported.decode(xy, 5.9), decoder.decode(xy, 5.9), rtol=0, atol=1e-6)


def test_a_latent_map_answers_for_the_whole_texel_around_a_point(trained):
    exported = load_exported(trained / "latent_map.npy", trained / "f2_state_dict.pt")
    centre = texel_xy(torch.tensor([31]), 11, 14)
    nearby = centre + torch.tensor([[0.9 / 14, -0.9 / 11]])
    assert torch.equal(exported.decode(nearby, 3), exported.decode(centre, 3))


def test_memory_of_rendering_and_decoding_is_bounded_by_the_chunk():
    model = LightmapCompressor(CompressorConfig(512, 512, (0.0,), 8, 8, 2, 8, 2, 1))
    decoder = model.decoder()
    seen = []
    original = decoder.latents.texels

    def texels(first, stop):
        seen.append(stop - first)
        return original(first, stop)

    decoder.latents.texels = texels
    tracemalloc.start()
    frame = decoder.render(6.0)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert max(seen) <= CHUNK_TEXELS and sum(seen) == 512 * 512
    assert peak_bytes < 2.5 * frame.nbytes, "numpy holds the frame, and no second copy of the map"


def test_config_survives_the_checkpoint(trained):
    model = load_siren(trained / "best.ckpt")
    config = model.config
    assert (config.latent_dim, config.hidden_f1, config.layers_f1) == (5, 9, 2)
    assert (config.hidden_f2, config.layers_f2, config.time_harmonics) == (12, 3, 3)
    assert (config.height, config.width, config.hours) == (11, 14, (0.0, 6.0, 12.0, 18.0))
    assert CompressorConfig.from_dict(config.to_dict()) == config
    assert not model.training


def write_npy(path, array):
    np.save(path, array)
    return path


def test_latent_maps_that_do_not_fit_f2(trained, tmp_path):
    f2 = trained / "f2_state_dict.pt"
    latents = np.load(trained / "latent_map.npy")
    assert latents.shape[-1] == 5
    for channels in (1, 3, 4, 6, 7, 9, 11, 12, 40):
        other = write_npy(tmp_path / "other.npy", np.zeros((4, 4, channels), np.float32))
        for weights in (f2, trained / "f2_ts.pt"):
            with pytest.raises(InputError, match=rf"other.npy with .*{weights.name}.*{channels} channels.*5"):
                load_exported(other, weights)


@pytest.mark.parametrize(
    ("array", "problem"),
    [
        (np.zeros((4, 5), np.float32), r"shape \(4, 5\)"),
        (np.zeros((4, 4, 5), np.float64), "float64"),
        (np.zeros((4, 4, 5), np.uint8), "uint8"),
        (np.zeros((0, 4, 5), np.float32), "shape"),
        (np.array([{"a": 1}], dtype=object), "not a readable .npy file"),
    ],
)
def test_arrays_that_are_no_latent_map(trained, tmp_path, array, problem):
    with pytest.raises(InputError, match=f"other.npy.*{problem}"):
        load_exported(write_npy(tmp_path / "other.npy", array), trained / "f2_state_dict.pt")


def test_files_that_are_no_latent_map(trained, tmp_path):
    whole = (trained / "latent_map.npy").read_bytes()
    other = tmp_path / "other.npy"
    for length in (0, 3, 6, 9, 40, 100, 127, 128, len(whole) - 1):
        other.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"other.npy"):
            load_exported(other, trained / "f2_state_dict.pt")
    with pytest.raises(InputError, match=r"f2_state_dict.pt"):
        load_exported(trained / "f2_state_dict.pt", trained / "latent_map.npy")
    np.savez(tmp_path / "several.npz", a=np.zeros(3))
    with pytest.raises(InputError, match=r"several.npz"):
        load_exported(tmp_path / "several.npz", trained / "f2_state_dict.pt")


def test_files_that_are_no_f2(trained, tmp_path):
    latents = trained / "latent_map.npy"
    for name in ("best.ckpt", "latent_map.npy", "f2_config.json"):
        with pytest.raises(InputError, match=name):
            load_exported(latents, trained / name)
    checkpoint.write_tensors(tmp_path / "other.pt", nn.Linear(3, 3).state_dict())
    with pytest.raises(InputError, match=r"other.pt.*does not hold the weights of an F2"):
        load_exported(latents, tmp_path / "other.pt")


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
def test_checkpoints_whose_model_cannot_be_rebuilt(trained, tmp_path):
    good = checkpoint.read(trained / "best.ckpt", CHECKPOINT_KIND)["model"]
    bad_models = [
        {},
        {"config": good["config"]},
        {"config": {**good["config"], "hidden_f2": 13}, "state": good["state"]},
        {"config": {**good["config"], "layers_f2": "many"}, "state": good["state"]},
        {"config": {"height": 11, "width": 14, "hours": [0.0]}, "state": good["state"]},
        {"config": good["config"], "state": {}},
        {"config": None, "state": good["state"]},
        [],
        torch.zeros(3),
    ]
    for model in bad_models:
        checkpoint.write(tmp_path / "bad.ckpt", CHECKPOINT_KIND, {"model": model})
        with pytest.raises(InputError, match=r"bad.ckpt.*does not fit this code"):
            load(tmp_path / "bad.ckpt")
    checkpoint.write(tmp_path / "bad.ckpt", CHECKPOINT_KIND, {})
    with pytest.raises(InputError, match=r"bad.ckpt.*does not fit this code"):
        load(tmp_path / "bad.ckpt")


def test_a_decoder_serves_threads(decoder):
    expected = decoder.render(HOURS)
    frames = [None] * 4

    def work(i):
        frames[i] = decoder.render(HOURS)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(np.array_equal(frame, expected) for frame in frames)
