"""Write a page of the viewer anew, with the decoder, the shaders and the page as they are now; what it shows stays.

python -m src.export.viewer.renew docs/viewer/index.html
"""

from __future__ import annotations

import base64
import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from src.export.viewer.page import LightmapPart, ViewedBundle, write_viewer
from src.export.viewer.truth import TruthPicture
from src.utils import cli

_BLOCK = re.compile(r'<script type="[a-z/]+" id="([a-z0-9-]+)">(.*?)</script>', re.DOTALL)


def embedded_blocks(page: str) -> dict[str, str]:
    """What a page embeds, by the names of its blocks: ``contents``, ``decoder``, ``bundle-0``, ``truth-0-0``, ..."""
    return dict(_BLOCK.findall(page))


def embedded_bundles(page: str) -> list[ViewedBundle]:
    """What :func:`viewer_page` made ``page`` of. Raises :class:`ValueError` or :class:`KeyError` for other texts."""
    blocks = embedded_blocks(page)
    bundles = []
    for k, bundle in enumerate(json.loads(blocks["contents"])["bundles"]):
        parts = []
        for number, part in enumerate(bundle["lightmaps"]):
            pictures = part.pop("truth", [])
            lines = blocks[f"truth-{k}-{number}"].split() if pictures else []
            truth = [
                TruthPicture(**picture, data=base64.b64decode(line))
                for picture, line in zip(pictures, lines, strict=True)
            ]
            parts.append(LightmapPart(**part, truth=truth))
        bundles.append(ViewedBundle(bundle["name"], base64.b64decode(blocks[f"bundle-{k}"]), parts))
    return bundles


@cli.script
def main(argv: Sequence[str] | None = None) -> int:
    parser = cli.Parser(__doc__)
    parser.add_argument("pages", type=Path, nargs="+", metavar="FILE.html", help="pages of export_latent.py --viewer")
    for path in parser.parse_args(argv).pages:
        try:
            bundles = embedded_bundles(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise cli.describe_os_error(error, path) from error
        except (KeyError, TypeError, ValueError) as error:
            raise cli.InputError(path, "is not a page of the viewer", "export it again") from error
        write_viewer(path, bundles)
        print(f"{path}  {path.stat().st_size / 1e6:.3g} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
