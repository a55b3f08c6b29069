"""How every pixel of a portrait passes light on: what a network says once, and any light is one product with."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from src.models.delit.layers import enlarge
from src.models.relit.projection import Light
from src.utils.sphere_torch import sample, sampling_grid


class Transport(NamedTuple):
    """Of N pictures H x W; h' x w' is half of that, rounded up.

    Under a light, a pixel shows ``flat_lit * D + m * sum_s share_s (P_s - D)``: D is the light through ``diffuse``, P_s
    the light along ``mirrored`` through the specular lobe s, and m the grey part of flat-lit, since what a surface
    mirrors has the light's colour and not its own. In a uniform environment of radiance 1 that is flat-lit exactly.
    """

    diffuse: Tensor  # N x 3 x LOBES x h' x w' of at least 0, sums to 1 over the lobes
    share: Tensor  # N x S x h' x w' of at least 0, sums to at most 1: how much of grey flat-lit is mirrored light
    mirrored: Tensor  # N x 3 x h' x w' unit vectors
    mask: Tensor  # N x 1 x h' x w' in [0, 1]: where the network sees the person


class Shading(NamedTuple):
    """What N x M lights make of a transport: relit is ``flat_lit * diffuse + grey * mirrored``."""

    diffuse: Tensor  # N x M x 3 x h' x w'
    mirrored: Tensor  # N x M x 3 x h' x w', may be negative


def shade(transport: Transport, light: Light) -> Shading:
    """The product: linear in the light."""
    count, lights = light.wide.shape[:2]
    size = transport.share.shape[-2:]
    through = light.wide.transpose(1, 2) @ transport.diffuse.flatten(3)  # N x 3 x M x h'w'
    diffuse = through.transpose(1, 2).unflatten(3, size)
    rows, columns = light.blurred[0].shape[-2:]
    grid = sampling_grid(transport.mirrored.permute(0, 2, 3, 1), rows, columns)
    mirrored = torch.zeros_like(diffuse)
    for lobe, blurred in enumerate(light.blurred):
        seen = sample(blurred.flatten(1, 2), grid).unflatten(1, (lights, 3))
        mirrored = mirrored + transport.share[:, lobe].view(count, 1, 1, *size) * (seen - diffuse)
    return Shading(diffuse, mirrored)


def apply_shading(flat_lit: Tensor, shading: Shading) -> Tensor:
    """N x M x 3 x H x W linear radiance, at least 0, of flat-lit N x 3 x H x W of any size."""
    planes = torch.cat(shading, dim=2).flatten(1, 2)  # N x 6M x h' x w'
    diffuse, mirrored = enlarge(planes, flat_lit.shape[-2:]).unflatten(1, (-1, 6)).split(3, dim=2)
    grey = flat_lit.amin(1, keepdim=True)
    return torch.addcmul(flat_lit[:, None] * diffuse, grey[:, None], mirrored)


def mirror_direction(normal: Tensor) -> Tensor:
    """Where the camera on +Z sees the light come from in a mirror of N x 3 x h x w unit normals."""
    facing = normal[:, 2:3]
    towards_camera = normal.new_tensor([0.0, 0.0, 1.0]).view(1, 3, 1, 1)
    return F.normalize(2 * facing * normal - towards_camera, dim=1)
