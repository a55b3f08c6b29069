"""Faces and cuts of real pictures and clips."""

import cv2
import numpy as np
import pytest

from src.inference.faces import find_face, find_faces
from src.inference.temporal import CutDetector
from src.utils.color import linear_to_srgb
from src.utils.image_io import read_display, read_linear
from src.utils.resize import resize_area
from src.utils.video_io import VideoReader
from tests.shared_data import SHARED

PORTRAITS = SHARED / "data" / "portraits"
pytestmark = pytest.mark.skipif(not PORTRAITS.is_dir(), reason="real portraits are not here")


def test_the_faces_of_real_portraits_are_found():
    """Centres and sides as measured by eye, in shares of the picture."""
    known = {
        "astronaut_512.png": (0.44, 0.22, 0.19),
        "chris_pratt_2018_ccby2.jpg": (0.53, 0.40, 0.50),
        "grace_hopper.jpg": (0.52, 0.36, 0.42),
        "luciano_codait_cc0.png": (0.50, 0.33, 0.42),
        "obama_2012_official.jpg": (0.54, 0.22, 0.32),
    }
    for name, (x, y, side) in known.items():
        shown = np.rint(read_display(PORTRAITS / name) * 255).astype(np.uint8)
        face = find_face(shown)
        assert face is not None, name
        height, width = shown.shape[:2]
        assert (face.x / width, face.y / height) == pytest.approx((x, y), abs=0.05), name
        assert face.side / width == pytest.approx(side, rel=0.2), name


def test_both_faces_of_a_picture_and_one_that_is_tilted_are_found():
    first, second = (read_linear(PORTRAITS / name) for name in ("grace_hopper.jpg", "luciano_codait_cc0.png"))
    pair = np.concatenate([resize_area(picture, 400, 400) for picture in (first, second)], axis=1)
    faces = find_faces(np.rint(linear_to_srgb(pair) * 255).astype(np.uint8))
    assert len(faces) == 2
    assert sorted(face.x > 400 for face in faces) == [False, True]
    matrix = cv2.getRotationMatrix2D((200, 200), -35, 1.0)  # clockwise
    tilted = cv2.warpAffine(linear_to_srgb(pair[:, 400:]), matrix, (400, 400), borderMode=cv2.BORDER_REPLICATE)
    (face,) = find_faces(np.rint(tilted * 255).astype(np.uint8))
    assert face.roll in (20.0, 40.0)
    expected = matrix @ (0.5 * 400, 0.33 * 400, 1)
    assert np.hypot(*(expected - (face.x, face.y))) < 0.12 * 400


@pytest.mark.parametrize("tilt", [-20, 20])
def test_tilted_faces_are_not_taken_for_cut_ones(tilt):
    shown = np.rint(read_display(PORTRAITS / "obama_2012_official.jpg") * 255).astype(np.uint8)
    height, width = shown.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), -tilt, 1.0)
    face = find_face(cv2.warpAffine(shown, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE))
    assert face is not None and face.roll == tilt


@pytest.mark.parametrize(("name", "cut"), [("grace_hopper.jpg", 0.2), ("obama_2012_official.jpg", 0.3)])
@pytest.mark.parametrize("side", ["left", "bottom"])
def test_faces_that_the_border_cuts_are_found(name, cut, side):
    shown = np.rint(read_display(PORTRAITS / name) * 255).astype(np.uint8)
    face = find_face(shown)
    kept = face.side * (0.5 - cut)
    left = round(face.x - kept) if side == "left" else 0
    part = shown[:, left:] if side == "left" else shown[: round(face.y + kept)]
    found = find_face(np.ascontiguousarray(part))
    assert found is not None
    assert np.hypot(found.x + left - face.x, found.y - face.y) < 0.3 * face.side
    assert found.side == pytest.approx(face.side, rel=0.4)


def test_the_cut_between_two_real_clips_is_the_only_one():
    first, second = (list(VideoReader(path)) for path in sorted(PORTRAITS.glob("clip_*.mp4")))
    first = [frame[60:330] for frame in first]
    detector = CutDetector()
    found = [index for index, frame in enumerate(first + second) if detector.is_cut(frame)]
    assert found == [0, len(first)]
