"""The network for relighting: the delighting network's backbone with heads that say how pixels pass light on."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.models.delit.backbone import Backbone
from src.models.delit.lobes import LOBES
from src.models.relit.over_time import OverTime
from src.models.relit.transport import Transport, mirror_direction
from src.utils.sphere import fibonacci_sphere

_FRONT = 0.1  # of a normal, towards the camera: before anything is learned, surfaces face it
_SHARE = -3.0  # logit of each specular lobe's share, before anything is learned


class RelitNetwork(Backbone):
    """Flat-lit N x 3 x H x W at unit exposure, H and W multiples of 16 -> :class:`Transport`.

    ``sources``: how many kinds of training pictures there are; each has a token of its own, so that what is peculiar
    to one does not go into the others. ``sees_time``: with features over ``frames`` consecutive pictures. The surface's
    normal is the mean direction of the light that reaches a pixel, corrected: specular lobes are about the direction
    mirrored at it.
    """

    directions: Tensor

    def __init__(self, base_dim: int, lobes: int, sources: int, sees_time: bool = False) -> None:
        super().__init__(base_dim)
        width = self.widths[1]
        self.source = nn.Embedding(sources, self.widths[-1])
        self.to_transfer = nn.Conv2d(width, LOBES, 1)  # as the delighting network's shading head
        self.to_colour = nn.Conv2d(width, 3 * LOBES, 1)
        self.to_surface = nn.Conv2d(width, lobes + 1 + 3 + 1, 1)  # shares, their rest, normal, mask
        for parameter in (self.source.weight, *self._head_parameters()):
            nn.init.zeros_(parameter)
        assert self.to_surface.bias is not None
        with torch.no_grad():
            self.to_surface.bias[:lobes] = _SHARE
        self.lobes = lobes
        self.over_time = OverTime(self.widths[-1], width) if sees_time else None
        self.register_buffer("directions", torch.from_numpy(fibonacci_sphere(LOBES)).float(), persistent=False)

    def forward(self, picture: Tensor, source: Tensor, frames: int = 1) -> Transport:
        _, levels = self.encode(picture)  # from N x B x H/2 x W/2 to N x 2B x H/16 x W/16
        tokens = self.attend(levels[-1] + self.source(source)[:, :, None, None])  # N x 2B x H/16 x W/16
        if self.over_time is not None and frames > 1:
            tokens = self.over_time.tokens(tokens, frames)
        fine, _ = self.decode(tokens, levels)  # N x B x H/2 x W/2
        if self.over_time is not None and frames > 1:
            fine = self.over_time.fine(fine, frames)
        logits = self.to_transfer(fine)[:, None] + self.to_colour(fine).unflatten(1, (3, LOBES))
        diffuse = torch.softmax(logits.float(), dim=2)  # N x 3 x LOBES x H/2 x W/2
        shares, normal, mask = self.to_surface(fine).float().split([self.lobes + 1, 3, 1], dim=1)
        mean = torch.einsum("nkhw,kd->ndhw", diffuse.mean(1), self.directions)
        front = normal.new_tensor([0.0, 0.0, _FRONT]).view(1, 3, 1, 1)
        normal = F.normalize(mean + normal + front, dim=1)
        share = torch.softmax(shares, dim=1)[:, : self.lobes]  # N x S x H/2 x W/2
        return Transport(diffuse, share, mirror_direction(normal), torch.sigmoid(mask))

    def _head_parameters(self) -> list[nn.Parameter]:
        return [p for head in (self.to_transfer, self.to_colour, self.to_surface) for p in head.parameters()]
