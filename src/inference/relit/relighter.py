"""A flat-lit portrait in any light: arrays in, arrays out, no files.

relighter = Relighter(relit_model.load("relit.pth"))
transport = relighter.transport(flat_lit)             # the network, once per picture
picture = relighter.relight(transport, environment)   # one small product for every light
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from src.inference.crops import Crop, whole_picture, wider_crop
from src.inference.framing import frame_portrait
from src.inference.upsampling import resize_mask
from src.models.relit.transport import Transport
from src.models.relit_model import RelitModel
from src.utils.resize import resize_area

_SMALLEST_SIDE = 16  # that the network takes
_LEAST_WEIGHT = 1e-3  # of a pixel outside the person, where shading is enlarged
_GUIDE_FLOOR = 0.01  # flat-lit radiance that is added before its logarithm guides the mask


class Seen(NamedTuple):
    """What the network said of a part of a picture."""

    transport: Transport
    crop: Crop


@dataclass(frozen=True)
class PortraitTransport:
    """A picture and how the portrait in it passes light on: what :meth:`Relighter.relight` needs, and no network.

    Shading is enlarged within the mask, so that what is said of the background does not bleed over the outline:
    weighted before and divided by the enlarged weight after, which ``albedo`` and ``grey`` hold.
    """

    picture: np.ndarray  # H x W x 3 linear: flat-lit where the person is
    mask: np.ndarray  # H x W in [0, 1]: the person, within the crop
    crop: Crop  # the part that the network saw
    note: str  # why that part
    transport: Transport
    weight: np.ndarray  # h' x w' x 1 above 0, at the size of the transport
    albedo: Tensor  # h x w x 3: the crop of the picture within the mask
    grey: Tensor  # h x w x 3: the grey part of it, whose mirrored light is not coloured
    rest: Tensor  # h x w x 3: the crop of the picture outside the mask
    around: PortraitTransport | None = None  # of a wider crop, with what this one leaves out of the person


class Relighter:
    """A trained model applied to pictures of any size.

    ``crops``: look for a face and show the network the portrait about it, rather than the whole picture.
    """

    def __init__(self, model: RelitModel, crops: bool = True) -> None:
        self.model = model
        self.device = next(model.parameters()).device
        self.crops = crops

    @torch.inference_mode()
    def transport(
        self,
        flat_lit: np.ndarray,
        mask: np.ndarray | None = None,
        crop: Crop | None = None,
        mask_is_of_crop: bool = False,
    ) -> PortraitTransport:
        """Ask the network how the portrait in H x W x 3 linear radiance, at least 0, passes light on.

        ``mask`` H x W in [0, 1]: where the person is, by default what the network takes for one; with
        ``mask_is_of_crop`` it says nothing outside the crop. ``crop``: the part to show the network, by default the
        portrait about the face that is found. What that leaves out of a person is looked at once more, from afar.
        """
        note = "as given"
        if crop is None:
            crop, note = frame_portrait(flat_lit, self.crops)
        said = self.model.transport(self.network_input(flat_lit, mask, crop)[None])
        around = None
        if (wider := wider_crop(crop, *flat_lit.shape[:2])) is not None:
            known = None if mask_is_of_crop else mask
            seen = self.network_input(flat_lit, known, wider)
            around = Seen(self.from_afar(seen) if known is None else self.model.transport(seen[None]), wider)
        return self.finish(Seen(said, crop), flat_lit, mask, note, around, mask_is_of_crop)

    def network_input(self, flat_lit: np.ndarray, mask: np.ndarray | None, crop: Crop) -> Tensor:
        """3 x h x w of the crop of a picture: its long side becomes the model's ``image_size``.

        A person whose mask is known is shown before black: nothing behind is taken for a part of them.
        """
        content = crop.cut(flat_lit)
        if mask is not None:
            content = content * crop.cut(mask)[..., None]
        scale = self.model.config.image_size / max(content.shape[:2])
        size = (max(_SMALLEST_SIDE, round(side * scale)) for side in content.shape[:2])
        return _planes(resize_area(np.ascontiguousarray(content, np.float32), *size))[0].to(self.device)

    @torch.inference_mode()
    def from_afar(self, seen: Tensor) -> Transport:
        """What the network says of 3 x h x w of a wider crop: a person is what is one in its mirror image too.

        Seen small, walls and curtains beside a person are taken for a part of them now and then, mostly on one side.
        """
        said, mirrored = (self.model.transport(planes[None]) for planes in (seen, seen.flip(-1)))
        return said._replace(mask=torch.minimum(said.mask, mirrored.mask.flip(-1)))

    @torch.inference_mode()
    def finish(
        self,
        portrait: Seen,
        flat_lit: np.ndarray,
        mask: np.ndarray | None,
        note: str = "",
        around: Seen | None = None,
        mask_is_of_crop: bool = False,
    ) -> PortraitTransport:
        """What the network said of a picture's portrait, and of more ``around`` it, with all that relighting needs."""
        person = _person_in(portrait, flat_lit, mask)
        height, width = flat_lit.shape[:2]
        fades = portrait.crop.feather(height, width, leaves_body=around is not None)
        placed = _placed(portrait, flat_lit, person * fades, note)
        if around is None:
            return placed
        # Within the portrait its own mask counts: from afar an outline is coarse.
        near = portrait.crop.put_back(np.zeros((height, width), np.float32), fades)
        person = _person_in(around, flat_lit, None if mask_is_of_crop else mask)
        person = around.crop.cut(placed.mask) + (1 - around.crop.cut(near)) * person
        return replace(
            placed,
            around=_placed(around, flat_lit, person * around.crop.feather(height, width, leaves_body=True), note),
        )

    @torch.inference_mode()
    def relight(
        self, transport: PortraitTransport, environment: np.ndarray, background: np.ndarray | None = None
    ) -> np.ndarray:
        """H x W x 3 linear radiance of the portrait under an environment (h x w x 3 linear, of any size).

        ``background`` H x W x 3 or 3 is what is seen behind the person, by default the picture itself. Twice the
        environment gives twice the person, and two environments the sum.
        """
        shading = self.model.shade(transport.transport, self.model.fit_environment(environment))
        crop, size = transport.crop, transport.albedo.shape[:2]
        behind, rest = transport.picture, transport.rest
        if transport.around is not None:
            background = self.relight(transport.around, environment, background)
        if background is not None:
            behind = np.broadcast_to(background, transport.picture.shape).astype(np.float32)
            rest = torch.from_numpy(crop.cut(behind) * (1 - crop.cut(transport.mask)[..., None]))
        # How often what has the picture's size passes through memory is what a further light costs.
        diffuse, mirrored = (_enlarged(part, transport.weight, *size) for part in shading)
        relit = torch.addcmul(rest, transport.albedo, diffuse).addcmul_(transport.grey, mirrored).numpy()
        return relit if crop == whole_picture(*behind.shape[:2]) else crop.put_back(behind, relit)


