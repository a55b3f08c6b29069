"""The simplified architecture for delighting: a plain encoder and two decoders, as a reference."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from src.models.delit.outputs import NetworkOutput
from src.utils.color import srgb_to_linear
from src.utils.hdr_codec import Codec


class SimplifiedDelit(nn.Module):
    """4 convolutions down to an eighth, 4 up again for flat-lit, 2 up to the environment's size."""

    def __init__(self, base_dim: int, env_height: int, env_width: int, codec: Codec) -> None:
        super().__init__()
        self.env_size = (env_height, env_width)
        widths = [base_dim, 2 * base_dim, 4 * base_dim]

        def block(n_in: int, n_out: int, stride: int = 1) -> list[nn.Module]:
            return [nn.Conv2d(n_in, n_out, 3, stride, 1), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]

        def doubling(n_in: int, n_out: int) -> list[nn.Module]:
            return [nn.ConvTranspose2d(n_in, n_out, 4, 2, 1), nn.BatchNorm2d(n_out), nn.ReLU(inplace=True)]

        self.encoder = nn.Sequential(
            *block(3, widths[0], 2), *block(widths[0], widths[1], 2), *block(widths[1], widths[2], 2),
            *block(widths[2], widths[2]),
        )  # fmt: skip
        self.flat_decoder = nn.Sequential(
            *doubling(widths[2], widths[1]), *doubling(widths[1], widths[0]), *doubling(widths[0], widths[0]),
            nn.Conv2d(widths[0], 3, 3, 1, 1),
        )  # fmt: skip
        self.env_up = nn.Sequential(*doubling(widths[2], widths[1]))
        self.env_head = nn.Conv2d(widths[1], codec.channels, 3, 1, 1)

    def forward(self, picture: Tensor) -> NetworkOutput:
        features = self.encoder(torch.log1p(picture))  # N x 4B x H/8 x W/8
        flat_lit = srgb_to_linear(torch.sigmoid(self.flat_decoder(features).float()))  # N x 3 x H x W
        up = F.interpolate(self.env_up(features), self.env_size, mode="bilinear", align_corners=False)  # N x 2B x h x w
        return NetworkOutput(flat_lit, torch.sigmoid(self.env_head(up).float()))  # N x C x h x w
