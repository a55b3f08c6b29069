"""The models that come with the repository, and how a trained one becomes such a file.

    python -m src.models.shipped RUN/checkpoint_best.pth weights/delit.pth

The file holds the model alone, no optimizer, in half floats; it is loaded as float32 as any other checkpoint is. Of
several checkpoints it holds the mean: of runs that began from the same weights, it is often better than each (Wortsman
et al. 2022, "Model soups").
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from src.utils import checkpoint, cli

_FOLDER = Path(__file__).resolve().parents[2] / "weights"
SHIPPED = {kind: _FOLDER / f"{kind}.pth" for kind in ("delit", "relit")}
_LARGEST_HALF = 65504.0


def shipped_checkpoint(flag: str = "--checkpoint", kind: str = "delit") -> Path:
    """``weights/KIND.pth`` of the repository, wherever it is run from; ``flag`` is what asks for it.

    Raises :class:`InputError` if it is not there.
    """
    path = SHIPPED[kind]
    if not path.is_file():
        raise cli.InputError(flag, f"the default, {path}, is not there", "give a checkpoint, or fetch that file")
    return path


def write_half(sources: Sequence[Path], target: Path) -> None:
    """The mean of the models of the checkpoints ``sources`` in half floats, as the checkpoint ``target`` of their kind.

    Raises :class:`InputError` if one of them is none, or has weights that half floats cannot hold, or is of a model
    with other weights than the first, whose configuration the file gets.
    """
    kind = checkpoint.read_kind(sources[0]) or "model"
    models = [checkpoint.read(source, kind)["model"] for source in sources]
    shapes = [{name: value.shape for name, value in model["state"].items()} for model in models]
    for source, found in zip(sources, shapes, strict=True):
        if found != shapes[0]:
            raise cli.InputError(source, f"is not a model of the sizes of {sources[0]}", "give runs of one kind")
    state = {}
    for name, first in models[0]["state"].items():
        if not first.is_floating_point():
            state[name] = first
            continue
        mean = sum(model["state"][name].double() for model in models) / len(models)
        if float(mean.abs().max()) > _LARGEST_HALF:
            raise cli.InputError(sources[0], f"{name} is beyond half floats", "ship the checkpoint as it is")
        state[name] = mean.half()
    checkpoint.write(target, kind, {"model": {"config": models[0]["config"], "state": state}})


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.Parser(__doc__)
    parser.add_argument("source", type=Path, nargs="+", help="checkpoint of a training script; of several, their mean")
    parser.add_argument("target", type=Path, help="file to write")
    arguments = parser.parse_args(argv)
    write_half(arguments.source, arguments.target)
    print(f"{arguments.target}: {arguments.target.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
