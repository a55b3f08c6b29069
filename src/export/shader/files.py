"""A day's shaders as files: sources, their two buffers, and what lies in those."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.export.ktx2 import write_ktx2
from src.export.shader.day import ShaderDay
from src.export.shader.dialects import DIALECTS
from src.export.shader.emit import pass_source, sample_source, texture_width
from src.utils.atomic import atomic_path
from src.utils.cli import InputError, describe_os_error

SAMPLE, DECODE = "tod_sample", "tod_decode"
WORDS, WEIGHTS, LAYOUT = "tod_words", "tod_weights", "tod_layout.json"
MAX_BAKED = 16_000  # multiply-adds: drivers were seen to compile longer ones to a shader that gives zeros


def write_shaders(
    day: ShaderDay, languages: Sequence[str], out_dir: Path, baked: bool = False, half: bool = False
) -> list[Path]:
    """Write for each language the functions and the decode pass, both buffers, and their layout; returns the paths.

    Raises :class:`InputError` for a network that ``baked`` or ``half`` cannot do, and when the disk refuses.
    """
    _require_fit(day, baked, half)
    contents: dict[str, bytes] = {}
    for language in languages:
        suffix = DIALECTS[language].suffix
        contents[f"{SAMPLE}.{suffix}"] = sample_source(day, language, baked, half).encode()
        contents[f"{DECODE}.{suffix}"] = pass_source(day, language, baked, half).encode()
    contents[f"{WORDS}.bin"] = day.words.astype("<u4").tobytes()
    contents[f"{WEIGHTS}.bin"] = day.weights.astype("<f2" if half else "<f4").tobytes()
    contents[LAYOUT] = (json.dumps(_layout(day, half), indent=2, ensure_ascii=False) + "\n").encode()
    for name, content in contents.items():
        try:
            with atomic_path(out_dir / name) as temporary:
                temporary.write_bytes(content)
        except OSError as error:
            raise describe_os_error(error, out_dir / name) from error
    return [out_dir / name for name in contents]


def write_textures(day: ShaderDay, out_dir: Path, half: bool = False) -> list[Path]:
    """Write both buffers as KTX 2.0 textures, R32_UINT and RGBA of floats (of halves); returns the paths."""
    width = texture_width(day)
    paths = [out_dir / f"{WORDS}.ktx2", out_dir / f"{WEIGHTS}.ktx2"]
    write_ktx2(paths[0], rows_of(day.words[:, None], width))
    write_ktx2(paths[1], rows_of(day.weights.astype(np.float16 if half else np.float32), width))
    return paths


def rows_of(texels: np.ndarray, width: int) -> np.ndarray:
    """``texels`` N x C -> H x width x C, row by row, filled up with zeros."""
    height = -(-len(texels) // width)
    filled = np.zeros((height * width, texels.shape[1]), texels.dtype)
    filled[: len(texels)] = texels
    return filled.reshape(height, width, -1)


def _require_fit(day: ShaderDay, baked: bool, half: bool) -> None:
    if baked and day.multiply_adds > MAX_BAKED:
        problem = f"the network has {day.multiply_adds:,} multiply-adds, unrolled are at most {MAX_BAKED:,}"
        raise InputError("--baked", problem, "leave it out: some drivers compile longer shaders to nothing")
    if half and day.kind == "siren":
        raise InputError("--fp16", "the phases of a SIREN need single precision", "leave it out")


def _layout(day: ShaderDay, half: bool) -> dict:
    sizes = [day.words[3 * k + 1 : 3 * k + 3].tolist() for k in range(len(day.lightmaps))]
    return {
        "f1": day.kind,
        "rgb": "linear radiance" if day.is_radiance else "values of the training images in [0, 1]",
        "lightmaps": [
            {"number": number, "name": name, "height": height, "width": width}
            for number, (name, (height, width)) in enumerate(zip(day.lightmaps, sizes, strict=True))
        ],
        "words": {"file": f"{WORDS}.bin", "type": "uint32, little-endian", "count": len(day.words), "binding": 0},
        "weights": {
            "file": f"{WEIGHTS}.bin",
            "type": f"vectors of 4 {'float16' if half else 'float32'}, little-endian",
            "count": len(day.weights),
            "binding": 1,
        },
        "texture_width": texture_width(day),
        "constants": day.constants,
        "meaning": "docs/engines.md, Shaders",
    }
