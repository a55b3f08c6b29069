"""The peer ``planes``: the maps of :mod:`plane_model`, trained for a given time, as 8-bit codes or as BC7 blocks.

Access to single texels: one read of the uv map, one each of the ut and vt maps, four of the volume, then the MLP.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from src.evaluation.lightmap.peers.coding import Peer, Transfer, pad_to_multiple
from src.evaluation.lightmap.peers.plane_model import CODE_STEP, PlaneModel, PlaneSizes, fit
from src.evaluation.lightmap.quality import Coded

DECODED_TEXELS = 4096  # at a time
BC7_CHANNELS = 4


@dataclass(frozen=True)
class PlaneSetting:
    """Sizes of the maps, and whether they are kept as BC7 (2 bits per value) or as 8-bit codes."""

    sizes: PlaneSizes
    is_bc7: bool

    def __str__(self) -> str:
        s = self.sizes
        cells = f"uv {s.uv} / {s.uv_step}, ut vt {s.ut}, uvt {s.uvt} / {s.uvt_step}"
        return f"{cells}, {'BC7' if self.is_bc7 else '8 bit'}"


class _StoredMaps:
    """The bytes of all maps, and the model's tables read from them."""

    def __init__(self, model: PlaneModel, is_bc7: bool) -> None:
        self.is_bc7 = is_bc7
        self.shapes = model.shapes
        self.textures: list[bytes] = []
        for name, shape in self.shapes.items():
            codes = torch.round((model.maps[name].detach() + 1) / CODE_STEP).to(torch.uint8).numpy()
            for picture in _pictures(codes.reshape(shape)):
                self.textures.append(_to_bc7(picture) if is_bc7 else picture.tobytes())

    @property
    def size_bytes_memory(self) -> int:
        return sum(map(len, self.textures))

    @property
    def size_bytes_disk(self) -> int:
        """8-bit codes are deflated, one stream per picture, where that makes them smaller."""
        return sum(min(len(each), len(zlib.compress(each, 9))) for each in self.textures)

    def fill(self, model: PlaneModel) -> None:
        """Make the tables of ``model`` what the bytes say."""
        textures = iter(self.textures)
        for name, shape in self.shapes.items():
            pictures = []
            for empty in _pictures(np.empty(shape, np.uint8)):
                data = next(textures)
                stored = _from_bc7(data, empty.shape) if self.is_bc7 else np.frombuffer(data, np.uint8)
                pictures.append(stored.reshape(empty.shape))
            codes = _joined(pictures, shape).reshape(model.maps[name].shape)
            with torch.no_grad():
                model.maps[name].copy_(torch.from_numpy(codes.astype(np.float32)) * CODE_STEP - 1)


def _pictures(codes: np.ndarray) -> list[np.ndarray]:
    """A map ``A x B x T x C`` as pictures of at most four channels: A x B for every time, or A x T where B is 1."""
    rows, columns, times, channels = codes.shape
    planar = codes.reshape(rows * columns, times, 1, channels) if 1 in (rows, columns) else codes
    return [
        np.ascontiguousarray(planar[:, :, t, first : first + BC7_CHANNELS])
        for t in range(planar.shape[2])
        for first in range(0, channels, BC7_CHANNELS)
    ]


def _joined(pictures: list[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """The map of :func:`_pictures`."""
    per_time = -(-shape[-1] // BC7_CHANNELS)
    times = [np.concatenate(pictures[i : i + per_time], -1) for i in range(0, len(pictures), per_time)]
    return np.stack(times, 2).reshape(shape)


def _to_bc7(picture: np.ndarray) -> bytes:
    import etcpak

    rgba = np.pad(picture, ((0, 0), (0, 0), (0, BC7_CHANNELS - picture.shape[-1])))
    padded = pad_to_multiple(rgba, 4)
    parameters = etcpak.BC7CompressBlockParams()
    parameters.init_linear_weights()
    return etcpak.compress_bc7(padded.tobytes(), padded.shape[1], padded.shape[0], parameters)


def _from_bc7(data: bytes, shape: tuple[int, int, int]) -> np.ndarray:
    import imagecodecs

    height, width, channels = shape
    padded = (height + -height % 4, width + -width % 4, BC7_CHANNELS)
    decoded = np.asarray(imagecodecs.bcn_decode(data, imagecodecs.BCN.FORMAT.BC7, shape=padded))
    return decoded[:height, :width, :channels]


def _planes(
    frames: np.ndarray, mask: np.ndarray, is_radiance: bool, setting: PlaneSetting, progress: Iterable[float]
) -> Coded:
    """Values are gamma coded over each frame's own peak, then normalised to mean 0 and deviation 1 at each time."""
    transfer = Transfer.of(frames, is_radiance, per_frame=True)
    unit = transfer.to_unit(frames)[:, mask]  # T x N x 3
    mean = unit.mean(1, keepdims=True)
    deviation = np.maximum(unit.std((1, 2), keepdims=True), np.float32(1e-6))
    targets = torch.from_numpy(np.ascontiguousarray(((unit - mean) / deviation).swapaxes(0, 1)))
    height, width = mask.shape
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = PlaneModel(height, width, len(frames), setting.sizes)
        stored: list[_StoredMaps] = []

        def freeze(model: PlaneModel) -> None:
            stored.append(_StoredMaps(model, setting.is_bc7))
            stored[-1].fill(model)

        fit(model, torch.from_numpy(np.flatnonzero(mask)), targets, progress, freeze)
    (maps,) = stored
    mlp = sum(p.nbytes for name, p in model.named_parameters() if not name.startswith("maps."))
    side = mlp + mean.nbytes + deviation.nbytes + transfer.size_bytes

    @torch.inference_mode()
    def decode() -> np.ndarray:
        maps.fill(model)
        parts = torch.arange(height * width).split(DECODED_TEXELS)
        times = torch.arange(len(frames))
        unit = torch.cat([model(part, times) for part in parts]).numpy().swapaxes(0, 1) * deviation + mean
        return transfer.from_unit(np.clip(unit, 0, 1).reshape(frames.shape))

    return Coded(maps.size_bytes_disk + side, maps.size_bytes_memory + side, decode)


PLANES = Peer(
    "planes",
    (
        PlaneSetting(PlaneSizes(uv=4, uv_step=2, ut=4, uvt=4, uvt_step=8), is_bc7=True),
        PlaneSetting(PlaneSizes(uv=4, uv_step=1, ut=4, uvt=4, uvt_step=8), is_bc7=True),
        PlaneSetting(PlaneSizes(uv=8, uv_step=1, ut=4, uvt=4, uvt_step=8), is_bc7=True),
        PlaneSetting(PlaneSizes(uv=8, uv_step=1, ut=4, uvt=8, uvt_step=4), is_bc7=True),
    ),
    str,
    _planes,
    ("etcpak", "imagecodecs"),
    trains=True,
)
