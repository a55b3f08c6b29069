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

from src.inference.crops import Crop, Face, whole_picture
from src.inference.delit.views import SMALLEST_SIDE, View, picture_of, planes_of, resized
from src.inference.faces import FaceFinder, find_faces
from src.inference.framing import crops_of, faces_of
from src.inference.keeping import as_shown, keep
from src.inference.looks import centre_of, merged, mirrored, nearer_size, with_floor
from src.inference.masks import PersonMasks
from src.inference.prediction import (
    FLAT_FLOOR,
    RELIT_FLOOR,
    Prediction,
    apply_gain,
    change_weights,
    colour_of,
    less_colour,
    mean_level,
    trust_in,
)
from src.inference.tiling import refine_log_gain
from src.models.delit_model import DelitModel, measure_exposure
from src.utils.color import linear_to_srgb, luminance
from src.utils.core_slices import run_parallel, worker_count


class Delighted(NamedTuple):
    """One picture without its light, and that light."""

    flat_lit: np.ndarray  # H x W x 3 linear radiance under a uniform environment of radiance 1, where the person is
    prediction: Prediction  # of the largest face; its light is the mean of all
    crop: Crop
    note: str  # what the network was shown
    others: tuple[tuple[Crop, Prediction], ...] = ()  # of further faces

    @property
    def parts(self) -> tuple[tuple[Crop, Prediction], ...]:
        """All crops with what was said of them, the largest face first."""
        return (self.crop, self.prediction), *self.others


