"""The delighting model that comes with the repository, and how a trained one becomes such a file.

    python -m src.models.delit.shipped RUN/checkpoint_best.pth weights/delit.pth

The file holds the model alone, no optimizer, in half floats; it is loaded as float32 as any other checkpoint is.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from src.utils import cli

SHIPPED = Path(__file__).resolve().parents[3] / "weights" / "delit.pth"
_LARGEST_HALF = 65504.0


def shipped_checkpoint(flag: str = "--checkpoint") -> Path:
    """``weights/delit.pth`` of the repository, wherever it is run from; ``flag`` is what asks for it.

    Raises :class:`InputError` if it is not there.
    """
    if not SHIPPED.is_file():
        raise cli.InputError(flag, f"the default, {SHIPPED}, is not there", "give a checkpoint, or fetch that file")
    return SHIPPED


def write_half(source: Path, target: Path) -> None:
    """The model of the checkpoint ``source`` in half floats, as the checkpoint ``target``.

    Raises :class:`InputError` if ``source`` is none, or has weights that half floats cannot hold.
    """
    from dataclasses import asdict

    from src.models.delit_model import CHECKPOINT_KIND, load
    from src.utils import checkpoint

    model = load(source)
    state = model.state_dict()
    for name, value in state.items():
        if value.is_floating_point() and float(value.abs().max()) > _LARGEST_HALF:
            raise cli.InputError(source, f"{name} is beyond half floats", "ship the checkpoint as it is")
    halves = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    checkpoint.write(target, CHECKPOINT_KIND, {"model": {"config": asdict(model.config), "state": halves}})


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.Parser(__doc__)
    parser.add_argument("source", type=Path, help="checkpoint of train_delit.py")
    parser.add_argument("target", type=Path, help="file to write")
    arguments = parser.parse_args(argv)
    write_half(arguments.source, arguments.target)
    print(f"{arguments.target}: {arguments.target.stat().st_size / 1e6:.2f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
