"""How captures become pictures: what ``prepare_olat.py`` is told, stored in metadata.json and read by all that follows.

Pictures relit while training must be what the prepared ones are; so nobody but the preparation is asked these things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields

TRANSFERS = ("srgb", "gamma22", "linear")
WEIGHTS = ("smooth", "voronoi")
COMPOSITES = ("none", "background")
MASK_SOURCES = ("auto", "given", "rembg", "olat")


@dataclass(frozen=True)
class Settings:
    """What decides the content of a training set, beside the captures and environments themselves."""

    weights: str = "smooth"  # how directions are dealt to lights: see LightCells
    transfer: str = "srgb"  # how png and avif captures are encoded
    image_size: int | None = None  # rows of the pictures; None: as captured
    exposure: float = 1.0  # factor on all pictures of people
    normalize_exposure: bool = False  # environments of mean luminance 1
    composite: str = "none"  # what is behind the person
    fov_degrees: float = 30.0  # vertical field of view of the camera
    exr_layer: str | None = None  # of EXR captures and environments with several

    @classmethod
    def of(cls, metadata: Mapping) -> Settings:
        """From the content of a training set's metadata.json. Raises KeyError where it is another file."""
        given = {"exr_layer": None, **metadata}  # sets of earlier versions do not know it
        return cls(**{field.name: given[field.name] for field in fields(cls)})

    def record(self) -> dict:
        """As stored: without what earlier versions did not know where it is not given, so that their sets stay."""
        return {name: value for name, value in asdict(self).items() if name != "exr_layer" or value is not None}
