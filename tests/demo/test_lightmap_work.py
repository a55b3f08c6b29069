"""Hours as they are shown: small lightmaps in squares, large ones sampled."""

import numpy as np

from src.demo import lightmap_work
from src.demo.lightmap_work import one_of, picture
from src.utils.color import linear_to_srgb
from tests.lightmap_example import started_grid


def test_a_small_lightmap_is_shown_in_squares_of_pixels():
    decoder = started_grid()[0].decoder()
    shown = picture(decoder, 9.0)
    factor = 768 // 48
    assert shown.shape == (40 * factor, 48 * factor, 3) and shown.dtype == np.uint8
    expected = np.rint(linear_to_srgb(decoder.render(9.0) / decoder.peak) * 255)
    np.testing.assert_array_equal(shown[::factor, ::factor], expected)
    np.testing.assert_array_equal(shown[factor - 1 :: factor, factor - 1 :: factor], expected)


def test_a_large_lightmap_is_sampled(monkeypatch):
    decoder = started_grid()[0].decoder()
    whole = picture(decoder, 9.0)[::16, ::16].astype(float)
    monkeypatch.setattr(lightmap_work, "SHOWN_SIDE", 24)
    half = picture(decoder, 9.0).astype(float)
    assert half.shape == (20, 24, 3)
    assert np.abs(half - whole[::2, ::2]).mean() < 20
    assert one_of(decoder) is decoder
