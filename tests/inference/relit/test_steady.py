"""Answers about moving surfaces, averaged along the motion."""

import numpy as np
import pytest
import torch

from src.inference.relit.steady import SteadyTransport
from src.models.relit.transport import Transport
from src.utils.color import srgb_to_linear

SIZE, LOBES = 48, 5


def said(level, size=SIZE // 2):
    """An answer that is ``level`` (a number, or 1 x 1 x h x w) everywhere; shares sum to 1."""
    level = torch.as_tensor(level, dtype=torch.float32).expand(1, 1, size, size)
    diffuse = torch.full((1, 3, LOBES, size, size), 1 / LOBES)
    mirrored = torch.tensor([0.0, 0.6, 0.8]).view(1, 3, 1, 1).expand(1, 3, size, size)
    return Transport(diffuse, level.repeat(1, 2, 1, 1), mirrored, level)


def frames(step):
    """Patches that move ``step`` pixels to the right."""
    patches = np.random.default_rng(0).random((8, 16)).repeat(8, 0).repeat(8, 1)[..., None].repeat(3, 2)
    shown = [patches[:SIZE, 40 - step * k : 40 - step * k + SIZE] * 0.8 + 0.1 for k in range(8)]
    return [torch.from_numpy(srgb_to_linear(one).transpose(2, 0, 1).copy()).float() for one in shown]


def test_flicker_goes_and_a_steady_answer_stays_as_it_is():
    steady, seen = SteadyTransport(), frames(0)[0]
    levels = [0.2, 0.4] * 8
    got = [float(steady(seen, said(level), 0.04).share.mean()) for level in levels]
    assert got[:3] == pytest.approx([0.2, 0.3, 0.8 / 3], rel=1e-5)  # plain means to begin with
    assert np.abs(np.diff(got[-4:])).max() < 0.2 * 0.25
    for _ in range(3):
        answer = steady(seen, said(0.3), 0.04)
    np.testing.assert_allclose(answer.diffuse.sum(2), 1, atol=1e-5)
    np.testing.assert_allclose(answer.mirrored.norm(dim=1), 1, atol=1e-5)


def test_a_change_arrives_as_fast_at_any_frame_rate():
    arrived = []
    for seconds in (0.02, 0.04):
        steady, seen = SteadyTransport(), frames(0)[0]
        for _ in range(40):
            steady(seen, said(0.0), seconds)
        for _ in range(round(0.2 / seconds)):
            answer = steady(seen, said(1.0), seconds)
        arrived.append(float(answer.mask.mean()))
    assert arrived == pytest.approx([1 - np.exp(-1)] * 2, abs=1e-3)


def test_the_average_is_of_one_point_of_the_surface():
    """A pattern that moves with the surface is no flicker: it is as sharp as it was, and where it belongs."""
    step, steady = 2, SteadyTransport()
    pattern = torch.zeros(1, 1, SIZE // 2, SIZE)
    pattern[..., ::6] = 1.0
    for k, seen in enumerate(frames(step)):
        here = pattern[..., 12 - k : 12 - k + SIZE // 2]
        answer = steady(seen, said(here), 0.04)
    inner = (slice(None), slice(None), slice(4, -4), slice(10, -4))
    assert (answer.mask - here)[inner].abs().mean() < 0.03
    standing = SteadyTransport()
    for k in range(8):
        blurred = standing(frames(0)[0], said(pattern[..., 12 - k : 12 - k + SIZE // 2]), 0.04)
    assert (blurred.mask - here)[inner].abs().mean() > 0.15


def test_a_new_shot_and_another_size_begin_anew():
    steady, seen = SteadyTransport(), frames(0)[0]
    steady(seen, said(0.0), 0.04)
    assert float(steady(seen, said(1.0), 0.04, starts_anew=True).mask.min()) == 1.0
    assert float(steady(seen[:, :32, :32], said(0.5, 16), 0.04).mask.max()) == 0.5
