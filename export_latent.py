"""Export a checkpoint for engines: the latent map, F2's weights, F2 as TorchScript, and how to use them.

python export_latent.py --ckpt RUN/best.ckpt --out_dir EXPORT
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from src.utils import cli


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.Parser(__doc__)
    parser.add_argument("--ckpt", type=Path, required=True, help="checkpoint of train.py")
    parser.add_argument("--out_dir", type=Path, required=True, help="folder for the exported files")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    arguments = parser.parse_args(argv)

    from src.export.lightmap import export_lightmap
    from src.models.compressor import load_model
    from src.training.distributed import resolve_device

    model = load_model(arguments.ckpt, resolve_device(arguments.device))

    for path in export_lightmap(model, arguments.out_dir):
        print(f"{path}  {path.stat().st_size / 1e6:.3g} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
