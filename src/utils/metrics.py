"""Image quality: PSNR, SSIM and LPIPS, one value per image, each optionally within a mask.

Images are torch tensors N x C x H x W; masks are N x 1 x H x W or 1 x 1 x H x W, bool or weights in [0, 1].
"""

from __future__ import annotations

import os
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

from src.utils.cli import InputError

if TYPE_CHECKING:
    from torch import Tensor

SSIM_WINDOW = 11
SSIM_SIGMA = 1.5
LPIPS_BACKBONES = {
    "alex": "alexnet-owt-7be5be79.pth",
    "vgg": "vgg16-397923af.pth",
    "squeeze": "squeezenet1_1-b8a52dc0.pth",
}
_TORCHVISION_NAMES = {"alex": "AlexNet", "vgg": "VGG16", "squeeze": "SqueezeNet1_1"}
# Below this size the deepest features of the backbones have no texel left.
LPIPS_SMALLEST_SIDE = 64
_DOWNLOAD_WAIT_SECONDS = 20.0  # for a server that does not answer
_SMALLEST_MSE = 1e-20  # keeps the PSNR of equal images finite


def psnr_db(truth: Tensor, prediction: Tensor, mask: Tensor | None = None, peak: float | Tensor = 1.0) -> Tensor:
    """Peak signal-to-noise ratio in dB, shape N: ``10 log10(peak^2 / MSE)`` over all channels of the valid pixels.

    ``peak`` is one number or one per image. The mean is taken in float64. Without a valid pixel the result is NaN.
    """
    error = (truth.double() - prediction.double()).square().mean(1, keepdim=True)
    weight = torch.ones_like(error[:, :, :1, :1]) if mask is None else mask.double()
    weight = weight.expand_as(error)
    mse = (error * weight).sum((1, 2, 3)) / weight.sum((1, 2, 3))
    return psnr_of_mse_db(mse, peak)


def psnr_of_mse_db(mse: Tensor, peak: float | Tensor = 1.0) -> Tensor:
    """``10 log10(peak^2 / MSE)`` in dB, float64, of any shape that the two have together; 200 dB or so if equal."""
    peak = torch.as_tensor(peak, dtype=torch.float64, device=mse.device)
    return 10 * torch.log10(peak.square() / mse.double().clamp_min(_SMALLEST_MSE))


