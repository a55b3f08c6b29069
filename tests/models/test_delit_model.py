from dataclasses import asdict

import pytest
import torch

from src.models.delit import describe
from src.models.delit_model import ARCHITECTURES, CHECKPOINT_KIND, DelitConfig, DelitModel, load, measure_exposure
from src.utils import checkpoint
from src.utils.cli import InputError
from src.utils.sphere import pixel_solid_angles

LUMINANCE = torch.tensor([0.2126, 0.7152, 0.0722]).view(3, 1, 1)


def make(arch: str, env_height: int = 8, trained: bool = True, seed: int = 0, **options) -> DelitModel:
    """With random parameters, as training would leave none at zero."""
    torch.manual_seed(seed)
    config = DelitConfig(arch, 32, env_height, 2 * env_height, base_dim=32, **options)
    model = DelitModel(config).eval().requires_grad_(False)
    if trained:
        for parameter in model.parameters():
            # Of the order of 1 in every layer, however many inputs it has.
            fan_in = parameter[0].numel() if parameter.ndim > 1 else 1
            parameter.add_(torch.randn(parameter.shape), alpha=min(0.1, 0.5 / fan_in**0.5))
    return model


def portrait(height: int = 32, width: int = 32, count: int = 2, seed: int = 0) -> torch.Tensor:
    return torch.rand(count, 3, height, width, generator=torch.Generator().manual_seed(seed)) * 0.8 + 0.1


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("size", [(16, 16), (32, 32), (33, 47), (64, 24)])
def test_flat_lit_has_the_size_of_the_picture(arch, size):
    output = make(arch)(portrait(*size))
    assert output.flat_lit.shape == (2, 3, *size)
    assert output.environment_code.shape[2:] == (8, 16)
    assert output.exposure.shape == (2, 1, 1, 1)
    if arch == "attention":
        assert output.mask.shape == (2, 1, *size) and output.confidence.shape == (2, 1, 8, 16)
    else:
        assert output.mask is None and output.confidence is None
    for value in (output.environment_code, output.confidence, output.mask):
        assert value is None or (value.min() >= 0 and value.max() <= 1)
    assert all(value.isfinite().all() and value.dtype == torch.float32 for value in output if value is not None)
    assert output.flat_lit.min() >= 0


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("env_height", [8, 24, 128])
@pytest.mark.parametrize("codec", ["log", "dual"])
def test_environments_have_the_size_that_was_asked_for(arch, env_height, codec):
    model = make(arch, env_height, env_codec=codec)
    output = model(portrait())
    environment = model.environment(output)
    assert environment.shape == (2, 3, env_height, 2 * env_height)
    assert environment.isfinite().all() and environment.min() >= 0


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("gain", [1e-3, 0.3, 40.0])
def test_more_light_is_more_environment_and_the_same_person(arch, gain):
    model, relit = make(arch), portrait()
    one, other = model(relit), model(gain * relit)
    torch.testing.assert_close(other.flat_lit, one.flat_lit, rtol=1e-5, atol=1e-5)
    environment = model.environment(one)
    torch.testing.assert_close(model.environment(other) / gain, environment, rtol=1e-5, atol=1e-5 * environment.mean())


