"""What ``train_relit.py`` does: model and batches of phase 3."""

from __future__ import annotations

import argparse

from src.data.portrait.clip_windows import ClipSource, open_clips
from src.data.portrait.mixed_batches import MixedBatches
from src.data.portrait.olat_stacks import OlatStacks
from src.data.portrait.picture_cache import PictureCache
from src.data.portrait.random_light import RandomLight
from src.data.portrait.relit_batches import RelitBatches, RelitOptions
from src.losses.relit_loss import RelitLoss
from src.models import delit_model
from src.models.delit.lobes import lobe_shares
from src.models.relit_model import RelitConfig, RelitModel, load
from src.tasks.portrait_training import SAMPLES_PER_EPOCH, PortraitData, begin_run, fit
from src.tasks.relit_task import RelitTask
from src.training.distributed import Processes
from src.training.task import Batches
from src.training.trainer import Trainer
from src.utils import checkpoint
from src.utils.cli import InputError

_MODEL = ("image_size", "env_height", "base_dim", "over_time")


def train_relit(arguments: argparse.Namespace, data: PortraitData, group: Processes) -> Trainer:
    """Train to the end, continuing an interrupted run; ``arguments`` are those of ``train_relit.py``."""
    clips = {f"clips {number}": source.describe() for number, source in enumerate(open_sources(arguments), 1)}
    identity = begin_run(arguments, {**data.description, **clips}, group)
    task = RelitTask(make_model(arguments).to(group.device), RelitLoss(), data.validation, group)
    return fit(task, make_batches(arguments, data, group), arguments, identity, group, save_every=1)


def make_model(arguments: argparse.Namespace) -> RelitModel:
    """A new model, or with ``--pretrained`` one that begins from the weights of a relighting or delighting model."""
    sizes = {name: getattr(arguments, name) for name in _MODEL}
    config = RelitConfig(**sizes, sources=tuple(source.name for source in arguments.sources))
    model = RelitModel(config)
    if arguments.pretrained is None:
        return model
    is_delit = checkpoint.read_kind(arguments.pretrained) == delit_model.CHECKPOINT_KIND
    remedy = "give the same --base_dim, or another checkpoint"
    try:
        if is_delit:
            model.begin_from(delit_model.load(arguments.pretrained))
        else:
            model.begin_from_relit(load(arguments.pretrained))
    except ValueError as error:
        raise InputError(arguments.pretrained, str(error), remedy) from error
    return model


def make_batches(arguments: argparse.Namespace, data: PortraitData, group: Processes) -> Batches:
    """Portraits of the light stage, relit anew for every batch, and windows of clips where there are other sources."""
    assert data.stage is not None, "the script asks for OLATs"
    cache = PictureCache(arguments.cache_dir)
    stacks = OlatStacks(
        data.stage,
        cache,
        arguments.image_size,
        group.device,
        max_bytes=arguments.max_memory_gb * 2**30,
        show_progress=group.is_main,
    )
    light = RandomLight(data.environments, arguments.env_height, 2 * arguments.env_height, cache, group.device)
    options = RelitOptions(
        batch_size=arguments.batch_size,
        lights=arguments.lights_per_portrait,
        steps_per_epoch=max(1, SAMPLES_PER_EPOCH // (arguments.batch_size * group.count)),
        fov_degrees=data.stage.settings.fov_degrees,
        augment=arguments.use_augmentation,
        seed=arguments.seed,
        rank=group.rank,
    )
    batches = RelitBatches(stacks, light, options, lobe_shares)
    if len(arguments.sources) == 1:
        return batches
    shares = [source.share for source in arguments.sources]
    return MixedBatches(batches, open_sources(arguments), shares, arguments.window)


def open_sources(arguments: argparse.Namespace) -> list[ClipSource]:
    """The clips of ``--sources`` beside the stage."""
    size = (arguments.env_height, arguments.env_width)
    return [
        open_clips(source.folder, arguments.image_size, size, number)
        for number, source in enumerate(arguments.sources)
        if source.folder is not None
    ]
