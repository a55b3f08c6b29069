"""Following one face through blocks of frames."""

import numpy as np
import pytest

from src.inference import faces as module
from src.inference.crops import Face
from src.inference.faces import FaceTracker, find_face

FRAME = np.full((100, 100, 3), 100, np.uint8)


def frames(*numbers):
    """Frames that can be told apart by their first pixel."""
    made = [FRAME.copy() for _ in numbers]
    for frame, number in zip(made, numbers, strict=True):
        frame[0, 0] = number
    return made


@pytest.fixture
def seen(monkeypatch):
    """Faces by frame number; what is not there is not found. Returns (faces, the calls made)."""
    known, calls = {}, []

    def find(picture):
        calls.append(("find", int(picture[0, 0, 0])))
        return known.get(calls[-1][1])

    def follow(picture, last):
        calls.append(("follow", int(picture[0, 0, 0])))
        return known.get(calls[-1][1])

    monkeypatch.setattr(module, "find_face", find)
    monkeypatch.setattr(module, "follow_face", follow)
    return known, calls


def test_a_face_moves_evenly_between_the_frames_it_was_looked_for(seen):
    known, calls = seen
    known.update({0: Face(10, 20, 30), 3: Face(18, 20, 30)})
    found = FaceTracker().track(frames(0, 1, 2, 3), [True, False, False, False])
    assert [face.x for face in found] == [11, 12, 13, 14]  # half of the way: a single sight is not trusted whole
    assert calls == [("find", 0), ("follow", 3)]


def test_a_lost_face_stays_where_it_was(seen):
    known, _ = seen
    known[0] = Face(10, 20, 30)
    tracker = FaceTracker()
    tracker.track(frames(0, 1), [True, False])
    assert tracker.track(frames(2, 3), [False, False]) == [Face(10, 20, 30)] * 2


def test_a_cut_begins_anew_also_within_a_block(seen):
    known, calls = seen
    known.update({0: Face(10, 20, 30), 1: Face(10, 20, 30), 2: Face(80, 20, 10), 3: Face(80, 20, 10)})
    found = FaceTracker().track(frames(0, 1, 2, 3, 4), [True, False, True, False, True])
    assert [face and face.x for face in found] == [10, 10, 80, 80, None]
    assert [call for call in calls if call[0] == "find"] == [("find", 0), ("find", 2), ("find", 4)]


def test_without_a_face_it_is_looked_for_in_every_block(seen):
    known, calls = seen
    tracker = FaceTracker()
    assert tracker.track(frames(0, 1), [True, False]) == [None, None]
    known[2] = known[3] = Face(5, 5, 5)
    assert tracker.track(frames(2, 3), [False, False]) == [Face(5, 5, 5)] * 2
    assert [call for call in calls if call[0] == "find"] == [("find", 0), ("find", 1), ("find", 2)]


def test_a_face_that_fades_in_is_found_at_the_end_of_its_block(seen):
    known, _ = seen
    known[3] = Face(5, 5, 5)
    assert FaceTracker().track(frames(0, 1, 2, 3), [True, False, False, False]) == [Face(5, 5, 5)] * 4


def test_a_face_that_first_and_last_frame_of_a_block_hide_is_found_between(seen):
    known, calls = seen
    known[5] = Face(5, 5, 5)
    assert FaceTracker().track(frames(*range(8)), [True] + [False] * 7) == [Face(5, 5, 5)] * 8
    assert [call for call in calls if call[0] == "find"] == [("find", 0), ("find", 7), ("find", 2), ("find", 5)]


def test_dark_frames_are_made_bright_to_be_searched_and_others_are_left():
    dark = np.tile(np.arange(0, 20, dtype=np.uint8)[:, None, None], (5, 40, 3))
    bright = module._brightened(dark)
    assert 180 <= np.percentile(bright, 95) <= 240 and (np.diff(bright[:20, 0, 0].astype(int)) > 0).all()
    assert module._brightened(bright) is bright
    assert not module._brightened(0 * FRAME).any()


@pytest.mark.parametrize("size", [(1, 1), (5, 400), (64, 64), (300, 200)])
def test_there_is_no_face_in_noise_or_in_tiny_pictures(size):
    noise = np.random.default_rng(0).integers(0, 255, (*size, 3)).astype(np.uint8)
    assert find_face(noise) is None
