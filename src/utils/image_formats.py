"""Decoders and encoders of png, jpg, webp, avif and hdr behind :mod:`src.utils.image_io`; nothing else calls them.

Pillow decodes 8-bit files, OpenCV 16-bit PNG, 10- and 12-bit AVIF, and Radiance HDR (from bytes: its own file functions
cannot open every path on Windows). They are imported on first use, so that importing this module stays quick.
"""

from __future__ import annotations

import io
import re
import struct
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np

from src.utils.cli import InputError, describe_os_error

MAX_PIXELS = 2**28  # 16384 x 16384; a header that promises more is taken for a broken or hostile file
RGBE_MAX = 2.0**127 * (255 / 256)

REMEDY = "export or copy the file again"
_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_PNG_END = b"IEND\xaeB`\x82"


class Decoded(NamedTuple):
    """``colour``: H x W x 3 or H x W x 1 float32; ``alpha``: H x W float32 or None, not multiplied into the colour."""

    colour: np.ndarray
    alpha: np.ndarray | None


def read_bytes(path: Path) -> bytes:
    """The content of a file that must exist and hold something."""
    try:
        if path.is_dir():
            raise InputError(path, "is a folder, not a picture", "give a file")
        data = path.read_bytes()
    except FileNotFoundError:
        raise InputError(path, "no such file", "check the name") from None
    except OSError as error:
        raise describe_os_error(error, path) from error
    if not data:
        raise InputError(path, "is empty (0 bytes)", REMEDY)
    return data


def truncated(path: Path) -> InputError:
    return InputError(path, "is truncated: its end is missing", REMEDY)


def not_a(kind: str, path: Path) -> InputError:
    return InputError(path, f"is not {kind}, whatever its name says", REMEDY)


def check_pixel_count(path: Path, height: int, width: int) -> None:
    if height <= 0 or width <= 0:
        raise InputError(path, f"has no pixels ({width} x {height})", REMEDY)
    if height * width > MAX_PIXELS:
        raise InputError(path, f"{width} x {height} is more than {MAX_PIXELS} pixels", "split it into smaller pictures")


# --- png, jpg, webp, avif -----------------------------------------------------------------------------------------


def _open_with_pillow(path: Path, data: bytes):
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # check_pixel_count has the say
            picture = Image.open(io.BytesIO(data), formats=("PNG", "JPEG", "WEBP", "AVIF"))
    except UnidentifiedImageError:
        raise not_a("a picture (or its beginning is broken)", path) from None
    except Image.DecompressionBombError as error:
        raise InputError(path, str(error), "split it into smaller pictures") from None
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(path, f"is truncated or broken ({error})", REMEDY) from error
    check_pixel_count(path, picture.height, picture.width)
    return picture


def ldr_size(path: Path) -> tuple[int, int]:
    """(height, width) after EXIF rotation."""
    picture = _open_with_pillow(path, read_bytes(path))
    height, width = picture.height, picture.width
    try:
        orientation = picture.getexif().get(0x0112, 1)  # in a PNG it may stand behind the pixels
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise InputError(path, f"is truncated or broken ({error})", REMEDY) from error
    return (width, height) if orientation in (5, 6, 7, 8) else (height, width)


def decode_ldr(path: Path) -> Decoded:
    """Stored values over the largest possible one (255, 65535; for AVIF also 1023, 4095).

    EXIF rotation is applied, CMYK becomes RGB, ICC profiles are not applied.
    """
    from PIL import ImageOps

    data = read_bytes(path)
    picture = _open_with_pillow(path, data)
    is_png = picture.format == "PNG"
    try:
        picture.load()
    except (OSError, SyntaxError, ValueError, EOFError, struct.error) as error:
        raise InputError(path, f"is truncated or broken ({error})", REMEDY) from error
    if is_png and _PNG_END not in data:
        raise truncated(path)
    if is_png and data[24] == 16:  # IHDR bit depth; Pillow would keep only the upper 8 of 16 bits of RGB
        return _split_alpha(_decode_with_opencv(path, data).astype(np.float32) / np.float32(65535))
    if picture.format == "AVIF" and (bits := _avif_bits(data)) > 8:  # Pillow would keep 8
        failure = f"holds {bits} bits, which this build of OpenCV cannot decode", "install opencv-python-headless 5"
        pixels = _decode_with_opencv(path, data, *failure)
        return _split_alpha(pixels.astype(np.float32) / np.float32(2**bits - 1))
    ImageOps.exif_transpose(picture, in_place=True)
    if "transparency" in picture.info or picture.mode == "PA":
        picture = picture.convert("RGBA")
    elif picture.mode == "1":
        picture = picture.convert("L")
    elif picture.mode not in ("L", "LA", "RGB", "RGBA"):
        picture = picture.convert("RGB")
    return _split_alpha(np.asarray(picture, dtype=np.float32) / np.float32(255))


