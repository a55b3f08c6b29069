"""How much of a delighting model's change is right, by the error that it expects of itself: what restraint rests on.

    python -m benchmarks.delit_restraint --data_root DATA [--split val] [--checkpoint CHECKPOINT]

Per range of expected error, over all pixels within the masks: their share, the error of log flat-lit that is found, and
the share of the predicted log gain that would have been best, ``sum g t / sum g^2`` with the true one t, both but for
their mean. At 1 the change is as large as it should be; where it were below, restraint would pay.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.layout import choose_pairs
from src.inference.delit.delighter import Delighter
from src.inference.prediction import FLAT_FLOOR
from src.models.delit_model import load
from src.models.shipped import shipped_checkpoint
from src.utils.cli import Parser, script

BOUNDS = (0.0, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, np.inf)  # nepers
_INSIDE = 0.99  # of coverage: at the silhouette pixels are of the background too


def pixels(delighter: Delighter, dataset: DelitDataset) -> Iterator[np.ndarray]:
    """Per pair, ``(N, 4)`` of its pixels: expected error, found error, ``g t`` and ``g^2`` summed over colours."""
    for index in range(len(dataset)):
        item = dataset[index]
        relit, flat_lit = (picture[0].permute(1, 2, 0).numpy() for picture in (item.relit, item.flat_lit))
        said = delighter.look(relit)
        assert said.flat_error is not None, "the model expects no error"
        inside = item.mask[0, 0].numpy() > _INSIDE
        if not inside.any():
            continue
        true = np.log((flat_lit + FLAT_FLOOR) / (relit + said.relit_floor))[inside]
        predicted = said.log_gain[inside]
        true, predicted = true - true.mean(), predicted - predicted.mean()
        yield np.stack(
            [
                said.flat_error[inside],
                np.abs(predicted - true).mean(1),
                (predicted * true).sum(1),
                (predicted * predicted).sum(1),
            ],
            axis=1,
        )


def table(values: np.ndarray) -> list[tuple[str, float, float, float]]:
    """(range, share of the pixels, found error, best share of the change) of what :func:`pixels` gives."""
    rows = []
    for low, high in pairwise(BOUNDS):
        chosen = values[(values[:, 0] >= low) & (values[:, 0] < high)]
        if len(chosen):
            best = float(chosen[:, 2].sum() / max(chosen[:, 3].sum(), 1e-12))
            name = f"{low:g} to {high:g}" if np.isfinite(high) else f"{low:g} and more"
            rows.append((name, len(chosen) / len(values), float(chosen[:, 1].mean()), best))
    return rows


@script
def main(argv: Sequence[str] | None = None) -> int:
    parser = Parser(__doc__)
    parser.add_argument("--data_root", type=Path, required=True, help="training set as prepare_olat.py writes it")
    parser.add_argument("--split", choices=("val", "train", "all"), default="val", help="which pairs")
    parser.add_argument("--val_subjects", nargs="+", help="hold out others than splits.json: names, or how many")
    parser.add_argument("--val_envs", nargs="+", help="likewise")
    parser.add_argument("--checkpoint", type=Path, help="of train_delit.py (default: weights/delit.pth)")
    args = parser.parse_args(argv)
    model = load(args.checkpoint or shipped_checkpoint())
    pairs = choose_pairs(args.data_root, args.split, args.val_subjects, args.val_envs)
    config = model.config
    dataset = DelitDataset(
        pairs, image_size=config.image_size, env_height=config.env_height, env_width=config.env_width
    )
    values = np.concatenate(list(pixels(Delighter(model), dataset)))
    print("expected\tshare_of_pixels\tfound\tbest_share")
    for name, share, found, best in table(values):
        print(f"{name}\t{share:.3f}\t{found:.3f}\t{best:.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
