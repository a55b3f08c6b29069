"""Where a mask comes from, and the one that pictures under all lights give."""

from pathlib import Path

import numpy as np
import pytest

from src.data.stage.captures import Capture
from src.data.stage.mask import mask_from_maximum, mask_source
from src.utils.cli import InputError


def test_mask_maximum_fills_holes_and_drops_specks():
    picture = np.zeros((40, 40, 3), np.float32)
    picture[8:32, 10:30] = 0.5
    picture[15:18, 15:18] = 0  # pupils and nostrils
    picture[2, 2] = 0.5
    mask = mask_from_maximum(picture)
    assert mask[16, 16] == 1 and mask[2, 2] == 0 and mask[20, 20] == 1 and mask[20, 35] == 0


def test_mask_sources_are_checked_before_anything_is_made():
    bare = Capture("ID1", "ID1", (Path("a/000.exr"),), "stage")
    assert mask_source(bare, "auto") == "olat"
    with pytest.raises(InputError, match=r"no mask\.png"):
        mask_source(bare, "given")
    with pytest.raises(InputError, match="no full-light picture"):
        mask_source(bare, "rembg")
