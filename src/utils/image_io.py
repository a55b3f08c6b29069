"""The only place that opens pictures, to and from float32 arrays: png, jpg, webp, avif, heic, tiff, exr, hdr.

Reading is explicit: :func:`read_linear` gives linear radiance, :func:`read_display` display-referred values, both in
the colours of sRGB and upright, whatever profile, primaries or orientation the file declares. What of it cannot be
honoured is a warning of one line. Every failure is an :class:`~src.utils.cli.InputError` that names file and reason.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from src.utils import exr_format, heif_format, image_formats, opencv_images, png_chunks, radiance_format
from src.utils.atomic import atomic_path
from src.utils.cli import InputError, describe_os_error
from src.utils.color import linear_to_srgb, srgb_to_linear
from src.utils.picture_file import Decoded

HEIC_SUFFIXES = (".heic", ".heif")
LDR_SUFFIXES: tuple[str, ...] = (".png", ".jpg", ".jpeg", ".webp", ".avif", ".tif", ".tiff")
LDR_SUFFIXES += HEIC_SUFFIXES if heif_format.HAS_HEIF else ()
HDR_SUFFIXES = (".exr", ".hdr")
IMAGE_SUFFIXES = LDR_SUFFIXES + HDR_SUFFIXES
WRITABLE_SUFFIXES = (".png", ".jpg", ".jpeg", ".exr", ".hdr")
# Half's least positive number: where alpha is less, colour is light that is added, and is left as it is.
_LEAST_ALPHA = 2.0**-24


def read_linear(path: str | Path, *, allow_nan: bool = False) -> np.ndarray:
    """Linear RGB radiance in the primaries of sRGB, H x W x 3 float32, finite.

    exr, hdr and tiff of floats as stored; other formats are decoded by their colour profile, sRGB without one, and
    clipped to [0, 1] (PQ and HLG at 0: their diffuse white is 1). Grey becomes three equal channels. Colour is
    straight: what is stored premultiplied by alpha (exr) is divided by it, except where alpha is 0.
    With ``allow_nan`` NaN and infinity are left to the caller, who knows which texels count.
    Raises InputError on a file that is missing, unreadable, truncated, of an unknown kind, or holds NaN or infinity.
    """
    decoded = _decode(Path(path), allow_nan)
    return _straight(decoded, _linear(decoded))


def read_premultiplied(path: str | Path) -> tuple[np.ndarray, np.ndarray | None]:
    """The picture over black: linear RGB as of :func:`read_linear` times alpha, and alpha as of :func:`read_alpha`.

    exr as stored, so that light where alpha is 0 (glows, reflections in glass) is still there.
    """
    decoded = _decode(Path(path))
    colour, alpha = _linear(decoded), _alpha(decoded)
    return colour if alpha is None or decoded.is_premultiplied else colour * alpha[..., None], alpha


def read_display(path: str | Path) -> np.ndarray:
    """Display-referred sRGB values, H x W x 3 float32 in [0, 1], straight.

    Codes of files in sRGB are as stored: 8-bit codes / 255, 16-bit codes / 65535, and AVIF of 10 and 12 bits keeps them
    all; other colour profiles are converted.
    Raises InputError as :func:`read_linear` does, and for exr, hdr and floats, which have no display values.
    """
    decoded = _decode(Path(path))
    _require_display(path, decoded)
    return _as_rgb(decoded.colour) if decoded.space is None else linear_to_srgb(_linear(decoded))


def read_codes(path: str | Path) -> np.ndarray:
    """:func:`read_display` without any colour conversion: for files whose encoding is known better than they say."""
    decoded = _decode(Path(path))
    _require_display(path, decoded)
    return _as_rgb(decoded.colour)


def read_alpha(path: str | Path) -> np.ndarray | None:
    """The alpha channel, H x W float32 in [0, 1], or None where the file has none."""
    return _alpha(_decode(Path(path), allow_nan=True))


def read_mask(path: str | Path) -> np.ndarray:
    """Coverage, H x W float32 in [0, 1]: alpha where the file has an alpha that is not 1 everywhere, else its grey.

    Grey is the mean of the channels as stored: no transfer is undone, 255 (or 1.0) means valid.
    """
    decoded = _decode(Path(path))
    if decoded.alpha is not None and decoded.alpha.min() < 1.0:
        return decoded.alpha.clip(0.0, 1.0)
    return decoded.colour.mean(axis=2, dtype=np.float32).clip(0.0, 1.0)


def image_size(path: str | Path) -> tuple[int, int]:
    """(height, width) as the readers will return it, from the file's header alone."""
    path = Path(path)
    suffix = _suffix(path)
    if suffix == ".exr":
        return exr_format.exr_size(path)
    return radiance_format.hdr_size(path) if suffix == ".hdr" else image_formats.ldr_size(path)


