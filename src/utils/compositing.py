"""A person before a background."""

from __future__ import annotations

import numpy as np

from src.utils.color import Array


def put_before(background: Array, person: Array, coverage: Array) -> Array:
    """``person + (1 - coverage) background`` of linear radiance; all of one kind, ``coverage`` with one channel.

    A person on a dark stage is premultiplied: on the outline a pixel is the person times its coverage already. What
    the stage itself shows where nothing is covered is dropped.
    """
    covered = coverage > 0
    person = np.where(covered, person, 0) if isinstance(person, np.ndarray) else person.where(covered, 0)
    return person + (1 - coverage) * background
