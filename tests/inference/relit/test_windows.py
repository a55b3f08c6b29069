"""Frames of a video through windows that overlap."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch

from src.inference.crops import Crop, whole_picture
from src.inference.relit.relighter import Relighter
from src.inference.relit.shots import Shot
from src.inference.relit.windows import WINDOW, portraits_over_time
from tests.inference.relit_models import tiny_relit_model


def shots(count, cuts=(), size=40, still=False):
    rng = np.random.default_rng(0)
    pictures = rng.uniform(0.1, 0.8, (count, size, size, 3)).astype(np.float32)
    for index in range(count):
        picture = pictures[0 if still else index]
        crop = whole_picture(size, size)
        yield Shot(picture, None, crop, index in (0, *cuts), Fraction(index, 25), Fraction(1, 25))


def diffuse(model, stream):
    """What the network says of every frame, without averages."""
    answers = portraits_over_time(Relighter(model), stream, steadies=False)
    return torch.cat([portrait.transport.diffuse for _, portrait in answers])


@pytest.mark.parametrize("count", [1, 3, WINDOW, 11, 21])
def test_every_frame_comes_once_in_order_and_shares_sum_to_one(count):
    model = tiny_relit_model(over_time=True)
    got = list(portraits_over_time(Relighter(model), shots(count)))
    assert [shot.start for shot, _ in got] == [Fraction(index, 25) for index in range(count)]
    for _, portrait in got:
        np.testing.assert_allclose(portrait.transport.diffuse.sum(2), 1, atol=1e-5)
        np.testing.assert_allclose(portrait.transport.mirrored.norm(dim=1), 1, atol=1e-5)


def test_a_window_that_stands_still_has_no_seams():
    got = diffuse(tiny_relit_model(over_time=True), shots(19, still=True))
    np.testing.assert_allclose(got, got[:1].expand_as(got), atol=1e-5)


def test_nothing_is_seen_across_a_cut():
    model = tiny_relit_model(over_time=True)
    whole = diffuse(model, shots(13, cuts=(6,)))
    before = diffuse(model, list(shots(13))[:6])
    torch.testing.assert_close(whole[:6], before)


def test_models_without_time_take_frames_one_by_one():
    model = tiny_relit_model()
    first = next(shots(1))
    alone = Relighter(model).transport(first.picture, None, first.crop).transport.diffuse
    torch.testing.assert_close(diffuse(model, shots(9))[:1], alone)


def test_answers_are_averaged_within_a_shot():
    model, crop = tiny_relit_model(), whole_picture(40, 40)
    rng = np.random.default_rng(0)
    picture = np.kron(rng.uniform(0.1, 0.8, (5, 5, 3)), np.ones((8, 8, 1))).astype(np.float32)
    noisy = [(picture * rng.uniform(0.97, 1.03, picture.shape)).astype(np.float32) for _ in range(8)]

    def stream():
        for index, frame in enumerate(noisy):
            yield Shot(frame, None, crop, index in (0, 4), Fraction(index, 25), Fraction(1, 25))

    alone = diffuse(model, stream())
    steady = torch.cat([p.transport.diffuse for _, p in portraits_over_time(Relighter(model), stream())])
    torch.testing.assert_close(steady[[0, 4]], alone[[0, 4]])  # shots begin
    assert steady[4:].diff(dim=0).abs().mean() < 0.6 * alone[4:].diff(dim=0).abs().mean()


@pytest.mark.parametrize("over_time", [False, True])
def test_a_body_is_seen_from_afar_in_the_frames_that_show_it(over_time):
    """Two shots: one of a whole picture, one of a head in it."""
    relighter, head = Relighter(tiny_relit_model(over_time=over_time)), Crop(6, 30, 40, 40)
    stream = [replace(shot, crop=head) if k >= 5 else shot for k, shot in enumerate(shots(14, cuts=(5,), size=100))]
    got = list(portraits_over_time(relighter, iter(stream), steadies=False))
    assert [shot.start for shot, _ in got] == [shot.start for shot in stream]
    assert [portrait.around is not None for _, portrait in got] == [False] * 5 + [True] * 9
    first = relighter.transport(stream[5].picture, None, head)
    if not over_time:
        torch.testing.assert_close(got[5][1].around.transport.diffuse, first.around.transport.diffuse)
