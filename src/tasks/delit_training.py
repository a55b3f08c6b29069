"""What ``train_delit.py`` does: data, model, optimizer and engine of phase 1."""

from __future__ import annotations

import argparse
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.layout import choose_split, pairs_on_side, unturned
from src.data.portrait.olat_stacks import OlatStacks
from src.data.portrait.pair_batches import PairBatches
from src.data.portrait.picture_cache import PictureCache
from src.data.portrait.random_light import RandomLight
from src.data.portrait.relight_batches import WILD, RelightBatches, RelightOptions
from src.data.portrait.stored_pairs import StoredPairs
from src.data.stage.captures import Stage
from src.data.stage.environments import list_environments
from src.data.stage.prepared import open_prepared_stage
from src.losses.delit_loss import DelitLoss, DelitLossOptions
from src.models.delit.attention import IDEAS as NETWORK_IDEAS
from src.models.delit_model import DelitConfig, DelitModel, load
from src.tasks.delit_task import DelitTask
from src.training.distributed import Processes
from src.training.identity import run_identity
from src.training.run_dir import open_run_dir
from src.training.task import Batches
from src.training.trainer import BEST, LAST, Trainer, TrainerOptions
from src.utils.cli import InputError, some_names
from src.utils.content_hash import combined_hash, content_hash, content_hashes
from src.utils.metrics import load_lpips

FILE_NAMES = {LAST: "checkpoint_latest.pth", BEST: "checkpoint_best.pth"}
HASHES = "content_hashes.json"  # in the cache
SAMPLES_PER_EPOCH = 1024  # at least, when relighting on the fly
_MODEL = ("arch", "image_size", "env_height", "env_width", "base_dim", "env_codec", "log_scale")
_OUTSIDE_NETWORK = {"flat_confidence"}  # ideas that a model has a setting of its own for
_LOSS = ("flat_exposure", "lambda_flat", "lambda_env", "lambda_flat_lpips", "lambda_physical", "env_loss", "use_mask")


@dataclass(frozen=True)
class DelitData:
    """What is trained on and what is held out."""

    train: DelitDataset
    validation: DelitDataset
    stage: Stage | None  # of the training subjects
    environments: tuple[Path, ...]  # for relighting
    memo: Path  # of what was hashed

    @cached_property
    def description(self) -> dict:
        """What is trained on and measured with, by name, each with a hash of what its files hold."""
        pairs, held = self.train.pairs, self.validation.pairs
        files = {path for pair in [*pairs, *held] for path in pair.files()} | set(self.environments)
        captures = self.stage.captures if self.stage else ()
        files |= {path for capture in captures for path in capture.images}
        ordered = sorted(files)
        known = dict(zip(ordered, content_hashes(ordered, self.memo), strict=True))
        return {
            "pairs": {pair.name: combined_hash(known[path] for path in pair.files()) for pair in pairs},
            "validation_pairs": {pair.name: combined_hash(known[path] for path in pair.files()) for pair in held},
            "captures": {one.name: combined_hash(known[path] for path in one.images) for one in captures},
            "environments": {path.stem: known[path] for path in self.environments},
            "stage": self.stage.describe() if self.stage else {},
        }


def open_delit_data(arguments: argparse.Namespace, is_main: bool = True) -> DelitData:
    """Find pairs, captures and environments, and split subjects and environments into training and validation.

    ``splits.json`` of the data root decides unless ``--val_subjects`` or ``--val_envs`` name others. The main process
    says how the captures are taken.
    """
    split = choose_split(arguments.data_root, arguments.val_subjects, arguments.val_envs)
    sides = {side: pairs_on_side(arguments.data_root, side, split) for side in ("train", "val")}
    cache = arguments.cache_dir or arguments.output_dir / "cache"
    sizes = {name: getattr(arguments, name) for name in ("image_size", "env_height", "env_width")}
    train = DelitDataset(
        sides["train"], **sizes, use_augmentation=arguments.use_augmentation, cache_dir=cache, seed=arguments.seed
    )
    validation = DelitDataset(sides["val"], **sizes, cache_dir=cache)
    unlit = [pair for pair in sides["train"] if pair.environment is None]
    if unlit and is_main:
        names = some_names(list(dict.fromkeys(pair.subject for pair in unlit)))
        print(f"{len(unlit)} pairs without an environment, for the flat-lit picture alone: {names}")
    stage: Stage | None = None
    environments: tuple[Path, ...] = ()
    if arguments.olat_root:
        subjects = list(dict.fromkeys(pair.subject for pair in sides["train"]))
        stage, said = open_prepared_stage(arguments.data_root, arguments.olat_root, arguments.lights, subjects)
        if is_main:
            print("\n".join(said))
        held = set(map(unturned, split["val"]["environments"]))
        environments = tuple(p for p in list_environments(arguments.env_dir) if unturned(p.stem) not in held)
    return DelitData(train, validation, stage, environments, cache / HASHES)


def train_delit(arguments: argparse.Namespace, data: DelitData, group: Processes) -> Trainer:
    """Train to the end, continuing an interrupted run; ``arguments`` are those of ``train_delit.py``."""
    open_run_dir(arguments.output_dir, arguments, data.description, group, FILE_NAMES)
    torch.manual_seed(arguments.seed)
    # Channels last: twice as fast in mixed precision, and no slower without.
    model = make_model(arguments).to(group.device).to(memory_format=torch.channels_last)
    lpips = load_lpips(arguments.lpips_net, arguments.lpips_weights, download=True) if arguments.use_lpips else None
    others = {*NETWORK_IDEAS, *_OUTSIDE_NETWORK, *WILD}
    terms = tuple(name for name in arguments.without if name not in others)
    options = DelitLossOptions(**{name: getattr(arguments, name) for name in _LOSS}, without=terms)
    loss = DelitLoss(options, model.codec, lpips)
    task = DelitTask(model, loss, data.validation, group, is_new=arguments.pretrained is None)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=arguments.learning_rate, weight_decay=arguments.weight_decay, fused=True
    )
    engine = TrainerOptions(
        epochs=arguments.num_epochs,
        time_budget_s=arguments.time_budget and arguments.time_budget * 60.0,
        warmup_steps=arguments.warmup_steps,
        accumulate_steps=arguments.accumulate_steps,
        clip_grad=arguments.clip_grad,
        amp=arguments.amp,
        save_every=arguments.save_every,
        val_every=arguments.val_every,
        ema=arguments.ema,
        compile=arguments.compile,
    )
    begun_from = {"pretrained": content_hash(arguments.pretrained)} if arguments.pretrained else {}
    identity = run_identity(arguments, {**data.description, **begun_from}, group.count)
    batches = make_batches(arguments, data, group)
    trainer = Trainer(
        task,
        optimizer,
        batches,
        group,
        arguments.output_dir,
        options=engine,
        identity=identity,
        file_names=FILE_NAMES,
    )
    trainer.resume(None if arguments.resume in ("auto", "never") else Path(arguments.resume))
    trainer.fit()
    return trainer


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


def make_batches(arguments: argparse.Namespace, data: DelitData, group: Processes) -> Batches:
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
    cache = PictureCache(arguments.cache_dir or arguments.output_dir / "cache")
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
