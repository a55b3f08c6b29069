import shutil
import urllib.error
import warnings
from unittest import mock

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from src.utils.cli import InputError
from src.utils.metrics import LPIPS_BACKBONES, load_lpips, psnr_db, ssim


def picture_pair(height=40, width=56, noise=0.05, seed=0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(2, 3, 5, 7, generator=generator)
    truth = torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return truth, truth + noise * torch.randn(truth.shape, generator=generator)


def test_psnr_golden_values_and_peak():
    truth = torch.zeros(2, 3, 4, 4)
    prediction = torch.stack([torch.full((3, 4, 4), 0.1), torch.full((3, 4, 4), 0.01)])
    assert psnr_db(truth, prediction).tolist() == pytest.approx([20, 40], abs=1e-5)
    assert psnr_db(truth, prediction, peak=torch.tensor([10.0, 1.0])).tolist() == pytest.approx([40, 40], abs=1e-5)
    assert psnr_db(truth, truth).tolist() == [200, 200]


def test_psnr_counts_only_valid_pixels():
    truth = torch.zeros(1, 3, 4, 4)
    prediction = torch.full((1, 3, 4, 4), 5.0)
    prediction[..., :2] = 0.1
    mask = torch.zeros(1, 1, 4, 4, dtype=torch.bool)
    assert psnr_db(truth, prediction, mask).isnan().all()
    mask[..., :2] = True
    assert psnr_db(truth, prediction, mask).item() == pytest.approx(20, abs=1e-5)


@pytest.mark.parametrize("peak", [1.0, 7.5])
def test_ssim_is_that_of_scikit_image(peak):
    metrics = pytest.importorskip("skimage.metrics")
    truth, prediction = picture_pair()
    measured = ssim(peak * truth, peak * prediction, peak=peak)
    for index in range(2):
        reference = metrics.structural_similarity(
            peak * truth[index].permute(1, 2, 0).double().numpy(),
            peak * prediction[index].permute(1, 2, 0).double().numpy(),
            data_range=peak,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=-1,
        )
        assert 0.2 < reference < 0.95
        assert measured[index].item() == pytest.approx(reference, abs=1e-4)


def test_masked_ssim_ignores_what_is_outside():
    truth, prediction = picture_pair()
    inner = torch.zeros(1, 1, 40, 56)
    inner[..., 5:-5, 8:-8] = 1
    changed = torch.where(inner.bool(), prediction, 9.0)
    assert torch.allclose(ssim(truth, prediction, inner), ssim(truth, changed, inner), atol=1e-6)
    assert (ssim(truth, changed) < ssim(truth, prediction) - 0.05).all()
    assert torch.allclose(ssim(truth, truth, inner), torch.ones(2))


def test_masked_ssim_of_one_pixel_is_its_window_by_hand():
    truth, prediction = (image[:1, :1, :11, :11].double() for image in picture_pair(noise=0.3))
    offset = torch.arange(-5, 6).double()
    window = torch.exp(-(offset[:, None] ** 2 + offset**2) / (2 * 1.5**2))
    # Valid are the centre and its right neighbour; their windows see only these two pixels.
    mask = torch.zeros(1, 1, 11, 11)
    mask[..., 5, 5:7] = 1
    expected = []
    for near, far in ((5, 6), (6, 5)):
        weight = torch.stack([window[5, 5], window[5, 6]]) / (window[5, 5] + window[5, 6])
        x, y = (torch.stack([image[0, 0, 5, near], image[0, 0, 5, far]]) for image in (truth, prediction))
        mean_x, mean_y = (weight * x).sum(), (weight * y).sum()
        var_x, var_y = (weight * (x - mean_x) ** 2).sum(), (weight * (y - mean_y) ** 2).sum()
        cov = (weight * (x - mean_x) * (y - mean_y)).sum()
        c1, c2 = 0.01**2, 0.03**2
        expected.append(
            ((2 * mean_x * mean_y + c1) * (2 * cov + c2)) / ((mean_x**2 + mean_y**2 + c1) * (var_x + var_y + c2))
        )
    assert ssim(truth, prediction, mask).item() == pytest.approx(torch.stack(expected).mean().item(), abs=1e-9)


def test_ssim_has_gradients_that_finite_differences_confirm():
    truth, prediction = (image[:1, :1].double() for image in picture_pair(12, 11))
    prediction.requires_grad_(True)
    assert torch.autograd.gradcheck(lambda image: ssim(truth, image), prediction)


@settings(max_examples=10, deadline=None)
@given(st.floats(0.01, 100), st.integers(0, 5))
def test_scaling_images_and_peak_together_changes_nothing(scale, seed):
    truth, prediction = (image.double() for image in picture_pair(16, 16, seed=seed))
    assert torch.allclose(psnr_db(truth, prediction), psnr_db(scale * truth, scale * prediction, peak=scale), atol=1e-9)
    assert torch.allclose(ssim(truth, prediction), ssim(scale * truth, scale * prediction, peak=scale), atol=1e-9)


@pytest.fixture(scope="module")
def random_backbone(tmp_path_factory):
    """Weights of a randomly initialised AlexNet: the distances mean nothing, the loading and the formula are real."""
    torchvision = pytest.importorskip("torchvision")
    pytest.importorskip("lpips")
    torch.manual_seed(0)
    file = tmp_path_factory.mktemp("lpips") / LPIPS_BACKBONES["alex"]
    network = torchvision.models.AlexNet()
    torch.save({name: value for name, value in network.state_dict().items() if name.startswith("features")}, file)
    return file, network


def test_lpips_with_a_random_backbone_follows_the_formula(random_backbone):
    import lpips

    file, network = random_backbone
    truth, prediction = picture_pair(70, 80, noise=0.2)
    distance = load_lpips("alex", file)(truth, prediction)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package builds its backbone through a torchvision call of old
        heads = lpips.LPIPS(pnet_rand=True, verbose=False)
    shift, scale = torch.tensor([-0.030, -0.088, -0.188]), torch.tensor([0.458, 0.448, 0.450])
    features = [((2 * image - 1 - shift[:, None, None]) / scale[:, None, None]) for image in (truth, prediction)]
    expected = torch.zeros(2)
    taps = iter(heads.lins)
    with torch.no_grad():
        for layer in network.features[:12]:
            features = [layer(feature) for feature in features]
            if isinstance(layer, torch.nn.ReLU):
                unit = [f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10) for f in features]
                expected += next(taps)((unit[0] - unit[1]).square()).mean((1, 2, 3))
    assert (distance > 0).all()
    assert torch.allclose(distance, expected, rtol=1e-4)


