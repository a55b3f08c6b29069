"""Export a checkpoint or a bundle: as one bundle, and for engines as latent map and F2 in several forms.

python export_latent.py --ckpt RUN/best.ckpt --out_dir EXPORT        latent_map.npy, f2_state_dict.pt, f2_ts.pt, ...
python export_latent.py --ckpt RUN/best.ckpt --out_dir EXPORT --onnx     f2.onnx and f2_at_hour.onnx as well
python export_latent.py --ckpt RUN/best.ckpt --out_dir EXPORT --shader hlsl wgsl     and shaders that decode the day
python export_latent.py --ckpt RUN/best.ckpt --bundle day.tod        of a run with --f1 grid
python export_latent.py --ckpt RUN/best.ckpt --viewer day.html       a page that shows the day in a browser, offline
python export_latent.py --ckpt day.tod --viewer day.html             all of these of a bundle, without its run
python export_latent.py --ckpt RUN --bundle BUNDLES                  of a whole set: BUNDLES/LEVEL_ID.tod
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from src.utils import cli

SHADER_LANGUAGES = ("glsl", "glsl_es", "hlsl", "wgsl")


def parse_arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = cli.Parser(__doc__)
    add = parser.add_argument
    add("--ckpt", type=Path, help="checkpoint of train.py, a run's folder, a bundle, or a folder of bundles")
    add("--out_dir", type=Path, help="folder for the exported files (of a set: its sub-folders)")
    add("--bundle", type=Path, help="the bundle to write (of a set: the folder for the bundles)")
    add("--onnx", action="store_true", help="also write F2 as ONNX into --out_dir (see docs/engines.md)")
    add("--shader", nargs="+", choices=SHADER_LANGUAGES, default=[], metavar="LANGUAGE", help="also write shaders that "
        "decode the day into --out_dir: glsl, glsl_es (WebGL 2), hlsl, wgsl")  # fmt: skip
    add("--baked", action="store_true", help="shaders with F2's weights as constants, unrolled")
    add("--fp16", action="store_true", help="shaders and textures in half precision")
    add("--textures", action="store_true", help="also write what shaders read as KTX 2.0 textures into --out_dir")
    add("--viewer", type=Path, metavar="FILE.html", help="page that shows the day (of a set: all of them)")
    add("--data_dir", type=Path, help="the run's images: --viewer shows truth and error beside the day")
    add("--device", default="auto", help="auto, cpu, cuda or cuda:N")
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


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    arguments = parse_arguments(argv)

    from src.export.bundle import write_bundle
    from src.export.ktx2 import require_zstandard
    from src.export.onnx import require_onnx
    from src.export.viewer.page import write_viewer
    from src.models.grid.decoder import GridDecoder
    from src.tasks.day_viewer import viewed_bundle
    from src.tasks.lightmap_export import BUNDLE_SUFFIX, export_for_engines, find_days, load_day
    from src.training.distributed import resolve_device

    if arguments.onnx:
        require_onnx("--onnx")
    if arguments.textures:
        require_zstandard("--textures")
    device = resolve_device(arguments.device)
    forms = {"onnx": arguments.onnx, "shaders": arguments.shader, "textures": arguments.textures}
    forms |= {"baked": arguments.baked, "half": arguments.fp16}

    written, viewed = [], []
    for name, path in find_days(arguments.ckpt).items():
        model = load_day(path, device)
        if isinstance(model, GridDecoder):
            if arguments.bundle:
                written.append(arguments.bundle / f"{name}{BUNDLE_SUFFIX}" if name else arguments.bundle)
                write_bundle(written[-1], model)
            if arguments.viewer:
                file_name = path.stem if path.suffix == BUNDLE_SUFFIX else path.resolve().parent.name
                viewed.append(viewed_bundle(name or file_name, model, arguments.data_dir))
        elif arguments.bundle or arguments.viewer:
            problem = "was trained with --f1 siren, bundles and the viewer hold --f1 grid"
            raise cli.InputError(path, problem, "use --out_dir instead")
        if arguments.out_dir:
            written += export_for_engines(model, arguments.out_dir / name, **forms)
    if arguments.viewer:
        written.append(write_viewer(arguments.viewer, viewed))

    for path in written:
        print(f"{path}  {path.stat().st_size / 1e6:.3g} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
