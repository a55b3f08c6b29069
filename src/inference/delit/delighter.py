"""From a picture to its flat-lit version at full resolution and the environment: arrays in, arrays out, no files.

The network sees the portrait at the size it was trained on; what it says is applied at the picture's own resolution, as
:mod:`src.inference.prediction` does it, without seams.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from src.inference.crops import Crop
from src.inference.framing import frame_portrait
from src.inference.prediction import (
    FLAT_FLOOR,
    RELIT_FLOOR,
    Prediction,
    apply_gain,
    change_weights,
    mean_level,
    trust_in,
)
from src.inference.tiling import refine_log_gain
from src.models.delit.outputs import Delit
from src.models.delit_model import DelitModel, measure_exposure
from src.utils.color import linear_to_srgb, luminance
from src.utils.core_slices import run_parallel, worker_count
from src.utils.resize import resize_area

SMALLEST_LUMINANCE = 1e-9  # mean of a person: below, there is no brightness to keep
SMALLEST_SIDE = 16  # that the network takes


class Delighted(NamedTuple):
    """One picture without its light, and that light."""

    flat_lit: np.ndarray  # H x W x 3 linear radiance under a uniform environment of radiance 1, where the person is
    prediction: Prediction
    crop: Crop
    note: str  # what the network was shown


class Delighter:
    """A trained model applied to pictures of any size.

    ``flat_size``: long side at which flat-lit is predicted; above the model's own, tiles refine it.
    ``crops``: look for a face and show the network the portrait about it, rather than the whole picture.
    ``keep_exposure``: flat-lit has the picture's mean luminance within the mask, since none tells skin's brightness
    from that of the light; otherwise it is as bright as the network takes the skin to be.
    ``slices``: how many shares pictures go through the network in side by side, by default one per core of a CPU; 1
    where it is called from several threads at a time.
    """

    def __init__(
        self,
        model: DelitModel,
        flat_size: int | None = None,
        crops: bool = True,
        slices: int | None = None,
        keep_exposure: bool = False,
    ) -> None:
        self.model = model.to(memory_format=torch.channels_last)
        self.device = next(model.parameters()).device
        self.image_size = model.config.image_size
        self.flat_size = max(flat_size or self.image_size, self.image_size)
        self.crops, self.keep_exposure = crops, keep_exposure
        self.slices = worker_count(self.device) if slices is None else slices

    def __call__(self, relit: np.ndarray, is_coded: bool = False) -> Delighted:
        """``relit``: H x W x 3 linear radiance, of any size; ``is_coded``: from 8-bit sRGB, with their noise."""
        crop, note = frame_portrait(relit, self.crops)
        content = crop.cut(relit)
        (prediction,) = self.predict([self.network_input(content)])
        if is_coded or not content.any():
            prediction = replace(prediction, trust=trust_in(linear_to_srgb(content) * 255))
            note += "" if prediction.trust else "; too dark to tell, left as it is"
        if self.flat_size > self.image_size and max(content.shape[:2]) > self.image_size:
            prediction = self._refined(prediction, content)
        if prediction.exposure is not None:
            note += f"; brightness kept, x {prediction.exposure:.2f}"
        return Delighted(self.put_back(relit, crop, prediction), prediction, crop, note)

    def network_input(self, content: np.ndarray, size: int | None = None) -> Tensor:
        """3 x h x w of an H x W x 3 crop: its long side becomes ``size`` (the model's own by default)."""
        scale = (size or self.image_size) / max(content.shape[:2])
        height, width = (max(SMALLEST_SIDE, round(side * scale)) for side in content.shape[:2])
        return torch.from_numpy(np.ascontiguousarray(resize_area(content, height, width).transpose(2, 0, 1)))

    def predict(self, pictures: Sequence[Tensor]) -> list[Prediction]:
        """Predictions of 3 x h x w pictures; those of one size go through the network together.

        Each slice of them goes from the first layer to the last on its own.
        """
        groups: dict[torch.Size, list[int]] = {}
        for index, picture in enumerate(pictures):
            groups.setdefault(picture.shape, []).append(index)
        share = -(-len(pictures) // self.slices)
        parts = [part[at : at + share] for part in groups.values() for at in range(0, len(part), share)]
        results = run_parallel([self._forward_function([pictures[index] for index in part]) for part in parts])
        predictions: dict[int, Prediction] = {}
        for part, result in zip(parts, results, strict=True):
            predictions.update(zip(part, result, strict=True))
        return [predictions[index] for index in range(len(pictures))]

    def put_back(self, relit: np.ndarray, crop: Crop, prediction: Prediction) -> np.ndarray:
        """The full frame with the gain applied within ``crop`` where the mask (or else all of the crop) says so."""
        content = crop.cut(relit)
        changed = content + change_weights(relit.shape, crop, content, prediction) * (
            apply_gain(content, prediction) - content
        )
        return crop.put_back(relit, changed)

    def _refined(self, coarse: Prediction, content: np.ndarray) -> Prediction:
        """``coarse`` with the gain of overlapping tiles at ``flat_size`` (or the crop's own size, if that is less)."""
        picture = self.network_input(content, min(self.flat_size, max(content.shape[:2])))

        def tile_gains(tiles: list[Tensor]) -> list[np.ndarray]:
            return [prediction.log_gain for prediction in self.predict(tiles)]

        gain = refine_log_gain(picture, coarse.log_gain, self.image_size, tile_gains)
        return replace(coarse, log_gain=gain)

    def _forward_function(self, pictures: list[Tensor]) -> Callable[[], list[Prediction]]:
        return lambda: self._forward(torch.stack(pictures))

    def _forward(self, relit: Tensor) -> list[Prediction]:
        relit = relit.to(self.device).contiguous(memory_format=torch.channels_last)
        output = self.model(relit)
        floor = RELIT_FLOOR * measure_exposure(relit)
        log_gain = torch.log((output.flat_lit + FLAT_FLOOR) / (relit + floor)).permute(0, 2, 3, 1).cpu().numpy()
        environment = self.model.environment(output).permute(0, 2, 3, 1).cpu().numpy()
        mask, confidence, flat_error = (
            [None] * len(relit) if planes is None else planes[:, 0].cpu().numpy()
            for planes in (output.mask, output.confidence, output.flat_error)
        )
        exposures = _kept_exposure(relit, output).tolist() if self.keep_exposure else [None] * len(relit)
        shown = relit.permute(0, 2, 3, 1).cpu().numpy()
        floors = floor.flatten().tolist()
        return [
            Prediction(
                log_gain[k],
                floors[k],
                mask[k],
                environment[k],
                confidence[k],
                mean_level(shown[k], floors[k], mask[k]),
                exposure=exposures[k],
                flat_error=flat_error[k],
            )
            for k in range(len(relit))
        ]


def _kept_exposure(relit: Tensor, output: Delit) -> Tensor:
    """N: the mean luminance of the pictures within the mask over that of flat-lit; 1 where there is no person."""
    mask = relit.new_ones(len(relit), *relit.shape[-2:]) if output.mask is None else output.mask[:, 0]
    ours, flat = ((luminance(picture) * mask).sum((1, 2)) for picture in (relit, output.flat_lit))
    least = SMALLEST_LUMINANCE * mask.sum((1, 2)).clamp_min(SMALLEST_LUMINANCE)
    return torch.where((ours > least) & (flat > least), ours / flat.clamp_min(1e-12), torch.ones_like(ours))
