"""The models that come with the repository, and how a trained one becomes such a file.

    python -m src.models.shipped RUN/checkpoint_best.pth weights/delit.pth

The file holds the model alone, no optimizer, in half floats; it is loaded as float32 as any other checkpoint is.
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


def write_half(source: Path, target: Path) -> None:
    """The model of the checkpoint ``source`` in half floats, as the checkpoint ``target`` of the same kind.

    Raises :class:`InputError` if ``source`` is none, or has weights that half floats cannot hold.
    """
    kind = checkpoint.read_kind(source) or "model"
    model = checkpoint.read(source, kind)["model"]
    state = {}
    for name, value in model["state"].items():
        if value.is_floating_point() and float(value.abs().max()) > _LARGEST_HALF:
            raise cli.InputError(source, f"{name} is beyond half floats", "ship the checkpoint as it is")
        state[name] = value.half() if value.is_floating_point() else value
    checkpoint.write(target, kind, {"model": {"config": model["config"], "state": state}})


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.Parser(__doc__)
    parser.add_argument("source", type=Path, help="checkpoint of a training script")
    parser.add_argument("target", type=Path, help="file to write")
    arguments = parser.parse_args(argv)
    write_half(arguments.source, arguments.target)
    print(f"{arguments.target}: {arguments.target.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
