"""A decoded frame as it is shown: R'G'B' of an sRGB display, turned and mirrored as the file says."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from src.utils.video_transfer import UNSPECIFIED, is_shown_as_it_is, to_srgb, unknown_parts

if TYPE_CHECKING:
    import av

# Code points of ITU-T H.273
_BT709 = 1
_BT601, _BT2020, _BT2020_PRIMARIES = 5, 9, 9
_HDR_TRANSFERS = (16, 18)
_LIMITED_RANGE, _FULL_RANGE = 1, 2

# RGB, BT.709, unspecified, FCC, BT.601 twice, SMPTE 240M, BT.2020 of non-constant luminance
_KNOWN_MATRICES = frozenset({0, _BT709, UNSPECIFIED, 4, _BT601, 6, 7, _BT2020})


class UnreadColours(Exception):
    """The code values mean something that is not read here."""


def to_display(frame: av.VideoFrame, stream: av.VideoStream) -> np.ndarray:
    """H x W x 3 uint8 sRGB. Alpha is neither applied nor returned.

    HDR and other gamuts are converted, see :mod:`src.utils.video_transfer`. Where the file does not name its YCbCr
    matrix, BT.601 is taken up to 1024 x 576 and BT.709 above, as players do. Raises UnreadColours on other matrices.
    """
    transfer, primaries = _colours(frame, stream)
    is_plain = is_shown_as_it_is(transfer, primaries)
    is_rgb = frame.format.is_rgb
    is_full = is_rgb or frame.color_range == _FULL_RANGE or frame.format.name.startswith(("gray", "ya", "yuvj", "pal"))
    picture = frame.reformat(
        format="rgb24" if is_plain else "rgb48le",
        interpolation=_exact_interpolation(),
        src_colorspace=None if is_rgb else _matrix(frame, transfer, primaries),
        src_color_range=_FULL_RANGE if is_full else _LIMITED_RANGE,
        dst_color_range=_FULL_RANGE,
    ).to_ndarray()
    if not is_plain:
        picture = to_srgb(picture, transfer, primaries)
    return np.ascontiguousarray(_turned(picture, _display_matrix(frame)))


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


def sample_aspect_ratio(frame: av.VideoFrame, stream: av.VideoStream) -> Fraction:
    """Width over height of a pixel of :func:`to_display`; 1 where the file does not say."""
    ratio = stream.sample_aspect_ratio
    if not ratio or ratio < 0:
        return Fraction(1)
    return 1 / ratio if _is_quarter_turn(_display_matrix(frame)) else ratio


def what_is_not_kept(frame: av.VideoFrame, stream: av.VideoStream) -> list[str]:
    """What :func:`to_display` cannot honour, in words."""
    said = []
    if unknown := unknown_parts(*_colours(frame, stream)):
        said.append(f"its colours ({' and '.join(unknown)} of ITU-T H.273) are not known and taken for sRGB")
    if any(part.is_alpha for part in frame.format.components) or stream.metadata.get("alpha_mode") == "1":
        said.append("its transparency is left out")
    if frame.interlaced_frame:
        said.append("it is interlaced and both fields are shown in one picture")
    a, b, c, d = _display_matrix(frame)
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
    if matrix not in _KNOWN_MATRICES:
        raise UnreadColours(f"its YCbCr matrix ({matrix} of ITU-T H.273) is not read")
    if matrix != UNSPECIFIED:
        return _BT601 if matrix == 6 else matrix
    if primaries == _BT2020_PRIMARIES or transfer in _HDR_TRANSFERS:
        return _BT2020
    return _BT709 if frame.width > 1024 or frame.height > 576 else _BT601


def _display_matrix(frame: av.VideoFrame) -> tuple[float, float, float, float]:
    """a, b, c, d of ISO/IEC 14496-12: x' = a x + c y, y' = b x + d y."""
    try:
        data: Any = frame.side_data.get("DISPLAYMATRIX")
    except ValueError:  # the frame carries something that is newer than PyAV
        turn = np.deg2rad(frame.rotation)
        return np.cos(turn), -np.sin(turn), np.sin(turn), np.cos(turn)
    if data is None:
        return 1, 0, 0, 1
    a, b, _, c, d = np.frombuffer(bytes(data), np.int32)[:5] / (1 << 16)
    return float(a), float(b), float(c), float(d)


def _is_quarter_turn(matrix: tuple[float, float, float, float]) -> bool:
    a, b, c, d = matrix
    return abs(b) + abs(c) > abs(a) + abs(d)


def _turned(picture: np.ndarray, matrix: tuple[float, float, float, float]) -> np.ndarray:
    a, b, c, d = matrix
    across, down = a, d
    if _is_quarter_turn(matrix):  # x' grows with y, y' with x
        picture, across, down = picture.swapaxes(0, 1), c, b
    return picture[:: -1 if down < 0 else 1, :: -1 if across < 0 else 1]


def _exact_interpolation() -> int:
    """Without these flags swscale's decoding darkens by 1.3 levels of 255 on average; PyAV before 18 lacks them."""
    from av.video.reformatter import Interpolation

    if not hasattr(Interpolation, "ACCURATE_RND"):
        return Interpolation.BILINEAR
    return Interpolation.BILINEAR | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
