"""Relighting on the fly: no batch shows a person in light, pose or skin that was seen before.

The light of a sample is drawn by :mod:`src.data.portrait.random_light`; its picture is ``c_l`` times the subject's
OLATs, all samples of a subject in one matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from src.data.portrait.augmentation import Pose, move, photograph, random_pose, skin_factor, still_pose
from src.data.portrait.olat_stacks import OlatStacks
from src.data.portrait.pair_batch import OtherLight, PairBatch, join_known
from src.data.portrait.random_light import Light, RandomLight
from src.data.portrait.stage_views import StageViews
from src.data.portrait.stored_pairs import StoredPairs
from src.data.portrait.wild_camera import CHANGES, photograph_in_the_wild
from src.data.portrait.wild_scene import occlude, other_background, tint_for_flat_lit_alone
from src.utils.compositing import put_before
from src.utils.seeding import generator
from src.utils.sphere import perspective_directions
from src.utils.sphere_torch import sample

# Switches of what tells photographs in the wild from pictures of one light stage.
WILD = ("framing", "stage_lamps", "background", "occlusion", "skin_split", *CHANGES)
_DARKEST_SKIN = 1e-3  # flat-lit radiance, where it is divided by


@dataclass(frozen=True)
class RelightOptions:
    """What a batch is, beside the subjects and the light."""

    batch_size: int = 4
    steps_per_epoch: int = 1
    pair_share: float = 0.2  # of every batch, from pairs of files where there are any
    fov_degrees: float = 30.0  # vertical, of the camera that sees the environment behind the person
    augment: bool = True  # pose, skin and camera
    wild: frozenset[str] = frozenset()  # of WILD: what else is varied, as photographs in the wild vary
    physical: bool = False  # with the view of the stage that the physical loss needs
    seed: int = 0
    rank: int = 0


class RelightBatches:
    """Batches on the device, as a function of ``(seed, epoch, index, rank)``.

    A batch begins with n relit samples, which ``other`` and ``stage`` are of; the rest are from ``pairs``, as they were
    photographed or rendered, but moved and recoloured like the others.
    """

    def __init__(
        self, stacks: OlatStacks, light: RandomLight, pairs: StoredPairs | None, options: RelightOptions
    ) -> None:
        self.stacks, self.light, self.options = stacks, light, options
        self.steps_per_epoch, self.device = options.steps_per_epoch, stacks.device
        self._pairs = pairs
        self._pair_count = round(options.pair_share * options.batch_size) if pairs else 0
        self._relit_count = options.batch_size - self._pair_count
        side = stacks.image_size
        self._rays = torch.from_numpy(perspective_directions(side, side, 90.0)).float().to(self.device)
        self._matrices = stacks.light_matrices(*light.size)
        self._views = StageViews(stacks, light) if options.physical else None

    def epoch(self, epoch: int, start: int) -> Iterator[PairBatch]:
        for index in range(start, self.steps_per_epoch):
            yield self.batch(epoch, index)

    @torch.no_grad()
    def batch(self, epoch: int, index: int) -> PairBatch:
        """The ``index``-th batch of this process."""
        random = generator(self.options.seed, epoch, index, self.options.rank)
        subjects = torch.randint(len(self.stacks), (self._relit_count,), generator=random)
        pose = self._draw_pose(random)
        rotation = pose.rotation[: self._relit_count].to(self.device)
        light, other = self.light(random, rotation), self.light(random, rotation)

        batch = self._relight(subjects, light, other)
        batch = self._mix_in_pairs(batch, random, pose)
        if self.options.augment:
            batch = self._augment(batch, random, pose)
        batch = self._put_background(batch, random, pose)
        if "occlusion" in self.options.wild:
            batch = occlude(random, batch)
        if self.options.augment:
            batch = replace(batch, relit=photograph(random, batch.relit))
        batch = photograph_in_the_wild(random, batch, self.options.wild)
        if self._views is not None:
            batch = replace(batch, stage=self._views(subjects.tolist(), rotation))
        return batch

    def _draw_pose(self, random: torch.Generator) -> Pose:
        count, side = self.options.batch_size, self.stacks.image_size
        if not self.options.augment:
            return still_pose(count, side)
        return random_pose(random, count, side, self.device, is_wild="framing" in self.options.wild)

    def _relight(self, subjects: Tensor, light: Light, other: Light) -> PairBatch:
        """n subjects under both lights; nothing is behind them yet."""
        side, count = self.stacks.image_size, len(subjects)
        lights = torch.stack([light.on_stage, other.on_stage])  # 2 x n x 3 x h x w
        pictures = torch.empty(2, count, 3, side, side, device=self.device)
        for k in subjects.unique().tolist():
            chosen = (subjects == k).nonzero().flatten().to(self.device)
            coefficients = torch.einsum("lp,tncp->tncl", self._matrices[k], lights[:, chosen].flatten(3))
            pictures[:, chosen] = self.stacks.relight(k, coefficients.flatten(0, 1)).unflatten(0, (2, -1))
        at = subjects.to(self.device)
        flat_lit, mask = self.stacks.flat_lit[at], self.stacks.masks[at]
        captures = [self.stacks.stage.captures[k].name for k in subjects.tolist()]
        return PairBatch(
            relit=pictures[0] * (mask > 0),
            flat_lit=flat_lit * (mask > 0),  # on the outline it is times its coverage already
            mask=mask,
            environment=light.seen,
            name=[f"{capture}/{environment}" for capture, environment in zip(captures, light.name, strict=True)],
            other=OtherLight(other.seen, (pictures[1] / flat_lit.clamp_min(_DARKEST_SKIN)).clamp_min(0)),
        )

    def _mix_in_pairs(self, batch: PairBatch, random: torch.Generator, pose: Pose) -> PairBatch:
        """The batch followed by pairs of files, their environments turned into the frame of the moved camera."""
        if self._pairs is None or not self._pair_count:
            return batch
        pairs = self._pairs.draw(torch.randint(len(self._pairs), (self._pair_count,), generator=random).tolist())
        rotation = pose.rotation[self._relit_count :].to(self.device)
        turned = sample(pairs.environment, self.light.grid(self.light.directions @ rotation[:, None]))
        assert batch.other is not None, "relit pictures come with another light"
        return replace(
            batch,
            relit=torch.cat([batch.relit, pairs.relit]),
            flat_lit=torch.cat([batch.flat_lit, pairs.flat_lit * (pairs.mask > 0)]),
            mask=torch.cat([batch.mask, pairs.mask]),
            environment=torch.cat([batch.environment, turned]),
            name=batch.name + pairs.name,
            has_environment=join_known([batch, pairs]),
        )

    def _augment(self, batch: PairBatch, random: torch.Generator, pose: Pose) -> PairBatch:
        """Everybody moved, with skin of another colour; the background of pairs keeps its own."""
        count = self._relit_count
        pictures = torch.cat([batch.relit, batch.flat_lit, batch.mask], dim=1)
        relit, flat_lit, mask = move(pictures, pose).split([3, 3, 1], dim=1)
        assert batch.other is not None
        shading = move(batch.other.shading, Pose(*(part[:count] for part in pose)))
        factor = skin_factor(random, flat_lit, mask)
        if "skin_split" in self.options.wild:
            is_tinted, batch = tint_for_flat_lit_alone(random, batch)
            factor = torch.where(is_tinted.view(-1, 1, 1, 1), factor, torch.ones_like(factor))
        is_pair = torch.arange(len(batch), device=self.device).view(-1, 1, 1, 1) >= count
        assert batch.other is not None, "relit pictures come with another light"
        return replace(
            batch,
            relit=relit * torch.where(is_pair, 1 + mask * (factor - 1), factor),
            flat_lit=flat_lit * factor,
            mask=mask,
            other=replace(batch.other, shading=shading),
        )

    def _put_background(self, batch: PairBatch, random: torch.Generator, pose: Pose) -> PairBatch:
        """The environment behind those who were relit, as the camera sees it; pairs have their own background."""
        count = self._relit_count
        if not count:
            return batch
        fov = self.options.fov_degrees / pose.scale[:count].to(self.device)
        rays = self._rays.expand(count, -1, -1, -1).clone()
        rays[..., 2] = rays[..., 2] / torch.tan(torch.deg2rad(fov) / 2).view(-1, 1, 1)
        behind = sample(batch.environment[:count], self.light.grid(rays))
        if "background" in self.options.wild:
            behind = other_background(random, behind)
        relit = put_before(behind, batch.relit[:count], batch.mask[:count])
        return replace(batch, relit=torch.cat([relit, batch.relit[count:]]))
