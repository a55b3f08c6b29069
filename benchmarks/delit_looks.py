"""What a second look at a picture is worth to a delighting model, and which: mirrored, from nearer, how near.

    python -m benchmarks.delit_looks --data_root DATA [--split val] [--checkpoint CHECKPOINT]

Per way of looking, means over the pairs: how often the network is asked; how much aligned PSNR it gains over the
picture as it is, in dB, of the pictures as they are and of their central 0.7 and 0.5, where faces fill more of the
frame; of the pictures as they are also the gain by tone of skin, and the angular errors of the light.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch import Tensor

from src.data.portrait.delit_dataset import DelitDataset
from src.data.portrait.layout import Pair, choose_pairs
from src.data.portrait.pair_batch import PairBatch
from src.evaluation.delit.metrics import environment_metrics, flat_lit_metrics
from src.evaluation.delit.quality import skin_stratum
from src.inference import looks
from src.inference.delit.delighter import Delighter
from src.inference.delit.views import picture_of, planes_of, resized
from src.inference.prediction import Prediction, predicted_flat_lit
from src.models.delit_model import DelitConfig, load
from src.models.shipped import shipped_checkpoint
from src.utils.cli import Parser, script

SHARES = (0.6, 0.7, 0.8, 0.9)
FRAMINGS = (1.0, 0.7, 0.5)
TONES = ("dark", "medium", "light")
ANGLES = ("diffuse_angular_deg", "matte_angular_deg")
GAINS = tuple("gain_db" if framing == 1 else f"gain_db_{framing}" for framing in FRAMINGS)
COLUMNS = (*GAINS, *(f"{tone}_gain_db" for tone in TONES), *ANGLES)
Look = Callable[[np.ndarray], Prediction]  # of a picture H x W x 3, at the network's resolution
Found = dict[str, list[float]]


class Looks:
    """The ways of looking at pictures of the model's own size, by one network."""

    def __init__(self, delighter: Delighter) -> None:
        self._delighter, self.chosen = delighter, looks.CENTRE

    def ways(self) -> dict[str, tuple[int, Look]]:
        """How often the network is asked, and the look, by its name."""
        nearer = {f"whole, centre of {share} mirrored": (2, self.nearer(share)) for share in SHARES}
        return {
            "whole": (1, self.whole),
            "whole, whole mirrored": (2, self.both),
            **nearer,
            f"whole, centre of {self.chosen}": (2, self.nearer(self.chosen, turns=False)),
            f"whole, whole mirrored, centre of {self.chosen} mirrored": (3, self.three),
        }

    def whole(self, relit: np.ndarray) -> Prediction:
        return self._delighter.predict([planes_of(relit)])[0]

    def mirrored(self, relit: np.ndarray) -> Prediction:
        return looks.mirrored(self.whole(relit[:, ::-1]))

    def both(self, relit: np.ndarray) -> Prediction:
        return mean_of(self.whole(relit), self.mirrored(relit), 0.5)

    def nearer(self, share: float, turns: bool = True) -> Look:
        """The whole, and its centre of ``share``."""

        def look(relit: np.ndarray) -> Prediction:
            looks.CENTRE, size = share, relit.shape[:2]
            centre = looks.centre_of(resized(relit, *looks.nearer_size(*size), 0.0), *size)
            shown = centre[:, ::-1] if turns else centre
            whole = self.whole(relit)
            said = looks.with_floor(self.whole(shown), shown, whole.relit_floor)
            return looks.merged(whole, looks.mirrored(said) if turns else said)

        return look

    def three(self, relit: np.ndarray) -> Prediction:
        return mean_of(self.nearer(self.chosen)(relit), self.mirrored(relit), 1 / 3)


def mean_of(one: Prediction, other: Prediction, share: float) -> Prediction:
    """The mean of gain and light, of which ``share`` is the other's."""

    def mean(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return first + np.float32(share) * (second - first)

    environment = mean(one.environment, other.environment)
    return replace(one, log_gain=mean(one.log_gain, other.log_gain), environment=environment)


def framed(pairs: list[Pair], config: DelitConfig, framing: float) -> Iterator[PairBatch]:
    """The central ``framing`` of every pair's pictures at the model's size."""
    size = config.image_size
    larger = size + 2 * round(size * (1 / framing - 1) / 2)
    dataset = DelitDataset(pairs, image_size=larger, env_height=config.env_height, env_width=config.env_width)
    middle = slice((larger - size) // 2, (larger + size) // 2)
    for index in range(len(dataset)):
        item = dataset[index]
        cut = {name: getattr(item, name)[..., middle, middle] for name in ("relit", "flat_lit", "mask")}
        yield replace(item, **cut)


def aligned(flat_lit: Tensor, item: PairBatch) -> float:
    return float(flat_lit_metrics(flat_lit, item.flat_lit, item.mask)["srgb_psnr_db_aligned"])


def measure(ways: dict[str, tuple[int, Look]], items: Iterator[PairBatch], framing: float) -> dict[str, Found]:
    """By way of looking, each figure of :data:`COLUMNS` that ``framing`` has, of every pair."""
    found: dict[str, Found] = {name: defaultdict(list) for name in ways}
    for item in items:
        relit, before = picture_of(item.relit[0]), aligned(item.relit, item)
        for name, (_, look) in ways.items():
            said = look(relit)
            gain = aligned(planes_of(predicted_flat_lit(relit, said))[None], item) - before
            found[name][GAINS[FRAMINGS.index(framing)]].append(gain)
            if framing == 1:
                found[name][f"{skin_stratum(item.flat_lit[0], item.mask[0])}_gain_db"].append(gain)
                figures = environment_metrics(planes_of(said.environment)[None], item.environment)
                for angle in ANGLES:
                    found[name][angle].append(float(figures[angle]))
    return found


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
    ways = Looks(Delighter(model, looks_twice=False)).ways()
    rows: dict[str, Found] = {name: {} for name in ways}
    for framing in FRAMINGS:
        for name, found in measure(ways, framed(pairs, model.config, framing), framing).items():
            rows[name] |= found
    print("\t".join(("looks", "asked", *COLUMNS)))
    for name, (asked, _) in ways.items():
        means = {column: float(np.mean(rows[name].get(column, [np.nan]))) for column in COLUMNS}
        figures = [f"{mean:.2f}" if column in ANGLES else f"{mean:+.2f}" for column, mean in means.items()]
        print("\t".join([name, str(asked), *figures]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
