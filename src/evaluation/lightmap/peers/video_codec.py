"""x265 through PyAV: the frames as a video in order of hour, and stacks of planes as intra pictures."""

from __future__ import annotations

import io

import numpy as np

from src.evaluation.lightmap.peers.coding import Peer, Transfer, fill_invalid, pad_to_multiple
from src.evaluation.lightmap.quality import Coded

PRESET = "slow"
VIDEO_BITS = 10
_RGB_PLANES = {"gbrp10le": (1, 2, 0)}  # the codec's plane i holds this channel of RGB


def encode_hevc(pictures: np.ndarray, pixel_format: str, parameters: str, options: dict[str, str]) -> bytes:
    """``T x H x W x C`` uint16 codes -> an HEVC elementary stream, pictures padded by their edges."""
    import av

    buffer = io.BytesIO()
    # x265 overruns its buffers on some pictures that are lower than its largest block of 64.
    pictures = pad_to_multiple(pictures, 16, least=64)
    height, width, channels = pictures.shape[1:]
    with av.open(buffer, "w", format="hevc") as container:
        stream = container.add_stream("libx265", rate=24)
        stream.width, stream.height, stream.pix_fmt = width, height, pixel_format
        stream.options = {"preset": PRESET, "x265-params": f"log-level=error:{parameters}", **options}
        for picture in pictures:
            frame = av.VideoFrame(width, height, pixel_format)
            for plane, channel in zip(frame.planes, _RGB_PLANES.get(pixel_format, range(channels)), strict=True):
                rows = np.zeros((height, plane.line_size // 2), np.uint16)
                rows[:, :width] = picture[..., channel]
                plane.update(rows.tobytes())
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.getvalue()


def decode_hevc(data: bytes) -> np.ndarray:
    """The padded pictures of :func:`encode_hevc`, ``T x H x W x C`` uint16."""
    import av

    pictures = []
    with av.open(io.BytesIO(data), mode="r", format="hevc") as container:
        for frame in container.decode(video=0):
            planes = [
                np.frombuffer(bytes(plane), np.uint16).reshape(plane.height, -1)[:, : plane.width]
                for plane in frame.planes
            ]
            order = _RGB_PLANES.get(frame.format.name, range(len(planes)))
            pictures.append(np.stack([planes[order.index(channel)] for channel in range(len(planes))], axis=-1))
    return np.stack(pictures)


def x265_is_absent() -> str | None:
    """Why libx265 cannot be used (the package ``av`` is known to be there), or None."""
    import av

    return None if "libx265" in av.codecs_available else "this build of av has no libx265"


def _x265(frames: np.ndarray, mask: np.ndarray, is_radiance: bool, crf: int) -> Coded:
    transfer = Transfer.of(frames, is_radiance)
    data = encode_hevc(fill_invalid(transfer.to_codes(frames, VIDEO_BITS), mask), "gbrp10le", "", {"crf": str(crf)})
    height, width = mask.shape

    def decode() -> np.ndarray:
        return transfer.from_codes(decode_hevc(data)[:, :height, :width], VIDEO_BITS)

    return Coded(len(data) + transfer.size_bytes, None, decode)


X265 = Peer("x265", (28, 20, 14, 8), lambda crf: f"10 bit RGB, {PRESET}, crf {crf}", _x265, ("av",), x265_is_absent)
