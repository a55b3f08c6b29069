"""Which of an EXR file's channels are the picture: layers are ``LAYER.R`` or parts, as the format's conventions go."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from src.utils.cli import InputError
from src.utils.picture_file import say

# The choice is the process's, and that of the worker processes that it starts: these inherit the environment.
_CHOICE = "EXR_LAYER"
_LONG_NAMES = {"RED": "R", "GREEN": "G", "BLUE": "B", "ALPHA": "A"}
_MOST_NAMES = 12  # in a message


@contextmanager
def exr_layer(name: str | None) -> Iterator[None]:
    """Within the block, ``name`` is read from EXR files that hold several layers; None chooses nothing.

    Files that hold just one are read as they are.
    """
    before = os.environ.get(_CHOICE)
    choose_exr_layer(name)
    try:
        yield
    finally:
        if before is None:
            os.environ.pop(_CHOICE, None)
        else:
            os.environ[_CHOICE] = before


def choose_exr_layer(name: str | None) -> None:
    """:func:`exr_layer` for the rest of the process."""
    if name is not None:
        os.environ[_CHOICE] = name


@dataclass(frozen=True)
class Layer:
    """``name``: as ``--exr_layer`` takes it. ``channels``: component (R, G, B, A, Y, RY, BY, Z, ...) -> full name."""

    part: int
    prefix: str
    name: str
    channels: dict[str, str]

    @property
    def is_rgb(self) -> bool:
        return {"R", "G", "B"} <= self.channels.keys()

    @property
    def is_luminance(self) -> bool:
        """Y is a coordinate, not luminance, beside X."""
        return "Y" in self.channels and "X" not in self.channels

    def colour(self) -> tuple[str, ...]:
        """The full names of the one or three channels of colour, of Y, RY, BY where there is chroma; () for none."""
        if self.is_rgb:
            components: Sequence[str] = ("R", "G", "B")
        elif self.is_luminance:
            components = ("Y", "RY", "BY") if {"RY", "BY"} <= self.channels.keys() else ("Y",)
        else:
            components = tuple(self.channels) if len(self.channels) == 1 else ()
        return tuple(self.channels[component] for component in components)


def pick_layer(path: Path, parts: Sequence[tuple[str, Sequence[str]]]) -> Layer:
    """The layer to read of a file whose parts are ``(name, channel names)``.

    The only RGB layer (without any: the only one of luminance); of several the one that :func:`exr_layer` names, else
    the one without a name, which is said. Raises InputError that names the layers, or channels where there is none.
    """
    layers = _layers(parts)
    wanted = os.environ.get(_CHOICE)
    chosen = _named(layers, wanted) if wanted else None
    if chosen is not None and chosen.colour():
        return chosen
    candidates = [layer for layer in layers if layer.is_rgb] or [layer for layer in layers if layer.is_luminance]
    if len(candidates) == 1:
        return candidates[0]
    if not candidates:
        names = [name for _, channels in parts for name in channels]
        raise InputError(path, f"has the channels {_listed(names)}", "save it with R, G, B or Y")
    names = [layer.name or "(unnamed)" for layer in candidates]
    if wanted:
        raise InputError(path, f"has no picture layer {wanted!r}", f"--exr_layer takes one of {_listed(names)}")
    unnamed = [layer for layer in candidates if not layer.prefix]
    if len(unnamed) != 1:
        raise InputError(path, f"has the layers {_listed(names)}", "pick one with --exr_layer")
    others = [layer.name for layer in candidates if layer.prefix]
    say(path, f"its unnamed layer is taken; --exr_layer picks another: {_listed(others)}")
    return unnamed[0]


def _layers(parts: Sequence[tuple[str, Sequence[str]]]) -> list[Layer]:
    layers = []
    for index, (part_name, channels) in enumerate(parts):
        by_prefix: dict[str, dict[str, str]] = {}
        for channel in channels:
            prefix, _, component = channel.rpartition(".")
            component = component.upper()
            by_prefix.setdefault(prefix, {}).setdefault(_LONG_NAMES.get(component, component), channel)
        unnamed = part_name if len(parts) > 1 else ""
        layers += [Layer(index, prefix, prefix or unnamed, named) for prefix, named in by_prefix.items()]
    count = Counter(layer.name for layer in layers)
    return [
        replace(layer, name=f"{parts[layer.part][0]}.{layer.name}") if count[layer.name] > 1 else layer
        for layer in layers
    ]


def _named(layers: Sequence[Layer], wanted: str) -> Layer | None:
    """The layer of that name, letter case aside; else the only one whose name ends in ``.wanted``."""
    name = wanted.casefold()
    exact = [layer for layer in layers if layer.name.casefold() == name]
    ending = [layer for layer in layers if layer.name.casefold().endswith(f".{name}")]
    for found in (exact, ending):
        if len(found) == 1:
            return found[0]
    return None


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else ""
    return ", ".join(names[:_MOST_NAMES]) + more
