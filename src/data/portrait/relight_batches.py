"""Relighting on the fly: no batch shows a person in light, pose or skin that was seen before.

The light of a sample is an environment turned about +Y, or a mixture of two, or one with a lamp added, in any colour
and exposure; its picture is ``c_l`` times the subject's OLATs, all samples of a subject in one matrix product.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from src.data.portrait.augmentation import Pose, move, normal, photograph, random_pose, skin_factor, uniform
from src.data.portrait.delit_dataset import DelitDataset, to_item
from src.data.portrait.olat_stacks import OlatStacks
from src.data.portrait.picture_cache import PictureCache
from src.data.stage.environments import read_environment
from src.utils.cli import InputError
from src.utils.seeding import generator
from src.utils.sphere import perspective_directions, pixel_directions, resize_environment
from src.utils.sphere_torch import sample, sampling_grid

SHARE_MIXED, SHARE_WITH_LAMP = 0.3, 0.3
TINT = 0.15  # standard deviation of the log of the light's colour
LAMP_SHARPNESS = (10.0, 1000.0)  # of exp(k (cos - 1)): lobes of some 50 and 5 degrees
_DARKEST_SKIN = 1e-3  # flat-lit radiance, where it is divided by
_PHYSICAL_SIZE = 32  # pictures that the physical loss renders
_LUMINANCE = (0.2126, 0.7152, 0.0722)  # Rec. 709


Batch = dict[str, Tensor | list[str]]


class RelightBatches:
    """Batches as a function of ``(seed, epoch, index, rank)``.

    ``pair_share`` of every batch are from ``pairs``, as they were photographed or rendered, but moved and recoloured
    like the others. ``augment`` False leaves pose, skin and camera alone.

    A batch is a dictionary of linear radiance on the device: ``relit``, ``flat_lit`` N x 3 x S x S, ``mask``
    N x 1 x S x S, ``environment`` N x 3 x h x w, and ``name``; and for the n samples relit another light,
    ``other_environment`` n x 3 x h x w, with the lit over the flat-lit picture under it, ``other_shading``
    n x 3 x S x S. With ``physical`` also what the physical loss needs of
    these n samples: ``olats`` n x L x 3 x s x s and ``stage_mask`` n x 1 x s x s as captured, ``light_matrix``
    L x (h * w), and ``to_stage`` n x h x w x 2, the grid that takes environments into the stage's frame.
    """

    def __init__(
        self,
        stacks: OlatStacks,
        environments: Sequence[Path],
        cache_dir: Path,
        *,
        env_height: int,
        env_width: int,
        batch_size: int,
        steps_per_epoch: int,
        pairs: DelitDataset | None = None,
        pair_share: float = 0.2,
        fov_degrees: float = 30.0,
        augment: bool = True,
        physical: bool = False,
        seed: int = 0,
        rank: int = 0,
    ) -> None:
        if not environments:
            raise InputError("--env_dir", "no environments to train on", "hold out fewer, or give more")
        self.stacks, self.device = stacks, stacks.device
        self.batch_size, self.steps_per_epoch = batch_size, steps_per_epoch
        self.augment, self.fov_degrees, self.seed, self.rank = augment, fov_degrees, seed, rank
        size = (env_height, env_width)
        cache = PictureCache(cache_dir)
        maps = [
            cache.get(path, ("env", *size), lambda path=path: resize_environment(read_environment(path), *size))
            for path in environments
        ]
        self._names = [path.stem for path in environments]
        self._pairs, self._pair_count = self._load_pairs(pairs), 0
        if self._pairs:
            self._pair_count = round(pair_share * batch_size)
        maps = torch.from_numpy(np.stack(maps)).permute(0, 3, 1, 2).to(self.device)
        solid_angles = self._luminance(maps).clamp_min(1e-6)
        self._maps = maps / solid_angles.view(-1, 1, 1, 1)  # E x 3 x h x w of mean luminance 1
        self._directions = torch.from_numpy(pixel_directions(*size)).float().to(self.device)  # h x w x 3
        side = stacks.image_size
        self._rays = torch.from_numpy(perspective_directions(side, side, 90.0)).float().to(self.device)
        matrices = {name: stacks.light_matrix(k, *size) for k, name in self._a_capture_of_each_light_set().items()}
        self._matrices = [matrices[capture.light_set] for capture in stacks.stage.captures]
        self._reduced = self._reduced_olats() if physical else None

    def epoch(self, epoch: int, start: int) -> Iterator[Batch]:
        for index in range(start, self.steps_per_epoch):
            yield self.batch(epoch, index)

    @torch.no_grad()
    def batch(self, epoch: int, index: int) -> Batch:
        """The ``index``-th batch of this process."""
        random = generator(self.seed, epoch, index, self.rank)
        count, relit_count, side = self.batch_size, self.batch_size - self._pair_count, self.stacks.image_size
        subjects = torch.randint(len(self.stacks), (relit_count,), generator=random)
        pose = random_pose(random, count, side) if self.augment else _no_pose(count, side)
        rotation = pose.rotation.to(self.device)
        light, target, names = self._light(random, relit_count, rotation[:relit_count])
        other_light, other_target, _ = self._light(random, relit_count, rotation[:relit_count])

        both = torch.stack([light, other_light])  # 2 x n x 3 x h x w
        pictures = torch.empty(2, relit_count, 3, side, side, device=self.device)
        for k in subjects.unique().tolist():
            chosen = (subjects == k).nonzero().flatten().to(self.device)
            coefficients = torch.einsum("lp,tncp->tncl", self._matrices[k], both[:, chosen].flatten(3))
            pictures[:, chosen] = self.stacks.relight(k, coefficients.flatten(0, 1)).unflatten(0, (2, -1))
        at = subjects.to(self.device)
        flat_lit, mask = self.stacks.flat_lit[at], self.stacks.masks[at]
        person, other_shading = pictures[0], (pictures[1] / flat_lit.clamp_min(_DARKEST_SKIN)).clamp_min(0)
        names = [
            f"{self.stacks.stage.captures[k].name}/{name}" for k, name in zip(subjects.tolist(), names, strict=True)
        ]
        person = person * (mask > 0)
        if self._pair_count:
            drawn = torch.randint(len(self._pairs["relit"]), (self._pair_count,), generator=random).to(self.device)
            person = torch.cat([person, self._pairs["relit"][drawn]])
            flat_lit = torch.cat([flat_lit, self._pairs["flat_lit"][drawn]])
            mask = torch.cat([mask, self._pairs["mask"][drawn]])
            grid = self._grid(self._directions @ rotation[relit_count:, None])
            target = torch.cat([target, sample(self._pairs["environment"][drawn], grid)])
            names += [self._pairs["name"][k] for k in drawn.tolist()]

        flat_lit = flat_lit * mask
        if self.augment:
            person, flat_lit, mask = move(torch.cat([person, flat_lit, mask], dim=1), pose).split([3, 3, 1], dim=1)
            other_shading = move(other_shading, Pose(*(part[:relit_count] for part in pose)))
            factor = skin_factor(random, flat_lit, mask)
            flat_lit = flat_lit * factor
            is_pair = torch.arange(count, device=self.device).view(-1, 1, 1, 1) >= relit_count
            person = person * torch.where(is_pair, 1 + mask * (factor - 1), factor)
        relit = person
        if relit_count:
            fov = self.fov_degrees / pose.scale[:relit_count].to(self.device)
            rays = self._rays.expand(relit_count, -1, -1, -1).clone()
            rays[..., 2] = rays[..., 2] / torch.tan(torch.deg2rad(fov) / 2).view(-1, 1, 1)
            behind = sample(target[:relit_count], self._grid(rays))
            relit = torch.cat([person[:relit_count] + (1 - mask[:relit_count]) * behind, person[relit_count:]])
        if self.augment:
            relit = photograph(random, relit)
        batch = dict(relit=relit, flat_lit=flat_lit, mask=mask, environment=target, name=names)
        batch |= dict(other_environment=other_target, other_shading=other_shading)
        if self._reduced is not None:
            batch |= self._for_physical_loss(at, rotation[:relit_count])
        return batch

    def _light(self, random: torch.Generator, count: int, rotation: Tensor) -> tuple[Tensor, Tensor, list[str]]:
        """(n x 3 x h x w in the stage's frame, the same in the frame of the moved camera, names)."""
        drawn = torch.randint(len(self._names), (count, 2), generator=random)
        share = torch.where(torch.rand(count, generator=random) < SHARE_MIXED, uniform(random, 0.1, 0.9, count), 0.0)
        turns = uniform(random, 0.0, 2 * math.pi, count, 2)
        gain = torch.exp(uniform(random, -1.5, 1.0, count, 1) + normal(random, TINT, count, 3)).to(self.device)
        lamp = F.normalize(torch.randn(count, 3, generator=random), dim=1).to(self.device)
        sharpness = torch.exp(uniform(random, *(math.log(k) for k in LAMP_SHARPNESS), count)).to(self.device)
        has_lamp = torch.rand(count, generator=random) < SHARE_WITH_LAMP
        power = torch.where(has_lamp, uniform(random, 0.3, 3.0, count), 0.0)
        colour = (power[:, None] * torch.exp(normal(random, TINT, count, 3))).to(self.device)

        mixed = (share > 0).nonzero().flatten()
        light = self._turned(drawn[:, 0], turns[:, 0])
        second = self._turned(drawn[mixed, 1], turns[mixed, 1])
        weight, mixed = share[mixed].view(-1, 1, 1, 1).to(self.device), mixed.to(self.device)
        light[mixed] = torch.lerp(light[mixed], second, weight)
        lobe = torch.exp(sharpness.view(-1, 1, 1) * (torch.einsum("hwc,nc->nhw", self._directions, lamp) - 1))
        # The lobe's integral is 2 pi / k (1 - exp(-2 k)): as much light as ``power`` times the map's mean gives.
        lobe = lobe * (2 * sharpness / (1 - torch.exp(-2 * sharpness))).view(-1, 1, 1)
        light = (light + colour[..., None, None] * lobe[:, None]) * gain[..., None, None]
        # A direction d of the moved camera's frame is rotation^T d of the stage's.
        seen = sample(light, self._grid(self._directions.expand(count, -1, -1, -1) @ rotation[:, None]))
        return light, seen, [self._names[k] for k in drawn[:, 0].tolist()]

    def _turned(self, which: Tensor, angles: Tensor) -> Tensor:
        """n x 3 x h x w: maps turned about +Y by ``angles`` in radians, as :func:`rotate_environment_y` does."""
        width = self._maps.shape[-1]
        shift = angles / (2 * math.pi) * width
        whole = shift.floor()
        columns = (torch.arange(width) + whole[:, None].long()) % width  # n x w
        maps = self._maps[which.to(self.device)]
        near, far = (
            maps.gather(3, index.to(self.device)[:, None, None].expand_as(maps))
            for index in (columns, (columns + 1) % width)
        )
        return torch.lerp(near, far, (shift - whole).view(-1, 1, 1, 1).to(self.device))

    def _grid(self, directions: Tensor) -> Tensor:
        return sampling_grid(directions, *self._directions.shape[:2])

    def _luminance(self, maps: Tensor) -> Tensor:
        """Rec. 709 luminance averaged over the sphere, one per map."""
        rows = torch.sin(math.pi * (torch.arange(maps.shape[2], device=maps.device) + 0.5) / maps.shape[2])
        luminance = torch.einsum("nchw,c->nhw", maps, maps.new_tensor(_LUMINANCE)).mean(2)
        return (luminance * rows).sum(1) / rows.sum()

    def _load_pairs(self, pairs: DelitDataset | None) -> dict:
        if pairs is None or not len(pairs):
            return {}
        items = [to_item(pairs.load(index), pair.name) for index, pair in enumerate(pairs.pairs)]
        tensors = ("relit", "flat_lit", "mask", "environment")
        loaded = {key: torch.stack([item[key] for item in items]).to(self.device) for key in tensors}
        return loaded | {"name": [item["name"] for item in items]}

    def _a_capture_of_each_light_set(self) -> dict[int, str]:
        first: dict[str, int] = {}
        for k, capture in enumerate(self.stacks.stage.captures):
            first.setdefault(capture.light_set, k)
        return {k: name for name, k in first.items()}

    def _reduced_olats(self) -> Tensor:
        """K x L x 3 x s x s; all subjects need the same number of lights."""
        side = self.stacks.image_size
        reduced = [
            F.adaptive_avg_pool2d(self.stacks.olats(k).unflatten(2, (side, side)), _PHYSICAL_SIZE)
            for k in range(len(self.stacks))
        ]
        return torch.stack(reduced).transpose(1, 2)

    def _for_physical_loss(self, subjects: Tensor, rotation: Tensor) -> Batch:
        masks = F.adaptive_avg_pool2d(self.stacks.masks[subjects], _PHYSICAL_SIZE)
        # A direction d of the stage is rotation @ d of the moved camera.
        directions = self._directions.expand(len(subjects), -1, -1, -1) @ rotation.mT[:, None]
        return dict(
            olats=self._reduced[subjects],
            stage_mask=masks,
            light_matrix=self._matrices[0],
            to_stage=self._grid(directions),
        )


def _no_pose(count: int, size: int) -> Pose:
    centres = (torch.arange(size) + 0.5) / size * 2 - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    grid = torch.stack([x, y], dim=-1).expand(count, -1, -1, -1)
    return Pose(grid, torch.eye(3).expand(count, 3, 3), torch.ones(count))
