"""Export a checkpoint: as one bundle, and for engines as latent map and F2 in several forms.

python export_latent.py --ckpt RUN/best.ckpt --out_dir EXPORT        latent_map.npy, f2_state_dict.pt, f2_ts.pt, ...
python export_latent.py --ckpt RUN/best.ckpt --out_dir EXPORT --onnx     f2.onnx and f2_at_hour.onnx as well
python export_latent.py --ckpt RUN/best.ckpt --bundle day.tod        of a run with --f1 grid
python export_latent.py --ckpt RUN/best.ckpt --viewer day.html       a page that shows the day in a browser, offline
python export_latent.py --ckpt RUN --bundle BUNDLES                  of a whole set: BUNDLES/LEVEL_ID.tod
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from src.utils import cli

BUNDLE_SUFFIX = ".tod"


def find_checkpoints(path: Path) -> dict[str, Path]:
    """``{folder name: checkpoint}`` of a set's run, or ``{"": path}`` of a single one."""
    if not path.is_dir():
        return {"": path}
    if (path / "best.ckpt").exists():
        return {"": path / "best.ckpt"}
    found = {file.parent.name: file for file in sorted(path.glob("*/best.ckpt"))}
    if not found:
        raise cli.InputError(path, "holds no best.ckpt, and none of its folders does", "give the folder of a run")
    return found


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.Parser(__doc__)
    parser.add_argument("--ckpt", type=Path, help="checkpoint of train.py, or a run's folder")
    parser.add_argument("--out_dir", type=Path, help="folder for the exported files (of a set: its sub-folders)")
    parser.add_argument("--bundle", type=Path, help="the bundle to write (of a set: the folder for the bundles)")
    parser.add_argument(
        "--onnx", action="store_true", help="also write F2 as ONNX into --out_dir (see docs/engines.md)"
    )
    parser.add_argument(
        "--viewer", type=Path, metavar="FILE.html", help="page that shows the day (of a set: all of them)"
    )
    parser.add_argument("--data_dir", type=Path, help="the run's images: --viewer shows truth and error beside the day")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    arguments = parser.parse_args(argv)
    if arguments.ckpt is None or not (arguments.out_dir or arguments.bundle or arguments.viewer):
        parser.error("the following arguments are required: --ckpt, and --out_dir, --bundle or --viewer")
    if arguments.data_dir and not arguments.viewer:
        parser.error("--data_dir needs --viewer")

    if arguments.onnx and arguments.out_dir is None:
        parser.error("--onnx needs --out_dir")

    from src.export.bundle import write_bundle
    from src.export.grid import export_grid
    from src.export.onnx import export_onnx, require_onnx
    from src.export.siren import export_siren, siren_f2
    from src.export.viewer.page import write_viewer
    from src.models import compressor
    from src.models.grid import latent_grid
    from src.models.grid.engine_f2 import grid_f2
    from src.tasks.day_viewer import viewed_bundle
    from src.training.distributed import resolve_device
    from src.utils import checkpoint

    if arguments.onnx:
        require_onnx("--onnx")
    device = resolve_device(arguments.device)
    checkpoints = find_checkpoints(arguments.ckpt)

    written, viewed = [], []
    for name, path in checkpoints.items():
        is_grid = checkpoint.read_kind(path) == latent_grid.CHECKPOINT_KIND
        if (arguments.bundle or arguments.viewer) and not is_grid:
            problem = "was trained with --f1 siren, bundles and the viewer hold --f1 grid"
            raise cli.InputError(path, problem, "use --out_dir instead")
        if not is_grid:
            model = compressor.load_siren(path, device)
            written += export_siren(model, arguments.out_dir / name)
            if arguments.onnx:
                written += export_onnx(siren_f2(model), model.config.latent_dim, arguments.out_dir / name)
            continue
        decoder = latent_grid.load(path, device)
        if arguments.bundle:
            written.append(arguments.bundle / f"{name}{BUNDLE_SUFFIX}" if name else arguments.bundle)
            write_bundle(written[-1], decoder)
        if arguments.out_dir:
            written += export_grid(decoder, arguments.out_dir / name)
        if arguments.onnx:
            written += export_onnx(grid_f2(decoder), decoder.config.z_dim, arguments.out_dir / name)
        if arguments.viewer:
            viewed.append(viewed_bundle(name or path.resolve().parent.name, decoder, arguments.data_dir))
    if arguments.viewer:
        written.append(write_viewer(arguments.viewer, viewed))

    for path in written:
        print(f"{path}  {path.stat().st_size / 1e6:.3g} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
