"""Batches of the balls of a tiny stage, relit."""

from pathlib import Path

import torch

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.layout import find_pairs
from src.data.portrait.olat_stacks import OlatStacks
from src.data.portrait.pair_batch import PairBatch
from src.data.portrait.picture_cache import PictureCache
from src.data.portrait.random_light import RandomLight
from src.data.portrait.relight_batches import RelightBatches, RelightOptions
from src.data.portrait.stored_pairs import StoredPairs
from src.data.stage.captures import Stage, open_stage
from src.utils.image_io import list_images

CPU = torch.device("cpu")
SIZE = 10


def stage_of(root: Path) -> Stage:
    return open_stage(root / "olat")


def stacks_of(root: Path, cache: Path, image_size: int = SIZE, stage: Stage | None = None, **options) -> OlatStacks:
    return OlatStacks(stage or stage_of(root), PictureCache(cache), image_size, CPU, **options)


def make(
    root: Path,
    cache: Path,
    image_size: int = SIZE,
    env_size: tuple[int, int] = (16, 32),
    pairs: DelitDataset | None = None,
    stage: Stage | None = None,
    max_bytes: float = 2**30,
    **options,
) -> RelightBatches:
    has_lamps = "stage_lamps" in options.get("wild", ())
    light = RandomLight(list_images(root / "envs"), *env_size, PictureCache(cache), CPU, has_stage_lamps=has_lamps)
    stored = None if pairs is None else StoredPairs(pairs, CPU, max_bytes)
    options = RelightOptions(**{"batch_size": 6, "steps_per_epoch": 3, **options})
    return RelightBatches(stacks_of(root, cache, image_size, stage, max_bytes=max_bytes), light, stored, options)


def pairs_of(root: Path, image_size: int = SIZE) -> DelitDataset:
    return DelitDataset(find_pairs(root / "set"), image_size=image_size, env_height=16, env_width=32)


def tensors_of(batch: PairBatch) -> dict[str, torch.Tensor]:
    """All of them, those of ``other`` and ``stage`` as "other.shading"."""
    found = {}
    for name, value in vars(batch).items():
        within = {name: value} if isinstance(value, torch.Tensor) else {}
        if name in ("other", "stage") and value is not None:
            within = {f"{name}.{field}": tensor for field, tensor in vars(value).items()}
        found |= within
    return found


def assert_same(one: PairBatch, other: PairBatch) -> None:
    assert one.name == other.name
    a, b = tensors_of(one), tensors_of(other)
    assert a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)
