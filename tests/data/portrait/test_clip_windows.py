"""Windows of clips, as prepare_olat.py films them and as delighting labels them."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from src.data.portrait.clip_windows import LabelledClips, SyntheticClips, open_clips
from src.data.portrait.pseudo_labels import ClipFrames
from src.utils.cli import InputError
from src.utils.color import srgb_to_linear
from src.utils.seeding import generator
from src.utils.sphere import rotate_environment_y
from tests.tiny_clips import FRAMES, SIZE, frame, light, write_clip


@pytest.fixture
def folder(tmp_path):
    write_clip(tmp_path / "clips", "CLIP001")
    write_clip(tmp_path / "clips", "CLIP002", split="val")
    return tmp_path


def test_a_window_is_consecutive_frames_with_their_light_and_flow(folder):
    clips = open_clips(folder, SIZE, (4, 8), 2)
    assert isinstance(clips, SyntheticClips) and list(clips.describe()) == ["CLIP001"]
    seen = set()
    for seed in range(12):
        window = clips.draw(generator(seed), 3)
        assert len(window) == 3 and window.source.tolist() == [2] * 3
        first = round(float(window.flat_lit[0, 0, 0, 0]) * 10) - 1
        for index in range(3):
            np.testing.assert_allclose(window.flat_lit[index].permute(1, 2, 0), frame(first + index), atol=1e-3)
            brightness = window.relit[index, 0].mean() / window.flat_lit[index].mean()
            turned = bool(brightness > 2.5)  # as write_clip lights them
            degrees = 45.0 * (first + index) if turned else 0.0
            expected = rotate_environment_y(light(), degrees)
            np.testing.assert_allclose(window.environment[index, 0].permute(1, 2, 0), expected, rtol=2e-2, atol=1e-3)
            seen.add(turned)
        assert not window.flow[0].any() and (window.flow[1:, 0] == 1.5).all() and (window.flow[1:, 2] == 1).all()
    assert seen == {True, False}
    again = clips.draw(generator(3), 3)
    assert torch.equal(again.relit, clips.draw(generator(3), 3).relit)


def test_clips_of_another_size_are_resized_with_their_flow(folder):
    window = open_clips(folder, SIZE // 2, (4, 8), 1).draw(generator(0), FRAMES)
    assert window.relit.shape == (FRAMES, 1, 3, SIZE // 2, SIZE // 2)
    np.testing.assert_allclose(window.flow[1:, 0], 0.75)


def test_labelled_clips_have_an_estimated_flow_that_ends_at_cuts():
    rng = np.random.default_rng(0)
    picture = (rng.random((6, 7)).repeat(8, 0).repeat(8, 1)[..., None].repeat(3, 2) * 200 + 20).astype(np.uint8)
    relit = np.stack([picture[:, 4:52], picture[:, 2:50], picture[:, 0:48]])
    frames = ClipFrames(
        relit=relit,
        flat_lit=relit // 2,
        mask=np.full((3, 48, 48), 255, np.uint8),
        confidence=np.arange(3, dtype=np.uint8).reshape(3, 1, 1) * 51 * np.ones((1, 48, 48), np.uint8),
        environment=np.ones((3, 8, 16, 3), np.float32),
        begins_shot=np.array([True, False, True]),
    )
    clip = SimpleNamespace(name="a", frames=3, finished=1.0)
    labels = SimpleNamespace(clips=[clip], read=lambda clip, size, first, count: frames)
    window = LabelledClips(labels, 48, (4, 8), 1).draw(generator(0), 3)
    np.testing.assert_allclose(window.flat_lit[0].permute(1, 2, 0), srgb_to_linear(relit[0] // 2 / np.float32(255)))
    inner = window.flow[1, :, 12:36, 12:36]
    assert inner[2].mean() > 0.8 and abs(float(inner[0][inner[2] > 0].median()) + 2) < 0.3
    assert not window.flow[2, 2].any()
    np.testing.assert_allclose(window.confidence[:, 0, 5, 7], [0, 0.2, 0.4], rtol=1e-6)


def test_what_holds_no_clips_is_said(tmp_path, folder):
    with pytest.raises(InputError, match="holds no pseudo labels"):
        open_clips(tmp_path / "nothing", 8, (4, 8), 1)
    (folder / "clips" / "CLIP001" / "clip.json").unlink()
    with pytest.raises(InputError, match="holds no clips to train on"):
        open_clips(folder, 8, (4, 8), 1)
