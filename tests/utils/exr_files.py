"""EXR files with channels and headers as asked for."""

from __future__ import annotations

import numpy as np
import OpenEXR

SCANLINES = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}


def layer(prefix: str, image: np.ndarray, alpha: np.ndarray | None = None) -> dict[str, np.ndarray]:
    planes = {f"{prefix}{name}": np.ascontiguousarray(image[..., k]) for k, name in enumerate("RGB")}
    return planes if alpha is None else {**planes, f"{prefix}A": alpha}


def write(path, channels, **header) -> None:
    OpenEXR.File({**SCANLINES, **header}, channels).write(str(path))


def write_parts(path, *parts, kind=OpenEXR.scanlineimage) -> None:
    header = {**SCANLINES, "type": kind}
    if kind == OpenEXR.tiledimage:
        header["tiles"] = OpenEXR.TileDescription()
    OpenEXR.File([OpenEXR.Part(dict(header), channels, name) for name, channels in parts]).write(str(path))
