"""What ``train_delit.py`` does: model, losses and batches of phase 1."""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch

from src.data.portrait.olat_stacks import OlatStacks
from src.data.portrait.pair_batches import PairBatches
from src.data.portrait.picture_cache import PictureCache
from src.data.portrait.random_light import RandomLight
from src.data.portrait.relight_batches import WILD, RelightBatches, RelightOptions
from src.data.portrait.stored_pairs import StoredPairs
from src.losses.delit_loss import DelitLoss, DelitLossOptions
from src.models.delit.attention import IDEAS as NETWORK_IDEAS
from src.models.delit_model import DelitConfig, DelitModel, load
from src.tasks.delit_task import DelitTask
from src.tasks.portrait_training import SAMPLES_PER_EPOCH, PortraitData, begin_run, fit
from src.training.distributed import Processes
from src.training.task import Batches
from src.training.trainer import Trainer
from src.utils.cli import InputError
from src.utils.metrics import load_lpips

_MODEL = ("arch", "image_size", "env_height", "env_width", "base_dim", "env_codec", "log_scale")
_OUTSIDE_NETWORK = {"flat_confidence"}  # ideas that a model has a setting of its own for
_LOSS = ("flat_exposure", "lambda_flat", "lambda_env", "lambda_flat_lpips", "lambda_physical", "env_loss", "use_mask")


def train_delit(arguments: argparse.Namespace, data: PortraitData, group: Processes) -> Trainer:
    """Train to the end, continuing an interrupted run; ``arguments`` are those of ``train_delit.py``."""
    identity = begin_run(arguments, data.description, group)
    # Channels last: twice as fast in mixed precision, and no slower without.
    model = make_model(arguments).to(group.device).to(memory_format=torch.channels_last)
    lpips = load_lpips(arguments.lpips_net, arguments.lpips_weights, download=True) if arguments.use_lpips else None
    others = {*NETWORK_IDEAS, *_OUTSIDE_NETWORK, *WILD}
    terms = tuple(name for name in arguments.without if name not in others)
    options = DelitLossOptions(**{name: getattr(arguments, name) for name in _LOSS}, without=terms)
    loss = DelitLoss(options, model.codec, lpips)
    task = DelitTask(model, loss, data.validation, group, is_new=arguments.pretrained is None)
    engine = {name: getattr(arguments, name) for name in ("accumulate_steps", "save_every", "val_every", "compile")}
    return fit(task, make_batches(arguments, data, group), arguments, identity, group, **engine)


def make_model(arguments: argparse.Namespace) -> DelitModel:
    """A new model, or with ``--pretrained`` one that begins from another checkpoint's weights.

    Those must be of the same sizes, but for the pictures': they fit pictures of any.
    """
    without = tuple(name for name in NETWORK_IDEAS if name in arguments.without)
    has_confidence = arguments.arch == "attention" and "flat_confidence" not in arguments.without
    config = DelitConfig(
        **{name: getattr(arguments, name) for name in _MODEL}, without=without, flat_confidence=has_confidence
    )
    if arguments.pretrained is None:
        return DelitModel(config)
    pretrained = load(arguments.pretrained)
    # Few weights depend on whether there is a confidence, none on the pictures' size.
    if replace(pretrained.config, flat_confidence=has_confidence, image_size=config.image_size) != config:
        shape = [name for name in (*_MODEL, "without") if name != "image_size"]
        differing = [name for name in shape if getattr(pretrained.config, name) != getattr(config, name)]
        values = ", ".join(f"{name} is {getattr(pretrained.config, name)}" for name in differing)
        raise InputError(arguments.pretrained, f"its model has another shape ({values})", "give the same flags")
    model = DelitModel(config)
    # A model that was trained before there was one learns its confidence in flat-lit now.
    model.load_state_dict(pretrained.state_dict(), strict=pretrained.config.flat_confidence == has_confidence)
    return model


def make_batches(arguments: argparse.Namespace, data: PortraitData, group: Processes) -> Batches:
    """Relit on the fly where there are OLATs, else read from files by workers."""
    if data.stage is None:
        return PairBatches(
            data.train,
            arguments.batch_size,
            group.device,
            num_workers=arguments.num_workers,
            seed=arguments.seed,
            rank=group.rank,
            count=group.count,
        )
    cache = PictureCache(arguments.cache_dir)
    budget = arguments.max_memory_gb * 2**30
    size = arguments.image_size
    stacks = OlatStacks(data.stage, cache, size, group.device, max_bytes=budget, show_progress=group.is_main)
    left = budget - stacks.size_bytes if stacks.is_resident else budget
    pairs = StoredPairs(data.train, group.device, left, show_progress=group.is_main)
    wild = frozenset(WILD) - set(arguments.without) if arguments.in_the_wild else frozenset()
    sizes, has_lamps = (arguments.env_height, arguments.env_width), "stage_lamps" in wild
    light = RandomLight(data.environments, *sizes, cache, group.device, has_stage_lamps=has_lamps)
    samples = max(SAMPLES_PER_EPOCH, len(data.train))
    options = RelightOptions(
        batch_size=arguments.batch_size,
        steps_per_epoch=max(1, samples // (arguments.batch_size * group.count)),
        fov_degrees=data.stage.settings.fov_degrees,
        augment=arguments.use_augmentation,
        wild=wild,
        physical=arguments.lambda_physical > 0,
        seed=arguments.seed,
        rank=group.rank,
    )
    return RelightBatches(stacks, light, pairs, options)
