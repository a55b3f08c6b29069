"""A decoded frame as it is shown: R'G'B' of an sRGB display, turned and mirrored as the file says."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from src.utils.video_transfer import UNSPECIFIED, is_shown_as_it_is, to_srgb, unknown_parts

if TYPE_CHECKING:
    import av

# Code points of ITU-T H.273
_BT709 = 1
_BT601, _BT601_TOO, _BT2020, _BT2020_PRIMARIES = 5, 6, 9, 9
_HDR_TRANSFERS = (16, 18)
_LIMITED_RANGE, _FULL_RANGE = 1, 2

# Of YCbCr matrices: BT.709, FCC, BT.601, SMPTE 240M, BT.2020 with non-constant luminance
_LUMA_OF_RED_AND_BLUE = {
    _BT709: (0.2126, 0.0722),
    4: (0.30, 0.11),
    _BT601: (0.299, 0.114),
    7: (0.212, 0.087),
    _BT2020: (0.2627, 0.0593),
}
_ROWS_AT_ONCE = 64  # fits the cache


DisplayMatrix = tuple[float, float, float, float]  # a, b, c, d of ISO/IEC 14496-12: x' = a x + c y, y' = b x + d y


class UnreadColours(Exception):
    """The code values mean something that is not read here."""


def display_matrix(frame: av.VideoFrame) -> DisplayMatrix:
    """Of a video's first frame, for all of them: asking a frame keeps it in memory until the garbage is collected."""
    try:
        data: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # the frame carries something that is newer than PyAV
        turn = np.deg2rad(frame.rotation)
        return np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn)
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5] / (1 << 16)
    return float(a), float(b), float(c), float(d)


def to_display(frame: av.VideoFrame, stream: av.VideoStream, matrix: DisplayMatrix) -> np.ndarray:
    """H x W x 3 uint8 sRGB, turned by :func:`display_matrix`. Alpha is neither applied nor returned.

    HDR and other gamuts are converted, see :mod:`src.utils.video_transfer`. Where the file does not name its YCbCr
    matrix, BT.601 is taken up to 1024 x 576 and BT.709 above, as players do. Raises UnreadColours on other matrices.
    """
    transfer, primaries = _colours(frame, stream)
    if is_shown_as_it_is(transfer, primaries):
        picture = _to_rgb24(frame, _matrix(frame, transfer, primaries))
    elif frame.format.is_rgb or _is_grey(frame):
        picture = to_srgb(_to_rgb24(frame, _BT709), transfer, primaries)
    else:
        picture = to_srgb(_to_rgb48(frame, _matrix(frame, transfer, primaries)), transfer, primaries)
    return np.ascontiguousarray(_turned(picture, matrix))


def to_yuv420p(picture: np.ndarray) -> av.VideoFrame:
    """H x W x 3 uint8 as BT.709 of limited range; odd sizes grow by a copy of the last row or column."""
    import av

    height, width, _ = picture.shape
    if height % 2 or width % 2:
        picture = np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24").reformat(
        format="yuv420p",
        src_color_range=_FULL_RANGE,
        dst_colorspace=_BT709,
        dst_color_range=_LIMITED_RANGE,
    )


def tag_as_bt709(context: av.VideoCodecContext) -> None:
    """Say of an encoder's frames what :func:`to_yuv420p` makes."""
    context.color_primaries = context.color_trc = context.colorspace = _BT709
    context.color_range = _LIMITED_RANGE


def sample_aspect_ratio(stream: av.VideoStream, matrix: DisplayMatrix) -> Fraction:
    """Width over height of a pixel of :func:`to_display`; 1 where the file does not say."""
    ratio = stream.sample_aspect_ratio
    if not ratio or ratio < 0:
        return Fraction(1)
    return 1 / ratio if _is_quarter_turn(matrix) else ratio


def what_is_not_kept(frame: av.VideoFrame, stream: av.VideoStream, matrix: DisplayMatrix) -> list[str]:
    """What :func:`to_display` cannot honour, in words."""
    said = []
    if unknown := unknown_parts(*_colours(frame, stream)):
        said.append(f"its colours ({' and '.join(unknown)} of ITU-T H.273) are not known and taken for sRGB")
    if any(part.is_alpha for part in frame.format.components) or stream.metadata.get("alpha_mode") == "1":
        said.append("its transparency is left out")
    if frame.interlaced_frame:
        said.append("it is interlaced and both fields are shown in one picture")
    a, b, c, d = matrix
    if min(abs(a) + abs(d), abs(b) + abs(c)) > 0.02 * max(abs(a) + abs(d), abs(b) + abs(c)):
        said.append("it is turned by an angle that is no quarter turn, and shown at the next one")
    return said


