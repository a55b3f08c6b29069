"""Flat-lit portraits under several lights each, for relighting: relit anew from OLATs for every batch.

A network says once how a portrait passes light on; so a sample has one pose and skin, and many lights to learn from.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from src.data.portrait.augmentation import Pose, move, random_pose, skin_factor, still_pose
from src.data.portrait.olat_stacks import OlatStacks
from src.data.portrait.pair_batch import PairBatch
from src.data.portrait.random_light import RandomLight
from src.utils.compositing import put_before
from src.utils.seeding import generator
from src.utils.sphere import perspective_directions
from src.utils.sphere_torch import sample

LobeShares = Callable[[Tensor], Tensor]
_DARKEST_FLAT = 1e-4  # radiance, where it is divided by


@dataclass(frozen=True)
class RelitBatch:
    """N portraits under M lights each, all on one device, in linear radiance."""

    shown: Tensor  # N x 3 x S x S: flat-lit, with a background where there is one
    flat_lit: Tensor  # N x 3 x S x S, black outside the mask
    mask: Tensor  # N x 1 x S x S in [0, 1]
    environment: Tensor  # N x M x 3 x h x w
    relit: Tensor  # N x M x 3 x S x S, black outside the mask
    name: list[str]
    source: Tensor  # N: index of the kind of pictures
    # N x 3 x K x S/2 x S/2: how much of flat-lit's light comes through each of the model's lobes, where OLATs tell
    transfer: Tensor | None = None
    # N x 3 x S x S where the portraits are consecutive frames: columns and rows to where a pixel was in the frame
    # before, and 1 where it was seen there
    flow: Tensor | None = None
    confidence: Tensor | None = None  # N x 1 x S x S in [0, 1] where flat-lit was predicted: how sure it is
    # L x 3 x h x w: lights of all frames that there are no pictures in; in these too they have to be steady
    other_lights: Tensor | None = None

    def __len__(self) -> int:
        return len(self.flat_lit)

    def to(self, device: torch.device | str) -> RelitBatch:
        tensors: dict[str, Any] = {
            name: value.to(device) for name, value in vars(self).items() if isinstance(value, Tensor)
        }
        return replace(self, **tensors)


def of_pair(pair: PairBatch, source: int = 0) -> RelitBatch:
    """Pairs of files as portraits under one light each, before the background of their lit pictures."""
    flat_lit = pair.flat_lit * pair.mask
    return RelitBatch(
        shown=put_before(pair.relit, flat_lit, pair.mask),
        flat_lit=flat_lit,
        mask=pair.mask,
        environment=pair.environment[:, None],
        relit=(pair.relit * pair.mask)[:, None],
        name=pair.name,
        source=torch.full((len(pair),), source, device=pair.mask.device),
    )


@dataclass(frozen=True)
class RelitOptions:
    """What a batch is, beside the subjects and the light."""

    batch_size: int = 4
    lights: int = 4  # of each portrait
    steps_per_epoch: int = 1
    fov_degrees: float = 30.0  # vertical, of the camera that sees the environment behind the person
    augment: bool = True  # pose and skin
    seed: int = 0
    rank: int = 0


class RelitBatches:
    """Batches on the device, as a function of ``(seed, epoch, index, rank)``.

    Every other portrait is shown before the environment of its first light, as delighting leaves photographs; the
    others before black, as a light stage shows them.
    """

    def __init__(self, stacks: OlatStacks, light: RandomLight, options: RelitOptions, lobes: LobeShares) -> None:
        """``lobes``: unit directions L x 3 -> K x L, how a light is dealt to lobes; sums to 1 over K."""
        self.stacks, self.light, self.options, self._lobes = stacks, light, options, lobes
        self.steps_per_epoch, self.device = options.steps_per_epoch, stacks.device
        side = stacks.image_size
        self._rays = torch.from_numpy(perspective_directions(side, side, options.fov_degrees)).float().to(self.device)
        self._matrices = stacks.light_matrices(*light.size)
        cells = [stacks.cells[capture.light_set] for capture in stacks.stage.captures]
        self._directions = [torch.from_numpy(one.directions).float().to(self.device) for one in cells]
        exposure = stacks.stage.settings.exposure
        self._solid_angles = [torch.from_numpy(one.solid_angles() * exposure).float().to(self.device) for one in cells]

    def epoch(self, epoch: int, start: int) -> Iterator[RelitBatch]:
        for index in range(start, self.steps_per_epoch):
            yield self.batch(epoch, index)

    @torch.no_grad()
    def batch(self, epoch: int, index: int) -> RelitBatch:
        """The ``index``-th batch of this process."""
        options, side = self.options, self.stacks.image_size
        random = generator(options.seed, epoch, index, options.rank)
        count, lights = options.batch_size, options.lights
        subjects = torch.randint(len(self.stacks), (count,), generator=random)
        pose = random_pose(random, count, side, self.device) if options.augment else still_pose(count, side)
        rotation = pose.rotation.to(self.device)
        light = self.light(random, rotation.repeat_interleave(lights, dim=0))
        on_stage, seen = (maps.unflatten(0, (count, lights)) for maps in (light.on_stage, light.seen))

        at = subjects.to(self.device)
        planes = [self._relight(subjects, on_stage).flatten(1, 2), self.stacks.flat_lit[at], self.stacks.masks[at]]
        mask = planes[-1]
        pictures = torch.cat([*(part * (mask > 0) for part in planes[:2]), mask], dim=1)
        if options.augment:
            pictures = move(pictures, pose)
        relit, flat_lit, mask = pictures.split([3 * lights, 3, 1], dim=1)
        relit, flat_lit = relit * mask, flat_lit * mask
        if options.augment:
            factor = skin_factor(random, flat_lit, mask)
            relit, flat_lit = relit * factor.repeat(1, lights, 1, 1), flat_lit * factor
        return RelitBatch(
            shown=self._put_background(flat_lit, mask, seen[:, 0]),
            flat_lit=flat_lit,
            mask=mask,
            environment=seen,
            relit=relit.unflatten(1, (lights, 3)),
            name=[self.stacks.stage.captures[k].name for k in subjects.tolist()],
            source=torch.zeros(count, dtype=torch.long, device=self.device),
            transfer=self._transfer(subjects, pose if options.augment else None),
        )

    def _transfer(self, subjects: Tensor, pose: Pose | None) -> Tensor:
        """N x 3 x K x S/2 x S/2, sums to 1 over the lobes."""
        side = self.stacks.image_size
        planes = []
        for n, k in enumerate(subjects.tolist()):
            directions = self._directions[k]
            if pose is not None:
                directions = directions @ pose.rotation[n].to(self.device).T
            shares = self._lobes(directions) * self._solid_angles[k]  # K x L
            through = (shares @ self.stacks.olats(k)).unflatten(2, (side, side))  # 3 x K x S x S
            planes.append(F.avg_pool2d(through, 2).flatten(0, 1))
        transfer = torch.stack(planes)
        if pose is not None:
            transfer = move(transfer, pose._replace(grid=pose.grid[:, ::2, ::2] * 0.5 + pose.grid[:, 1::2, 1::2] * 0.5))
        transfer = transfer.unflatten(1, (3, -1)).clamp_min(0)
        return transfer / transfer.sum(2, keepdim=True).clamp_min(_DARKEST_FLAT)

    def _relight(self, subjects: Tensor, lights: Tensor) -> Tensor:
        """N x M x 3 x S x S of the subjects under N x M x 3 x h x w; nothing is behind them."""
        side = self.stacks.image_size
        pictures = torch.empty(*lights.shape[:3], side, side, device=self.device)
        for k in subjects.unique().tolist():
            chosen = (subjects == k).nonzero().flatten().to(self.device)
            coefficients = torch.einsum("lp,nmcp->nmcl", self._matrices[k], lights[chosen].flatten(3))
            relit = self.stacks.relight(k, coefficients.flatten(0, 1))
            pictures[chosen] = relit.unflatten(0, (len(chosen), -1))
        return pictures.clamp_min(0)

    def _put_background(self, flat_lit: Tensor, mask: Tensor, environment: Tensor) -> Tensor:
        grid = self.light.grid(self._rays.expand(len(flat_lit), -1, -1, -1))
        behind = sample(environment, grid)
        behind[1::2] = 0
        return put_before(behind, flat_lit, mask)
