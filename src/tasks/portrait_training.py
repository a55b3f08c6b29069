"""What the trainings of phases 1 and 3 share: the data, split in two, and a run of the engine over it."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.layout import choose_split, pairs_on_side, unturned
from src.data.stage.captures import Stage
from src.data.stage.environments import list_environments
from src.data.stage.prepared import open_prepared_stage
from src.training.distributed import Processes
from src.training.identity import run_identity
from src.training.run_dir import open_run_dir
from src.training.task import Batches, Task
from src.training.trainer import BEST, LAST, Trainer, TrainerOptions
from src.utils.cli import some_names
from src.utils.content_hash import combined_hash, content_hash, content_hashes

FILE_NAMES = {LAST: "checkpoint_latest.pth", BEST: "checkpoint_best.pth"}
HASHES = "content_hashes.json"  # in the cache
SAMPLES_PER_EPOCH = 1024  # at least, when relighting on the fly


@dataclass(frozen=True)
class PortraitData:
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


def open_portrait_data(arguments: argparse.Namespace, is_main: bool = True) -> PortraitData:
    """Find pairs, captures and environments, and split subjects and environments into training and validation.

    ``splits.json`` of the data root decides unless ``--val_subjects`` or ``--val_envs`` name others. The main process
    says how the captures are taken.
    """
    split = choose_split(arguments.data_root, arguments.val_subjects, arguments.val_envs)
    sides = {side: pairs_on_side(arguments.data_root, side, split) for side in ("train", "val")}
    cache = arguments.cache_dir
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
    return PortraitData(train, validation, stage, environments, cache / HASHES)


def begin_run(arguments: argparse.Namespace, description: Mapping[str, Any], group: Processes) -> dict:
    """Make the run's folder ready, seed what is drawn from now on; the run's identity.

    ``description``: of what is trained on; what ``--pretrained`` holds is added.
    """
    if arguments.pretrained:
        description = {**description, "pretrained": content_hash(arguments.pretrained)}
    open_run_dir(arguments.output_dir, arguments, dict(description), group, FILE_NAMES)
    torch.manual_seed(arguments.seed)
    return run_identity(arguments, description, group.count)


def fit(
    task: Task, batches: Batches, arguments: argparse.Namespace, identity: dict, group: Processes, **options: Any
) -> Trainer:
    """Train to the end with AdamW, continuing an interrupted run; ``options``: of the engine, beside the shared flags'.

    Raises :class:`InputError` where the folder holds another run.
    """
    optimizer = torch.optim.AdamW(
        task.model.parameters(), lr=arguments.learning_rate, weight_decay=arguments.weight_decay, fused=True
    )
    engine = TrainerOptions(
        epochs=arguments.num_epochs,
        time_budget_s=arguments.time_budget and arguments.time_budget * 60.0,
        warmup_steps=arguments.warmup_steps,
        clip_grad=arguments.clip_grad,
        amp=arguments.amp,
        ema=arguments.ema,
        **options,
    )
    run_dir = arguments.output_dir
    trainer = Trainer(
        task, optimizer, batches, group, run_dir, options=engine, identity=identity, file_names=FILE_NAMES
    )
    trainer.resume(None if arguments.resume in ("auto", "never") else Path(arguments.resume))
    trainer.fit()
    return trainer
