import pytest
import torch

from src.models.delit.attention import IDEAS, TRANSFER_STRIDE, AttentionDelit
from src.models.delit.outputs import NetworkOutput
from src.models.delit_model import DelitConfig, DelitModel
from src.utils.hdr_codec import make_codec


def network(*without: str, seed: int = 0) -> AttentionDelit:
    """With random weights everywhere, also where training begins with zeros."""
    torch.manual_seed(seed)
    net = AttentionDelit(16, 16, 32, make_codec("log"), without)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.add_(torch.randn(parameter.shape), alpha=0.1)
    return net


def picture(height: int = 32, width: int = 48) -> torch.Tensor:
    return torch.rand(2, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("idea", [None, *IDEAS])
def test_without_any_idea_the_answer_has_its_shapes_and_every_parameter_its_gradient(idea):
    """Several processes cannot train a network in which a parameter gets none."""
    net = network(*([idea] if idea else []))
    answer = net(picture())
    transfer = None if idea == "shading" else (2, 48, 16, 24)
    shapes = [None if value is None else tuple(value.shape) for value in answer]
    assert shapes == [(2, 3, 32, 48), (2, 4, 16, 32), (2, 1, 16, 32), (2, 1, 32, 48), transfer, None]
    sum(value.sum() for value in answer if value is not None).backward()
    assert [name for name, p in net.named_parameters() if p.requires_grad and p.grad is None] == []


def answers(*without: str) -> NetworkOutput:
    """Of networks whose common weights are the same."""
    whole, net = network(), network(*without)
    net.load_state_dict(whole.state_dict(), strict=False)
    with torch.no_grad():
        return net(picture())


def test_without_the_light_solve_the_environment_is_the_heads():
    net = network("light_solve")
    net.load_state_dict(network().state_dict(), strict=False)
    with torch.no_grad():
        _, levels = net.encode(picture())
        code, confidence = net.environment(net.attend(levels[-1]), net.first_guess(picture()).light)
    found, whole = answers("light_solve"), answers()
    assert torch.equal(found.code, code) and torch.equal(found.confidence, confidence)
    assert torch.equal(found.flat_lit, whole.flat_lit) and not torch.allclose(found.code, whole.code)


def test_without_the_shading_the_environment_has_no_part_in_the_flat_lit_picture():
    def flat_lit_by_environments(*without: str) -> list[torch.Tensor]:
        net = network(*without)
        pictures = []
        for bias in (-3.0, 3.0):
            with torch.no_grad():
                net.environment.to_code[0].bias.fill_(bias)
                pictures.append(net(picture()).flat_lit)
        return pictures

    dim, bright = flat_lit_by_environments("shading")
    assert torch.equal(dim, bright)
    dim, bright = flat_lit_by_environments()
    assert not torch.allclose(dim, bright, rtol=0.05)


def test_without_the_skips_the_decoder_sees_tokens_only():
    """Where the tokens are all alike, so are the features that flat-lit is drawn from."""

    def decoded(*without: str) -> torch.Tensor:
        net = network(*without)
        with torch.no_grad():
            full, levels = net.encode(picture())
            tokens = torch.ones_like(levels[-1])
            fine, _ = net.decode(tokens, levels)
        assert bool(full.any()) == (not without)
        return fine

    plain, whole = decoded("skips"), decoded()
    assert torch.allclose(plain[0], plain[1], atol=1e-5), "two pictures give the same"
    assert not torch.allclose(whole[0], whole[1], atol=1e-2)


def test_without_the_first_guess_nothing_is_fitted():
    batch = (picture(), torch.rand(2, 3, 16, 32), picture(), torch.ones(2, 1, 32, 48))
    for without, changes in (("first_guess",), False), ((), True):
        net = AttentionDelit(16, 16, 32, make_codec("log"), without)
        before = net.first_guess.light.bias.clone()
        net.start([batch])
        assert (not torch.equal(net.first_guess.light.bias, before)) == changes


def test_unknown_ideas_are_refused():
    with pytest.raises(ValueError, match="unknown ideas"):
        AttentionDelit(16, 16, 32, make_codec("log"), ("colour",))
    with pytest.raises(ValueError, match="without"):
        DelitModel(DelitConfig("simplified", without=("skips",)))


@pytest.mark.parametrize("size", [(100, 100), (33, 50), (16, 17)])
def test_the_transfer_lies_where_the_picture_does(size):
    """A picture that is padded for the network and the same padded by hand show the same light to the same pixels."""
    model = DelitModel(DelitConfig(base_dim=16, env_height=16, env_width=32)).eval()
    model.network.load_state_dict(network().state_dict())
    height, width = size
    relit = picture(*size)
    padded = torch.nn.functional.pad(relit, (0, -width % 16, 0, -height % 16), mode="replicate")
    with torch.no_grad():
        output = model(relit)
        whole = model.network(padded / output.exposure).transfer
    rows, columns = -(-height // TRANSFER_STRIDE), -(-width // TRANSFER_STRIDE)
    assert output.transfer.shape[-2:] == (rows, columns)
    assert torch.equal(output.transfer, whole[..., :rows, :columns])


def test_the_first_guess_is_fitted_to_what_it_will_see():
    """Thumbnails of the fit and of the model show the same picture at the same place, whatever its size."""
    model = DelitModel(DelitConfig(base_dim=16, env_height=16, env_width=32)).eval()
    seen = []
    model.network.first_guess.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    fitted = []
    model.network.first_guess.fit = fitted.extend
    relit = picture(100, 100)
    mask = torch.ones(2, 1, 100, 100)
    model.start([(relit, torch.rand(2, 3, 16, 32), relit, mask)])
    with torch.no_grad():
        model(relit)
    (shown,) = seen
    pictures, _, flat_lit, masks = fitted[0]
    assert torch.equal(pictures, shown) and flat_lit.shape == shown.shape and masks.shape[-2:] == shown.shape[-2:]