@pytest.mark.parametrize("arch", ARCHITECTURES)
@pytest.mark.parametrize("env_height", [8, 32])
def test_every_parameter_gets_a_gradient(arch, env_height):
    """Several processes cannot train a model in which one does not."""
    model = make(arch, env_height).train().requires_grad_(True)
    output = model(portrait())
    sum(value.sum() for value in output if value is not None).backward()
    without = [name for name, parameter in model.named_parameters() if parameter.grad is None]
    assert without == []


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_each_picture_of_a_batch_is_on_its_own(arch):
    model, relit = make(arch), portrait(count=3)
    alone = model(relit[1:2])
    for name, value in model(relit)._asdict().items():
        expected = getattr(alone, name)
        if value is not None and name != "lobes":  # which belong to the model, not to a picture
            torch.testing.assert_close(value[1:2], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_black_and_blinding_pictures_are_finite(arch):
    relit = portrait()
    relit[0] = 0
    relit[1, :, 3, 3] = 60_000
    model = make(arch)
    output = model(relit)
    assert output.exposure[0] > 0
    assert all(value.isfinite().all() for value in (*output, model.environment(output)) if value is not None)


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_autocast_keeps_results_in_single_precision(arch):
    model, relit = make(arch), portrait()
    with torch.autocast("cpu", torch.bfloat16):
        output = model(relit)
    assert {value.dtype for value in output if value is not None} == {torch.float32}
    torch.testing.assert_close(output.environment_code, model(relit).environment_code, rtol=0, atol=0.1)


def assert_no_seam(maps: torch.Tensor) -> None:
    """In N x C x h x w the step from the last column to the first, and across a pole, is like any other step."""
    steps = (maps - maps.roll(1, -1)).abs().mean((0, 1, 2))
    assert steps[0] < 1.2 * steps[1:].max()
    rows = (maps[:, :, 1:] - maps[:, :, :-1]).abs().mean((0, 1, 3))
    for pole in (maps[:, :, 0], maps[:, :, -1]):
        assert (pole - pole.roll(maps.shape[2], -1)).abs().mean() < 1.5 * max(rows.max(), steps.max())


@pytest.mark.parametrize("env_height", [8, 16, 32])
def test_environments_of_the_attention_model_have_no_seam(env_height):
    # Of one random network a bright spot may lie on a pole: of several, all directions are alike.
    codes = [make("attention", env_height, seed=seed)(portrait(count=4)).environment_code for seed in range(6)]
    assert_no_seam(torch.cat(codes))


@pytest.mark.parametrize("env_height", [8, 16, 32, 64])
def test_what_is_spread_from_lobes_has_no_seam(env_height):
    lobes = torch.randn(16, 3, 48, generator=torch.Generator().manual_seed(0))
    spread = make("attention", env_height).network.environment.spread(lobes)
    assert spread.shape == (16, 3, env_height, 2 * env_height)
    assert_no_seam(spread)


def test_the_environment_is_what_explains_the_shading():
    """Where networks see a person, re-rendering their flat-lit picture comes nearer to the picture by the solve."""
    relit, ratios = portrait(64, 64, count=4), []
    for seed in range(8):
        model = make("attention", 16, seed=seed)
        with torch.no_grad():
            model.network.flat_head.bias[-1] = 20.0  # the mask

        def unexplained(model=model):
            output = model(relit)
            light = model.environment(output).flatten(2) @ output.lobes.T
            shading = torch.einsum("nkhw,nck->nchw", output.transfer, light)
            size = shading.shape[-2:]
            lit, flat = (torch.nn.functional.adaptive_avg_pool2d(x, size) for x in (relit, output.flat_lit))
            return (lit - shading * flat).abs().mean() / lit.mean()

        solved = unexplained()
        model.network._explain = lambda picture, flat_lit, mask, transfer, light: torch.zeros_like(light)
        ratios.append((solved / unexplained()).item())
    assert max(ratios) < 1 and sum(ratios) / len(ratios) < 0.8


def test_an_untrained_attention_model_sees_ordinary_light():
    model = make("attention", trained=False)
    relit = portrait() * 30
    output = model(relit)
    relative = model.environment(output) / output.exposure
    weights = torch.from_numpy(pixel_solid_angles(8, 16)).float()
    luminance = (relative * LUMINANCE * weights).sum((1, 2, 3)) / weights.sum()
    assert relative.isfinite().all() and (luminance > 0.1).all() and (luminance < 10).all()


def test_exposure_is_that_of_the_middle():
    relit = torch.full((1, 3, 40, 40), 0.5)
    assert measure_exposure(relit).item() == pytest.approx(0.5, rel=1e-5)
    bright_corner, bright_middle = relit.clone(), relit.clone()
    bright_corner[..., :4, :4] = 5
    bright_middle[..., 18:22, 18:22] = 5
    assert measure_exposure(bright_middle).item() > measure_exposure(bright_corner).item() > 0.5
    assert measure_exposure(relit * torch.tensor([0.0, 1, 0]).view(1, 3, 1, 1)).item() == pytest.approx(0.5 * 0.7152)


# ---- checkpoints


def store(model: DelitModel, path, kind=CHECKPOINT_KIND, **config):
    content = {"config": asdict(model.config) | config, "state": model.state_dict()}
    checkpoint.write(path, kind, {"model": content})
    return path


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_a_stored_model_gives_the_same_bit_for_bit(arch, tmp_path):
    model, relit = make(arch, env_codec="dual", log_scale=8.0), portrait(24, 40)
    again = load(store(model, tmp_path / "é.pth"))
    assert not again.training and not any(parameter.requires_grad for parameter in again.parameters())
    assert again.config == model.config
    one, other = model(relit), again(relit)
    for value, expected in zip(other, one, strict=True):
        assert (value is None and expected is None) or torch.equal(value, expected)
    assert torch.equal(again.environment(other), model.environment(one))


@pytest.mark.parametrize(
    "config",
    [
        {"colour": 3},
        {"arch": "transformer"},
        {"env_codec": "jpeg"},
        {"base_dim": 64},
        {"base_dim": 33},
        {"env_height": "eight"},
    ],
    ids=str,
)
def test_models_that_this_code_cannot_build_are_refused(config, tmp_path):
    path = store(make("attention"), tmp_path / "model.pth", **config)
    with pytest.raises(InputError, match=r"model\.pth: its model does not fit this code: give a checkpoint of"):
        load(path)


def test_files_that_are_no_delighting_model_are_refused(tmp_path):
    path = store(make("simplified"), tmp_path / "model.pth")
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"model\.pth: cannot be read as a checkpoint"):
        load(path)
    with pytest.raises(InputError, match=r"of kind 'lightmap', expected 'delit'"):
        load(store(make("simplified"), path, kind="lightmap"))
    checkpoint.write(path, CHECKPOINT_KIND, {"step": 3})
    with pytest.raises(InputError, match="does not fit this code"):
        load(path)
    checkpoint.write(path, CHECKPOINT_KIND, {"model": None})
    with pytest.raises(InputError, match="does not fit this code"):
        load(path)
    with pytest.raises(InputError, match="no such file"):
        load(tmp_path / "nowhere.pth")


# ---- the command


def test_the_command_prints_both_architectures(capsys):
    flags = {"image_size": 32, "env_height": 8, "env_width": 16, "base_dim": 32}
    assert describe.main([part for name, value in flags.items() for part in (f"--{name}", str(value))]) == 0
    out = capsys.readouterr().out
    for arch in ARCHITECTURES:
        model = make(arch)
        parameters = sum(parameter.numel() for parameter in model.parameters())
        assert f"{arch}, base_dim 32, pictures of 32 x 32" in out and f"{parameters:,}" in out
    assert out.count("FLOPs") == out.count("memory") == 2 and "FLOPs        0.00" not in out
    assert out.count("flat_lit           (1, 3, 32, 32)") == 2 and "(1, 1, 8, 16)" in out
