"""The only place that opens pictures: png, jpg, webp, avif, exr, hdr and raw float32, to and from float32 arrays.

Reading is explicit: :func:`read_linear` gives linear radiance, :func:`read_display` display-referred values as stored.
Every failure is an :class:`~src.utils.cli.InputError` that names the file and the reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.utils import exr_format
from src.utils import image_formats as formats
from src.utils.atomic import atomic_path
from src.utils.cli import InputError, describe_os_error
from src.utils.color import linear_to_srgb, srgb_to_linear

LDR_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".avif")
HDR_SUFFIXES = (".exr", ".hdr")
IMAGE_SUFFIXES = LDR_SUFFIXES + HDR_SUFFIXES
WRITABLE_SUFFIXES = (".png", ".jpg", ".jpeg", ".exr", ".hdr")


def read_linear(path: str | Path) -> np.ndarray:
    """Linear RGB radiance, H x W x 3 float32, finite. exr and hdr as stored; other formats are sRGB-decoded.

    Grey becomes three equal channels; alpha is neither applied nor returned (:func:`read_alpha`).
    Raises InputError on a file that is missing, unreadable, truncated, of an unknown kind, or holds NaN or infinity.
    """
    path = Path(path)
    colour = _as_rgb(_decode(path).colour)
    return colour if _suffix(path) in HDR_SUFFIXES else srgb_to_linear(colour)


def read_display(path: str | Path) -> np.ndarray:
    """Display-referred values as stored, H x W x 3 float32 in [0, 1]: 8-bit codes / 255, 16-bit codes / 65535.

    AVIF of 10 and 12 bits keeps them all.
    Raises InputError as :func:`read_linear` does, and for exr and hdr, which have no display values.
    """
    path = Path(path)
    if _suffix(path) in HDR_SUFFIXES:
        raise InputError(path, "holds linear radiance, not display values", f"give one of {_join(LDR_SUFFIXES)}")
    return _as_rgb(_decode(path).colour)


def read_alpha(path: str | Path) -> np.ndarray | None:
    """The alpha channel, H x W float32 in [0, 1], or None where the file has none."""
    alpha = _decode(Path(path)).alpha
    return None if alpha is None else alpha.clip(0.0, 1.0)


def read_mask(path: str | Path) -> np.ndarray:
    """Coverage, H x W float32 in [0, 1]: alpha where the file has an alpha that is not 1 everywhere, else its grey.

    Grey is the mean of the channels as stored: no transfer is undone, 255 (or 1.0) means valid.
    """
    colour, alpha = _decode(Path(path))
    if alpha is not None and alpha.min() < 1.0:
        return alpha.clip(0.0, 1.0)
    return colour.mean(axis=2, dtype=np.float32).clip(0.0, 1.0)


def read_raw_float32(path: str | Path, height: int, width: int) -> np.ndarray:
    """Headerless little-endian float32 RGB, rows from the top, as H x W x 3 float32; the size must fit exactly."""
    path = Path(path)
    data = formats.read_bytes(path)
    expected_bytes = height * width * 3 * 4
    if len(data) != expected_bytes:
        problem = f"has {len(data)} bytes, {width} x {height} RGB float32 needs {expected_bytes}"
        raise InputError(path, problem, "check its resolution")
    image = np.frombuffer(data, dtype="<f4").reshape(height, width, 3).astype(np.float32)
    _require_finite(path, image)
    return image


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) as the readers will return it, from the file's header alone."""
    path = Path(path)
    suffix = _suffix(path)
    if suffix == ".exr":
        return exr_format.exr_size(path)
    return formats.hdr_size(path) if suffix == ".hdr" else formats.ldr_size(path)


def write_linear(
    path: str | Path, image: np.ndarray, *, alpha: np.ndarray | None = None, bits: int | None = None
) -> None:
    """Write linear radiance, H x W x 3 or grey (H x W, H x W x 1); the suffix chooses the format.

    - exr: ZIP, half floats (``bits=16``, default) or floats (``bits=32``). Halves beyond +-65504 are clamped to it.
    - hdr: Radiance RGBE, relative precision 1/256 of the largest channel; negative values become 0; no alpha.
    - png, jpg: clamped to [0, 1], sRGB-encoded, then as :func:`write_display`.

    ``alpha`` (H x W in [0, 1]) is stored beside the colour, which is not multiplied by it.
    Raises InputError on an unknown suffix, a wrong shape, NaN or infinity, and when the file cannot be written.
    """
    path = Path(path)
    suffix = _suffix(path, WRITABLE_SUFFIXES)
    colour, alpha = _checked(path, image, alpha)
    if suffix in LDR_SUFFIXES:
        write_display(path, linear_to_srgb(colour), alpha=alpha, bits=bits or 8)
        return
    if suffix == ".exr":
        _write_exr(path, colour, alpha, 16 if bits is None else bits)
        return
    _require(alpha is None, path, "hdr files hold no alpha", "write exr or png")
    _require(bits is None, path, "hdr files have one precision", "leave bits out")
    _write_bytes(path, formats.encode_hdr(_as_rgb(colour)))


