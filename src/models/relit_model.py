"""The relighting model: from a flat-lit portrait to how it passes light on, and from that to it in any light.

For a still picture relighting is linear in the environment. So the network is asked once per picture, for the
transport (:mod:`src.models.relit.transport`), and a light is one small product with it: twice the light gives exactly
twice the picture, two lights exactly the sum of both pictures, and a uniform light of radiance 1 the flat-lit picture.
The network sees flat-lit at unit exposure, so that a picture twice as bright gives twice the relit one.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from src.models.delit.attention import TRANSFER_STRIDE
from src.models.delit.layers import enlarge
from src.models.delit_model import DelitModel, measure_exposure, padded
from src.models.relit.network import RelitNetwork
from src.models.relit.projection import LightProjection
from src.models.relit.transport import Shading, Transport, apply_shading, shade
from src.utils import checkpoint
from src.utils.sphere import resize_environment

CHECKPOINT_KIND = "relit"
STAGE_SOURCE = "stage"


@dataclass(frozen=True)
class RelitConfig:
    """Everything that a model is built from."""

    image_size: int = 512  # the side of the square crops it is trained on
    env_height: int = 64  # rows of the environments it is lit by; finer ones are brought to it, their energy kept
    base_dim: int = 64
    sharpnesses: tuple[float, ...] = (10.0, 40.0, 160.0)  # of the specular lobes
    sources: tuple[str, ...] = (STAGE_SOURCE,)  # kinds of training pictures; inference speaks as the first
    over_time: bool = False  # features over a window of a video's frames

    def __post_init__(self) -> None:
        for name in ("sharpnesses", "sources"):  # a checkpoint gives lists
            object.__setattr__(self, name, tuple(getattr(self, name)))

    @property
    def env_size(self) -> tuple[int, int]:
        return self.env_height, 2 * self.env_height


class RelitModel(nn.Module):
    """A relighting network with what goes in and comes out of it in physical units."""

    def __init__(self, config: RelitConfig) -> None:
        super().__init__()
        self.config = config
        self.network = RelitNetwork(config.base_dim, len(config.sharpnesses), len(config.sources), config.over_time)
        self.projection = LightProjection(*config.env_size, config.sharpnesses)

    def forward(
        self,
        flat_lit: Tensor,
        environment: Tensor,
        source: Tensor | None = None,
        shown: Tensor | None = None,
        frames: int = 1,
    ) -> tuple[Tensor, Transport]:
        """``flat_lit`` N x 3 x H x W under N x M x 3 x h x w environments of the model's own size -> relit
        N x M x 3 x H x W, and the transport. ``shown``: what the network sees of flat-lit, if that is not all of it."""
        transport = self.transport(flat_lit if shown is None else shown, source, frames)
        return self.relight(flat_lit, transport, environment), transport

    def transport(self, flat_lit: Tensor, source: Tensor | None = None, frames: int = 1) -> Transport:
        """Of N x 3 x H x W linear radiance of any exposure, at least 0, any size from 16 x 16 on.

        ``source``: N indices of the configuration's sources; by default the first. ``frames``: so many pictures after
        one another are consecutive frames; N is a multiple of it.
        """
        height, width = flat_lit.shape[-2:]
        rows, columns = -(-height // TRANSFER_STRIDE), -(-width // TRANSFER_STRIDE)
        if source is None:
            source = torch.zeros(len(flat_lit), dtype=torch.long, device=flat_lit.device)
        answer = self.network(padded(flat_lit / measure_exposure(flat_lit)), source, frames)
        return Transport(*(part[..., :rows, :columns] for part in answer))

    def relight(self, flat_lit: Tensor, transport: Transport, environment: Tensor) -> Tensor:
        """N x M x 3 x H x W linear radiance under N x M x 3 x h x w environments of the model's own size.

        ``flat_lit`` N x 3 x H x W may be larger than what the transport was predicted from.
        """
        return apply_shading(flat_lit, self.shade(transport, environment))

    def shade(self, transport: Transport, environment: Tensor) -> Shading:
        with torch.autocast(environment.device.type, enabled=False):
            return shade(transport, self.projection(environment.float()))

    def white_skin(self, transport: Transport, environment: Tensor) -> Tensor:
        """N x L x 3 x h' x w': a white picture under L x 3 x h x w environments, the same ones for all."""
        shading = self.shade(transport, environment.expand(len(transport.mask), *environment.shape))
        return shading.diffuse + shading.mirrored

    @staticmethod
    def full_mask(transport: Transport, like: Tensor) -> Tensor:
        """The transport's mask, N x 1 x H x W, at the size of a picture ``like``."""
        return enlarge(transport.mask, like.shape[-2:])

    def fit_environment(self, environment: np.ndarray) -> Tensor:
        """H x W x 3 linear radiance of any size -> 1 x 1 x 3 x h x w of the model's own, its energy kept."""
        fitted = resize_environment(environment, *self.config.env_size)
        device = self.projection.lobes.device
        return torch.from_numpy(np.ascontiguousarray(fitted.transpose(2, 0, 1), np.float32))[None, None].to(device)

    @torch.no_grad()
    def begin_from_relit(self, other: RelitModel) -> None:
        """Take the weights of a relighting model of the same width and lobes; sources that it does not know begin like
        its first, and what sees time begins as the identity. Raises ValueError if it has another shape."""
        own, theirs = self.state_dict(), other.state_dict()
        if other.config.sharpnesses != self.config.sharpnesses or other.config.base_dim != self.config.base_dim:
            raise ValueError("has a network of another shape")
        tokens = dict(zip(other.config.sources, theirs["network.source.weight"], strict=True))
        rows = [tokens.get(name, theirs["network.source.weight"][0]) for name in self.config.sources]
        self.load_state_dict(
            own | {k: v for k, v in theirs.items() if k in own} | {"network.source.weight": torch.stack(rows)}
        )

    @torch.no_grad()
    def begin_from(self, delit: DelitModel) -> None:
        """Take the backbone and the shading head of a delighting model of the same width. Raises ValueError if it has
        none: both have learned how faces pass light on."""
        own, theirs = self.network.state_dict(), dict(delit.network.state_dict())
        theirs |= {f"to_transfer.{name}": theirs.get(f"shading.to_transfer.{name}") for name in ("weight", "bias")}
        shared = [name for name in own if not name.startswith(("source.", "to_colour.", "to_surface."))]
        if any(theirs.get(name) is None or theirs[name].shape != own[name].shape for name in shared):
            raise ValueError("has no backbone and shading head of this width")
        self.network.load_state_dict(own | {name: theirs[name] for name in shared})


def load(path: str | Path, device: str | torch.device = "cpu") -> RelitModel:
    """The model of a checkpoint, ready for inference. Raises :class:`InputError` if the file is not one."""

    def build(stored: dict) -> RelitModel:
        return RelitModel(RelitConfig(**stored["config"]))

    return checkpoint.read_model(path, CHECKPOINT_KIND, build).requires_grad_(False).to(device)