def _colours(frame: av.VideoFrame, stream: av.VideoStream) -> tuple[int, int]:
    """(transfer, primaries); before PyAV 17 only the decoder says so, not the frame."""
    context = stream.codec_context
    return (
        int(getattr(frame, "color_trc", context.color_trc)),
        int(getattr(frame, "color_primaries", context.color_primaries)),
    )


def _matrix(frame: av.VideoFrame, transfer: int, primaries: int) -> int:
    matrix = int(frame.colorspace)
    if frame.format.is_rgb or _is_grey(frame):
        return _BT709  # not used
    if matrix == _BT601_TOO:
        return _BT601
    if matrix in _LUMA_OF_RED_AND_BLUE:
        return matrix
    if matrix != UNSPECIFIED:
        raise UnreadColours(f"its YCbCr matrix ({matrix} of ITU-T H.273) is not read")
    if primaries == _BT2020_PRIMARIES or transfer in _HDR_TRANSFERS:
        return _BT2020
    return _BT709 if frame.width > 1024 or frame.height > 576 else _BT601


def _to_rgb24(frame: av.VideoFrame, matrix: int) -> np.ndarray:
    is_full = frame.format.is_rgb or _is_grey(frame) or _is_full_range(frame)
    return frame.reformat(
        format="rgb24",
        interpolation=_exact_interpolation(),
        src_colorspace=matrix,
        src_color_range=_FULL_RANGE if is_full else _LIMITED_RANGE,
        dst_color_range=_FULL_RANGE,
    ).to_ndarray()


def _to_rgb48(frame: av.VideoFrame, matrix: int) -> np.ndarray:
    """H x W x 3 uint16 over [0, 65535] from YCbCr of any depth.

    swscale only enlarges the chroma: its own matrices are up to 3 codes of 1023 too dark at 16 bits.
    """
    bits = frame.format.components[0].bits
    same = _FULL_RANGE if frame.format.name.startswith("yuvj") else _LIMITED_RANGE  # either way codes are shifted left
    enlarged = frame.reformat(
        format="yuv444p16le",
        interpolation=_exact_interpolation(),
        src_colorspace=matrix,
        dst_colorspace=matrix,
        src_color_range=same,
        dst_color_range=same,
    )
    planes = [
        np.frombuffer(bytes(plane), np.uint16).reshape(frame.height, -1)[:, : frame.width] for plane in enlarged.planes
    ]
    black, luma_steps, chroma_steps = 16 << 8, 219 << 8, 224 << 8
    if _is_full_range(frame):
        black, luma_steps = 0, (1 << 16) - (1 << (16 - bits))
        chroma_steps = luma_steps
    red, blue = _LUMA_OF_RED_AND_BLUE[matrix]
    green = 1 - red - blue
    rgb = np.empty((frame.height, frame.width, 3), np.uint16)
    for row in range(0, len(rgb), _ROWS_AT_ONCE):
        y, cb, cr = (plane[row : row + _ROWS_AT_ONCE].astype(np.float32) for plane in planes)
        y = (y - black) * np.float32(65535 / luma_steps) + np.float32(0.5)  # rounded by the cut to whole numbers
        cb = (cb - (1 << 15)) * np.float32(2 * 65535 / chroma_steps)
        cr = (cr - (1 << 15)) * np.float32(2 * 65535 / chroma_steps)
        part = rgb[row : row + _ROWS_AT_ONCE]
        part[..., 0] = (y + (1 - red) * cr).clip(0, 65535)
        part[..., 1] = (y - red * (1 - red) / green * cr - blue * (1 - blue) / green * cb).clip(0, 65535)
        part[..., 2] = (y + (1 - blue) * cb).clip(0, 65535)
    return rgb


def _is_full_range(frame: av.VideoFrame) -> bool:
    return frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")


def _is_grey(frame: av.VideoFrame) -> bool:
    return frame.format.name.startswith(("gray", "ya"))


def _is_quarter_turn(matrix: DisplayMatrix) -> bool:
    a, b, c, d = matrix
    return abs(b) + abs(c) > abs(a) + abs(d)


def _turned(picture: np.ndarray, matrix: DisplayMatrix) -> np.ndarray:
    a, b, c, d = matrix
    across, down = a, d
    if _is_quarter_turn(matrix):  # x' grows with y, y' with x
        picture, across, down = picture.swapaxes(0, 1), c, b
    return picture[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


@lru_cache(maxsize=1)
def _exact_interpolation() -> int:
    """Without these flags swscale's decoding darkens by 1.3 levels of 255 on average; PyAV before 18 lacks them."""
    from av.video.reformatter import Interpolation

    if not hasattr(Interpolation, "ACCURATE_RND"):
        return Interpolation.BILINEAR
    return Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
