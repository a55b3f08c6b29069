"""What the portrait page does with a photo, without the page: delight and ask for the transport once, then relight."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from src.data.stage.environments import mean_luminance, read_environment
from src.data.stage.synthetic.sky import make_environment
from src.inference.delit.delighter import Delighted, Delighter
from src.inference.delit.stills import flat_confidence, preview, write_preview
from src.inference.relit.background import KEEP, open_background
from src.inference.relit.portraits import person_in
from src.inference.relit.relighter import PortraitTransport, Relighter
from src.utils.cli import InputError
from src.utils.image_io import LDR_SUFFIXES, read_premultiplied, write_display, write_linear
from src.utils.resize import resize_area
from src.utils.sphere import resize_environment, rotate_environment_y

LONGEST_SIDE = 2048  # larger photos are reduced: every visitor's pictures lie in memory
SHOWN_SIDE = 640  # of what is relit while a slider moves
OF_PHOTO, OWN = "of_photo", "own"
SKIES = {"sun": 1, "window": 3, "studio": 0, "night": 0}  # kinds of built-in lights, with their seeds
_SKY_HEIGHT = 128
_MAP_HEIGHT = 128  # of environments as shown


@dataclass(frozen=True)
class Portrait:
    """A photo and all that was found in it."""

    relit: np.ndarray  # H x W x 3 linear, as photographed
    result: Delighted
    shown: PortraitTransport | None  # at SHOWN_SIDE; None without weights for relighting

    @property
    def environment(self) -> np.ndarray:
        """The light that makes the photo of the flat-lit picture as it is, h x w x 3 linear radiance."""
        return self.result.prediction.environment / np.float32(self.result.prediction.exposure or 1.0)


@dataclass(frozen=True)
class Light:
    """How a portrait is to be lit: an environment, turned by ``degrees``, ``2 ** stops`` as bright."""

    environment: np.ndarray
    degrees: float = 0.0
    stops: float = 0.0
    shows_behind: bool = False  # the environment is seen behind the person

    def turned(self) -> np.ndarray:
        return rotate_environment_y(self.environment, self.degrees) * np.float32(2.0**self.stops)


class PortraitWork:
    def __init__(self, delighter: Delighter, relighter: Relighter | None) -> None:
        self.delighter, self.relighter = delighter, relighter

    def open(self, path: Path) -> Portrait:
        """Raises InputError where the file cannot be read as a picture."""
        photo = reduced(read_premultiplied(path)[0].clip(0, None), LONGEST_SIDE)
        result = self.delighter(photo, is_coded=path.suffix.lower() in LDR_SUFFIXES)
        return Portrait(photo, result, self._transport(photo, result, SHOWN_SIDE))

    def relight(self, portrait: Portrait, light: Light) -> np.ndarray:
        """H x W x 3 linear, at most SHOWN_SIDE large. The portrait has a transport."""
        assert portrait.shown is not None
        return self._lit(portrait.shown, light)

    def pack(self, portrait: Portrait, light: Light | None, path: Path) -> None:
        """Everything as files in a zip, at the photo's own size; of ``light`` the relit portrait too."""
        result = portrait.result
        with TemporaryDirectory() as folder, zipfile.ZipFile(path, "w") as archive:
            here = Path(folder)
            write_linear(here / "flat_lit.png", result.flat_lit)
            write_linear(here / "flat_lit.exr", result.flat_lit)
            write_linear(here / "env.hdr", portrait.environment)
            write_preview(here / "env_preview.png", portrait.environment)
            if result.prediction.confidence is not None:
                write_display(here / "env_confidence.png", result.prediction.confidence)
            if result.prediction.flat_error is not None:
                write_display(here / "flat_confidence.png", flat_confidence(result.flat_lit.shape[:2], result))
            transport = self._transport(portrait.relit, result, LONGEST_SIDE) if light is not None else None
            if light is not None and transport is not None:
                relit = self._lit(transport, light)
                write_linear(here / "relit.png", relit)
                write_linear(here / "relit.exr", relit)
                write_linear(here / "relit_env.hdr", light.turned())
            for file in sorted(here.iterdir()):
                archive.write(file, file.name)

    def _transport(self, photo: np.ndarray, result: Delighted, side: int) -> PortraitTransport | None:
        """Of the flat-lit picture, at most ``side`` large."""
        if self.relighter is None:
            return None
        flat_lit, person = reduced(result.flat_lit, side), person_in(photo, result)
        crop = replace(result.crop, roll=0.0).scaled(flat_lit.shape[0] / photo.shape[0])
        mask = None if person is None else reduced(person, side)
        return self.relighter.transport(flat_lit, mask, crop, mask_is_of_crop=True)

    def _lit(self, transport: PortraitTransport, light: Light) -> np.ndarray:
        assert self.relighter is not None
        environment = light.turned()
        background = open_background("env" if light.shows_behind else KEEP, *transport.picture.shape[:2])
        return self.relighter.relight(transport, environment, background(environment))


def sky(kind: str) -> np.ndarray:
    """A built-in light of ``SKIES``, of mean luminance 1: as bright in all as flat-lit's own."""
    return at_unit_mean(make_environment(np.random.default_rng(SKIES[kind]), kind, _SKY_HEIGHT))


def read_light(path: Path) -> np.ndarray:
    """An HDR environment of mean luminance 1. Raises InputError where the file is none, or black."""
    environment = read_environment(path)
    if not environment.any():
        raise InputError(path, "is black", "choose one with light in it")
    return at_unit_mean(resize_environment(environment, _SKY_HEIGHT, 2 * _SKY_HEIGHT))


def at_unit_mean(environment: np.ndarray) -> np.ndarray:
    return environment / np.float32(max(mean_luminance(environment), 1e-9))


def reduced(picture: np.ndarray, longest: int) -> np.ndarray:
    """The picture, or a smaller one whose long side is ``longest``."""
    scale = min(1.0, longest / max(picture.shape[:2]))
    height, width = (max(1, round(side * scale)) for side in picture.shape[:2])
    return resize_area(np.ascontiguousarray(picture, np.float32), height, width)


def as_codes(display: np.ndarray) -> np.ndarray:
    """Values in [0, 1] -> uint8, for the page."""
    return np.rint(display.clip(0, 1) * 255).astype(np.uint8)


def map_codes(environment: np.ndarray) -> np.ndarray:
    """An environment for display, large enough to be looked at."""
    return as_codes(resize_area(preview(environment).clip(0, 1), _MAP_HEIGHT, 2 * _MAP_HEIGHT))


def confidence_codes(portrait: Portrait) -> np.ndarray | None:
    """Confidence in flat-lit, grey, at most SHOWN_SIDE large; None where the model has none."""
    if portrait.result.prediction.flat_error is None:
        return None
    return as_codes(reduced(flat_confidence(portrait.relit.shape[:2], portrait.result), SHOWN_SIDE))