def _avif_bits(data: bytes) -> int:
    """Bits per channel by the first ``pixi`` property (ISO/IEC 23008-12, 6.5.6), which AVIF demands."""
    position = data.find(b"pixi")
    return data[position + 9] if 0 <= position < len(data) - 9 else 8


def _split_alpha(pixels: np.ndarray) -> Decoded:
    pixels = pixels if pixels.ndim == 3 else pixels[..., None]
    if pixels.shape[2] in (2, 4):
        return Decoded(np.ascontiguousarray(pixels[..., :-1]), np.ascontiguousarray(pixels[..., -1]))
    return Decoded(pixels, None)


def encode_png(pixels: np.ndarray) -> bytes:
    """uint8 or uint16, H x W x {1, 3, 4}. Level 3: half of level 9's time for some 5 % more bytes."""
    import cv2

    return _encode_with_opencv(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 3])


def encode_jpeg(pixels: np.ndarray) -> bytes:
    """uint8, H x W x {1, 3}. Quality 95 without chroma subsampling."""
    import cv2

    sampling = [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
    return _encode_with_opencv(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, 95, *sampling])


# --- Radiance HDR (https://radsite.lbl.gov/radiance/refer/filefmts.pdf) ---------------------------------------------


def hdr_size(path: Path, data: bytes | None = None) -> tuple[int, int]:
    data = read_bytes(path) if data is None else data
    if not data.startswith((b"#?RADIANCE", b"#?RGBE")):
        raise not_a("a Radiance HDR picture", path)
    match = re.search(rb"\n\n([-+][XY]) (\d+) ([-+][XY]) (\d+)\n", data[:65536])
    if not match:
        raise InputError(path, "has no complete Radiance header", REMEDY)
    if (match[1], match[3]) != (b"-Y", b"+X"):
        raise InputError(path, "is stored rotated or mirrored", "save it with rows from top to bottom")
    if b"32-bit_rle_xyze" in data[: match.start()]:
        raise InputError(path, "holds XYZ, not RGB", "convert it to RGB")
    height, width = int(match[2]), int(match[4])
    check_pixel_count(path, height, width)
    return height, width


def decode_hdr(path: Path) -> Decoded:
    """Radiance as stored; ``EXPOSURE=`` lines are not divided out."""
    data = read_bytes(path)
    height, width = hdr_size(path, data)
    pixels = _decode_with_opencv(path, data)
    if pixels.shape != (height, width, 3):
        raise InputError(path, f"decodes to {pixels.shape}, its header says {height} x {width}", REMEDY)
    return Decoded(pixels, None)


def encode_hdr(pixels: np.ndarray) -> bytes:
    """float32, H x W x 3, to uncompressed RGBE. Negative values become 0, values above 2^127 are clamped.

    Mantissas are rounded: OpenCV's encoder cuts them off, which darkens every picture by 0.2 % on average. The largest
    of the three is at least 128 in every pixel but black, so that no pixel can be mistaken for a run-length code.
    """
    height, width, _ = pixels.shape
    pixels = np.clip(pixels, 0.0, RGBE_MAX)
    _, exponent = np.frexp(pixels.max(axis=2, keepdims=True))
    overflows = np.rint(np.ldexp(pixels, 8 - exponent)).max(axis=2, keepdims=True) > 255
    exponent = exponent + overflows
    rgbe = np.concatenate([np.rint(np.ldexp(pixels, 8 - exponent)), exponent + 128], axis=2)
    rgbe[(rgbe[..., 3] <= 0) | (rgbe[..., :3].max(axis=2) == 0)] = 0  # too dark for the exponent
    header = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {height} +X {width}\n"
    return header.encode("ascii") + rgbe.astype(np.uint8).tobytes()


def _decode_with_opencv(
    path: Path, data: bytes, problem: str = "is truncated or broken", remedy: str = REMEDY
) -> np.ndarray:
    """Channels in the order RGB, RGBA or grey."""
    cv2 = _quiet_opencv()
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise InputError(path, problem, remedy)
    return _swap_red_and_blue(pixels)


def _encode_with_opencv(suffix: str, pixels: np.ndarray, parameters: list[int]) -> bytes:
    cv2 = _quiet_opencv()
    ok, data = cv2.imencode(suffix, _swap_red_and_blue(pixels), parameters)
    if not ok:
        raise RuntimeError(f"OpenCV could not encode {pixels.shape} {pixels.dtype} as {suffix}")
    return data.tobytes()


def _swap_red_and_blue(pixels: np.ndarray) -> np.ndarray:
    if pixels.ndim == 2 or pixels.shape[2] == 1:
        return pixels
    order = [2, 1, 0, 3][: pixels.shape[2]]
    return np.ascontiguousarray(pixels[..., order])


def _quiet_opencv():
    """OpenCV logs what it cannot decode on stderr, beside the error that we raise."""
    import cv2

    set_log_level = cv2.setLogLevel if hasattr(cv2, "setLogLevel") else cv2.utils.logging.setLogLevel  # 4 and 5
    set_log_level(0)
    return cv2
