import numpy as np
import pytest

from src.data.lightmap.moving_edges import FEATURES, find_changes, moving_share

HEIGHT, WIDTH = 40, 64
LIT, DARK = 1.0, 0.1


def half_plane(edge: int) -> np.ndarray:
    """Lit to the left of column ``edge``."""
    columns = np.arange(WIDTH)[None, :, None]
    return np.broadcast_to(np.where(columns < edge, LIT, DARK), (HEIGHT, WIDTH, 3)).astype(np.float32)


def whole() -> np.ndarray:
    return np.ones((HEIGHT, WIDTH), bool)


@pytest.mark.parametrize(("first", "last"), [(20, 36), (36, 20)])
def test_an_edge_that_sweeps_a_plane_passes_each_column_in_its_turn(first, last):
    changes = find_changes(half_plane(first), half_plane(last), whole())
    row, column = np.divmod(changes.index, WIDTH)
    assert sorted(set(column)) == list(range(20, 36))
    assert len(changes.index) == HEIGHT * 16
    expected = (column + 0.5 - first) / (last - first)
    assert changes.features.shape == (len(row), FEATURES)
    assert changes.features[:, 0] + 0.5 == pytest.approx(expected, abs=1e-5)  # along the narrowest line


def test_where_a_chart_ends_no_edge_is_seen():
    mask = whole()
    mask[:, 30:32] = False  # the edge has left the first chart and has not reached the other one's end
    changes = find_changes(half_plane(20), half_plane(60), mask)
    column = changes.index % WIDTH
    trusted = changes.features[:, 4]
    assert not (set(column) & {30, 31})
    assert trusted[column < 30].max() == 0.0
    assert trusted[column > 31].max() == 0.0


def test_still_and_dark_frames_have_no_changes():
    still = half_plane(20)
    assert len(find_changes(still, still, whole()).index) == 0
    black = np.zeros_like(still)
    assert find_changes(black, black, whole()).features.shape == (0, FEATURES)
    assert moving_share(still, half_plane(36), whole()) == 16 / WIDTH


def test_noise_below_the_least_change_is_no_edge():
    random = np.random.default_rng(0)
    frame = half_plane(30)
    noisy = frame * random.uniform(0.95, 1.05, frame.shape).astype(np.float32)
    assert moving_share(frame, noisy, whole()) == 0.0
