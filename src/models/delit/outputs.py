"""What delighting networks answer, and what a model makes of it."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class NetworkOutput(NamedTuple):
    """A network's answer to N x 3 x H x W pictures at unit exposure, H and W multiples of 16."""

    flat_lit: Tensor  # N x 3 x H x W linear radiance of at least 0
    code: Tensor  # N x C x h x w in [0, 1]: the environment, coded
    confidence: Tensor | None = None  # N x 1 x h x w in [0, 1]
    mask: Tensor | None = None  # N x 1 x H x W in [0, 1]
    transfer: Tensor | None = None  # N x LOBES x H/2 x W/2, sums to 1 over the lobes
    flat_error: Tensor | None = None  # N x 1 x H x W above 0


class Delit(NamedTuple):
    """What a model gives for N pictures; what only the attention architecture has is None from the other."""

    flat_lit: Tensor  # N x 3 x H x W, linear radiance under a uniform environment of radiance 1, at least 0
    environment_code: Tensor  # N x C x h x w in [0, 1]: the codec's code of environment / exposure
    exposure: Tensor  # N x 1 x 1 x 1: luminance about the picture's centre; the network sees relit / exposure
    confidence: Tensor | None  # N x 1 x h x w in [0, 1]: exp(-error) expected of the log environment
    mask: Tensor | None  # N x 1 x H x W in [0, 1]: where the network sees the person
    # N x K x ceil(H / 2) x ceil(W / 2): share of the light of 2 x 2 pixels that comes through lobe k
    transfer: Tensor | None = None
    lobes: Tensor | None = None  # K x (h * w): radiance seen through lobe k is lobes @ environment
    flat_error: Tensor | None = None  # N x 1 x H x W above 0: expected error of log flat-lit but for its brightness