def ssim(truth: Tensor, prediction: Tensor, mask: Tensor | None = None, peak: float | Tensor = 1.0) -> Tensor:
    """Structural similarity (Wang et al. 2004), shape N, differentiable, mean over channels and windows.

    Gaussian window 11 x 11 with sigma 1.5, K1 = 0.01, K2 = 0.03, population covariance; ``peak`` is the data range, one
    number or one per image. Without a mask only windows that lie inside the image count (images need 11 x 11 pixels).
    With a mask every valid pixel is the centre of one window, whose weights are those of its valid pixels, normalised:
    what lies outside of the mask, or of the image, has no influence.
    """
    peak = torch.as_tensor(peak, dtype=truth.dtype, device=truth.device).reshape(-1, 1, 1, 1)
    c1, c2 = (0.01 * peak).square(), (0.03 * peak).square()
    if mask is None:
        window_mean, centres = _gaussian_filter, None
    else:
        centres = mask.to(truth.dtype).expand(len(truth), -1, -1, -1)
        padded = functional.pad(centres, [SSIM_WINDOW // 2] * 4)
        coverage = _gaussian_filter(padded).clamp_min(1e-12)

        def window_mean(image: Tensor) -> Tensor:
            return _gaussian_filter(functional.pad(image * centres, [SSIM_WINDOW // 2] * 4)) / coverage

    mean_t, mean_p = window_mean(truth), window_mean(prediction)
    variance_t = window_mean(truth.square()) - mean_t.square()
    variance_p = window_mean(prediction.square()) - mean_p.square()
    covariance = window_mean(truth * prediction) - mean_t * mean_p
    luminance = (2 * mean_t * mean_p + c1) / (mean_t.square() + mean_p.square() + c1)
    structure = (2 * covariance + c2) / (variance_t + variance_p + c2)
    similarity = (luminance * structure).mean(1, keepdim=True)
    if centres is None:
        return similarity.mean((1, 2, 3))
    return (similarity * centres).sum((1, 2, 3)) / centres.sum((1, 2, 3))


def _gaussian_filter(image: Tensor) -> Tensor:
    """Separable Gaussian over windows inside the image: N x C x H x W -> N x C x (H - 10) x (W - 10)."""
    offset = torch.arange(SSIM_WINDOW, dtype=image.dtype, device=image.device) - SSIM_WINDOW // 2
    kernel = torch.exp(-0.5 * (offset / SSIM_SIGMA).square())
    kernel = (kernel / kernel.sum()).repeat(image.shape[1], 1)[:, None]
    rows = functional.conv2d(image, kernel[..., None], groups=image.shape[1])
    return functional.conv2d(rows, kernel[:, :, None], groups=image.shape[1])


def load_lpips(
    net: str = "alex", weights: str | Path | None = None, download: bool = False
) -> Callable[[Tensor, Tensor], Tensor]:
    """The LPIPS distance (Zhang et al. 2018, version 0.1): ``(truth, prediction) -> N``, differentiable.

    Images are N x 3 x H x W in [0, 1], display-referred as a rule; sides below 64 are extended by their edge pixels.
    The calibrated heads come with the ``lpips`` package, the ImageNet backbone does not: it is read from ``weights``,
    or else from torch's cache, into which ``download`` brings it where it is not there. Raises :class:`InputError` when
    the package or the file is missing (naming the file and where to put it) or the file holds something else.
    """
    try:
        import lpips
    except ImportError:
        raise InputError("lpips", "the package is not installed", "pip install lpips") from None

    if net not in LPIPS_BACKBONES:
        raise InputError("lpips", f"no backbone {net!r}", f"known are {', '.join(LPIPS_BACKBONES)}")
    file = find_lpips_weights(net, weights, download)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package builds its backbone through a torchvision call of old
        model = lpips.LPIPS(net=net, pnet_rand=True, verbose=False)
    _load_backbone(model.net, file)
    model.requires_grad_(False)

    def distance(truth: Tensor, prediction: Tensor) -> Tensor:
        height, width = truth.shape[-2:]
        padding = [0, max(0, LPIPS_SMALLEST_SIDE - width), 0, max(0, LPIPS_SMALLEST_SIDE - height)]
        pair = (functional.pad(image.float(), padding, mode="replicate") for image in (truth, prediction))
        return model.to(truth.device)(*pair, normalize=True).flatten()

    return distance


def find_lpips_weights(net: str = "alex", weights: str | Path | None = None, download: bool = False) -> Path:
    """The file of the backbone's ImageNet weights; :class:`InputError` says which file is wanted and where."""
    cached = Path(torch.hub.get_dir()) / "checkpoints" / LPIPS_BACKBONES[net]
    file = Path(weights) if weights is not None else cached
    if file.is_file():
        return file
    if weights is not None:
        raise InputError(file, "no such file", f"give torchvision's {LPIPS_BACKBONES[net]}")
    reason = ""
    if download:
        try:
            _download(net, cached)
            return cached
        except (OSError, RuntimeError) as error:  # no way to the server, no room, or not what its name says
            reason = f", and downloading them failed ({error})"
    raise InputError(
        cached, f"LPIPS needs these backbone weights{reason}", "put the file there or name it with --lpips_weights"
    )


def _download(net: str, file: Path) -> None:
    """Get torchvision's weights of a backbone as torchvision does: with a bar, checked by the hash in the name."""
    from torchvision.models import get_weight

    url = get_weight(f"{_TORCHVISION_NAMES[net]}_Weights.IMAGENET1K_V1").url
    hash_prefix = file.stem.rpartition("-")[2]  # so begins the SHA-256
    shows_bar = os.environ.get("LOCAL_RANK", "0") == "0"
    file.parent.mkdir(parents=True, exist_ok=True)
    wait_before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(_DOWNLOAD_WAIT_SECONDS)
    try:
        torch.hub.download_url_to_file(url, str(file), hash_prefix, progress=shows_bar)
    finally:
        socket.setdefaulttimeout(wait_before)


def _load_backbone(backbone: torch.nn.Module, file: Path) -> None:
    """Fill the sliced backbone of the lpips package from torchvision's state dict (``features.<index>...``)."""
    try:
        state = torch.load(file, map_location="cpu", weights_only=True)
        names = {name: "features." + name.split(".", 1)[1] for name in backbone.state_dict()}
        backbone.load_state_dict({name: state[source] for name, source in names.items()})
    except Exception as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise InputError(file, f"is not the state dict of this LPIPS backbone ({reason})") from None
