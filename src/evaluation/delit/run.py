"""``evaluate.py delit``: delighting against the true flat-lit pictures and environments."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path

import numpy as np
from tqdm import tqdm

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.layout import choose_pairs
from src.data.stage.captures import Stage
from src.data.stage.lights import read_lights
from src.data.stage.olat import LightCells
from src.data.stage.prepared import open_prepared_stage
from src.evaluation.delit.methods import (
    input_method,
    mean_environment_methods,
    model_method,
    oracle_methods,
    predictions_method,
)
from src.evaluation.delit.quality import Row, measure_methods
from src.evaluation.delit.report import format_tables, format_videos, write_contact_sheet, write_json
from src.evaluation.delit.video import measure_videos
from src.evaluation.perceptual import find_lpips
from src.evaluation.portrait_options import require_sense
from src.models import delit_model
from src.models.delit_model import DelitModel
from src.models.shipped import shipped_checkpoint
from src.utils.sphere import fibonacci_sphere

DEFAULT_IMAGE_SIZE, DEFAULT_ENV_HEIGHT = 512, 128
DEFAULT_LIGHTS = 331  # of the light stage that the published data comes from


def run(arguments: argparse.Namespace) -> int:
    """Measure what ``arguments`` (see evaluate.py) name, print the tables, write the files; the exit status."""
    require_sense(arguments, "checkpoint", "predictions")
    described: dict[str, object] = {}
    skipped: dict[str, str] = {}
    rows = measure_pairs(arguments, described, skipped) if arguments.data_root else []
    if rows:
        print(format_tables(rows))
    videos = measure_videos(arguments.videos, arguments.video_inputs) if arguments.videos else {}
    if videos:
        print("\n" * bool(rows) + format_videos(videos))
    for name, reason in skipped.items():
        print(f"skipped {name}: {reason}")
    if arguments.json:
        write_json(arguments.json, rows, videos, {**described, "skipped": skipped})
    return 0


def measure_pairs(arguments: argparse.Namespace, described: dict[str, object], skipped: dict[str, str]) -> list[Row]:
    """The rows of all methods, models before references; what they were measured on is put into ``described``."""
    held_out = (arguments.val_subjects, arguments.val_envs)
    pairs = choose_pairs(arguments.data_root, arguments.split, *held_out)
    train = choose_pairs(arguments.data_root, "train", *held_out)
    paths = arguments.checkpoint or ([] if arguments.predictions else [shipped_checkpoint()])
    models = [(path, delit_model.load(path, arguments.device)) for path in paths]
    first = models[0][1].config if models else None
    image_size = arguments.image_size or (first.image_size if first else DEFAULT_IMAGE_SIZE)
    env_height = arguments.env_height or (first.env_height if first else DEFAULT_ENV_HEIGHT)
    opened = partial(DelitDataset, image_size=image_size, env_height=env_height, env_width=2 * env_height)
    dataset = opened(pairs)

    stage = None
    if arguments.olat_root:
        subjects = list(dict.fromkeys(pair.subject for pair in pairs))
        stage, said = open_prepared_stage(arguments.data_root, arguments.olat_root, arguments.lights, subjects)
        print("\n".join(said))
    methods = [model_method(name, model) for name, model in named(models)]
    if arguments.predictions:
        methods.append(predictions_method(arguments.predictions, pairs, image_size))
    means = mean_environment_methods(opened(train))
    methods += [input_method(), *means]
    cells = LightCells(light_directions(stage, arguments.lights))
    if stage is not None and means:
        methods += oracle_methods(stage, cells, means[0])

    lpips = find_lpips(arguments.lpips_weights, skipped)
    rows = measure_methods(methods, dataset, cells, lpips, lambda indices: tqdm(indices, "pairs", leave=False))
    if arguments.contact_sheet:
        write_contact_sheet(arguments.contact_sheet, methods[0], rows[0], dataset)
    described |= {
        "data_root": str(arguments.data_root),
        "split": arguments.split,
        **opened.keywords,
        "lights": len(cells),
    }
    return rows


def named(models: list[tuple[Path, DelitModel]]) -> list[tuple[str, DelitModel]]:
    """Each model with its file's last two names, for instance ``run/checkpoint_best.pth``."""
    return [("/".join(path.resolve().parts[-2:]), model) for path, model in models]


def light_directions(stage: Stage | None, lights: Path | None) -> np.ndarray:
    """Unit directions ``(L, 3)`` of the lights whose ``c_l`` count: the stage's, or else those given, or even ones."""
    if stage is not None:
        return next(iter(stage.light_sets.values()))
    return fibonacci_sphere(DEFAULT_LIGHTS) if lights is None else read_lights(lights)