def write_linear(
    path: str | Path,
    image: np.ndarray,
    *,
    alpha: np.ndarray | None = None,
    bits: int | None = None,
    comment: str | None = None,
) -> None:
    """Write linear radiance, H x W x 3 or grey (H x W, H x W x 1); the suffix chooses the format.

    - exr: ZIP, half floats (``bits=16``, default) or floats (``bits=32``). Floats too where halves cannot hold the
      picture: values beyond +-65504, or a peak below 1/1024. Multiplied by ``alpha``, as the format defines.
    - hdr: Radiance RGBE, relative precision 1/256 of the largest channel; at least 0, at most 1.7e38; no alpha.
    - png, jpg: clamped to [0, 1], sRGB-encoded, then as :func:`write_display`.

    ``image`` is straight colour; ``alpha`` (H x W in [0, 1]) is stored beside it.
    Raises InputError on an unknown suffix, a wrong shape, NaN or infinity, and when the file cannot be written.
    """
    path = Path(path)
    suffix = _suffix(path, WRITABLE_SUFFIXES)
    colour, alpha = _checked(path, image, alpha)
    if suffix in LDR_SUFFIXES:
        write_display(path, linear_to_srgb(colour), alpha=alpha, bits=bits or 8, comment=comment)
        return
    _require(comment is None, path, "comments are written into png files", "leave it out")
    if suffix == ".exr":
        _write_exr(path, colour, alpha, 16 if bits is None else bits)
        return
    _require(alpha is None, path, "hdr files hold no alpha", "write exr or png")
    _require(bits is None, path, "hdr files have one precision", "leave bits out")
    _write_bytes(path, radiance_format.encode_hdr(_as_rgb(colour)))


def write_display(
    path: str | Path,
    image: np.ndarray,
    *,
    alpha: np.ndarray | None = None,
    bits: int = 8,
    comment: str | None = None,
) -> None:
    """Write display-referred values in [0, 1] (clamped, rounded), H x W x 3 or grey, as png (8 or 16 bits) or jpg.

    ``comment``: of a png, for :func:`png_chunks.read_comment`.
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
    _require(comment is None or suffix == ".png", path, "comments are written into png files", "leave it out")
    data = opencv_images.encode_png(pixels) if suffix == ".png" else opencv_images.encode_jpeg(pixels)
    _write_bytes(path, data if comment is None else png_chunks.with_comment(data, comment))


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


def _decode(path: Path, allow_nan: bool = False) -> Decoded:
    suffix = _suffix(path)
    if suffix not in HDR_SUFFIXES:
        decoded = image_formats.decode_ldr(path)
    else:
        decoded = exr_format.decode_exr(path) if suffix == ".exr" else radiance_format.decode_hdr(path)
    if decoded.is_linear:
        if not allow_nan:
            _require_finite(path, decoded.colour)
        if decoded.alpha is not None:
            _require_finite(path, decoded.alpha)
    return decoded


def _linear(decoded: Decoded) -> np.ndarray:
    """H x W x 3 linear sRGB, premultiplied where the file is."""
    if decoded.is_linear:
        return _as_rgb(decoded.colour)
    if decoded.space is None:
        return srgb_to_linear(_as_rgb(decoded.colour))
    return _as_rgb(decoded.space.to_linear_srgb(decoded.colour, decoded.levels))


def _straight(decoded: Decoded, colour: np.ndarray) -> np.ndarray:
    if not decoded.is_premultiplied or decoded.alpha is None or decoded.alpha.min() >= 1.0:
        return colour
    alpha = decoded.alpha.clip(None, 1.0)
    return colour / np.where(alpha < _LEAST_ALPHA, np.float32(1), alpha)[..., None]


def _alpha(decoded: Decoded) -> np.ndarray | None:
    return None if decoded.alpha is None else decoded.alpha.clip(0.0, 1.0)


def _suffix(path: Path, known: Sequence[str] = IMAGE_SUFFIXES) -> str:
    suffix = path.suffix.lower()
    if suffix in HEIC_SUFFIXES and known is IMAGE_SUFFIXES:
        return suffix  # without pillow-heif, decoding says that it is needed
    if suffix not in known:
        raise InputError(path, f"unknown extension {suffix!r}", f"use one of {_join(known)}")
    return suffix


def _require_display(path: str | Path, decoded: Decoded) -> None:
    if decoded.is_linear:
        raise InputError(path, "holds linear radiance, not display values", f"give one of {_join(LDR_SUFFIXES)}")


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

    if alpha is not None:
        colour = colour * alpha[..., None]
    peak = np.abs(colour).max()
    is_half = bits == 16 and (peak == 0 or exr_format.HALF_DARKEST_PEAK <= peak <= exr_format.HALF_MAX)

    def stored(plane: np.ndarray) -> np.ndarray:
        return np.ascontiguousarray(plane, np.float16 if is_half else np.float32)

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