def test_lpips_is_zero_for_equal_images_differentiable_and_takes_small_images(random_backbone):
    distance = load_lpips("alex", random_backbone[0])
    truth, prediction = picture_pair(20, 30)
    assert torch.equal(distance(truth, truth), torch.zeros(2))
    prediction.requires_grad_(True)
    distance(truth, prediction).sum().backward()
    assert prediction.grad.abs().sum() > 0


def test_absent_and_wrong_lpips_weights_are_named(tmp_path, monkeypatch, random_backbone):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    wanted = tmp_path / "checkpoints" / "vgg16-397923af.pth"
    with pytest.raises(InputError) as error:
        load_lpips("vgg")
    assert str(error.value) == (
        f"{wanted}: LPIPS needs these backbone weights: put the file there or name it with --lpips_weights"
    )
    with pytest.raises(InputError, match=r"no such file: give torchvision's alexnet-owt-7be5be79.pth"):
        load_lpips("alex", tmp_path / "absent.pth")
    junk = tmp_path / "junk.pth"
    junk.write_bytes(b"junk")
    with pytest.raises(InputError, match=r"junk.pth: is not the state dict"):
        load_lpips("alex", junk)
    with pytest.raises(InputError, match="is not the state dict of this LPIPS backbone"):
        load_lpips("squeeze", random_backbone[0])
    with pytest.raises(InputError, match="no backbone 'resnet': known are alex, vgg, squeeze"):
        load_lpips("resnet")


def test_lpips_runs_on_every_backbone_from_the_cache(tmp_path, monkeypatch):
    torchvision = pytest.importorskip("torchvision")
    pytest.importorskip("lpips")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    truth, prediction = picture_pair(64, 64)
    # Random weights, as above. The classifiers are not part of LPIPS and would take long to initialise.
    for net, features in (
        ("squeeze", torchvision.models.squeezenet1_1(weights=None).features),
        ("vgg", torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])),
    ):
        state = {f"features.{name}": value for name, value in features.state_dict().items()}
        torch.save(state, tmp_path / "checkpoints" / LPIPS_BACKBONES[net])
        distance = load_lpips(net)(truth, prediction)
        assert distance.shape == (2,)
        assert (distance > 0).all()
        assert distance.isfinite().all()


def test_the_backbone_is_downloaded_where_that_was_asked_for(tmp_path, monkeypatch, random_backbone):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    wanted = []

    def fake(url, destination, hash_prefix=None, progress=True):
        wanted.append((url, hash_prefix, progress))
        shutil.copyfile(random_backbone[0], destination)

    monkeypatch.setattr(torch.hub, "download_url_to_file", fake)
    truth, prediction = picture_pair(64, 64)
    downloaded = load_lpips("alex", download=True)(truth, prediction)
    assert torch.equal(downloaded, load_lpips("alex", random_backbone[0])(truth, prediction))
    assert wanted == [("https://download.pytorch.org/models/alexnet-owt-7be5be79.pth", "7be5be79", True)]
    load_lpips("alex", download=True)
    assert len(wanted) == 1, "the second time it is in the cache"
    for name in ("squeeze", "vgg"):  # what comes is an AlexNet
        with pytest.raises(InputError, match="is not the state dict of this LPIPS backbone"):
            load_lpips(name, download=True)
    assert [url.rpartition("/")[2] for url, _, _ in wanted[1:]] == [LPIPS_BACKBONES[n] for n in ("squeeze", "vgg")]


@pytest.mark.parametrize("kind", [urllib.error.URLError, TimeoutError, RuntimeError])
def test_offline_the_file_is_named(tmp_path, monkeypatch, kind):
    pytest.importorskip("lpips")
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.hub, "download_url_to_file", mock.Mock(side_effect=kind("no route")))
    with pytest.raises(InputError, match=r"alexnet-owt-7be5be79.pth: LPIPS needs .*no route.*: put the file"):
        load_lpips("alex", download=True)
    with pytest.raises(InputError, match=r"LPIPS needs these backbone weights: put the file there"):
        load_lpips("alex")
