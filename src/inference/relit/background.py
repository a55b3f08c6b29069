"""What is seen behind a relit portrait: the picture's own background, the environment, a colour or another picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from src.utils.cli import InputError
from src.utils.color import srgb_to_linear
from src.utils.image_io import read_linear
from src.utils.resize import resize_area
from src.utils.sphere import perspective_directions
from src.utils.sphere_torch import sample, sampling_grid

KEEP = "keep"
CAMERA_FOV_DEGREES = 30.0  # vertical field of view of the camera that sees the environment behind the person
# Environment in its light's rotation and gain -> what is seen, H x W x 3 or 3; None: the picture itself.
Background = Callable[[np.ndarray], np.ndarray | None]


def open_background(wanted: str, height: int, width: int) -> Background:
    """``keep``, ``env``, a colour as CSS writes it, or a picture's file, which is cut to fill ``height x width``.

    Raises InputError for what is none of these.
    """
    if wanted == KEEP:
        return lambda environment: None
    if wanted == "env":
        rays = torch.from_numpy(perspective_directions(height, width, CAMERA_FOV_DEGREES)).float()[None]
        return lambda environment: seen_behind(environment, rays)
    if Path(wanted).is_file():
        picture = fill(read_linear(wanted).clip(0, None), height, width)
        return lambda environment: picture
    colour = _colour(wanted)
    return lambda environment: colour


def seen_behind(environment: np.ndarray, rays: torch.Tensor) -> np.ndarray:
    """H x W x 3: an environment (h x w x 3) as it is seen along ``rays`` 1 x H x W x 3."""
    planes = torch.from_numpy(np.ascontiguousarray(environment.transpose(2, 0, 1), np.float32))[None]
    return sample(planes, sampling_grid(rays, *environment.shape[:2]))[0].permute(1, 2, 0).numpy()


def fill(picture: np.ndarray, height: int, width: int) -> np.ndarray:
    """The middle of a picture, as much as fills ``height x width`` when it is scaled to that."""
    scale = min(picture.shape[0] / height, picture.shape[1] / width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    top, left = (picture.shape[0] - rows) // 2, (picture.shape[1] - columns) // 2
    return resize_area(np.ascontiguousarray(picture[top : top + rows, left : left + columns]), height, width)


def _colour(text: str) -> np.ndarray:
    from PIL import ImageColor

    try:
        rgb = ImageColor.getrgb(text)[:3]
    except ValueError:
        problem = f"{text!r} is neither keep, env, a colour nor a picture that is there"
        raise InputError("--background", problem, "for example keep, black, '#204060' or street.jpg") from None
    return srgb_to_linear(np.array(rgb, np.float32) / 255)
