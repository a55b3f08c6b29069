"""Export a checkpoint: as one bundle, and for engines as latent map and F2 in several forms.

python export_latent.py --ckpt RUN/best.ckpt --out_dir EXPORT        latent_map.npy, f2_state_dict.pt, f2_ts.pt, ...
python export_latent.py --ckpt RUN/best.ckpt --out_dir EXPORT --onnx     f2.onnx and f2_at_hour.onnx as well
python export_latent.py --ckpt RUN/best.ckpt --out_dir EXPORT --shader hlsl wgsl     and shaders that decode the day
python export_latent.py --ckpt RUN/best.ckpt --bundle day.tod        of a run with --f1 grid
python export_latent.py --ckpt RUN/best.ckpt --viewer day.html       a page that shows the day in a browser, offline
python export_latent.py --ckpt RUN --bundle BUNDLES                  of a whole set: BUNDLES/LEVEL_ID.tod
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from src.utils import cli

if TYPE_CHECKING:
    import torch

    from src.models.compressor import LightmapCompressor
    from src.models.f2 import F2
    from src.models.grid.decoder import GridDecoder
    from src.models.grid.engine_f2 import GridF2
    from src.models.siren_decoder import SirenDecoder

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


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    parser.add_argument("--ckpt", type=Path, help="checkpoint of train.py, or a run's folder")
    parser.add_argument("--out_dir", type=Path, help="folder for the exported files (of a set: its sub-folders)")
    parser.add_argument("--bundle", type=Path, help="the bundle to write (of a set: the folder for the bundles)")
    parser.add_argument(
        "--onnx", action="store_true", help="also write F2 as ONNX into --out_dir (see docs/engines.md)"
    )
    parser.add_argument(
        "--shader",
        nargs="+",
        choices=("glsl", "glsl_es", "hlsl", "wgsl"),
        default=[],
        metavar="LANGUAGE",
        help="also write shaders that decode the day into --out_dir: glsl, glsl_es (WebGL 2), hlsl, wgsl",
    )
    parser.add_argument("--baked", action="store_true", help="shaders with F2's weights as constants, unrolled")
    parser.add_argument("--fp16", action="store_true", help="shaders and textures in half precision")
    parser.add_argument(
        "--textures", action="store_true", help="also write what shaders read as KTX 2.0 textures into --out_dir"
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
    for flag in ("onnx", "shader", "textures"):
        if getattr(arguments, flag) and arguments.out_dir is None:
            parser.error(f"--{flag} needs --out_dir")
    if arguments.baked and not arguments.shader:
        parser.error("--baked needs --shader")
    if arguments.fp16 and not (arguments.shader or arguments.textures):
        parser.error("--fp16 needs --shader or --textures")
    return arguments


def load(path: Path, device: torch.device, needs_grid: bool) -> GridDecoder | LightmapCompressor:
    """What a checkpoint of either kind holds."""
    from src.models import compressor
    from src.models.grid import latent_grid
    from src.utils import checkpoint

    if checkpoint.read_kind(path) == latent_grid.CHECKPOINT_KIND:
        return latent_grid.load(path, device)
    if needs_grid:
        problem = "was trained with --f1 siren, bundles and the viewer hold --f1 grid"
        raise cli.InputError(path, problem, "use --out_dir instead")
    return compressor.load_siren(path, device)


def export_files(model: GridDecoder | LightmapCompressor, out_dir: Path, arguments: argparse.Namespace) -> list[Path]:
    """Write all that goes into ``out_dir``; returns the paths."""
    from src.export.grid import export_grid
    from src.export.onnx import export_onnx
    from src.export.shader.day import shader_day
    from src.export.shader.files import write_shaders, write_textures
    from src.export.siren import export_siren, siren_f2
    from src.models.compressor import LightmapCompressor
    from src.models.grid.engine_f2 import grid_f2

    f2: F2 | GridF2
    decoder: SirenDecoder | GridDecoder
    if isinstance(model, LightmapCompressor):
        written = export_siren(model, out_dir)
        f2, decoder = siren_f2(model), model.decoder()
    else:
        written = export_grid(model, out_dir)
        f2, decoder = grid_f2(model), model
    if arguments.onnx:
        written += export_onnx(f2, f2.latent_dim, out_dir)
    if arguments.shader or arguments.textures:
        day = shader_day(decoder)
        if arguments.shader:
            written += write_shaders(day, arguments.shader, out_dir, arguments.baked, arguments.fp16)
        if arguments.textures:
            written += write_textures(day, out_dir, arguments.fp16)
    return written


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    from src.export.bundle import write_bundle
    from src.export.ktx2 import require_zstandard
    from src.export.onnx import require_onnx
    from src.export.viewer.page import write_viewer
    from src.models.grid.decoder import GridDecoder
    from src.tasks.day_viewer import viewed_bundle
    from src.training.distributed import resolve_device

    if arguments.onnx:
        require_onnx("--onnx")
    if arguments.textures:
        require_zstandard("--textures")
    device = resolve_device(arguments.device)

    written, viewed = [], []
    for name, path in find_checkpoints(arguments.ckpt).items():
        model = load(path, device, needs_grid=bool(arguments.bundle or arguments.viewer))
        if arguments.bundle and isinstance(model, GridDecoder):
            written.append(arguments.bundle / f"{name}{BUNDLE_SUFFIX}" if name else arguments.bundle)
            write_bundle(written[-1], model)
        if arguments.out_dir:
            written += export_files(model, arguments.out_dir / name, arguments)
        if arguments.viewer and isinstance(model, GridDecoder):
            viewed.append(viewed_bundle(name or path.resolve().parent.name, model, arguments.data_dir))
    if arguments.viewer:
        written.append(write_viewer(arguments.viewer, viewed))

    for path in written:
        print(f"{path}  {path.stat().st_size / 1e6:.3g} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
