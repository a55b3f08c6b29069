"""``evaluate.py relit``: relighting against true pictures in light and on people that the model never saw."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from torch import Tensor
from tqdm import tqdm

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.layout import choose_pairs
from src.data.portrait.names import RELIT_VIDEO
from src.data.portrait.relit_batches import RelitBatch, of_pair
from src.data.stage.prepared import open_prepared_stage
from src.evaluation.delit.quality import PairFigures, Row, skin_stratum
from src.evaluation.delit.report import format_videos, write_json
from src.evaluation.delit.video import measure_videos
from src.evaluation.perceptual import find_lpips
from src.evaluation.portrait_options import require_sense
from src.evaluation.relit.cycle import cycle_figures
from src.evaluation.relit.methods import Method, model_methods, reference_methods
from src.evaluation.relit.metrics import relit_metrics
from src.evaluation.relit.physics import physics_figures
from src.evaluation.relit.report import format_tables, write_contact_sheet
from src.evaluation.relit.turned_light import StagePictures
from src.models import delit_model, relit_model
from src.models.relit_model import RelitModel
from src.utils.cli import InputError

ENV_HEIGHT = 128  # rows of the true environments
Lpips = Callable[[Tensor, Tensor], Tensor]


def run(arguments: argparse.Namespace) -> int:
    """Measure what ``arguments`` (see evaluate.py) name, print the tables, write the files; the exit status."""
    require_sense(arguments, "checkpoint", "delit_checkpoint")
    described: dict[str, object] = {}
    skipped: dict[str, str] = {}
    rows = measure_pairs(arguments, described, skipped) if arguments.data_root else []
    if rows:
        print(format_tables(rows))
    videos = measure_videos(arguments.videos, arguments.video_inputs, RELIT_VIDEO) if arguments.videos else {}
    if videos:
        print("\n" * bool(rows) + format_videos(videos))
    for name, reason in skipped.items():
        print(f"skipped {name}: {reason}")
    if arguments.json:
        write_json(arguments.json, rows, videos, {**described, "skipped": skipped})
    return 0


def measure_pairs(arguments: argparse.Namespace, described: dict[str, object], skipped: dict[str, str]) -> list[Row]:
    """The rows of all methods, models before references; what they were measured on is put into ``described``."""
    pairs = choose_pairs(arguments.data_root, arguments.split, arguments.val_subjects, arguments.val_envs)
    pairs = [pair for pair in pairs if pair.environment is not None]
    if not pairs:
        raise InputError(arguments.data_root, "no pair has an environment", "relighting is measured in known light")
    models = [(path, relit_model.load(path, arguments.device)) for path in arguments.checkpoint or ()]
    size = arguments.image_size or (models[0][1].config.image_size if models else 512)
    dataset = DelitDataset(pairs, image_size=size, env_height=ENV_HEIGHT, env_width=2 * ENV_HEIGHT)
    stage = None
    if arguments.olat_root:
        subjects = list(dict.fromkeys(pair.subject for pair in pairs))
        opened, said = open_prepared_stage(arguments.data_root, arguments.olat_root, arguments.lights, subjects)
        print("\n".join(said))
        stage = StagePictures(opened, pairs)
    delit = None
    if arguments.delit_checkpoint:
        delit = delit_model.load(arguments.delit_checkpoint, arguments.device)
    methods: list[tuple[Method, RelitModel | None]] = []
    for path, model in models:
        own = model_methods("/".join(path.resolve().parts[-2:]), model, arguments.device)
        methods += [(own[0], model), *((method, None) for method in own[1:])]
    methods += [(method, None) for method in reference_methods(stage)]
    lpips = find_lpips(arguments.lpips_weights, skipped)
    rows = [Row(method.name, method.kind) for method, _ in methods]
    for index in tqdm(range(len(dataset)), "pairs", leave=False):
        item = of_pair(dataset[index])
        turned = None if stage is None else stage.turned_for(item, index)
        stratum = skin_stratum(item.flat_lit[0], item.mask[0])
        for (method, asked), row in zip(methods, rows, strict=True):
            values = measure(method, item, turned, lpips)
            if asked is not None:
                values |= physics_figures(asked, item, arguments.device)
                if delit is not None:
                    values |= cycle_figures(method.answer(item), item, delit, arguments.device)
            row.pairs.append(PairFigures(pairs[index].name, stratum, values))
    if arguments.contact_sheet:
        write_contact_sheet(arguments.contact_sheet, [method for method, _ in methods], rows[0], dataset)
    described |= {"data_root": str(arguments.data_root), "split": arguments.split, "image_size": size}
    return rows


def measure(method: Method, item: RelitBatch, turned: RelitBatch | None, lpips: Lpips | None) -> dict[str, float]:
    """The figures of one method on one item; with ``turned_`` those in the light that was turned."""
    values = _numbers(relit_metrics(method.answer(item), item.relit[:, 0], item.mask, lpips))
    if turned is not None:
        figures = _numbers(relit_metrics(method.answer(turned), turned.relit[:, 0], turned.mask))
        values |= {f"turned_{name}": value for name, value in figures.items()}
    return values


def _numbers(figures: dict[str, Tensor]) -> dict[str, float]:
    return {name: float(value[0]) for name, value in figures.items()}
