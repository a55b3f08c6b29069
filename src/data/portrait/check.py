"""The data check command behind ``python -m src.data.portrait.delit_dataset``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.data.portrait.layout import find_picture, known_environments
from src.data.portrait.overview import write_contact_sheet
from src.data.portrait.splits import read_splits
from src.data.stage.captures import subject_folders
from src.utils.cli import InputError, Parser, script
from src.utils.image_io import list_images, read_linear, read_mask


@script
def main(argv: Sequence[str] | None = None) -> int:
    """Print what a data root holds and what is wrong with it; exit status 1 when something is."""
    from tqdm import tqdm

    parser = Parser("Check a training set for delighting: counts, ranges, missing pairs, broken files.")
    parser.add_argument("data_root", type=Path)
    parser.add_argument("--contact_sheet", type=Path, help="picture to write (default: contact_sheet.jpg in DATA_ROOT)")
    args = parser.parse_args(argv)

    problems: list[str] = []
    folders = subject_folders(args.data_root / "subjects")
    environments = known_environments(args.data_root)
    ranges: dict[str, list[tuple[float, float, float]]] = {"environment": [], "flat-lit": [], "relit": [], "mask": []}
    jobs = [("environment", path) for path in environments.values()]
    pair_count = unlit_count = 0
    for folder in folders:
        for stem in ("flat_lit", "mask"):
            path = find_picture(folder, stem)
            if path is not None:
                jobs.append((stem.replace("_", "-"), path))
            elif stem == "flat_lit":
                problems.append(f"{folder.name}: no flat_lit.exr or flat_lit.png")
        relit = _pictures(folder / "relit")
        known = relit.keys() & environments.keys()
        if known:
            alone = sorted(relit.keys() - known)
            problems += [f"{folder.name}/{stem}: no environment of that name" for stem in alone]
        else:
            unlit_count += len(relit)
        jobs += [("relit", path) for path in relit.values()]
        pair_count += len(known)
    sizes: dict[Path, tuple[int, int]] = {}
    for kind, path in tqdm(jobs, desc="reading", unit="file"):
        try:
            picture = read_mask(path) if kind == "mask" else read_linear(path)
        except InputError as error:
            problems.append(str(error))
            continue
        problems += _judge(kind, path, picture)
        ranges[kind].append((float(picture.min()), float(picture.mean()), float(picture.max())))
        subject = path.parent.parent if kind == "relit" else path.parent
        if kind != "environment" and sizes.setdefault(subject, picture.shape[:2]) != picture.shape[:2]:
            problems.append(f"{path}: {picture.shape[1]} x {picture.shape[0]}, others of its subject differ")

    complete = len(folders) * len(environments)
    print(f"{len(folders)} subjects, {len(environments)} environments, {pair_count} pairs of {complete} possible")
    if unlit_count:
        print(f"{unlit_count} pairs of subjects without environments, for the flat-lit picture alone")
    for kind, values in ranges.items():
        if values:
            low, mean, high = np.array(values).T
            span = f"from {low.min():.4g}, mean {mean.mean():.4g}, to {high.max():.4g}"
            print(f"{kind:>12}: {len(values):5} files, {span}")
    problems += _check_splits(args.data_root, {folder.name for folder in folders}, set(environments))
    for problem in problems:
        print(f"problem: {problem}")
    print(f"{len(problems)} problems" if problems else "no problems")
    if not problems:
        sheet = args.contact_sheet or args.data_root / "contact_sheet.jpg"
        write_contact_sheet(args.data_root, sheet)
        print(f"contact sheet: {sheet}")
    return 1 if problems else 0


def _pictures(folder: Path) -> dict[str, Path]:
    try:
        return {path.stem: path for path in list_images(folder)}
    except InputError:
        return {}  # counted as missing pairs


def _judge(kind: str, path: Path, picture: np.ndarray) -> list[str]:
    if kind == "environment" and picture.shape[1] != 2 * picture.shape[0]:
        return [f"{path}: {picture.shape[1]} x {picture.shape[0]}, not twice as wide as high"]
    if picture.min() < -1e-3:
        return [f"{path}: negative radiance down to {picture.min():.3g}"]
    if picture.max() == 0:
        return [f"{path}: black everywhere"]
    return []


def _check_splits(data_root: Path, subjects: set[str], environments: set[str]) -> list[str]:
    path = data_root / "splits.json"
    if not path.exists():
        return []
    try:
        splits = read_splits(path)
    except InputError as error:
        return [str(error)]
    for side, split in splits.items():
        print(f"{side:>12}: {len(split['subjects'])} subjects x {len(split['environments'])} environments")
    problems = []
    for kind, known in (("subjects", subjects), ("environments", environments)):
        named = set(splits["train"][kind]) | set(splits["val"][kind])
        problems += [f"{path}: {name} is in no split" for name in sorted(known - named)]
        problems += [f"{path}: {name} does not exist" for name in sorted(named - known)]
    return problems