def _person_in(seen: Seen, flat_lit: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """h x w in [0, 1] of a crop: the person, by the mask of the picture or else by the network."""
    content = np.ascontiguousarray(seen.crop.cut(flat_lit), np.float32)
    if mask is None:
        return resize_mask(seen.transport.mask[0, 0].cpu().numpy(), content, _GUIDE_FLOOR)
    return resize_area(seen.crop.cut(np.asarray(mask, np.float32)), *content.shape[:2])


def _placed(seen: Seen, flat_lit: np.ndarray, inside: np.ndarray, note: str) -> PortraitTransport:
    """``inside`` h x w in [0, 1], of the crop: how much of each pixel is to be relit."""
    crop, (height, width) = seen.crop, flat_lit.shape[:2]
    content = np.ascontiguousarray(crop.cut(flat_lit), np.float32)
    inside = inside.astype(np.float32)
    weight = resize_area(inside, *seen.transport.share.shape[-2:]) + np.float32(_LEAST_WEIGHT)
    gain = (inside / resize_area(weight, *content.shape[:2]))[..., None]
    return PortraitTransport(
        picture=flat_lit,
        mask=crop.put_back(np.zeros((height, width), np.float32), inside),
        crop=crop,
        note=note,
        transport=seen.transport,
        weight=weight[..., None],
        albedo=torch.from_numpy(content * gain),
        grey=torch.from_numpy(np.repeat(content.min(axis=2, keepdims=True) * gain, 3, axis=2)),
        rest=torch.from_numpy(content * (1 - inside[..., None])),
    )


def _enlarged(shading: Tensor, weight: np.ndarray, height: int, width: int) -> Tensor:
    """1 x 1 x 3 x h' x w' times its weight, as height x width x 3 on the CPU."""
    planes = np.ascontiguousarray(shading[0, 0].permute(1, 2, 0).cpu().numpy()) * weight
    return torch.from_numpy(resize_area(planes, height, width))


def _planes(picture: np.ndarray) -> Tensor:
    """H x W x 3 -> 1 x 3 x H x W."""
    return torch.from_numpy(np.ascontiguousarray(picture.transpose(2, 0, 1)))[None]