def write_display(path: str | Path, image: np.ndarray, *, alpha: np.ndarray | None = None, bits: int = 8) -> None:
    """Write display-referred values in [0, 1] (clamped, rounded), H x W x 3 or grey, as png (8 or 16 bits) or jpg.

    Raises InputError as :func:`write_linear` does, and for exr and hdr.
    """
    path = Path(path)
    suffix = _suffix(path, WRITABLE_SUFFIXES)
    _require(suffix in LDR_SUFFIXES, path, "stores linear radiance", "write display values as png or jpg")
    colour, alpha = _checked(path, image, alpha)
    allowed_bits = (8, 16) if suffix == ".png" else (8,)
    _require(bits in allowed_bits, path, f"cannot hold {bits} bits", f"use {_join(allowed_bits)}")
    if alpha is not None:
        _require(suffix == ".png", path, "jpg files hold no alpha", "write png")
        colour = np.concatenate([_as_rgb(colour), alpha[..., None]], axis=2)
    dtype = np.uint8 if bits == 8 else np.uint16
    pixels = np.rint(colour.clip(0.0, 1.0) * np.float32(np.iinfo(dtype).max)).astype(dtype)
    _write_bytes(path, formats.encode_png(pixels) if suffix == ".png" else formats.encode_jpeg(pixels))


def require_writable(path: str | Path) -> None:
    """Raise InputError unless :func:`write_linear` knows the suffix: to be asked before long work begins."""
    _suffix(Path(path), WRITABLE_SUFFIXES)


def natural_key(path: str | Path) -> tuple:
    """Sort key under which ``tod_2`` comes before ``tod_10``; letter case only breaks ties."""
    text = Path(path).as_posix()
    parts = re.split(r"([0-9]+)", text.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)], text


def list_images(folder: str | Path, suffixes: Sequence[str] = IMAGE_SUFFIXES) -> list[Path]:
    """The pictures directly in ``folder``, in natural order, without hidden files; InputError when there are none."""
    folder = Path(folder)
    try:
        _require(folder.exists(), folder, "no such folder", "check the name")
        _require(folder.is_dir(), folder, "is not a folder", "give the folder that holds the pictures")
        paths = [p for p in folder.iterdir() if p.suffix.lower() in suffixes and p.name[0] != "." and p.is_file()]
    except OSError as error:
        raise describe_os_error(error, folder) from error
    _require(bool(paths), folder, "holds no pictures", f"it needs {_join(suffixes)} files")
    return sorted(paths, key=natural_key)


def _decode(path: Path) -> formats.Decoded:
    suffix = _suffix(path)
    if suffix in LDR_SUFFIXES:
        return formats.decode_ldr(path)
    decoded = exr_format.decode_exr(path) if suffix == ".exr" else formats.decode_hdr(path)
    _require_finite(path, decoded.colour)
    if decoded.alpha is not None:
        _require_finite(path, decoded.alpha)
    return decoded


def _suffix(path: Path, known: Sequence[str] = IMAGE_SUFFIXES) -> str:
    suffix = path.suffix.lower()
    if suffix not in known:
        raise InputError(path, f"unknown extension {suffix!r}", f"use one of {_join(known)}")
    return suffix


def _as_rgb(colour: np.ndarray) -> np.ndarray:
    return np.repeat(colour, 3, axis=2) if colour.shape[2] == 1 else colour


def _checked(path: Path, image: np.ndarray, alpha: np.ndarray | None) -> tuple[np.ndarray, np.ndarray | None]:
    colour = np.asarray(image, dtype=np.float32)
    colour = colour[..., None] if colour.ndim == 2 else colour
    usable = colour.ndim == 3 and colour.shape[2] in (1, 3) and colour.size > 0
    _require(usable, path, f"cannot hold an array of shape {np.shape(image)}", "give H x W x 3 or H x W")
    _require_finite(path, colour)
    if alpha is None:
        return colour, None
    alpha = np.asarray(alpha, dtype=np.float32)
    _require(alpha.shape == colour.shape[:2], path, f"alpha {alpha.shape} does not fit {colour.shape[:2]}", "")
    _require_finite(path, alpha)
    return colour, alpha


def _require_finite(path: Path, pixels: np.ndarray) -> None:
    if not np.isfinite(pixels).all():
        count = int(pixels.size - np.isfinite(pixels).sum())
        raise InputError(path, f"{count} of {pixels.size} values are NaN or infinite", "repair them first")


def _require(condition: bool, path: Path, problem: str, remedy: str) -> None:
    if not condition:
        raise InputError(path, problem, remedy)


def _join(values: Sequence[object]) -> str:
    return ", ".join(str(value) for value in values)


def _write_exr(path: Path, colour: np.ndarray, alpha: np.ndarray | None, bits: int) -> None:
    _require(bits in (16, 32), path, f"exr files hold 16 or 32 bits, not {bits}", "")

    def stored(plane: np.ndarray) -> np.ndarray:
        if bits == 16:
            plane = plane.clip(-exr_format.HALF_MAX, exr_format.HALF_MAX).astype(np.float16)
        return np.ascontiguousarray(plane)

    channels = {"RGB": stored(colour)} if colour.shape[2] == 3 else {"Y": stored(colour[..., 0])}
    if alpha is not None:
        channels["A"] = stored(alpha)
    try:
        with atomic_path(path) as temporary:
            exr_format.write_exr(path, temporary, channels)
    except OSError as error:
        raise describe_os_error(error, path) from error


def _write_bytes(path: Path, data: bytes) -> None:
    try:
        with atomic_path(path) as temporary:
            temporary.write_bytes(data)
    except OSError as error:
        raise describe_os_error(error, path) from error