class Delighter:
    """A trained model applied to pictures of any size.

    ``flat_size``: long side at which flat-lit is predicted; above the model's own, tiles refine it.
    ``crops``: look for faces and show the network the portrait about each, rather than the whole picture.
    ``faces``: what finds them; ``masks``: what says where people are, instead of the model.
    ``keep_exposure``: flat-lit keeps the brightness of the face and weak casts, see :mod:`src.inference.keeping`;
    otherwise it is as the network takes the skin to be.
    ``looks_twice``: pictures are seen as a whole and from nearer, see :mod:`src.inference.looks`, at twice the cost.
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
        faces: FaceFinder = find_faces,
        masks: PersonMasks | None = None,
        looks_twice: bool = True,
    ) -> None:
        self.model = model.to(memory_format=torch.channels_last)
        self.device = next(model.parameters()).device
        self.image_size = model.config.image_size
        self.flat_size = max(flat_size or self.image_size, self.image_size)
        self.crops, self.keep_exposure = crops, keep_exposure
        self.faces, self.masks, self.looks_twice = faces, masks, looks_twice
        self.slices = worker_count(self.device) if slices is None else slices

    def __call__(self, relit: np.ndarray, is_coded: bool = False) -> Delighted:
        """``relit``: H x W x 3 linear radiance, of any size; ``is_coded``: from 8-bit sRGB, with their noise."""
        height, width = relit.shape[:2]
        faces: list[Face] = []
        crops, note = [whole_picture(height, width)], "whole picture, as asked"
        if self.crops:
            faces = faces_of(relit, self.faces)
            crops, note = crops_of(faces, height, width)
        mask = None if self.masks is None else self.masks.of(relit)
        contents = [crop.cut(relit) for crop in crops]
        placed: Sequence[Face | None] = faces or [None]
        views = [
            self.view(crop, content, mask, face, self.looks_twice)
            for crop, content, face in zip(crops, contents, placed, strict=True)
        ]
        parts = list[tuple[Crop, Prediction]]()
        for view, content, said in zip(views, contents, self.predict_views(views), strict=True):
            prediction = said
            if is_coded or not content.any():
                prediction = replace(prediction, trust=trust_in(linear_to_srgb(content) * 255))
            if self.flat_size > self.image_size and max(content.shape[:2]) > self.image_size:
                prediction = self._refined(prediction, content, view.crop.roll)
            parts.append((view.crop, view.settle(prediction)))
        note += "" if any(prediction.trust for _, prediction in parts) else "; too dark to tell, left as it is"
        if self.keep_exposure:
            note += "; brightness kept, " + ", ".join(f"x {prediction.exposure:.2f}" for _, prediction in parts)
        crop, first = parts[0]
        environment, confidence = _mean_light(parts)
        parts[0] = crop, replace(first, environment=environment, confidence=confidence)
        return Delighted(self.put_back(relit, parts), parts[0][1], crop, note, tuple(parts[1:]))

    def view(
        self,
        crop: Crop,
        content: np.ndarray,
        mask: np.ndarray | None = None,
        face: Face | None = None,
        looks_twice: bool = False,
    ) -> View:
        """How the network is shown the h x w x 3 linear ``content`` of a crop.

        ``mask`` H x W, ``face``: of the whole picture.
        """
        shown = self.network_input(content, roll=crop.roll)
        size = shown.shape[-2:]
        inside = None if mask is None else crop.cut(mask)
        placed = None if face is None else as_shown(face, crop, *size)
        nearer = None
        if looks_twice:
            nearer = planes_of(centre_of(resized(content, *nearer_size(*size), crop.roll), *size)[:, ::-1])
        return View(crop, shown, inside, placed, nearer)

    def network_input(self, content: np.ndarray, size: int | None = None, roll: float = 0.0) -> Tensor:
        """3 x h x w of an H x W x 3 crop: its long side becomes ``size`` (the model's own by default).

        With a ``roll``, of the square that is turned by so many degrees in it.
        """
        scale = (size or self.image_size) / max(content.shape[:2])
        height, width = (max(SMALLEST_SIDE, round(side * scale)) for side in content.shape[:2])
        return planes_of(resized(content, height, width, roll))

    def look(self, relit: np.ndarray) -> Prediction:
        """What is said of all of H x W x 3 linear radiance, at the network's resolution."""
        view = self.view(whole_picture(*relit.shape[:2]), relit, looks_twice=self.looks_twice)
        return self.predict_views([view])[0]

    def predict_views(self, views: Sequence[View]) -> list[Prediction]:
        """What the network says of each, as it is shown; :meth:`View.settle` brings it into the picture."""
        return self.predict(
            [view.shown for view in views],
            [view.shown_mask() for view in views],
            [view.face for view in views],
            [view.nearer for view in views],
        )

    def predict(
        self,
        pictures: Sequence[Tensor],
        masks: Sequence[np.ndarray | None] | None = None,
        faces: Sequence[Face | None] | None = None,
        nearer: Sequence[Tensor | None] | None = None,
    ) -> list[Prediction]:
        """Predictions of 3 x h x w pictures; those of one size go through the network together.

        ``masks``: h x w where people are in each, instead of what the network takes for them; ``faces``: in pixels of
        the pictures, where brightness is to be kept; ``nearer``: see :class:`View`.
        """
        none = [None] * len(pictures)
        again = {index: centre for index, centre in enumerate(nearer or none) if centre is not None}
        answers = self._answers([*pictures, *again.values()])
        predictions = answers[: len(pictures)]
        for (index, centre), answer in zip(again.items(), answers[len(pictures) :], strict=True):
            whole = predictions[index]
            predictions[index] = merged(whole, mirrored(with_floor(answer, picture_of(centre), whole.relit_floor)))
        rows = zip(predictions, pictures, masks or none, faces or none, strict=True)
        return [self._finished(prediction, picture_of(planes), mask, face) for prediction, planes, mask, face in rows]

    def _finished(
        self, prediction: Prediction, shown: np.ndarray, mask: np.ndarray | None, face: Face | None
    ) -> Prediction:
        if mask is not None:
            prediction = replace(prediction, mask=mask)
        prediction = replace(prediction, level=mean_level(shown, prediction.relit_floor, prediction.mask))
        return keep(prediction, shown, face) if self.keep_exposure else prediction

    def _answers(self, pictures: Sequence[Tensor]) -> list[Prediction]:
        """What the network itself says; each slice of the pictures goes from the first layer to the last on its own."""
        groups: dict[torch.Size, list[int]] = {}
        for index, picture in enumerate(pictures):
            groups.setdefault(picture.shape, []).append(index)
        share = -(-len(pictures) // self.slices)
        parts = [part[at : at + share] for part in groups.values() for at in range(0, len(part), share)]
        results = run_parallel([self._forward_function([pictures[k] for k in part]) for part in parts])
        predictions: dict[int, Prediction] = {}
        for part, result in zip(parts, results, strict=True):
            predictions.update(zip(part, result, strict=True))
        return [predictions[index] for index in range(len(pictures))]

    def put_back(self, relit: np.ndarray, parts: Sequence[tuple[Crop, Prediction]]) -> np.ndarray:
        """The full frame with each gain applied within its crop where the mask (or else all of the crop) says so.

        Where crops overlap, each counts as much as it is to change there.
        """
        if len(parts) == 1:
            crop, prediction = parts[0]
            content = crop.cut(relit)
            weights = change_weights(relit.shape, crop, content, prediction)
            return crop.put_back(relit, content + weights * (apply_gain(content, prediction) - content))
        total, change = np.zeros((*relit.shape[:2], 1), np.float32), np.zeros_like(relit)
        for crop, prediction in parts:
            content = crop.cut(relit)
            weights = change_weights(relit.shape, crop, content, prediction)
            total += crop.put_back(np.zeros_like(total), weights)
            change += crop.put_back(np.zeros_like(relit), weights * (apply_gain(content, prediction) - content))
        return relit + change / np.maximum(total, 1)

    def _refined(self, coarse: Prediction, content: np.ndarray, roll: float) -> Prediction:
        """``coarse`` with the gain of overlapping tiles at ``flat_size`` (or the crop's own size, if that is less)."""
        picture = self.network_input(content, min(self.flat_size, max(content.shape[:2])), roll)

        def tile_gains(tiles: list[Tensor]) -> list[np.ndarray]:
            return [answer.log_gain for answer in self._answers(tiles)]

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
        shown = relit.permute(0, 2, 3, 1).cpu().numpy()
        floors = floor.flatten().tolist()
        # A black and white photograph tells no colour of the light, and stays black and white.
        colours = [colour_of(picture) for picture in shown]
        return [
            Prediction(
                less_colour(log_gain[k], colours[k], log_gain[k].mean(axis=2)),
                floors[k],
                mask[k],
                less_colour(environment[k], colours[k], luminance(environment[k])),
                confidence[k],
                flat_error=flat_error[k],
            )
            for k in range(len(relit))
        ]


def _mean_light(parts: Sequence[tuple[Crop, Prediction]]) -> tuple[np.ndarray, np.ndarray | None]:
    """Environment and confidence: one light falls on all, so the mean of what was said of it, by the crops' areas."""
    weights = np.array([crop.height * crop.width for crop, _ in parts], np.float32)
    weights /= weights.sum()

    def mean(maps: list[np.ndarray]) -> np.ndarray:
        return np.tensordot(weights, np.stack(maps), 1)

    confidences = [prediction.confidence for _, prediction in parts if prediction.confidence is not None]
    return mean([prediction.environment for _, prediction in parts]), mean(confidences) if confidences else None
